"""A comparison as people and programs read it: plain text, CSV, LaTeX."""

import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cosim.results.comparison import TO_ACCURACY, Comparison, Estimate, Metric, Row

if TYPE_CHECKING:
    import pandas as pd

_GAP = "  "
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_DIGITS = 3  # of a mean without an interval
_MOST_DIGITS = 4
_MOST_DECIMALS = 9
_ROUNDING = 1e-12  # of a mean: what sums of equal numbers may differ by
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}

_Column = tuple[Metric, str, list[str]]  # the metric, its unit with a prefix, a cell for each row


def text(comparison: Comparison, width: int) -> str:
    """Return a comparison as aligned columns, as many beside each other as the width holds."""
    sections = [_blocks(comparison, comparison.rows, Row.estimate, width)]
    if comparison.baseline is not None:
        others, difference = _others(comparison)
        sections.append(f"difference from {comparison.baseline.label}, seed by seed")
        sections.append(_blocks(comparison, others, difference, width, signed=True))
    return "\n\n".join([*sections, "\n".join(notes(comparison))])


def notes(comparison: Comparison) -> list[str]:
    """Return what a reader must know of the numbers, a line each."""
    lines = ["mean ± half width of the 95 % t-interval over seeds"]
    if comparison.single:
        who = (
            "every row"
            if len(comparison.single) == len(comparison.rows)
            else "; ".join(comparison.single)
        )
        lines.append(f"one seed only, so no interval: {who}")
    if not math.isnan(comparison.target) and (what := _to_accuracy(comparison)):
        why = ", which every run reached" if comparison.is_own_target else ""
        lines.append(f"{what} to accuracy: to {100 * comparison.target:.4g} % own-task{why}")
    return lines


def frame(comparison: Comparison) -> "pd.DataFrame":
    """Return a comparison as a table of data: one row per experiment, SI units in the names.

    For each metric there is its mean, `_half_width` and `_num` (seeds that have a value); with a
    baseline also `_difference`, `_difference_half_width` and `_difference_num`.
    """
    import pandas as pd  # noqa: PLC0415  half a second

    rows = []
    for row in comparison.rows:
        cells: dict[str, object] = {"label": row.label, "num_seeds": len(row.seeds)}
        cells["seeds"] = " ".join(map(str, row.seeds))
        for metric in comparison.metrics:
            cells |= _numbers(metric.name, row.estimate(metric))
            if comparison.baseline is not None:
                difference = row.difference(comparison.baseline, metric)
                cells |= _numbers(f"{metric.name}_difference", difference)
        rows.append(cells)
    return pd.DataFrame(rows)


def latex(comparison: Comparison) -> str:
    """Return a comparison as tabulars for the package booktabs, notes as comments."""
    parts = [f"% {line}" for line in notes(comparison)]
    parts.append(_tabular(comparison, comparison.rows, Row.estimate))
    if comparison.baseline is not None:
        others, difference = _others(comparison)
        parts.append(f"\n% difference from {comparison.baseline.label}, seed by seed")
        parts.append(_tabular(comparison, others, difference, signed=True))
    return "\n".join(parts) + "\n"


def _others(
    comparison: Comparison,
) -> tuple[tuple[Row, ...], Callable[[Row, Metric], Estimate]]:
    baseline = comparison.baseline
    assert baseline is not None
    others = tuple(row for row in comparison.rows if row is not baseline)
    return others, lambda row, metric: row.difference(baseline, metric)


def _to_accuracy(comparison: Comparison) -> str:
    """Return what of the metrics is of a target: `time`, `energy`, both or nothing."""
    found = (metric.title for metric in comparison.metrics if metric.name in TO_ACCURACY)
    return " and ".join(title.removesuffix(" to accuracy") for title in found)


def _numbers(name: str, of: Estimate) -> dict[str, object]:
    return {name: of.mean, f"{name}_half_width": of.half_width, f"{name}_num": of.num}


def _columns(
    comparison: Comparison,
    rows: Sequence[Row],
    value: Callable[[Row, Metric], Estimate],
    *,
    signed: bool,
) -> list[_Column]:
    """Return the columns, each in one unit; every mean has the decimals of its own interval."""
    columns = []
    for metric in comparison.metrics:
        estimates = [value(row, metric) for row in rows]
        factor, unit = _scale(metric, estimates)
        scaled = [_scaled(each, factor) for each in estimates]
        is_whole = all(each.num == 0 or each.mean.is_integer() for each in scaled)
        cells = [
            _cell(each, _decimals(each, is_whole), len(row.seeds), signed=signed)
            for each, row in zip(scaled, rows, strict=True)
        ]
        columns.append((metric, unit, cells))
    return columns


