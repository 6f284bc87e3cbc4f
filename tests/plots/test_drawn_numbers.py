"""What is drawn is what the tables say."""

import numpy as np
import pytest
from plot_helpers import drawn, legend_of

from cosim.results.figure import FigureError
from cosim.results.run import Run
from cosim.results.statistics import mean_interval


def test_accuracy_of_one_run_is_its_evaluations(run, capsys):
    drawing = drawn("accuracy_vs_time", [run])
    data = drawing.data
    (axes,) = drawing.canvas.axes
    for line, (_, curve) in zip(axes.lines, data.groupby("tasks", sort=False), strict=True):
        np.testing.assert_allclose(line.get_ydata(), 100.0 * curve["accuracy"])  # in percent
    for tasks, rows in (("own", run.evaluations.query("own")), ("all", run.evaluations)):
        curve = data[data["tasks"] == tasks]
        means = rows.groupby("t_s")["accuracy"].mean()
        np.testing.assert_allclose(curve["t_s"], means.index)
        np.testing.assert_allclose(curve["accuracy"], means)
        assert curve["half_width"].isna().all()
    assert "one seed, so no interval" in capsys.readouterr().err


def test_accuracy_of_seeds_is_their_mean_with_an_interval(seeds, capsys):
    drawing = drawn("accuracy_vs_time", seeds)
    assert capsys.readouterr().err == ""
    data = drawing.data
    assert set(data["experiment"]) == {"range=500 m", "range=900 m"}
    curve = data[(data["experiment"] == "range=500 m") & (data["tasks"] == "own")]
    three = [run.evaluations.query("own").groupby("t_s")["accuracy"].mean() for run in seeds[:3]]
    # Drawn where all seeds have values, and nowhere else.
    assert curve["t_s"].iloc[-1] == min(means.index[-1] for means in three)
    t_s, accuracy, half = curve[["t_s", "accuracy", "half_width"]].iloc[37]
    at = [np.interp(t_s, means.index, means) for means in three]
    np.testing.assert_allclose([accuracy, half], mean_interval(at), rtol=1e-12)
    bottom, top = drawing.canvas.axes[0].get_ylim()
    assert bottom < 100.0 * accuracy < top  # drawn in percent
    bands = [part for axes in drawing.canvas.axes for part in axes.collections]
    assert len(bands) == 4  # two experiments, own and all tasks


def test_accuracy_over_rounds_is_the_mean_at_each(seeds):
    data = drawn("accuracy_vs_time", seeds, over="rounds").data
    curve = data[(data["experiment"] == "range=500 m") & (data["tasks"] == "all")]
    three = [run.evaluations.groupby("round")["accuracy"].mean() for run in seeds[:3]]
    assert set(curve["round"]) == set.intersection(*(set(means.index) for means in three))
    for _, row in curve.iterrows():
        expected = mean_interval([means[row["round"]] for means in three])
        np.testing.assert_allclose([row["accuracy"], row["half_width"]], expected, rtol=1e-12)


def test_delays_are_an_empirical_distribution(run):
    data = drawn("delay_cdf", [run], by="kind").data
    for kind, flows in run.flows.groupby("kind"):
        curve = data[data["curve"] == kind]
        done = flows[flows["outcome"] == "delivered"]
        median_s = (done["end_s"] - done["start_s"]).median()
        below = (curve["delay_s"] <= median_s).sum() / len(flows)
        assert abs(below - 0.5 * len(done) / len(flows)) <= 1.0 / len(flows)
        assert curve["fraction"].iloc[-1] == pytest.approx(len(done) / len(flows))
        assert (np.diff(curve["delay_s"]) >= 0).all()
    assert (run.flows["outcome"] != "delivered").any()  # so that a curve ends below 1


def test_transfers_that_the_end_of_the_run_cut_did_not_fail(run):
    run = Run(run.path)
    flows = run.flows.copy()
    failed = flows["outcome"] != "delivered"
    flows.loc[failed, "outcome"] = "aborted"
    flows.loc[failed, "end_s"] = run.rounds["t_s"].iloc[-1]
    run.flows = flows
    drawing = drawn("delay_cdf", [run], by="kind")
    last = drawing.data.groupby("curve").last()
    assert (last["num_undelivered"] == 0).all()
    assert last["num_cut"].sum() == failed.sum() > 0
    assert f"{last['num_cut']['update']} unfinished" in legend_of(drawing)[0]


def test_the_legend_of_the_delays_is_outside_the_axes(run):
    drawing = drawn("delay_cdf", [run], by="kind")
    drawing.canvas.draw_without_rendering()
    (axes,) = drawing.canvas.axes
    assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1 - 0.5
    failed = (run.flows.query("kind == 'update'")["outcome"] != "delivered").sum()
    num = (run.flows["kind"] == "update").sum()
    assert legend_of(drawing)[0] == f"update ($n$ = {num:,}, {failed} failed)"


def test_experiments_pool_their_seeds(seeds):
    data = drawn("delay_cdf", seeds).data
    counts = data.groupby("curve")["num_transfers"].first()
    assert counts["range=500 m"] == sum(len(run.flows) for run in seeds[:3])
    assert counts["range=900 m"] == sum(len(run.flows) for run in seeds[3:])


def test_delay_axis_is_as_asked_for(run):
    for scale in ("linear", "log"):
        (axes,) = drawn("delay_cdf", [run], scale=scale).canvas.axes
        assert axes.get_xscale() == scale


