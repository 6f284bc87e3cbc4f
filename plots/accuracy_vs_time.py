"""Accuracy against simulated time: own tasks and all tasks, averaged over devices and seeds.

With several seeds of one experiment the band is Student's 95 % t-interval over seeds. Seeds are
evaluated at different times, so their curves are joined by straight lines and averaged where all
of them have values.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.groups import Group, group
from cosim.results.run import Run
from cosim.results.statistics import mean_interval
from cosim.results.summary import mean_accuracy
from cosim.scenario.tree import Scenario
from plots import _axes, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

POINTS = 60  # of an averaged curve
MARKS = 8  # markers on it


class AccuracyVsTime(Figure):
    """Mean accuracy against simulated time, one line per experiment."""

    compares = True

    def survey(self, scenarios: Sequence[Scenario]) -> None:
        """Look whether there are models that are judged."""
        _axes.survey_metrics(("own_accuracy",), scenarios)

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw own tasks (left) and all tasks (right)."""
        groups = group(runs)
        curves = [
            _curve(each, own).assign(experiment=each.label, tasks="own" if own else "all")
            for own in (True, False)
            for each in groups
        ]
        for each in groups:
            if len(each.runs) == 1:
                print(
                    f"accuracy_vs_time: {each.label}: one seed, so no interval; "
                    "run several seeds for a confidence band",
                    file=sys.stderr,
                )
        with style.page(style.PAGE_IN if len(groups) > 1 else style.COLUMN_IN, 2.3) as page:
            if len(groups) == 1:
                axes = page.subplots()
                for index, (curve, label) in enumerate(
                    zip(curves, ("own task", "all tasks"), strict=True)
                ):
                    _plot(axes, curve, label, index)
                axes.set_ylabel("Mean accuracy (%)")
                panels = [axes]
            else:
                panels = list(page.subplots(1, 2, sharey=True))
                for index, curve in enumerate(curves):
                    panel, experiment = divmod(index, len(groups))
                    _plot(panels[panel], curve, groups[experiment].label, experiment)
                panels[0].set_ylabel("Mean accuracy, own task (%)")
                panels[1].set_ylabel("Mean accuracy, all tasks (%)")
            for axes in panels:
                axes.set_xlabel("Simulated time (s)")
                axes.grid(visible=True)
                axes.margins(x=0.02)
            lines = panels[0].get_legend_handles_labels()[0]
            if len(panels) == 1:
                style.legend_above(panels[0], lines, columns=2)
            else:
                columns = min(len(lines), 3)
                page.legend(handles=lines, loc="outside upper center", ncols=columns)
            return Drawing(page, _table(curves))


def _curve(of: Group, own: bool) -> "pd.DataFrame":
    """Return t_s, accuracy, half_width and num_seeds; at the evaluations if there is one seed."""
    import pandas as pd  # noqa: PLC0415

    curves = [mean_accuracy(run, own) for run in of.runs]
    for run, curve in zip(of.runs, curves, strict=True):
        if curve.empty:
            raise FigureError(f"run {run.path} has no evaluations; give it a learning pool")
    if len(curves) == 1:
        only = curves[0]
        return only[["t_s", "accuracy"]].assign(half_width=np.nan, num_seeds=1)
    first = max(curve["t_s"].iloc[0] for curve in curves)
    last = min(curve["t_s"].iloc[-1] for curve in curves)
    if last < first:
        raise FigureError(f"{of.label}: no instant lies between evaluations of all seeds")
    t_s = np.linspace(first, last, POINTS)
    samples = [np.interp(t_s, curve["t_s"], curve["accuracy"]) for curve in curves]
    mean, half = mean_interval(samples)
    return pd.DataFrame(
        {"t_s": t_s, "accuracy": mean, "half_width": half, "num_seeds": len(curves)}
    )


def _plot(axes: "Axes", curve: "pd.DataFrame", label: str, index: int) -> None:
    looks = style.line(index)
    num_seeds = int(curve["num_seeds"].iloc[0])
    if num_seeds > 1:
        low = 100.0 * (curve["accuracy"] - curve["half_width"])
        high = 100.0 * (curve["accuracy"] + curve["half_width"])
        axes.fill_between(curve["t_s"], low, high, color=looks["color"], alpha=0.2, linewidth=0)
        label = f"{label} ({num_seeds} seeds, 95 %)"
    every = max(len(curve) // MARKS, 1)
    axes.plot(curve["t_s"], 100.0 * curve["accuracy"], label=label, markevery=every, **looks)


def _table(curves: Sequence["pd.DataFrame"]) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415

    columns = ["experiment", "tasks", "t_s", "accuracy", "half_width", "num_seeds"]
    return pd.concat(curves, ignore_index=True)[columns]


if __name__ == "__main__":
    sys.exit(main(AccuracyVsTime))
