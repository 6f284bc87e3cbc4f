"""What is drawn is what the tables say."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from cosim.plugin import find
from cosim.results.draw import draw
from cosim.results.statistics import mean_interval


def drawn(kind, runs, **keys):
    return draw(find("figure", kind).model_validate(keys), runs)


def test_accuracy_of_one_run_is_its_evaluations(run, capsys):
    data = drawn("accuracy_vs_time", [run]).data
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
    assert set(data["experiment"]) == {"range 500 m", "range 900 m"}
    curve = data[(data["experiment"] == "range 500 m") & (data["tasks"] == "own")]
    three = [run.evaluations.query("own").groupby("t_s")["accuracy"].mean() for run in seeds[:3]]
    # Drawn where all seeds have values, and nowhere else.
    assert curve["t_s"].iloc[-1] == min(means.index[-1] for means in three)
    t_s, accuracy, half = curve[["t_s", "accuracy", "half_width"]].iloc[37]
    at = [np.interp(t_s, means.index, means) for means in three]
    np.testing.assert_allclose([accuracy, half], mean_interval(at), rtol=1e-12)
    bands = [part for axes in drawing.canvas.axes for part in axes.collections]
    assert len(bands) == 4  # two experiments, own and all tasks


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


def test_experiments_pool_their_seeds(seeds):
    data = drawn("delay_cdf", seeds).data
    counts = data.groupby("curve")["num_transfers"].first()
    assert counts["range 500 m"] == sum(len(run.flows) for run in seeds[:3])
    assert counts["range 900 m"] == sum(len(run.flows) for run in seeds[3:])


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


def test_heat_map_of_an_earlier_round(run):
    data = drawn("task_device_heatmap", [run], round=2).data
    assert set(data["round"]) == {2}


def test_map_shows_the_plans_and_the_worlds_positions(run):
    data = drawn("topology_map", [run]).data
    made_s = run.plans.drop_duplicates("plan")["t_s"].tolist()
    assert data["t_s"].unique().tolist() == made_s
    for t_s, rows in data.groupby("t_s"):
        np.testing.assert_allclose(rows[["x_m", "y_m"]], run.world.positions_m(t_s))
    merged = data.merge(run.plans, on=["plan", "device"])
    assert (merged["cluster_x"] == merged["cluster_y"]).all()


def test_map_between_plans_shows_the_plan_in_force(run):
    second_s = run.plans.query("plan == 1")["t_s"].iloc[0]
    keys = {"at": (f"{second_s / 2} s", f"{second_s + 1.0} s")}
    data = drawn("topology_map", [run], **keys).data
    assert data.groupby("t_s")["plan"].first().tolist() == [0, 1]


def test_gateway_links_are_dashed_and_others_are_not(run):
    (axes,) = drawn("topology_map", [run], at=("0 s",)).canvas.axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2]
    dashed = sum(line.is_dashed() for line in lines)
    first = run.links.query("plan == 0")
    cluster = run.plans.query("plan == 0").set_index("device")["cluster"]
    across = (cluster[first["src"]].to_numpy() != cluster[first["dst"]].to_numpy()).sum()
    assert dashed == across / 2 > 0  # both directions are one line
    assert len(lines) - dashed == (len(first) - across) / 2 > 0


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


def test_channel_trace_takes_the_first_link_by_default(run):
    data = drawn("channel_trace", [run]).data
    first = run.links.iloc[0]
    assert (set(data["src"]), set(data["dst"])) == ({first["src"]}, {first["dst"]})


def test_gantt_draws_the_first_three_rounds(run):
    drawing = drawn("transfer_gantt", [run])
    axes = drawing.canvas.axes[0]
    end_s = run.rounds["t_s"].iloc[2]
    assert axes.get_xlim() == (0.0, pytest.approx(end_s))
    inside = drawing.data["start_s"].lt(end_s) & drawing.data["end_s"].gt(0.0)
    assert inside.all()
    num_flows = ((run.flows["start_s"] < end_s) & (run.flows["end_s"] > 0)).sum()
    num_trainings = (run.trainings["start_s"] < end_s).sum()
    assert len(drawing.data) == num_flows + num_trainings


def test_gantt_bars_of_a_device_never_overlap(run):
    axes = drawn("transfer_gantt", [run], length="1 h").canvas.axes[0]
    grey = to_rgba("#D9D9D9")  # training
    bars = [each for each in axes.collections if tuple(each.get_facecolor()[0]) != grey]
    boxes = [path.get_extents() for each in bars for path in each.get_paths()]
    assert len(boxes) == len(run.flows)
    table = pd.DataFrame([(b.y0, b.y1, b.x0, b.x1) for b in boxes], columns=["y0", "y1", "a", "z"])
    table["device"] = table[["y0", "y1"]].mean(axis=1).round()
    for _, bars in table.groupby("device"):
        for one in bars.itertuples():
            clash = bars[
                (bars.index > one.Index)
                & (bars["y0"] < one.y1 - 1e-9)
                & (bars["y1"] > one.y0 + 1e-9)
                & (bars["a"] < one.z - 1e-9)
                & (bars["z"] > one.a + 1e-9)
            ]
            assert clash.empty


def test_gantt_takes_chosen_devices(run):
    drawing = drawn("transfer_gantt", [run], devices=(6, 1))
    labels = [label.get_text() for label in drawing.canvas.axes[0].get_yticklabels()]
    assert labels == ["6", "1"]
    assert set(drawing.data["device"]) == {1, 6}


def test_packet_rates_carry_the_bits_of_the_transfer(run):
    flow = run.flows.query("outcome == 'delivered'").iloc[0]
    data = drawn("packet_timeline", [run], flow=int(flow["flow"])).data
    assert len(data) == flow["num_packets"]
    carried = data["rate_bps"] * (data["end_s"] - data["start_s"]) / data["num_attempts"]
    headers = 8 * 40 * flow["num_packets"]
    assert carried.sum() == pytest.approx(flow["payload_bits"] + headers)


def test_packets_lost_for_good_are_marked(run):
    flow = run.flows.query("outcome == 'partial'").iloc[0]
    upper = drawn("packet_timeline", [run], flow=int(flow["flow"])).canvas.axes[0]
    labels = [text.get_text() for text in upper.get_legend().get_texts()]
    assert f"lost ({flow['num_lost']})" in labels


def test_the_rate_of_a_packet_that_was_cut_is_not_known(run):
    ends = run.packets.groupby("flow")["delivered"].last()
    cut = ends.index[~ends & ends.index.isin(run.flows.query("outcome == 'expired'")["flow"])]
    data = drawn("packet_timeline", [run], flow=int(cut[0])).data
    assert np.isnan(data["rate_bps"].iloc[-1])
    assert data["rate_bps"].iloc[:-1].gt(0).all()
