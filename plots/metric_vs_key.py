"""A result of runs against a key that differs between them: accuracy against devices, rank, speed.

One line per method, or per value of another key; a point is the mean over seeds, with Student's
95 % t-interval. With `baseline` it is the difference from that line, seed by seed at each value:
two runs of one seed see the same world, so its interval is the narrower one. The metrics are those
of `cosim compare`.

    plots: [{kind: metric_vs_key, x: devices.0.count, y: [own_accuracy, all_accuracy]}]
    cosim plot RUNS... --figure '{kind: metric_vs_key, x: learning.method.rank}'
"""

import math
import sys
from collections.abc import Callable, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.results.along import Along, Line, along, only_key
from cosim.results.comparison import Comparison, Metric, compare
from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.groups import group
from cosim.results.run import Run
from cosim.scenario.tree import Scenario
from cosim.wording import no_such
from plots import _axes, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MetricName = Literal[
    "own_accuracy", "all_accuracy", "time_to_accuracy_s", "energy_to_accuracy_j", "time_s",
    "num_rounds", "sent_bits", "delivered_bits", "energy_j", "collision_rate", "num_late",
    "lost_share", "orthogonality", "aggregation_gap", "covariance_term", "num_plans", "wall_s",
]  # fmt: skip
DODGE = 0.012  # of the axis, between the marks of two lines at one value
LABEL_LETTERS = 26  # in a line of the vertical axis' name
CATEGORY_DODGE = 0.11  # of the place of one category


