"""How large and how small the numbers of a scenario may be, and why.

A slip of the keyboard (`1e30 GHz`) is told from what somebody may want to simulate, with room to
spare, so that no formula overflows and no array fills the memory. Where nature or a standard ends,
the bound does too; the others are assumptions of this project and say so in their reason.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import PydanticCustomError, core_schema


class OutOfBoundsError(ValueError):
    """A quantity larger or smaller than any that is meant; the text says the bound and why."""


@dataclass(frozen=True)
class Bound:
    """Sizes of the values of one dimension.

    Attributes:
        most: the largest.
        why: where that comes from.
        least: the smallest that is not 0.
    """

    most: float
    why: str
    least: float = 0.0

    def broken_by(self, value: float, unit: str, *, is_place: bool = False) -> str | None:
        """Return what a value should have been, or None if it is in bounds.

        A place may be as near to 0 as it likes.
        """
        size = abs(value)
        if size > self.most:
            side = "at most " if value > 0.0 else "at least -"
            return f"{side}{self.most:.10g} {unit} ({self.why})"
        if 0.0 < size < self.least and not is_place:
            return f"0 or at least {self.least:g} {unit} (less cannot be told from 0)"
        return None


_LEVEL = Bound(1000.0, "a hundred orders of magnitude")
_DATA = "bits are counted exactly up to 2^53"
BOUNDS = {
    "Hz": Bound(3e12, "radio waves end there: ITU Radio Regulations, No. 1.5", least=1e-3),
    "s": Bound(1e10, "300 years, which holds any clock of seconds since 1970", least=1e-12),
    "/km2": Bound(1e9, "a thousand on every square metre", least=1e-9),
    "m": Bound(1e10, "farther than the Moon: it is 3.8e8 m away", least=1e-6),
    "m/s": Bound(
        1.2e4,
        "what is faster than 11.2 km/s leaves the Earth, and Doppler shifts are those of speeds "
        "far below that of light",
        least=1e-6,
    ),
    "dBm": _LEVEL,
    "dB": _LEVEL,
    "dBm/Hz": _LEVEL,
    "W": Bound(1e9, "a gigawatt is a power station", least=1e-15),
    "bps": Bound(1e15, "a hundred times what 3 THz carry at 3 bit/s/Hz", least=1e-3),
    "bit": Bound(2.0**53, _DATA),
    "B": Bound(2.0**50, _DATA),
    "J": Bound(1e15, "a power station in ten days", least=1e-15),
    "FLOP/s": Bound(1e21, "hundreds of the fastest computers of 2025: TOP500", least=1.0),
}
"""Bounds by the unit that values are held in."""

LARGEST = 1e30
LARGEST_WHOLE = 2**53
"""Of numbers that have no dimension; above, 64-bit floats do not tell one from the next."""
LOWEST_CARRIER_HZ = 3e3
WHY_LOWEST_CARRIER = "the lowest band of the ITU Radio Regulations, No. 2.1, begins there"
WIDEST_AREA_M = 2e7
WHY_WIDEST_AREA = "no two points of the Earth are farther apart"
MOST_DEVICES = 1_000_000
WHY_MOST_DEVICES = "a hundred times what was measured; all are held in memory"
MOST_ATTEMPTS = 10_000
WHY_MOST_ATTEMPTS = "who does not want to give up has a `deadline`"
LONGEST_RUN_S = 1e8
WHY_LONGEST_RUN = "three years; later a clock of 64-bit floats ticks in more than 15 ns"
MOST_ROUNDS = 10**9


@dataclass(frozen=True)
class Within:
    """Pydantic annotation: a number from `least` to `most`, for a reason that messages say."""

    least: float
    most: float
    why: str
    unit: str = ""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: float) -> float:
        if self.least <= value <= self.most:
            return value
        unit = f" {self.unit}" if self.unit else ""
        bound = f"at least {self.least:.10g}" if value < self.least else f"at most {self.most:.10g}"
        raise PydanticCustomError(
            "within",
            "expected {bound}{unit} ({why}), got {value}{unit}",
            {"bound": bound, "unit": unit, "why": self.why, "value": f"{value:.10g}"},
        )
