"""Distribution of transfer delays.

Transfers that were never delivered count as infinitely late, so a curve ends at the fraction that
was delivered. Those that were in flight at the end of the run count for as long as they were seen
(Kaplan-Meier), for nobody knows what would have become of them.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.groups import group
from cosim.results.outcomes import cut_by_end, delay_distribution
from cosim.results.run import Run
from plots import style

if TYPE_CHECKING:
    import pandas as pd

LOG_SPREAD = 30.0  # 99th over 1st percentile from which on the time axis is logarithmic
MARKS = 6  # markers on a curve
ROW_IN = 0.14  # height of a row of the legend
LONG = 24  # letters of a label from which on it has a row of the legend for itself


class DelayCdf(Figure):
    """CDF of transfer delay, by kind of transfer or by experiment.

    Attributes:
        by: what the curves are; None: experiments if there are several, else kinds.
        scale: time axis; None: logarithmic if delays spread widely.
    """

    compares = True

    by: Literal["kind", "run"] | None = None
    scale: Literal["linear", "log"] | None = None

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw one curve per kind or experiment, seeds pooled."""
        import pandas as pd  # noqa: PLC0415

        groups = group(runs)
        for run in runs:
            if run.flows.empty:
                raise FigureError(f"run {run.path} has no transfers; its devices never sent")
        parts = [
            run.flows.assign(run=each.label, cut=cut_by_end(run))
            for each in groups
            for run in each.runs
        ]
        flows = pd.concat(parts, ignore_index=True)
        by = self.by or ("run" if len(groups) > 1 else "kind")
        curves = [_curve(str(name), rows) for name, rows in flows.groupby(by, sort=False)]
        curves = [curve for curve in curves if len(curve)]
        if not curves:
            raise FigureError("none of the transfers was delivered, so no delay is known")
        data = pd.concat(curves, ignore_index=True)
        labels = [_label(curve) for curve in curves]
        columns = 1 if max(map(len, labels)) > LONG else min(len(curves), 2)
        height_in = 2.05 + ROW_IN * -(-len(curves) // columns)
        with style.page(style.COLUMN_IN, height_in) as page:
            axes = page.subplots()
            last_s = data["delay_s"].max()
            for index, (curve, label) in enumerate(zip(curves, labels, strict=True)):
                # A step at every delay, from 0, and level from the last one on.
                delay_s = np.concatenate([curve["delay_s"].iloc[:1], curve["delay_s"], [last_s]])
                fraction = np.concatenate([[0.0], curve["fraction"], curve["fraction"].iloc[-1:]])
                every = max(len(curve) // MARKS, 1)
                axes.plot(
                    delay_s,
                    fraction,
                    drawstyle="steps-post",
                    label=label,
                    markevery=slice(every // 2 + 1, len(curve) + 1, every),
                    **style.line(index),
                )
            low, high = data["delay_s"].quantile([0.01, 0.99])
            scale = self.scale or ("log" if high > LOG_SPREAD * low > 0 else "linear")
            axes.set_xscale(scale)
            axes.set_ylim(0.0, 1.02)
            if scale == "linear":
                axes.set_xlim(left=0.0)
            axes.set_xlabel("Transfer delay (s)")
            axes.set_ylabel("Fraction of transfers")
            axes.grid(visible=True)
            style.legend_above(axes, columns=columns)
            return Drawing(page, data)


def _curve(name: str, flows: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415

    delivered = flows["outcome"] == "delivered"
    took_s = (flows["end_s"] - flows["start_s"]).to_numpy()
    num_never = int((~delivered & ~flows["cut"]).sum())
    delay_s, fraction = delay_distribution(took_s[delivered], num_never, took_s[flows["cut"]])
    table = pd.DataFrame({"curve": name, "delay_s": delay_s, "fraction": fraction})
    return table.assign(
        num_transfers=len(flows), num_undelivered=num_never, num_cut=int(flows["cut"].sum())
    )


def _label(curve: "pd.DataFrame") -> str:
    first = curve.iloc[0]
    label = f"{first['curve']} ($n$ = {first['num_transfers']:,}"
    if first["num_undelivered"]:
        label += f", {first['num_undelivered']:,} failed"
    if first["num_cut"]:
        label += f", {first['num_cut']:,} unfinished"
    return label + ")"


if __name__ == "__main__":
    sys.exit(main(DelayCdf))