class MetricVsKey(Figure):
    """Metrics of `cosim compare` against a key of the scenario, with intervals over seeds.

    Attributes:
        x: dotted key in which the runs differ, as in a scenario; None for the only one.
        y: the metrics, a panel for each.
        by: dotted key of which each value has a line, or a list of keys whose values together have
            one; None for all else that differs.
        baseline: label of the line that differences are from; None for the values themselves.
        target: own-task accuracy of metrics to an accuracy; None for what every run has reached.
        x_label: name of the horizontal axis; None for the key's own.
        x_scale, y_scale: auto makes an axis logarithmic where its numbers span decades.
    """

    compares = True

    x: _axes.Key | None = None
    y: Annotated[tuple[MetricName, ...], Field(min_length=1, max_length=4)] = ("all_accuracy",)
    by: _axes.Keys | None = None
    baseline: str | None = None
    target: Annotated[float, Field(gt=0, le=1)] | None = None
    x_label: str | None = None
    x_scale: _axes.Scale = "auto"
    y_scale: _axes.Scale = "auto"

    def survey(self, scenarios: Sequence[Scenario]) -> None:
        """Look whether the experiments have the keys, the baseline and the metrics."""
        self._baseline(self._along(scenarios))
        _axes.survey_metrics(self.y, scenarios)

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw a panel for each metric."""
        placed = self._along([each.runs[0].scenario for each in group(runs)])
        found = compare(runs, target=self.target, metrics=self.y)
        against = self._baseline(placed)
        table = _table(placed, found, against)
        if table["mean"].isna().all():
            raise FigureError(f"no run has {' or '.join(self.y)}")
        _axes.warn_of_single("metric_vs_key", found.single)
        width_in = style.COLUMN_IN if len(self.y) == 1 else style.PAGE_IN
        with style.page(width_in, 2.35) as page:
            panels = page.subplots(1, len(self.y), squeeze=False)[0]
            for axes, metric in zip(panels, found.metrics, strict=True):
                rows = table[table["metric"] == metric.name]
                self._panel(axes, rows, placed, metric, found.target)
                axes.set_xlabel(self._x_title(placed))
            note = _axes.interval_note(
                table["num_seeds"],
                "mean" if against is None else f"mean difference from {against.label}",
            )
            handles, names = panels[0].get_legend_handles_labels()
            named = any(names)
            _axes.legend_over(page, handles if named else [], names if named else [], note)
            return Drawing(page, table)

    def _baseline(self, placed: Along) -> Line | None:
        if self.baseline is None:
            return None
        told = [line.label for line in placed.lines]
        if len(told) == 1:
            raise FigureError(
                f"expected several lines for a baseline, got one; name the key that tells lines "
                f"apart as `by`, or leave baseline {self.baseline!r} out"
            )
        if self.baseline not in told:
            raise FigureError(no_such("line as baseline", self.baseline, told))
        return placed.lines[told.index(self.baseline)]

    def _along(self, scenarios: Sequence[Scenario]) -> Along:
        return along(scenarios, self.x or only_key(scenarios), _axes.listed(self.by))

    def _x_title(self, placed: Along) -> str:
        name = self.x_label or _axes.name_of_key(placed.key)
        if not placed.is_numeric:
            return name
        unit = _axes.unit_of_key(placed.dimension, _numbers(placed)).named(name)
        return f"{unit}, middle of range" if any(each.is_range for each in placed.values) else unit

    def _panel(
        self, axes: "Axes", rows: "pd.DataFrame", placed: Along, metric: Metric, target: float
    ) -> None:
        unit = _axes.unit_of_metric(metric, rows["mean"])
        shown = [line for line in placed.lines if (rows["line"] == line.label).any()]
        x_at = self._places(axes, placed)
        for number, line in enumerate(shown):
            points = rows[rows["line"] == line.label]
            look = style.line(placed.lines.index(line))
            if not placed.is_numeric:
                look["linestyle"] = "none"
            axes.errorbar(
                x_at(points, number - 0.5 * (len(shown) - 1)),
                unit.factor * points["mean"].to_numpy(),
                _axes.bars(list(points["half_width"]), unit.factor),
                label=line.label,
                **look,
                **_axes.BAR,
            )
        if self.baseline is None and _axes.is_log(self.y_scale, rows["mean"]):
            axes.set_yscale("log")
        if rows["mean"].isna().all():
            middle = {"ha": "center", "va": "center", "transform": axes.transAxes}
            axes.text(0.5, 0.5, "no run has it", color=style.GREY, **middle)
        name = _axes.title(metric, target)
        if self.baseline is not None:
            axes.axhline(0.0, color=style.GREY, linewidth=0.6)
            name = f"$\\Delta$ {name[:1].lower()}{name[1:]}"
        is_share_difference = self.baseline is not None and unit.name == "%"
        named = f"{name} (points)" if is_share_difference else unit.named(name)
        axes.set_ylabel(fill(named, LABEL_LETTERS, break_on_hyphens=False))
        axes.grid(visible=True, axis="both" if placed.is_numeric else "y")

    def _places(
        self, axes: "Axes", placed: Along
    ) -> Callable[["pd.DataFrame", float], NDArray[np.float64]]:
        """Scale the axis; return where rows stand on it, so many dodges aside of their values."""
        if not placed.is_numeric:
            axes.set_xticks(range(len(placed.texts)), placed.texts)
            axes.set_xlim(-0.5, len(placed.texts) - 0.5)
            if max(map(len, placed.texts)) * len(placed.texts) > 40:
                axes.tick_params(axis="x", rotation=30)
                for tick in axes.get_xticklabels():
                    tick.set_horizontalalignment("right")
            return lambda rows, aside: np.array(
                [placed.texts.index(text) + CATEGORY_DODGE * aside for text in rows["x"]]
            )
        factor = _axes.unit_of_key(placed.dimension, _numbers(placed)).factor
        numbers = [factor * number for number in _numbers(placed)]
        log = _axes.is_log(self.x_scale, numbers)
        _axes.set_ticks(axes, numbers, log=log)
        axes.margins(x=0.06)
        low, high = min(numbers), max(numbers)

        def at(rows: "pd.DataFrame", aside: float) -> NDArray[np.float64]:
            x: NDArray[np.float64] = factor * rows["x_number"].to_numpy(dtype=np.float64)
            if log:
                x *= (high / low) ** (DODGE * aside)
                return x
            return x + DODGE * aside * (high - low)

        return at


def _numbers(placed: Along) -> list[float]:
    return [each.number for each in placed.values if each.number is not None]


def _table(placed: Along, found: Comparison, against: Line | None) -> "pd.DataFrame":
    """Return a row for each metric, line and value."""
    import pandas as pd  # noqa: PLC0415

    rows = []
    base = {} if against is None else {placed.values[each].text: each for each in against.places}
    for metric in found.metrics:
        for line in placed.lines:
            if line is against:
                continue
            for place in line.places:
                value = placed.values[place]
                if against is None:
                    drawn = found.rows[place].estimate(metric)
                elif value.text in base:
                    drawn = found.rows[place].difference(found.rows[base[value.text]], metric)
                else:
                    continue
                rows.append(
                    {
                        "metric": metric.name,
                        "line": line.label,
                        "x": value.text,
                        "x_number": math.nan if value.number is None else value.number,
                        "mean": drawn.mean,
                        "half_width": drawn.half_width,
                        "num_seeds": drawn.num,
                    }
                )
    if not rows:
        raise FigureError("no other line has a value of the baseline's; nothing to compare")
    return pd.DataFrame(rows)


if __name__ == "__main__":
    sys.exit(main(MetricVsKey))
