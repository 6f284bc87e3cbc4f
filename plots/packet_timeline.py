"""Every packet of one transfer: when it was on the air and how often, and the link's rate.

Packets are sent back to back, so the rate over a packet is its bits times its attempts, headers
counted, over the time that they took. Where acknowledgements take time, others are sent between a
packet's attempts: then its bar is thin, and the rate is known for packets that were sent once. A
transfer of many packets is drawn as a whole, and some of its packets one by one.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.run import Run
from plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MAX_SINGLE = 48  # packets; with more, a part of them is drawn one by one
NUM_SINGLE = 32  # of these
FEW_PT, THIN_PT = 1.5, 0.4  # width of a packet's bar
HEADROOM = 0.15  # of a panel's height, for its letter
# Looks of packets by number of attempts, and of those that were lost: colour and marker.
LOOKS = {
    "1 attempt": (style.BLUE, ""),
    "2 attempts": (style.ORANGE, "s"),
    "3 or more": (style.GREEN, "^"),
    "lost": (style.VERMILLION, "x"),
}


class PacketTimeline(Figure):
    """Packet numbers against time for one transfer, attempts in colour, and the rate.

    Attributes:
        flow: the transfer; None for the one with the most packets, and of these the one with
            the most attempts.
        first: first of the packets that are drawn one by one, where there are many; None for
            those where attempts are most frequent.
    """

    needs_packets = True

    flow: Annotated[int, Field(ge=0)] | None = None
    first: Annotated[int, Field(ge=0)] | None = None

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw packets, the link's rate, and a part of the packets one by one."""
        run = runs[0]
        flow = self._flow(run)
        packets = run.packets[run.packets["flow"] == flow["flow"]].sort_values("packet")
        if packets.empty:
            raise FigureError(f"run {run.path}: transfer {flow['flow']} has no packets")
        packets = packets.assign(rate_bps=_rate_bps(run, flow, packets), look=_looks(packets))
        many = len(packets) > MAX_SINGLE
        with style.page(style.COLUMN_IN, 4.1 if many else 2.9) as page:
            ratios = (1.9, 1.0, 1.7) if many else (2.2, 1.0)
            panels = page.subplots(len(ratios), 1, height_ratios=ratios)
            whole, rate = panels[:2]
            rate.sharex(whole)
            whole.tick_params(labelbottom=False)
            _rate(rate, packets)
            apart = run.scenario.transport.ack_delay_s > 0
            if many:
                some = self._some(packets)
                _course(whole, packets, some)
                _bars(panels[2], some, apart)
                panels[2].set_xlabel("Simulated time (s)")
                tags = (f"(a) {_note(flow)}", "(b)", "(c) in the grey stretch of (a)")
                for text, axes in zip(tags, panels, strict=True):
                    _tag(axes, text)
            else:
                _bars(whole, packets, apart)
                _tag(whole, _note(flow))
                _tag(rate, "")
            rate.set_xlabel("Simulated time (s)")
            rate.margins(x=0.02)
            for axes in panels:
                axes.grid(visible=True)
            page.align_ylabels(list(panels))
            _legend(whole, packets)
            return Drawing(page, packets.drop(columns="look"))

    def _flow(self, run: Run) -> "pd.Series":
        """Return the row of the transfer in `flows`."""
        flows = run.flows
        if self.flow is not None:
            found = flows[flows["flow"] == self.flow]
            if found.empty:
                last = int(flows["flow"].max()) if len(flows) else None
                there = f"0 to {last}" if last is not None else "none"
                raise FigureError(
                    f"run {run.path}: expected a transfer of {there}, got {self.flow}"
                )
            return found.iloc[0]
        ranked = flows[flows["flow"].isin(run.packets["flow"].unique())]
        return ranked.sort_values(["num_packets", "num_attempts"], ascending=False).iloc[0]

    def _some(self, packets: "pd.DataFrame") -> "pd.DataFrame":
        """Return the packets that are drawn one by one."""
        last = len(packets) - NUM_SINGLE
        if self.first is not None:
            if self.first >= len(packets):
                raise FigureError(
                    f"first: expected a packet of 0 to {len(packets) - 1}, got {self.first}"
                )
            begin = min(self.first, last)
        else:
            odd = np.concatenate([[0], np.cumsum(packets["look"] != "1 attempt")])
            inside = odd[NUM_SINGLE:] - odd[:-NUM_SINGLE]
            # In the middle of the places that show the most of them.
            best = np.flatnonzero(inside == inside.max())
            stretch = best[: int(np.argmax(np.append(np.diff(best) > 1, True))) + 1]
            begin = int(stretch[len(stretch) // 2])
        return packets.iloc[begin : begin + NUM_SINGLE]


def _rate_bps(run: Run, flow: "pd.Series", packets: "pd.DataFrame") -> NDArray[np.float64]:
    """Return the rate over each packet, bits on the air over time; NaN where it is not known."""
    transport = run.scenario.transport
    segment_bits = 8.0 * (transport.mtu_bytes - transport.header_bytes)
    number = packets["packet"].to_numpy()
    left_bits = flow["payload_bits"] - number * segment_bits  # the last packet may be shorter
    air_bits = np.minimum(left_bits, segment_bits) + 8.0 * transport.header_bytes
    spent_s = (packets["end_s"] - packets["start_s"]).to_numpy()
    num_attempts = packets["num_attempts"].to_numpy()
    known = spent_s > 0
    if transport.ack_delay_s > 0:  # others were on the air between the attempts
        known &= num_attempts == 1
    rate_bps: NDArray[np.float64] = np.divide(
        num_attempts * air_bits, spent_s, out=np.full_like(spent_s, np.nan), where=known
    )
    if flow["outcome"] in ("expired", "aborted") and not packets["delivered"].iloc[-1]:
        rate_bps[-1] = np.nan  # its last attempt was cut short, so its bits are not known
    return rate_bps


def _looks(packets: "pd.DataFrame") -> NDArray[np.str_]:
    attempts = packets["num_attempts"].to_numpy()
    one, two, more, lost = LOOKS
    by_attempts = np.where(attempts <= 1, one, np.where(attempts == 2, two, more))
    return np.where(packets["delivered"], by_attempts, lost)


def _course(axes: "Axes", packets: "pd.DataFrame", some: "pd.DataFrame") -> None:
    """Draw a transfer as a line, its repeated and lost packets as marks, and where `some` are."""
    axes.plot(packets["start_s"], packets["packet"], color=style.BLUE, linewidth=0.9)
    for look, rows in packets.groupby("look"):
        colour, marker = LOOKS[look]
        if marker:
            axes.plot(rows["end_s"], rows["packet"], marker, color=colour, markersize=2.8)
    since_s, until_s = some["start_s"].min(), some["end_s"].max()
    axes.axvspan(since_s, until_s, color=style.LIGHT, linewidth=0, zorder=0)
    axes.set_ylabel("Packet")


def _bars(axes: "Axes", packets: "pd.DataFrame", apart: bool) -> None:
    """Draw each packet from the start of its first attempt to the end of its last."""
    for look, rows in packets.groupby("look"):
        colour, marker = LOOKS[look]
        number, end_s = rows["packet"], rows["end_s"]
        width_pt = THIN_PT if apart and marker else FEW_PT
        axes.hlines(number, rows["start_s"], end_s, color=colour, linewidth=width_pt)
        if marker:
            axes.plot(end_s, number, marker, color=colour, markersize=3.2)
    axes.set_ylabel("Packet")
    axes.margins(x=0.02)


def _rate(axes: "Axes", packets: "pd.DataFrame") -> None:
    start_s, end_s = packets["start_s"].to_numpy(), packets["end_s"].to_numpy()
    edges_s = np.append(start_s, max(end_s[-1], start_s[-1]))
    axes.stairs(packets["rate_bps"] / 1e6, edges_s, color=style.BLUE, baseline=None)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("Rate (Mbit/s)")


def _tag(axes: "Axes", text: str) -> None:
    """Write a text over what is drawn, and not on it."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + HEADROOM * (high - low))
    if text:
        style.tag(axes, text)


def _legend(axes: "Axes", packets: "pd.DataFrame") -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415

    counts = packets["look"].value_counts()
    handles = [
        Line2D(
            [], [], color=colour, marker=marker, markersize=3.2, linewidth=FEW_PT,
            label=f"{look} ({counts[look]:,})",
        )
        for look, (colour, marker) in LOOKS.items()
        if look in counts
    ]  # fmt: skip
    style.legend_above(axes, handles, columns=min(len(handles), 3))


def _note(flow: "pd.Series") -> str:
    return f"transfer {flow['flow']}, {flow['src']} \u2192 {flow['dst']}, {flow['outcome']}"


if __name__ == "__main__":
    sys.exit(main(PacketTimeline))