def _scale(metric: Metric, estimates: Sequence[Estimate]) -> tuple[float, str]:
    if metric.unit == "%":
        return 100.0, "%"
    largest = max((abs(each.mean) for each in estimates if each.num), default=0.0)
    if metric.unit not in ("bit", "J"):
        return 1.0, metric.unit
    factor, prefix = next(((f, p) for f, p in _PREFIXES if largest >= f), (1.0, ""))
    return 1.0 / factor, f"{prefix}{metric.unit}"


def _scaled(of: Estimate, factor: float) -> Estimate:
    return Estimate(factor * of.mean, factor * of.half_width, of.num)


def _decimals(of: Estimate, is_whole: bool) -> int:
    """Return how many decimals a mean has: as show two digits of its interval.

    No more than show four digits of the mean, but never an interval as 0. Without an interval, or
    one that is rounding's, as show three digits of the mean; none in a column of whole numbers.
    """
    size = abs(of.mean)
    if not of.half_width > _ROUNDING * size:
        return 0 if is_whole else _decimals_of(size, _DIGITS)
    most = _decimals_of(max(size, of.half_width), _MOST_DIGITS)
    return max(min(_decimals_of(of.half_width, 2), most), _decimals_of(of.half_width, 1))


def _decimals_of(number: float, digits: int) -> int:
    """Return how many decimals show so many digits of a number."""
    if number == 0.0 or math.isnan(number):
        return 0
    return min(max(digits - 1 - math.floor(math.log10(number)), 0), _MOST_DECIMALS)


def _cell(of: Estimate, decimals: int, num_seeds: int, *, signed: bool) -> str:
    if of.num == 0:
        return "none"
    half = "" if math.isnan(of.half_width) else f" ± {of.half_width:.{decimals}f}"
    some = f" ({of.num} of {num_seeds})" if of.num < num_seeds else ""
    return f"{of.mean:{'+' if signed else ''}.{decimals}f}{half}{some}"


def _blocks(
    comparison: Comparison,
    rows: Sequence[Row],
    value: Callable[[Row, Metric], Estimate],
    width: int,
    *,
    signed: bool = False,
) -> str:
    names = _aligned(["", "", *(row.label for row in rows)], str.ljust)
    seeds = _aligned(["seeds", "", *(str(len(row.seeds)) for row in rows)], str.rjust)
    blocks, lines, is_first = [], _beside(names, seeds), True
    for metric, unit, cells in _columns(comparison, rows, value, signed=signed):
        column = _aligned([metric.title, unit, *cells], str.rjust)
        if not is_first and len(lines[0]) + len(_GAP) + len(column[0]) > width:
            blocks.append(lines)
            lines = names
        lines = _beside(lines, column)
        is_first = False
    blocks.append(lines)
    return "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks)


def _beside(lines: Sequence[str], column: Sequence[str]) -> list[str]:
    return [f"{line}{_GAP}{cell}" for line, cell in zip(lines, column, strict=True)]


def _aligned(cells: Sequence[str], place: Callable[[str, int], str]) -> list[str]:
    width = max(map(len, cells))
    return [place(cell, width) for cell in cells]


def _tabular(
    comparison: Comparison,
    rows: Sequence[Row],
    value: Callable[[Row, Metric], Estimate],
    *,
    signed: bool = False,
) -> str:
    columns = _columns(comparison, rows, value, signed=signed)
    titles = ["", "seeds", *(escaped(metric.title) for metric, _, _ in columns)]
    units = ["", "", *(escaped(f"({unit})") if unit else "" for _, unit, _ in columns)]
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(columns) + 1)}}}", r"\toprule"]
    lines += [_line(titles), _line(units), r"\midrule"]
    for index, row in enumerate(rows):
        cells = [_in_maths(cells[index]) for _, _, cells in columns]
        lines.append(_line([escaped(row.label), str(len(row.seeds)), *cells]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _line(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _in_maths(cell: str) -> str:
    number, space, rest = cell.partition(" (")
    if cell == "none":
        return "--"
    return "$" + number.replace("±", r"\pm") + "$" + space + rest


def escaped(words: str) -> str:
    """Return a text as LaTeX prints it."""
    return re.sub(r"[\\~^&%$#_{}]", lambda sign: _LATEX[sign[0]], words)
