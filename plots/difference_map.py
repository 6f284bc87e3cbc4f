"""By how much one line beats another over two keys: a map of paired differences.

    x, y   two keys in which the runs differ: devices, local steps
    panel  a third one, a column of maps for each value: how strongly devices contradict each other
    by     keys whose values tell the lines apart; a row of maps for each line but the baseline

A cell holds the mean over seeds of the metric less the baseline's, seed by seed: two runs of one
seed see the same world. A cell whose 95 % t-interval holds 0 is hatched: such a difference may be
one of the seeds. Intervals are of one cell each, so of cells without any difference one in twenty
is not hatched. A combination that was not run, by one of the two, stays empty, on a grey ground.

    cosim plot RUNS... --figure '{kind: difference_map, x: devices.0.count,
      y: learning.local.steps, by: learning.method.kind, baseline: lora}'
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.results.along import along, only_key, texts_by
from cosim.results.comparison import Estimate, Metric, Row, compare
from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.groups import group
from cosim.results.run import Run
from cosim.scenario.tree import Scenario
from cosim.wording import no_such
from plots import _axes, style
from plots.metric_vs_key import MetricName

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

COLOURS = "RdBu"  # blue: better than the baseline
MOST_LABELLED = 12  # values along an axis; with more, cells are too small for their numbers
DARK = 0.6  # beyond this share of the largest difference, white text reads better
HATCH = "////"
ENOUGH = 1.0  # of a largest difference, for numbers of one decimal
LABEL_PT = 8.0  # as axes have it
CELL_IN, LEAST_IN = 0.34, 0.9  # height of a cell, and of a map


class DifferenceMap(Figure):
    """Heat maps over two keys of the paired difference of a metric between lines.

    Attributes:
        x: dotted key of the horizontal axis, as in a scenario; None for the only one in which the
            runs of a line differ.
        y: dotted key of the vertical axis; None for maps of one row.
        by: dotted key of which each value has a line, or a list of keys whose values together have
            one.
        baseline: label of the line that differences are from; None for the first.
        metric: of `cosim compare`.
        panel: dotted key of which each value has a map of its own; None for one map.
        target: own-task accuracy of `time_to_accuracy_s`; None for what every run has reached.
        x_label, y_label, panel_label: names of the keys; None for the keys' own.
    """

    compares = True

    x: _axes.Key | None = None
    y: _axes.Key | None = None
    by: _axes.Keys = "learning.method.kind"
    baseline: str | None = None
    metric: MetricName = "own_accuracy"
    panel: _axes.Key | None = None
    target: Annotated[float, Field(gt=0, le=1)] | None = None
    x_label: str | None = None
    y_label: str | None = None
    panel_label: str | None = None

    def survey(self, scenarios: Sequence[Scenario]) -> None:
        """Look whether there is one experiment for each cell, the baseline and the metric."""
        self._layout(scenarios)
        _axes.survey_metrics((self.metric,), scenarios)

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw a map for each line and each value of `panel`."""
        layout = self._layout([each.runs[0].scenario for each in group(runs)])
        x, y, panel = layout.axes
        baseline, others = layout.baseline, layout.others
        found = compare(runs, target=self.target, metrics=(self.metric,))
        (metric,) = found.metrics
        table = _table(layout, found.rows, metric)
        if table["mean"].isna().all():
            raise FigureError(
                f"no run of {' or '.join(others)} has {self.metric} beside one of {baseline} "
                "with the same keys and seed; nothing to compare"
            )
        _axes.warn_of_single("difference_map", found.single)
        unit = _axes.unit_of_metric(metric, table["mean"])
        height_in = 0.75 + len(others) * (max(CELL_IN * len(y.texts), LEAST_IN) + 0.35)
        width_in = style.COLUMN_IN if len(panel.texts) < 3 else style.PAGE_IN
        with style.page(width_in, height_in) as page:
            shape = (len(others), len(panel.texts))
            grid = page.subplots(*shape, squeeze=False, sharex=True, sharey=True)
            norm = _norm(unit.factor * table["mean"].to_numpy())
            places = product(enumerate(others), enumerate(panel.texts))
            for (row, line), (column, value) in places:
                axes = grid[row, column]
                rows = table[(table["line"] == line) & (table["panel"] == value)]
                image = _draw_map(axes, rows, x, y, unit.factor, norm)
                above = [line] * (len(others) > 1) + [f"{panel.name} = {value}"] * bool(panel.key)
                axes.set_title("\n".join(above), pad=3)
                if row == len(others) - 1:
                    axes.set_xlabel(x.name)
            if y.key:  # one for all rows, which may be lower than it is long
                page.supylabel(y.name, fontsize=LABEL_PT)
            bar = page.colorbar(image, ax=grid, pad=0.015, aspect=25)
            what = _axes.title(metric)
            if metric.name == "time_to_accuracy_s":
                what = f"Time to {100 * found.target:.3g} % own-task accuracy"
            title = f"$\\Delta$ {what[:1].lower()}{what[1:]}"
            bar.set_label(f"{title} (points)" if unit.name == "%" else unit.named(title))
            bar.outline.set_linewidth(0.6)
            told = others[0] if len(others) == 1 else "each row"
            _axes.legend_over(page, *_legend(table), _note(table, f"{told} less {baseline}"))
            return Drawing(page, table)

    def _layout(self, scenarios: Sequence[Scenario]) -> "_Layout":
        lines = self._lines(scenarios)
        first = [each for each, line in zip(scenarios, lines, strict=True) if line == lines[0]]
        if self.x is None and len(first) == 1:
            raise FigureError(
                f"expected several experiments of each line to lay out along `x`, got one of "
                f"{lines[0]}"
            )
        axes = (
            _axis(scenarios, self.x or only_key(first), self.x_label),
            _axis(scenarios, self.y, self.y_label),
            _axis(scenarios, self.panel, self.panel_label),
        )
        names = list(dict.fromkeys(lines))
        baseline = self._baseline(names)
        others = tuple(name for name in names if name != baseline)
        return _Layout(axes, _placed(axes, lines), baseline, others)

    def _lines(self, scenarios: Sequence[Scenario]) -> list[str]:
        """Return the label of each experiment's line, leaving out keys that have one value."""
        by = _axes.listed(self.by)
        lines = texts_by(scenarios, by)
        if len(set(lines)) < 2:
            raise FigureError(
                f"expected runs that differ in {' or '.join(by)}, got {lines[0] or 'the same'} in "
                "all; name the key that tells what is compared as `by`"
            )
        return lines

    def _baseline(self, names: Sequence[str]) -> str:
        if self.baseline is None or self.baseline in names:
            return self.baseline or names[0]
        raise FigureError(no_such("line as baseline", self.baseline, names))