def test_heat_map_is_the_last_evaluation(run):
    drawing = drawn("task_device_heatmap", [run])
    axes = drawing.canvas.axes[0]
    values = axes.images[0].get_array()
    tasks = [label.get_text() for label in axes.get_xticklabels()]
    last = run.evaluations[run.evaluations["t_s"] == run.evaluations["t_s"].max()]
    assert values.shape == (8, 8)
    assert len(drawing.data) == len(last) == 64
    for row in last.itertuples():
        assert values[row.device, tasks.index(row.task)] == pytest.approx(100 * row.accuracy)
    own = {(row.device, tasks.index(row.task)) for row in last[last["own"]].itertuples()}
    outlined = {(round(p.get_y() + 0.44), round(p.get_x() + 0.44)) for p in axes.patches}
    assert outlined == own == {(device, device) for device in range(8)}


def test_heat_map_rounds_halves_up_and_says_what_is_outlined(run):
    run = Run(run.path)
    rows = run.evaluations.copy()
    rows["accuracy"] = np.where(rows["device"] == 0, 0.575, 0.725)  # 57.4999... and 72.5 in floats
    run.evaluations = rows
    drawing = drawn("task_device_heatmap", [run])
    texts = {text.get_text() for text in drawing.canvas.axes[0].texts}
    assert texts == {"58", "73"}
    assert legend_of(drawing) == ["own task"]


def test_heat_map_of_an_earlier_round(run):
    data = drawn("task_device_heatmap", [run], round=2).data
    assert set(data["round"]) == {2}


def test_channel_trace_is_the_worlds_gain(run):
    drawing = drawn("channel_trace", [run], link=(5, 2), start="3 s", length="1.5 s")
    data, world = drawing.data, run.world
    assert (data["t_s"].iloc[0], data["t_s"].iloc[-1]) == (3.0, 4.5)
    t_s = data["t_s"].to_numpy()
    np.testing.assert_allclose(data["gain_db"], 10 * np.log10(world.gain(2, 5, t_s)))
    np.testing.assert_allclose(data["mean_gain_db"], 10 * np.log10(world.mean_gain(2, 5, t_s)))
    # Doppler shift from positions: |v_i - v_j| / wavelength, devices walk straight in the window.
    apart_m = world.tracks_m(5, t_s) - world.tracks_m(2, t_s)
    speed_mps = np.linalg.norm(np.gradient(apart_m, t_s, axis=0), axis=1)
    np.testing.assert_allclose(data["doppler_hz"], speed_mps / world.wavelength_m, rtol=1e-6)
    (note,) = [text.get_text() for text in drawing.canvas.axes[0].texts]
    assert "Hz at 3.5 GHz" in note


@pytest.mark.parametrize(("speed", "longest_s"), [("1 m/s", 10.0), ("30 m/s", 0.1)])
def test_a_trace_shows_fades_that_can_be_told_apart(speed, longest_s, tmp_path, make_run):
    devices = (
        {"group": "post", "count": 1, "mobility": {"kind": "static", "position": ("0 m", "0 m")}},
        {
            "group": "cars",
            "count": 7,
            "mobility": {"kind": "random_waypoint", "speed": (speed, speed)},
        },
    )
    run = make_run(tmp_path, num_rounds=1, packets=False, positions=False, devices=devices)
    data = drawn("channel_trace", [run], link=(0, 1)).data
    length_s = data["t_s"].iloc[-1]
    turns = data["doppler_hz"].mean() * length_s
    assert turns <= 31.0
    assert length_s == pytest.approx(longest_s) or turns >= 12.0


def test_channel_trace_takes_the_first_link_by_default(run):
    data = drawn("channel_trace", [run]).data
    first = run.links.iloc[0]
    assert (set(data["src"]), set(data["dst"])) == ({first["src"]}, {first["dst"]})


def test_measures_are_means_over_devices_and_seeds(run, seeds):
    data = drawn("measures_vs_round", [run]).data
    for name, curve in data.groupby("measure"):
        means = run.measures.dropna(subset=[name]).query("round > 0").groupby("round")[name].mean()
        np.testing.assert_array_equal(curve["round"], means.index)
        np.testing.assert_allclose(curve["mean"].astype(float), means)
        assert curve["half_width"].isna().all()
    drawing = drawn("measures_vs_round", seeds, measures=("kept_cosine", "aggregation_gap"))
    assert len(drawing.canvas.axes) == 2
    assert [text.partition(" (")[2] for text in legend_of(drawing)] == [
        "3 seeds, 95 %)",
        "2 seeds, 95 %)",
    ]
    (row,) = drawing.data.query(
        "measure == 'aggregation_gap' and round == 2 and experiment == 'range=500 m'"
    ).to_dict("records")
    three = [run.measures.query("round == 2")["aggregation_gap"].mean() for run in seeds[:3]]
    np.testing.assert_allclose([row["mean"], row["half_width"]], mean_interval(three), atol=1e-12)


def test_a_measure_that_no_run_has_has_no_panel(run):
    bare = Run(run.path)
    bare.measures = bare.measures.assign(covariance_term=np.nan, aggregation_gap=np.inf)
    drawing = drawn("measures_vs_round", [bare])
    assert {"covariance_term", "aggregation_gap"}.isdisjoint(drawing.data["measure"])
    assert [axes.axison for axes in drawing.canvas.axes] == [True] * 4 + [False] * 2
    with pytest.raises(FigureError, match="no run has covariance_term; they need a pool"):
        drawn("measures_vs_round", [bare], measures=("covariance_term",))
