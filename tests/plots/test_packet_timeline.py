"""The packets of a transfer, as a whole and one by one."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from plot_helpers import drawn, legend_of

from cosim.results.figure import FigureError
from cosim.results.run import Run


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


def test_packet_rates_carry_the_bits_of_the_transfer(run):
    flow = run.flows.query("outcome == 'delivered'").iloc[0]
    data = drawn("packet_timeline", [run], flow=int(flow["flow"])).data
    assert len(data) == flow["num_packets"]
    carried = data["rate_bps"] * (data["end_s"] - data["start_s"]) / data["num_attempts"]
    headers = 8 * 40 * flow["num_packets"]
    assert carried.sum() == pytest.approx(flow["payload_bits"] + headers)


def test_packets_lost_for_good_are_marked(run):
    flow = run.flows.query("outcome == 'partial'").iloc[0]
    drawing = drawn("packet_timeline", [run], flow=int(flow["flow"]))
    assert f"lost ({flow['num_lost']})" in legend_of(drawing)


def bars_of(axes):
    """Return the packets that are drawn one by one: (number, start, end)."""
    segments = [part for each in axes.collections for part in each.get_segments()]
    return sorted((part[0, 1], part[0, 0], part[1, 0]) for part in segments)


def test_some_packets_are_drawn_one_by_one(run):
    flow = run.flows.query("outcome == 'delivered'").iloc[0]
    packets = run.packets[run.packets["flow"] == flow["flow"]].set_index("packet")
    drawing = drawn("packet_timeline", [run], flow=int(flow["flow"]))
    whole, _, lower = drawing.canvas.axes
    bars = bars_of(lower)
    numbers = [int(number) for number, _, _ in bars]
    assert numbers == list(range(numbers[0], numbers[0] + 32))
    for number, start_s, end_s in bars:
        row = packets.loc[int(number)]
        assert (start_s, end_s) == (row["start_s"], row["end_s"])
    # They are where repeated packets are most frequent, and the whole shows where that is.
    repeated = (packets["num_attempts"] > 1).rolling(32).sum()
    assert repeated[numbers[-1]] == repeated.max()
    (band,) = [patch for patch in whole.patches if patch.get_width() > 0]
    assert band.get_x() == packets["start_s"][numbers[0]]
    assert band.get_x() + band.get_width() == pytest.approx(packets["end_s"][numbers[-1]])
    course = whole.lines[0]
    assert len(course.get_xdata()) == len(packets) > 48


def test_packets_to_draw_one_by_one_can_be_chosen(run):
    keys = {"flow": int(run.flows.query("outcome == 'delivered'").iloc[0]["flow"])}
    lower = drawn("packet_timeline", [run], first=40, **keys).canvas.axes[2]
    assert [number for number, _, _ in bars_of(lower)] == list(range(40, 72))
    with pytest.raises(FigureError, match="expected a packet of 0 to 171, got 172"):
        drawn("packet_timeline", [run], first=172, **keys)


def test_a_short_transfer_is_drawn_packet_by_packet(run):
    run = Run(run.path)
    run.packets = run.packets.query("packet < 20")
    upper, _ = drawn("packet_timeline", [run], flow=0).canvas.axes
    assert [number for number, _, _ in bars_of(upper)] == list(range(20))


def test_rates_of_repeated_packets_are_not_known_where_others_came_between(run, tmp_path, make_run):
    slow = make_run(tmp_path, num_rounds=1, transport={"ack_delay": "5 ms"})
    data = drawn("packet_timeline", [slow], flow=0).data
    assert (data["rate_bps"].isna() == (data["num_attempts"] > 1)).all()
    assert data["rate_bps"].isna().any()
    assert drawn("packet_timeline", [run], flow=0).data["rate_bps"].notna().all()


def test_the_rate_of_a_packet_that_was_cut_is_not_known(run):
    ends = run.packets.groupby("flow")["delivered"].last()
    cut = ends.index[~ends & ends.index.isin(run.flows.query("outcome == 'expired'")["flow"])]
    data = drawn("packet_timeline", [run], flow=int(cut[0])).data
    assert np.isnan(data["rate_bps"].iloc[-1])
    assert data["rate_bps"].iloc[:-1].gt(0).all()
