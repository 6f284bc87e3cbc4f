"""Measures of adapters against rounds: collisions, what merges lose, what is kept, by experiment.

A line is the mean over devices, and over seeds; with several seeds the band is Student's 95 %
t-interval over seeds. Rounds are those that all seeds were evaluated at. A panel is left out if no
run has its number: a merge that does not happen has no gap.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.groups import Group, group
from cosim.results.run import Run
from cosim.results.statistics import mean_interval
from cosim.scenario.tree import Scenario
from plots import _axes, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MARKS = 8  # markers on a line

Measure = Literal[
    "collision_rate",
    "collision_predicted",
    "product_collision",
    "orthogonality",
    "aggregation_gap",
    "covariance_term",
    "kept_cosine",
    "kept_fraction",
    "forgetting",
]
LABELS: dict[str, str] = {
    "collision_rate": "Measured collision rate",
    "collision_predicted": "Predicted collision rate",
    "product_collision": "Collision of products",
    "orthogonality": r"$\|A_i^T A_j\| \; / \; \|A_i^T A_i\|$",
    "aggregation_gap": "Aggregation gap",
    "covariance_term": "Covariance term",
    "kept_cosine": "Cosine to evaluation before",
    "kept_fraction": "Kept of evaluation before",
    "forgetting": "Forgetting (accuracy)",
}

_OF_KEPT = ("kept_cosine", "kept_fraction")


class MeasuresVsRound(Figure):
    """One panel for each measure, one line per experiment.

    `measures` are columns of the table `measures`, which `record: {measures: true}` fills.
    """

    compares = True
    needs_measures = True

    measures: Annotated[tuple[Measure, ...], Field(min_length=1, max_length=9)] = (
        "collision_rate",
        "orthogonality",
        "aggregation_gap",
        "covariance_term",
        "kept_cosine",
        "forgetting",
    )

    def survey(self, scenarios: Sequence[Scenario]) -> None:
        """Look whether there are adapters that are measured."""
        _axes.survey_metrics(("orthogonality",), scenarios)

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw the panels, three in a row."""
        import pandas as pd  # noqa: PLC0415

        groups = group(runs)
        curves = {name: [_curve(each, name) for each in groups] for name in self.measures}
        drawn = [name for name in self.measures if any(len(each) for each in curves[name])]
        if not drawn:
            raise FigureError(
                f"no run has {', '.join(self.measures)}; they need a pool with a model, and "
                "clusters of two or more"
            )
        columns = min(len(drawn), 3)
        rows = -(-len(drawn) // columns)
        width_in = style.COLUMN_IN if columns == 1 else style.PAGE_IN
        with style.page(width_in, 0.35 + 1.55 * rows) as page:
            panels = page.subplots(rows, columns, sharex=True, squeeze=False)
            for number, axes in enumerate(panels.flat):
                if number >= len(drawn):
                    axes.set_axis_off()
                    continue
                for index, (each, curve) in enumerate(
                    zip(groups, curves[drawn[number]], strict=True)
                ):
                    _plot(axes, curve, each.label, index)
                axes.set_ylabel(LABELS[drawn[number]])
                axes.grid(visible=True)
                axes.margins(x=0.04)
                if drawn[number] not in _OF_KEPT:  # none is below 0; on it a mark is seen whole
                    top = axes.get_ylim()[1]
                    axes.set_ylim(-0.04 * top, 1.04 * top)
                if number + columns >= len(drawn):
                    style.count_rounds(axes)
                    axes.tick_params(labelbottom=True)
            if len(groups) > 1 or len(groups[0].runs) > 1:
                lines = {
                    line.get_label(): line for axes in panels.flat for line in axes.get_lines()
                }
                page.legend(
                    handles=list(lines.values()),
                    loc="outside upper center",
                    ncols=min(len(lines), 4),
                )
            table = [
                curve.assign(experiment=each.label, measure=name)
                for name in drawn
                for each, curve in zip(groups, curves[name], strict=True)
            ]
            names = ["experiment", "measure", "round", "mean", "half_width", "num_seeds"]
            return Drawing(page, pd.concat(table, ignore_index=True)[names])


def _curve(of: Group, name: str) -> "pd.DataFrame":
    """Return round, mean, half_width and num_seeds, where all seeds have a number."""
    import pandas as pd  # noqa: PLC0415

    seeds = []
    for run in of.runs:
        numbers = run.measures[["round", name]].replace([np.inf, -np.inf], np.nan).dropna()
        if name not in _OF_KEPT:
            numbers = numbers[numbers["round"] > 0]  # before there is a cluster
        seeds.append(numbers.groupby("round")[name].mean())
    joined = pd.concat(seeds, axis=1, join="inner").sort_index()
    if joined.empty:
        return pd.DataFrame(columns=["round", "mean", "half_width", "num_seeds"])
    columns = [joined.iloc[:, number].to_numpy() for number in range(len(seeds))]
    mean, half = mean_interval(columns)
    return pd.DataFrame(
        {"round": joined.index, "mean": mean, "half_width": half, "num_seeds": len(seeds)}
    )


def _plot(axes: "Axes", curve: "pd.DataFrame", label: str, index: int) -> None:
    if curve.empty:
        return
    looks, num_seeds = style.line(index), int(curve["num_seeds"].iloc[0])
    rounds, mean = curve["round"], curve["mean"]
    if num_seeds > 1:
        half = curve["half_width"]
        axes.fill_between(
            rounds, mean - half, mean + half, color=looks["color"], alpha=0.2, linewidth=0
        )
        label = f"{label} ({num_seeds} seeds, 95 %)"
    axes.plot(rounds, mean, label=label, markevery=max(len(curve) // MARKS, 1), **looks)


if __name__ == "__main__":
    sys.exit(main(MeasuresVsRound))
