"""Every packet of one transfer: when it was on the air and how often, and the link's rate.

Packets are sent back to back, so the rate over a packet is its bits times its attempts, headers
counted, over the time that they took.
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


class PacketTimeline(Figure):
    """Packet numbers against time for one transfer, attempts in colour, and the rate below.

    Attributes:
        flow: the transfer; None for the one with the most packets, and of these the one with
            the most attempts.
    """

    needs_packets = True

    flow: Annotated[int, Field(ge=0)] | None = None

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw packets above and the link's rate below."""
        run = runs[0]
        flow = self._flow(run)
        packets = run.packets[run.packets["flow"] == flow["flow"]].sort_values("packet")
        if packets.empty:
            raise FigureError(f"run {run.path}: transfer {flow['flow']} has no packets")
        rate_bps = _rate_bps(run, flow, packets)
        with style.page(style.COLUMN_IN, 2.9) as page:
            upper, lower = page.subplots(2, 1, sharex=True, height_ratios=(2.2, 1.0))
            _packets(upper, packets)
            start_s = packets["start_s"].to_numpy()
            edges_s = np.append(start_s, packets["end_s"].iloc[-1])
            lower.stairs(rate_bps / 1e6, edges_s, color=style.BLUE, baseline=None)
            lower.set_ylim(bottom=0.0)
            lower.set_ylabel("Rate (Mbit/s)")
            lower.set_xlabel("Simulated time (s)")
            lower.margins(x=0.02)
            upper.set_ylabel("Packet")
            for axes in (upper, lower):
                axes.grid(visible=True)
            page.align_ylabels([upper, lower])
            note = f"transfer {flow['flow']}, {flow['src']} \u2192 {flow['dst']}, {flow['outcome']}"
            style.tag(upper, note, "lower right")
            return Drawing(page, packets.assign(rate_bps=rate_bps))

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


def _rate_bps(run: Run, flow: "pd.Series", packets: "pd.DataFrame") -> NDArray[np.float64]:
    """Return the rate over each packet, bits on the air over time; NaN where it is not known."""
    transport = run.scenario.transport
    segment_bits = 8.0 * (transport.mtu_bytes - transport.header_bytes)
    number = packets["packet"].to_numpy()
    left_bits = flow["payload_bits"] - number * segment_bits  # the last packet may be shorter
    air_bits = np.minimum(left_bits, segment_bits) + 8.0 * transport.header_bytes
    spent_s = (packets["end_s"] - packets["start_s"]).to_numpy()
    sent_bits = packets["num_attempts"].to_numpy() * air_bits
    rate_bps: NDArray[np.float64] = np.divide(
        sent_bits, spent_s, out=np.full_like(spent_s, np.nan), where=spent_s > 0
    )
    if flow["outcome"] in ("expired", "aborted") and not packets["delivered"].iloc[-1]:
        rate_bps[-1] = np.nan  # its last attempt was cut short, so its bits are not known
    return rate_bps


def _packets(axes: "Axes", packets: "pd.DataFrame") -> None:
    """Draw packets by number of attempts, and those that were lost for good."""
    groups = (
        ("1 attempt", (packets["num_attempts"] <= 1) & packets["delivered"], "|", style.BLUE),
        ("2 attempts", (packets["num_attempts"] == 2) & packets["delivered"], "s", style.ORANGE),
        ("3 or more", (packets["num_attempts"] > 2) & packets["delivered"], "^", style.GREEN),
        ("lost", ~packets["delivered"], "x", style.VERMILLION),
    )
    for label, which, marker, colour in groups:
        rows = packets[which]
        if rows.empty:
            continue
        axes.hlines(rows["packet"], rows["start_s"], rows["end_s"], color=colour, linewidth=1.0)
        axes.plot(
            rows["end_s"],
            rows["packet"],
            linestyle="",
            marker=marker,
            color=colour,
            markersize=2.8,
            label=f"{label} ({len(rows)})",
        )
    axes.legend(loc="upper left", handletextpad=0.2)


if __name__ == "__main__":
    sys.exit(main(PacketTimeline))
