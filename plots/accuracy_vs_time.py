"""Accuracy against simulated time or rounds: own and all tasks, means over devices and seeds.

With several seeds of one experiment the band is Student's 95 % t-interval over seeds. Seeds are
evaluated at different times, so their curves over time are joined by straight lines and averaged
where all of them have values; those over rounds are averaged at the rounds that all have.

    cosim plot RUNS... --figure '{kind: accuracy_vs_time, over: rounds}'
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

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

Over = Literal["time", "rounds"]

POINTS = 60  # of a curve over time that is averaged
MARKS = 8  # markers on it
COLUMN: dict[Over, str] = {"time": "t_s", "rounds": "round"}


class AccuracyVsTime(Figure):
    """Mean accuracy against simulated time, one line per experiment.

    Attributes:
        over: the horizontal axis; rounds, where time is not what is asked about.
    """

    compares = True

    over: Over = "time"

    def survey(self, scenarios: Sequence[Scenario]) -> None:
        """Look whether there are models that are judged."""
        _axes.survey_metrics(("own_accuracy",), scenarios)

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw own tasks (left) and all tasks (right)."""
        import pandas as pd  # noqa: PLC0415

        groups = group(runs)
        curves = [
            _curve(each, own, self.over).assign(
                experiment=each.label, tasks="own" if own else "all"
            )
            for own in (True, False)
            for each in groups
        ]
        x = COLUMN[self.over]
        table = pd.concat(curves, ignore_index=True)
        table = table[["experiment", "tasks", x, "accuracy", "half_width", "num_seeds"]]
        single = [each.label for each in groups if len(each.runs) == 1]
        _axes.warn_of_single("accuracy_vs_time", single)
        with style.page(style.PAGE_IN if len(groups) > 1 else style.COLUMN_IN, 2.3) as page:
            if len(groups) == 1:
                axes = page.subplots()
                for index, label in enumerate(("own task", "all tasks")):
                    _plot(axes, curves[index], x, label, index)
                axes.set_ylabel("Mean accuracy (%)")
                panels = [axes]
            else:
                panels = list(page.subplots(1, 2, sharey=True))
                for index, curve in enumerate(curves):
                    panel, experiment = divmod(index, len(groups))
                    _plot(panels[panel], curve, x, groups[experiment].label, experiment)
                panels[0].set_ylabel("Mean accuracy, own task (%)")
                panels[1].set_ylabel("Mean accuracy, all tasks (%)")
            for axes in panels:
                if self.over == "rounds":
                    style.count_rounds(axes, "Rounds")
                else:
                    axes.set_xlabel("Simulated time (s)")
                axes.grid(visible=True)
                axes.margins(x=0.02)
            note = _axes.interval_note(table["num_seeds"])
            _axes.legend_over(page, *panels[0].get_legend_handles_labels(), note)
            return Drawing(page, table)


def _curve(of: Group, own: bool, over: Over) -> "pd.DataFrame":
    """Return t_s or round, accuracy, half_width and num_seeds."""
    import pandas as pd  # noqa: PLC0415

    curves = [mean_accuracy(run, own) for run in of.runs]
    for run, curve in zip(of.runs, curves, strict=True):
        if curve.empty:
            raise FigureError(f"run {run.path} has no evaluations; give it a learning pool")
    column = COLUMN[over]
    curves = [curve.drop_duplicates(column, keep="last") for curve in curves]
    if len(curves) == 1:
        return curves[0][[column, "accuracy"]].assign(half_width=np.nan, num_seeds=1)
    if over == "time":
        first = max(curve["t_s"].iloc[0] for curve in curves)
        last = min(curve["t_s"].iloc[-1] for curve in curves)
        x = np.linspace(first, last, POINTS) if last >= first else np.empty(0)
    else:
        x = np.array(sorted(set.intersection(*(set(curve["round"]) for curve in curves))))
    if not x.size:
        raise FigureError(
            f"{of.label}: no {over.removesuffix('s')} lies between evaluations of all seeds"
        )
    mean, half = mean_interval([np.interp(x, curve[column], curve["accuracy"]) for curve in curves])
    return pd.DataFrame({column: x, "accuracy": mean, "half_width": half, "num_seeds": len(curves)})


def _plot(axes: "Axes", curve: "pd.DataFrame", x: str, label: str, index: int) -> None:
    looks = style.line(index)
    if int(curve["num_seeds"].iloc[0]) > 1:
        low = 100.0 * (curve["accuracy"] - curve["half_width"])
        high = 100.0 * (curve["accuracy"] + curve["half_width"])
        axes.fill_between(curve[x], low, high, color=looks["color"], alpha=0.2, linewidth=0)
    every = max(len(curve) // MARKS, 1)
    axes.plot(curve[x], 100.0 * curve["accuracy"], label=label, markevery=every, **looks)


if __name__ == "__main__":
    sys.exit(main(AccuracyVsTime))