@dataclass(frozen=True)
class _Axis:
    """A key that the runs are laid out along.

    Attributes:
        key: the key; empty for none, whose one value is empty.
        name: of the axis.
        of: each experiment's value.
        texts: the different values, in order.
    """

    key: str
    name: str
    of: tuple[str, ...]
    texts: tuple[str, ...]


def _axis(scenarios: Sequence[Scenario], key: str | None, label: str | None) -> _Axis:
    if key is None:
        return _Axis("", "", ("",) * len(scenarios), ("",))
    found = along(scenarios, key)
    number = {value.text: value.number or 0.0 for value in found.values}
    texts = found.texts
    if found.is_numeric:
        texts = tuple(sorted(texts, key=lambda text: number[text]))
    name = label or _axes.name_of_key(key)
    return _Axis(key, name, tuple(value.text for value in found.values), texts)


Cell = tuple[str, tuple[str, ...]]
"""A line, and a value of each key."""


@dataclass(frozen=True)
class _Layout:
    """Where each experiment stands.

    Attributes:
        axes: x, y and panel.
        placed: the number of each cell's experiment.
        baseline: the line that differences are from.
        others: the other lines, a row of maps for each.
    """

    axes: tuple[_Axis, _Axis, _Axis]
    placed: Mapping[Cell, int]
    baseline: str
    others: tuple[str, ...]


def _placed(keys: Sequence[_Axis], lines: Sequence[str]) -> dict[Cell, int]:
    """Return the number of each cell's experiment."""
    placed: dict[Cell, int] = {}
    for place, line in enumerate(lines):
        values = tuple(key.of[place] for key in keys)
        if placed.setdefault((line, values), place) != place:
            named = [key for key in keys if key.key]
            at = ", ".join(f"{key.key}={key.of[place]}" for key in named)
            raise FigureError(
                f"expected one experiment of {line} for {at}, got several; name the key that "
                "they differ in in `by` or as `panel`, or leave some runs out"
            )
    return placed


