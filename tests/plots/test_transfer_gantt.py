"""The Gantt chart shows what the tables hold, and no time in which nothing happens."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from plot_helpers import drawn

from cosim.results.run import Run
from plots import transfer_gantt


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


def test_gantt_leaves_out_the_time_between_rounds(run):
    run = Run(run.path)
    shift_s = 500.0 * (np.arange(len(run.rounds)))
    starts_s = run.rounds["start_s"].to_numpy()
    for name in ("flows", "trainings", "rounds"):
        table = getattr(run, name).copy()
        move_s = shift_s[np.searchsorted(starts_s, table["start_s"], side="right") - 1]
        for column in ("start_s", "t_s" if name == "rounds" else "end_s"):
            table[column] += move_s
        setattr(run, name, table)
    drawing = drawn("transfer_gantt", [run])
    page = drawing.canvas
    shown = [axes.get_xlim() for axes in page.axes]
    rounds = run.rounds.head(3)
    for (left, right), row in zip(shown, rounds.itertuples(), strict=True):
        assert left <= row.start_s < row.t_s <= right < row.t_s + 10.0
    assert set(drawing.data["round"]) == {1, 2, 3}
    page.draw_without_rendering()  # all parts in one scale, and none squeezed out
    scales = [
        axes.get_window_extent().width / (right - left)
        for axes, (left, right) in zip(page.axes, shown, strict=True)
    ]
    assert max(scales) < 1.02 * min(scales)
    made_s = run.plans["t_s"]
    assert not made_s.between(*shown[1]).any()  # a part without a plan, which is as high and wide
    assert sum(axes.get_position().width for axes in page.axes) > 0.8
    assert min(axes.get_position().height for axes in page.axes) > 0.6


def test_gantt_begins_with_the_first_round_that_sends(run):
    run = Run(run.path)
    run.flows = run.flows.query("round > 2")
    drawing = drawn("transfer_gantt", [run])
    assert drawing.canvas.axes[0].get_xlim()[0] == run.rounds["start_s"].iloc[2]
    assert drawing.data["round"].min() == 3


def test_gantt_has_a_row_for_those_that_do_something(run):
    run = Run(run.path)
    run.flows = run.flows.query("src != 3")
    run.trainings = run.trainings.query("device != 3")
    (axes,) = drawn("transfer_gantt", [run]).canvas.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list("0124567")


def test_background_has_a_strip_of_its_own(run):
    run = Run(run.path)
    flows = run.flows.copy()
    flows.loc[flows["dst"] == 0, "kind"] = "background"
    run.flows = flows
    (axes,) = drawn("transfer_gantt", [run]).canvas.axes
    colours = {"background": "#009E73", "update": "#0072B2"}
    spans = {}
    for kind, colour in colours.items():
        (bars,) = [c for c in axes.collections if tuple(c.get_facecolor()[0]) == to_rgba(colour)]
        boxes = np.array([path.get_extents().intervaly for path in bars.get_paths()])
        spans[kind] = boxes - boxes.mean(axis=1).round()[:, None]  # within its row
    assert spans["background"].min() >= spans["update"].max()
    assert spans["background"].max() <= 0.4 + 1e-9


def test_background_takes_no_lane_from_updates(run):
    flows = run.flows.copy()
    aside = flows["dst"] <= 3  # some of them from one device at once
    flows.loc[aside, "kind"] = "background"
    lanes = ["lane", "num_lanes"]
    together = transfer_gantt._lanes(flows).set_index("flow")
    alone = transfer_gantt._lanes(flows[~aside]).set_index("flow")
    pd.testing.assert_frame_equal(together.loc[alone.index, lanes], alone[lanes])
    assert (together.loc[flows["flow"][aside], "num_lanes"] == 1).all()
    assert (transfer_gantt._lanes(run.flows).set_index("flow")["num_lanes"] > 2).any()


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
