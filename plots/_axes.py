"""What axes of comparisons share: names with units, scales, and words on seeds and intervals."""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from cosim.learning.pool.base import TrainingPool
from cosim.plugin import kind_of
from cosim.results.comparison import METRICS, TO_ACCURACY, Metric
from cosim.results.figure import FigureError
from cosim.scenario.tree import Scenario
from cosim.units import Dimension
from plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Page

Scale = Literal["auto", "linear", "log"]
Key = Annotated[str, Field(min_length=1)]  # of a scenario, dotted
Keys = Key | Annotated[tuple[Key, ...], Field(min_length=1)]
DECADES = 1.5  # numbers that span as many get a logarithmic axis
HANDLE_PT, LETTER_PT = 36.0, 3.1  # of a legend's entry: its mark, and a letter
MOST_TICKS = 8  # of an axis that has one at each value

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_PREFIXED = ("Hz", "bit", "bps", "J", "W", "FLOP/s")
_NAMES = {
    "count": "Number of devices",
    "rank": "Rank",
    "density": "Density of masks",
    "drop": "Fraction dropped",
    "steps": "Local steps in a round",
    "shards_per_device": "Shards of a device",
    "max_collision": "Largest collision rate allowed",
    "scale_as": "Payload of",
}


@dataclass(frozen=True)
class Unit:
    """How numbers are shown.

    Attributes:
        factor: what they are multiplied by.
        name: of the unit, for a label; empty for none.
    """

    factor: float
    name: str

    def named(self, title: str) -> str:
        """Return a title with the unit behind it."""
        return f"{title} ({self.name})" if self.name else title


def listed(keys: Keys | None) -> tuple[str, ...]:
    """Return one key, several, or none, as several."""
    return (keys,) if isinstance(keys, str) else keys or ()


def metric(name: str) -> Metric:
    """Return a metric of `cosim compare`."""
    return next(each for each in METRICS if each.name == name)


def survey_metrics(names: Iterable[str], scenarios: Sequence[Scenario]) -> None:
    """Look whether runs of some experiments will have some metrics.

    Raises:
        FigureError: there is one that none of them will have.
    """
    for name in names:
        misfits = [metric(name).misfit(scenario) for scenario in scenarios]
        if misfits and misfits[0] is not None and None not in misfits:
            raise FigureError(misfits[0])


def survey_pools(scenarios: Iterable[Scenario], what: str, hint: str = "") -> None:
    """Look whether runs of some experiments will have something that training makes.

    Raises:
        FigureError: the pool of one does not train.
    """
    for scenario in scenarios:
        pool = scenario.learning.pool
        if not isinstance(pool, TrainingPool):
            raise FigureError(
                f"expected a pool that trains and so has {what}, got {kind_of(pool)}{hint}"
            )


def title(of: Metric, target: float = math.nan) -> str:
    """Return a metric's name for an axis, with the accuracy that it is to reach."""
    name = of.title[:1].upper() + of.title[1:]
    if of.name not in TO_ACCURACY or math.isnan(target):
        return name
    return name.replace("accuracy", f"{100 * target:.3g} % own-task accuracy")


def unit_of_metric(of: Metric, means: Iterable[float]) -> Unit:
    """Return percent, or the unit with a prefix that suits the largest number."""
    if of.unit == "%":
        return Unit(100.0, "%")
    return _prefixed(of.unit, means)


def unit_of_key(dimension: Dimension | None, numbers: Iterable[float]) -> Unit:
    """Return the unit of a scenario's key."""
    return Unit(1.0, "") if dimension is None else _prefixed(dimension.unit, numbers)


def name_of_key(key: str) -> str:
    """Return what an axis along a key is called: `learning.method.kind` is a method."""
    last = key.removesuffix(".kind").rpartition(".")[2]
    words = last.replace("_", " ")
    return _NAMES.get(last, words[:1].upper() + words[1:])


def is_log(scale: Scale, numbers: Iterable[float]) -> bool:
    """Return whether an axis is logarithmic: as asked for, or where numbers span decades."""
    finite = [number for number in numbers if math.isfinite(number)]
    if scale != "auto" or not finite or min(finite) <= 0.0:
        return scale == "log"
    return math.log10(max(finite) / min(finite)) >= DECADES


def set_ticks(axes: "Axes", numbers: Sequence[float], *, log: bool) -> None:
    """Scale the horizontal axis, with a tick at each value if they are few and apart."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator  # noqa: PLC0415

    if log:
        axes.set_xscale("log")
    ticks = sorted(set(numbers))
    places = [math.log10(tick) for tick in ticks] if log else ticks
    gaps = [b - a for a, b in pairwise(places)]
    if len(ticks) <= MOST_TICKS and min(gaps, default=1.0) >= 0.07 * (places[-1] - places[0]):
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:.4g}"))


def interval_note(num_seeds: Iterable[int], what: str = "mean") -> str:
    """Return what a figure must say of its error bars, by how many seeds its points have."""
    nums = sorted({int(num) for num in num_seeds if num})
    if not nums:
        return ""
    if nums[-1] == 1:
        return "one seed: no intervals"
    return f"{what} and 95 % $t$-interval over {seeds_of(nums)} seeds"


def seeds_of(nums: Sequence[int]) -> str:
    """Return how many seeds there are: `5`, or `3 to 5`."""
    return f"{min(nums)}" if min(nums) == max(nums) else f"{min(nums)} to {max(nums)}"


def legend_over(page: "Page", handles: Sequence[Any], names: Sequence[str], note: str) -> None:
    """Put a legend over all axes, its note as its title, in as many columns as the page holds."""
    room = page.get_size_inches()[0] * 72.0 - 8.0
    wrapped = [fill(name, int((room - HANDLE_PT) / LETTER_PT)) for name in names]
    longest = max((len(part) for name in wrapped for part in name.splitlines()), default=1)
    columns = int(room / (HANDLE_PT + LETTER_PT * longest))
    page.legend(
        handles,
        wrapped,
        loc="outside upper center",
        ncols=max(min(columns, len(names), 4), 1),
        title=note,
        title_fontsize=style.SMALL_PT,
    )


def warn_of_single(figure: str, labels: Sequence[str]) -> None:
    """Say on the error stream which experiments have one seed, of which no interval can be had."""
    if labels:
        shown = "; ".join(labels[:3]) + (f"; and {len(labels) - 3} more" * (len(labels) > 3))
        print(
            f"{figure}: one seed, so no interval: {shown}; run several seeds for error bars",
            file=sys.stderr,
        )


def bars(half_widths: Sequence[float], factor: float) -> list[float] | None:
    """Return error bars, none where there is no interval; None if there is none at all."""
    if all(math.isnan(half) for half in half_widths):
        return None
    return [0.0 if math.isnan(half) else factor * half for half in half_widths]


BAR: dict[str, Any] = {"capsize": 1.8, "capthick": 0.6, "elinewidth": 0.7}


def _prefixed(unit: str, numbers: Iterable[float]) -> Unit:
    if unit not in _PREFIXED:
        return Unit(1.0, unit)
    largest = max((abs(each) for each in numbers if math.isfinite(each)), default=0.0)
    factor, prefix = next(((f, p) for f, p in _PREFIXES if largest >= f), (1.0, ""))
    return Unit(1.0 / factor, f"{prefix}{unit}")
