"""What a controller did, round by round: densities, the time of the slowest update, the queue.

The time is shown as predicted when the round began, as measured, and as the mean of what was
measured up to then, beside the controller's limit. What was measured of the last round is not
shown: nobody asked for it any more.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.run import Run
from plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MARKS = 12  # markers on a line
_LIMITS = ("mean_delay_s", "max_delay_s")  # keys of controllers


class ControlsVsRound(Figure):
    """Two or three panels over one another: densities, times, and the queue where there is one."""

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw the panels of one run."""
        (run,) = runs
        if run.controls.empty:
            raise FigureError(
                f"run {run.path} has no controls; it needs a controller that acts, such as "
                "`control: osfa`"
            )
        table = _table(run)
        has_queue = bool((table["queue_s"] > 0.0).any())
        num = 2 + has_queue
        with style.page(style.COLUMN_IN, 0.5 + 1.25 * num) as page:
            panels = page.subplots(num, 1, sharex=True)
            _densities(panels[0], table)
            _times(panels[1], table, _limit_s(run))
            if has_queue:
                _line(panels[2], table, "queue_s", "", 0)
                panels[2].set_ylabel("Virtual queue (s)")
                panels[2].set_ylim(bottom=0.0)
            for axes in panels:
                axes.grid(visible=True)
                axes.margins(x=0.02)
            style.count_rounds(panels[-1])
            page.align_ylabels(panels)
            return Drawing(page, table)


def _table(run: Run) -> "pd.DataFrame":
    """Return one row per round; the measured time of a round is told when the next begins."""
    rounds = run.controls.groupby("round")
    table = rounds["density"].agg(density_min="min", density="mean", density_max="max")
    table["predicted_s"] = rounds["delay_s"].max()
    table["measured_s"] = rounds["measured_s"].first().shift(-1)
    table["mean_s"] = table["measured_s"].expanding().mean().where(table["measured_s"].notna())
    table["queue_s"] = rounds["queue_s"].first()
    return table.reset_index()


def _limit_s(run: Run) -> float | None:
    found = (getattr(run.scenario.control, name, None) for name in _LIMITS)
    return next((float(limit_s) for limit_s in found if limit_s is not None), None)


def _densities(axes: "Axes", table: "pd.DataFrame") -> None:
    differ = bool((table["density_max"] > table["density_min"]).any())
    if differ:
        looks = style.line(0)
        axes.fill_between(
            table["round"],
            table["density_min"],
            table["density_max"],
            color=looks["color"],
            alpha=0.2,
            linewidth=0,
            label="least to greatest",
        )
    _line(axes, table, "density", "mean over devices" if differ else "", 0)
    if differ:
        style.legend_above(axes, axes.get_legend_handles_labels()[0], columns=2)
    axes.set_ylabel("Density")
    axes.set_ylim(0.0, 1.05 * table["density_max"].max())


def _times(axes: "Axes", table: "pd.DataFrame", limit_s: float | None) -> None:
    for index, (column, label) in enumerate(
        (("measured_s", "measured"), ("predicted_s", "predicted"), ("mean_s", "mean so far"))
    ):
        _line(axes, table, column, label, index)
    if limit_s is not None:
        axes.axhline(limit_s, color=style.BLACK, linestyle=":", linewidth=1.0, label="limit")
    axes.set_ylabel("Slowest update (s)")
    axes.set_ylim(bottom=0.0)
    style.legend_above(axes, axes.get_legend_handles_labels()[0], columns=4)


def _line(axes: "Axes", table: "pd.DataFrame", column: str, label: str, index: int) -> None:
    every = max(len(table) // MARKS, 1)
    axes.plot(table["round"], table[column], label=label, markevery=every, **style.line(index))


if __name__ == "__main__":
    sys.exit(main(ControlsVsRound))
