"""Empirical distribution of transfer delays.

Transfers that were never delivered count as infinitely late, so a curve ends at the fraction that
was delivered.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.groups import group
from cosim.results.run import Run
from plots import style

if TYPE_CHECKING:
    import pandas as pd

LOG_SPREAD = 30.0  # 99th over 1st percentile from which on the time axis is logarithmic
MARKS = 6  # markers on a curve


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
        parts = [run.flows.assign(run=each.label) for each in groups for run in each.runs]
        flows = pd.concat(parts, ignore_index=True)
        by = self.by or ("run" if len(groups) > 1 else "kind")
        curves = [_curve(str(name), rows) for name, rows in flows.groupby(by, sort=False)]
        data = pd.concat(curves, ignore_index=True)
        if data.empty:
            raise FigureError("none of the transfers was delivered, so no delay is known")
        with style.page(style.COLUMN_IN, 2.2) as page:
            axes = page.subplots()
            for index, curve in enumerate(curves):
                if curve.empty:
                    continue
                label = f"{curve['curve'].iloc[0]} ($n$ = {curve['num_transfers'].iloc[0]})"
                # A step at every delay, from 0: the empirical distribution function itself.
                delay_s = np.concatenate([curve["delay_s"].iloc[:1], curve["delay_s"]])
                fraction = np.concatenate([[0.0], curve["fraction"]])
                every = max(len(curve) // MARKS, 1)
                axes.plot(
                    delay_s,
                    fraction,
                    drawstyle="steps-post",
                    label=label,
                    markevery=(every // 2 + 1, every),
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
            axes.legend(loc="lower right")
            return Drawing(page, data)


def _curve(name: str, flows: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415

    delivered = flows[flows["outcome"] == "delivered"]
    delay_s = np.sort((delivered["end_s"] - delivered["start_s"]).to_numpy())
    fraction = np.arange(1, len(delay_s) + 1) / len(flows)
    return pd.DataFrame(
        {"curve": name, "delay_s": delay_s, "fraction": fraction, "num_transfers": len(flows)}
    )


if __name__ == "__main__":
    sys.exit(main(DelayCdf))
