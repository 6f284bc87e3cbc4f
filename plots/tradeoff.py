"""What accuracy costs: runs as points over joules, bits or seconds, and the Pareto front.

A point is the mean over the seeds of one experiment, with Student's 95 % t-interval along both
axes. The front joins the experiments that no other one beats in both means; what lies above or left
of another within its interval may change places with it under other seeds.

    cosim plot RUNS... --figure '{kind: tradeoff, x: sent_bits, by: learning.method}'
"""

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.results.along import is_under, texts_by
from cosim.results.comparison import compare
from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.groups import group
from cosim.results.labels import labels, leaves, varied_keys
from cosim.results.run import Run
from cosim.scenario.tree import Scenario
from plots import _axes, _labels, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

SAMPLES = 21  # of an error bar, for what is written beside it to keep clear of
MOST_SERIES = len(style.COLOURS)
FRONT: dict[str, Any] = {"color": style.GREY, "linewidth": 0.8, "linestyle": (0, (4, 2))}


class Tradeoff(Figure):
    """Accuracy against what it costs, a point for each experiment, with the Pareto front.

    Attributes:
        x: the cost.
        y: the accuracy.
        by: dotted key of which each value has a mark of its own, such as learning.method, or a list
            of keys whose values together have one; what else differs stands beside the point. None
            for a mark for each experiment, or where there are more than marks, its label beside
            each point.
        beside: dotted key of which the value stands beside each point, such as one of several that
            go in step; None for all that tells the points of one mark apart.
        target: own-task accuracy of the costs to an accuracy; None for what every run has reached.
        x_scale: auto makes the axis logarithmic where costs span decades.
    """

    compares = True

    x: Literal[
        "energy_j",
        "sent_bits",
        "delivered_bits",
        "time_s",
        "time_to_accuracy_s",
        "energy_to_accuracy_j",
        "wall_s",
    ] = "energy_j"
    y: Literal["all_accuracy", "own_accuracy"] = "all_accuracy"
    by: _axes.Keys | None = None
    beside: _axes.Key | None = None
    target: Annotated[float, Field(gt=0, le=1)] | None = None
    x_scale: _axes.Scale = "auto"

    def survey(self, scenarios: Sequence[Scenario]) -> None:
        """Look whether the experiments have the keys and the metrics."""
        texts_by(scenarios, (*_axes.listed(self.by), *_axes.listed(self.beside)))
        _axes.survey_metrics((self.x, self.y), scenarios)

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw the points and the front."""
        table = self._table(runs)
        drawn, beside = _shortened(table.dropna(subset=["x_mean", "y_mean"]))
        if drawn.empty:
            raise FigureError(f"no run has both {self.y} and {self.x}; evaluate them")
        _axes.warn_of_single("tradeoff", list(table["label"][table["num_seeds"] == 1]))
        x, y = _axes.metric(self.x), _axes.metric(self.y)
        x_unit = _axes.unit_of_metric(x, drawn["x_mean"])
        with style.page(style.COLUMN_IN, 2.6) as page:
            axes = page.subplots()
            for number, (series, points) in enumerate(drawn.groupby("series", sort=False)):
                look = style.line(number) | {"linestyle": "none"}
                axes.errorbar(
                    x_unit.factor * points["x_mean"],
                    100.0 * points["y_mean"],
                    _axes.bars(list(points["y_half_width"]), 100.0),
                    _axes.bars(list(points["x_half_width"]), x_unit.factor),
                    label=str(series),
                    zorder=3,
                    **look,
                    **_axes.BAR,
                )
            if _axes.is_log(self.x_scale, drawn["x_mean"]):
                axes.set_xscale("log")
            front = drawn[drawn["on_front"]].sort_values("x_mean")
            # From a cost on, this accuracy can be had: steps, not slopes.
            axes.step(
                x_unit.factor * front["x_mean"],
                100.0 * front["y_mean"],
                where="post",
                label="Pareto front",
                zorder=2,
                **FRONT,
            )
            axes.set_xlabel(x_unit.named(_axes.title(x, table.attrs["target"])))
            axes.set_ylabel(f"{_axes.title(y)} (%)")
            axes.grid(visible=True)
            axes.margins(0.12)
            handles, names = axes.get_legend_handles_labels()  # the line first, then marks
            _axes.legend_over(
                page,
                [*handles[1:], handles[0]],
                [*names[1:], names[0]],
                _axes.interval_note(drawn["num_seeds"]) + beside,
            )
            if drawn["beside"].any():
                page.draw_without_rendering()
                _write_beside(axes, drawn, x_unit.factor)
            return Drawing(page, table)

    def _table(self, runs: Sequence[Run]) -> "pd.DataFrame":
        import pandas as pd  # noqa: PLC0415

        groups = group(runs)
        scenarios = [each.runs[0].scenario for each in groups]
        found = compare(runs, target=self.target, metrics=(self.x, self.y))
        costs, gains = ([row.estimate(metric) for row in found.rows] for metric in found.metrics)
        told = [row.label for row in found.rows]
        if self.by is not None:
            by = _axes.listed(self.by)
            series, beside = texts_by(scenarios, by), _beside(scenarios, by)
        elif len(groups) <= MOST_SERIES:
            series, beside = told, [""] * len(told)
        else:
            series, beside = ["experiment"] * len(told), told
        if self.beside is not None:
            beside = texts_by(scenarios, (self.beside,))
        table = pd.DataFrame(
            {
                "label": told,
                "series": series,
                "beside": beside,
                "x": self.x,
                "x_mean": [each.mean for each in costs],
                "x_half_width": [each.half_width for each in costs],
                "y": self.y,
                "y_mean": [each.mean for each in gains],
                "y_half_width": [each.half_width for each in gains],
                "num_seeds": [each.num for each in gains],
                "on_front": pareto_front(
                    [each.mean for each in costs], [each.mean for each in gains]
                ),
            }
        )
        table.attrs["target"] = found.target
        return table


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> list[bool]:
    """Return which points no other one beats: none costs no more, gains no less, and differs.

    A point with NaN is never on the front, and beats none.
    """
    pairs = list(zip(costs, gains, strict=True))
    return [
        not math.isnan(cost + gain)
        and not any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in pairs)
        for cost, gain in pairs
    ]


def _beside(scenarios: Sequence[Scenario], by: Sequence[str]) -> list[str]:
    """Return what tells the experiments of one mark apart, nothing where each has its own."""
    varied = varied_keys([leaves(scenario) for scenario in scenarios])
    under = [path for path in varied if any(is_under(path, key) for key in by)]
    marks = texts_by(scenarios, by)
    beside = [""] * len(scenarios)
    for mark in set(marks):
        places = [place for place, each in enumerate(marks) if each == mark]
        if len(places) > 1:
            for place, label in zip(
                places, labels([scenarios[each] for each in places], under), strict=True
            ):
                beside[place] = label
    return beside


def _shortened(drawn: "pd.DataFrame") -> tuple["pd.DataFrame", str]:
    """Leave the key out of what stands beside points where it is one; return words on it, too."""
    keys = {text.partition("=")[0] for text in drawn["beside"] if text}
    if len(keys) != 1 or drawn["beside"].str.contains(", ", regex=False).any():
        return drawn, ""
    values = [text.partition("=")[2] for text in drawn["beside"]]
    return drawn.assign(beside=values), f"; beside points: {keys.pop().replace('_', ' ')}"


def _write_beside(axes: "Axes", drawn: "pd.DataFrame", factor: float) -> None:
    """Write what tells points apart beside them."""
    points = np.column_stack([factor * drawn["x_mean"], 100.0 * drawn["y_mean"]])
    halves = drawn[["x_half_width", "y_half_width"]].fillna(0.0).to_numpy() * [factor, 100.0]
    scale, corner = 72.0 / axes.figure.dpi, axes.get_window_extent()

    def in_pt(data: Floats) -> Floats:
        placed: Floats = (axes.transData.transform(data) - [corner.x0, corner.y0]) * scale
        return placed

    along = np.linspace(-1.0, 1.0, SAMPLES)[:, None]
    bars = [points[:, None] + along * halves[:, None] * axis for axis in np.eye(2)]
    bars_pt = in_pt(np.concatenate(bars).reshape(-1, 2))
    size_pt = (corner.width * scale, corner.height * scale)
    at_pt, texts = in_pt(points), list(drawn["beside"])
    middles = _labels.place_labels(at_pt, texts, size_pt, bars_pt)
    _labels.draw_labels(axes, points, texts, middles - at_pt)


if __name__ == "__main__":
    sys.exit(main(Tradeoff))