def _table(layout: _Layout, rows: Sequence[Row], metric: Metric) -> "pd.DataFrame":
    """Return a row for each cell of each map; NaN where there is nothing to compare."""
    import pandas as pd  # noqa: PLC0415

    def cells() -> Iterator[dict[str, Any]]:
        for line, values in product(layout.others, product(*(axis.texts for axis in layout.axes))):
            mine = layout.placed.get((line, values))
            other = layout.placed.get((layout.baseline, values))
            drawn = Estimate(math.nan, math.nan, 0)
            if mine is not None and other is not None:
                drawn = rows[mine].difference(rows[other], metric)
            yield {
                "metric": metric.name,
                "line": line,
                "baseline": layout.baseline,
                **dict(zip(("x", "y", "panel"), values, strict=True)),
                "mean": drawn.mean,
                "half_width": drawn.half_width,
                "num_seeds": drawn.num,
                "is_significant": drawn.num > 1 and abs(drawn.mean) > drawn.half_width,
            }

    return pd.DataFrame(list(cells()))


def _norm(values: NDArray[np.float64]) -> "Normalize":
    """Return the scale of colours: as far below 0 as above it."""
    from matplotlib.colors import Normalize  # noqa: PLC0415

    largest = float(np.nanmax(np.abs(values))) or 1.0
    return Normalize(-largest, largest)


def _draw_map(
    axes: "Axes",
    rows: "pd.DataFrame",
    x: _Axis,
    y: _Axis,
    factor: float,
    norm: "Normalize",
) -> Any:
    """Draw one map; return its image."""
    from matplotlib import colormaps  # noqa: PLC0415
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    means = np.full((len(y.texts), len(x.texts)), math.nan)
    labelled = max(means.shape) <= MOST_LABELLED
    axes.set_facecolor(style.LIGHT)
    for _, cell in rows.iterrows():
        at = y.texts.index(cell["y"]), x.texts.index(cell["x"])
        means[at] = factor * cell["mean"]
        if math.isnan(means[at]):
            continue
        row, column = at
        if not cell["is_significant"]:
            corner = (column - 0.5, row - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, **_unsure()))
        if labelled:
            is_dark = abs(means[at]) > DARK * float(norm.vmax or 1.0)
            axes.text(
                column,
                row,
                _number(means[at], 1 if float(norm.vmax or 1.0) >= ENOUGH else 3),
                ha="center",
                va="center",
                fontsize=style.SMALL_PT,
                color="white" if is_dark else "black",
                bbox={
                    "boxstyle": "square,pad=0.15",  # over the hatch
                    "facecolor": colormaps[COLOURS](norm(means[at])),
                    "edgecolor": "none",
                },
            )
    image = axes.imshow(
        means, cmap=COLOURS, norm=norm, aspect="auto", interpolation="nearest", origin="lower"
    )
    axes.set_xticks(range(len(x.texts)), x.texts)
    axes.set_yticks(range(len(y.texts)), y.texts)
    axes.tick_params(length=0)
    return image


def _unsure() -> dict[str, Any]:
    return {"fill": False, "hatch": HATCH, "edgecolor": style.LIGHT, "linewidth": 0.0}


def _number(value: float, decimals: int) -> str:
    """Return a difference with its sign; a true minus, as axes have it."""
    text = f"{value:+.{decimals}f}"
    return text.replace("-", "\N{MINUS SIGN}") if text.strip("+-0.") else text[1:]


def _legend(table: "pd.DataFrame") -> tuple[list[Any], list[str]]:
    from matplotlib.patches import Patch  # noqa: PLC0415

    handles = [Patch(**_unsure() | {"edgecolor": style.GREY})]
    is_single = (table["num_seeds"] == 1).any()
    names = ["95 % interval holds 0" + ", or one seed" * bool(is_single)]
    if table["mean"].isna().any():
        handles.append(Patch(facecolor=style.LIGHT))
        names.append("nothing to compare")
    return handles, names


def _note(table: "pd.DataFrame", what: str) -> str:
    nums = sorted({int(num) for num in table["num_seeds"] if num})
    if nums[-1] == 1:
        return f"{what}; one seed: no intervals"
    return f"{what}, mean of paired differences over {_axes.seeds_of(nums)} seeds"


if __name__ == "__main__":
    sys.exit(main(DifferenceMap))
