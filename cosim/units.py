"""Numbers with units: `10 MHz`, `23 dBm`, `1.5 m/s`, `30 s`, `1500 B`.

A dimensional field of a scenario is declared with one of the types at the end of this module and
named with its unit (`carrier_hz: Hertz`). In YAML the key has no unit and the value has one
(`carrier: 3.5 GHz`). Inside, every value is a float in the unit that the field's name ends with.
"""

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from cosim.limits import (
    BOUNDS,
    LONGEST_RUN_S,
    MOST_ROUNDS,
    WHY_LONGEST_RUN,
    OutOfBoundsError,
)
from cosim.wording import show

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf)\s*(.*?)\s*$")

# Spellings that people write for a unit that is spelled otherwise here, in lower case.
_MEANT = {
    "µs": "us",
    "μs": "us",
    "sec": "s",
    "second": "s",
    "seconds": "s",
    "mins": "min",
    "minute": "min",
    "minutes": "min",
    "hour": "h",
    "hours": "h",
    "meter": "m",
    "metre": "m",
    "meters": "m",
    "metres": "m",
    "mps": "m/s",
    "kmh": "km/h",
    "kph": "km/h",
    "byte": "B",
    "bytes": "B",
    "bits": "bit",
}

_BYTE_FACTORS = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1024.0, "MiB": 1024.0**2}


@dataclass(frozen=True)
class Dimension:
    """One physical dimension: the unit values are held in, and the units accepted in YAML.

    Attributes:
        name: what it is called in messages.
        unit: the unit that values are held in.
        suffix: how names of fields of this dimension end.
        factors: how many `unit` each accepted unit is.
    """

    name: str
    unit: str
    suffix: str
    factors: dict[str, float]

    def parse(self, text: str, *, is_place: bool = False) -> float:
        """Return `text` (such as `10 MHz`) in `self.unit`; a place may be as near to 0 as any.

        Raises:
            OutOfBoundsError: the value is larger or smaller than any that is meant.
            ValueError: the text is no number with a unit of this dimension.
        """
        match = _NUMBER.match(text)
        if match is None or not match[2]:
            raise ValueError(f"expected {self.article_name} with its unit ({self.accepted})")
        number, unit = float(match[1]), match[2]
        if self.unit == "dBm" and unit in _WATT_FACTORS:
            if not number > 0.0:
                raise OutOfBoundsError(
                    "expected a power above 0 W, since no power has no level in dBm (a very low "
                    "one is `-100 dBm`)"
                )
            return self._in_bounds(watts_to_dbm(number * _WATT_FACTORS[unit]), is_place)
        if unit not in self.factors:
            raise ValueError(f"expected {self.article_name} ({self.accepted})")
        return self._in_bounds(number * self.factors[unit], is_place)

    def _in_bounds(self, value: float, is_place: bool) -> float:
        if math.isinf(value):
            raise OutOfBoundsError(f"expected {self.article_name} that is finite")
        broken = BOUNDS[self.unit].broken_by(value, self.unit, is_place=is_place)
        if broken is not None:
            raise OutOfBoundsError(f"expected {self.article_name} of {broken}")
        return value

    def meant(self, text: str) -> str | None:
        """Return `text` with the unit that its unit was most likely meant to be, or None."""
        match = _NUMBER.match(text)
        if match is None or not match[2]:
            return None
        if match[2] in self.accepted.split(", "):
            return None  # the unit is right
        lower = match[2].lower()
        same = [unit for unit in self.accepted.split(", ") if unit.lower() == lower]
        if not same and _MEANT.get(lower) in self.factors:
            same = [_MEANT[lower]]
        return f"{match[1]} {same[0]}" if len(same) == 1 else None

    @property
    def article_name(self) -> str:
        """The name with its article: `a frequency`, `an amount of data`."""
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"

    @property
    def accepted(self) -> str:
        """The accepted units as a user reads them: `Hz, kHz, MHz, GHz`."""
        watts = list(_WATT_FACTORS) if self.unit == "dBm" else []
        return ", ".join([*self.factors, *watts])


_WATT_FACTORS = {"mW": 1e-3, "W": 1.0}
_BIT_FACTORS = {"bit": 1.0, "kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9}
_DIMENSIONS = (
    Dimension("frequency", "Hz", "_hz", {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9}),
    Dimension(
        "time",
        "s",
        "_s",
        {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0},
    ),
    Dimension("density of devices", "/km2", "_per_km2", {"/km2": 1.0, "/m2": 1e6}),
    Dimension("length", "m", "_m", {"cm": 1e-2, "m": 1.0, "km": 1e3}),
    Dimension("speed", "m/s", "_mps", {"m/s": 1.0, "km/h": 1 / 3.6}),
    Dimension("power level", "dBm", "_dbm", {"dBm": 1.0}),
    Dimension("power", "W", "_w", _WATT_FACTORS),
    Dimension("ratio", "dB", "_db", {"dB": 1.0}),
    Dimension("noise density", "dBm/Hz", "_dbm_per_hz", {"dBm/Hz": 1.0}),
    Dimension(
        "data rate",
        "bps",
        "_bps",
        {"bps": 1.0, "kbps": 1e3, "Mbps": 1e6, "Gbps": 1e9}
        | {f"{unit}/s": factor for unit, factor in _BIT_FACTORS.items()},
    ),
    Dimension(
        "amount of data",
        "bit",
        "_bits",
        _BIT_FACTORS | {unit: 8 * factor for unit, factor in _BYTE_FACTORS.items()},
    ),
    Dimension("amount of data", "B", "_bytes", _BYTE_FACTORS),
    Dimension("energy", "J", "_j", {"mJ": 1e-3, "J": 1.0, "kJ": 1e3, "Wh": 3600.0}),
    Dimension(
        "computing rate",
        "FLOP/s",
        "_flops",
        {"MFLOP/s": 1e6, "GFLOP/s": 1e9, "TFLOP/s": 1e12, "FLOP/s": 1.0},
    ),
)
_BY_SUFFIX = sorted(
    ((dimension.suffix, dimension) for dimension in _DIMENSIONS),
    key=lambda pair: -len(pair[0]),
)
_BY_UNIT = {dimension.unit: dimension for dimension in _DIMENSIONS}


def dimension_of(field_name: str) -> Dimension | None:
    """Return the dimension that a field's name ends with, or None."""
    for suffix, dimension in _BY_SUFFIX:
        if field_name.endswith(suffix):
            return dimension
    return None


def yaml_key(field_name: str) -> str:
    """Return a field's key in YAML: its name less the unit (`carrier_hz` -> `carrier`)."""
    dimension = dimension_of(field_name)
    return field_name.removesuffix(dimension.suffix) if dimension else field_name


def with_unit(value: Any, dimension: Dimension) -> Any:
    """Return numbers held in `dimension.unit` as the texts that `parse` reads back exactly."""
    if isinstance(value, list | tuple):
        return tuple(with_unit(item, dimension) for item in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{float(value)!r} {dimension.unit}"
    return value


def dbm_to_watts(level_dbm: float) -> float:
    """10^((x - 30) / 10)."""
    return float(10.0 ** ((level_dbm - 30.0) / 10.0))


def watts_to_dbm(power_w: float) -> float:
    """10 log10(x) + 30; minus infinity for no power."""
    return 10.0 * math.log10(power_w) + 30.0 if power_w > 0 else -math.inf


@dataclass(frozen=True)
class Quantity:
    """Pydantic annotation: text with a unit of `dimension` becomes a float in its unit."""

    unit: str
    is_place: bool = False

    @property
    def dimension(self) -> Dimension:
        """The dimension whose values are held in `unit`."""
        return _BY_UNIT[self.unit]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        dimension = self.dimension
        units = "|".join(re.escape(unit) for unit in dimension.accepted.split(", "))
        return {
            "type": "string",
            "pattern": rf"^\s*[+-]?[0-9.]+([eE][+-]?[0-9]+)?\s*({units})\s*$",
            "description": f"{dimension.name}: a number and one of {dimension.accepted}",
        }

    def _read(self, value: Any) -> float:
        dimension = self.dimension
        if not isinstance(value, str):
            bare = isinstance(value, int | float) and not isinstance(value, bool)
            raise PydanticCustomError(
                "unit_missing",
                "expected {name} with its unit ({accepted}), got {bare}{value}",
                {
                    "name": dimension.article_name,
                    "accepted": dimension.accepted,
                    "bare": "the bare number " if bare else "",
                    "value": show(value),
                },
            )
        try:
            return dimension.parse(value, is_place=self.is_place)
        except ValueError as error:
            meant = dimension.meant(value)
            raise PydanticCustomError(
                "unit",
                "{reason}, got {value}{hint}",
                {
                    "reason": str(error),
                    "value": show(value),
                    "hint": f"; did you mean {meant!r}?" if meant else "",
                },
            ) from None


def _as_range(value: Any) -> Any:
    """A single value is the range that holds only it."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise PydanticCustomError(
                "range", "expected [least, most], got {value}", {"value": show(value)}
            )
        return tuple(value)
    return (value, value)


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise PydanticCustomError(
            "range_order",
            "expected [least, most] with least <= most, got [{least}, {most}]",
            {"least": value[0], "most": value[1]},
        )
    return value


class _RangeOf:
    """Pydantic annotation: `x` or `[least, most]` becomes an ordered pair."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        pair = core_schema.no_info_after_validator_function(_ordered, handler(source))
        return core_schema.no_info_before_validator_function(_as_range, pair)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        inner = handler(schema)
        item = inner.get("prefixItems", [{}])[0]
        return {"anyOf": [item, inner]}


Hertz = Annotated[float, Quantity("Hz")]
Seconds = Annotated[float, Quantity("s")]
Metres = Annotated[float, Quantity("m")]
Coordinate = Annotated[float, Quantity("m", is_place=True)]
PerSquareKilometre = Annotated[float, Quantity("/km2")]
MetresPerSecond = Annotated[float, Quantity("m/s")]
Dbm = Annotated[float, Quantity("dBm")]
Watts = Annotated[float, Quantity("W")]
Decibels = Annotated[float, Quantity("dB")]
DbmPerHertz = Annotated[float, Quantity("dBm/Hz")]
BitsPerSecond = Annotated[float, Quantity("bps")]
Bits = Annotated[float, Quantity("bit")]
Bytes = Annotated[float, Quantity("B")]
Joules = Annotated[float, Quantity("J")]
FlopsPerSecond = Annotated[float, Quantity("FLOP/s")]

_NotNegative = Field(ge=0)
SecondsRange = Annotated[
    tuple[Annotated[Seconds, _NotNegative], Annotated[Seconds, _NotNegative]], _RangeOf()
]
SpeedRange = Annotated[
    tuple[Annotated[MetresPerSecond, _NotNegative], Annotated[MetresPerSecond, _NotNegative]],
    _RangeOf(),
]
FlopsRange = Annotated[
    tuple[Annotated[FlopsPerSecond, Field(gt=0)], Annotated[FlopsPerSecond, Field(gt=0)]],
    _RangeOf(),
]


@dataclass(frozen=True)
class Span:
    """A length of a run, in rounds or in simulated seconds: exactly one is set."""

    rounds: int | None = None
    time_s: float | None = None

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._read, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": r"^\s*[0-9.]+([eE][+-]?[0-9]+)?\s*(rounds?|ns|us|ms|s|min|h)\s*$",
            "description": "`20 rounds`, or a time such as `10 min`",
        }

    @classmethod
    def _read(cls, value: Any) -> "Span":
        if isinstance(value, Span):
            return value
        match = _NUMBER.match(value) if isinstance(value, str) else None
        if match is not None and match[2] in ("round", "rounds"):
            rounds = float(match[1])
            if not (1 <= rounds <= MOST_ROUNDS and rounds.is_integer()):
                raise PydanticCustomError(
                    "span_rounds",
                    "expected a whole number of rounds, at least 1 and at most {most}, got {value}",
                    {"most": MOST_ROUNDS, "value": show(value)},
                )
            return cls(rounds=int(rounds))
        try:
            time_s = _BY_UNIT["s"].parse(value if isinstance(value, str) else str(value))
        except OutOfBoundsError as error:
            raise PydanticCustomError(
                "span_time", "{reason}, got {value}", {"reason": str(error), "value": show(value)}
            ) from None
        except ValueError:
            raise PydanticCustomError(
                "span",
                "expected `N rounds` or a time ({accepted}), got {value}",
                {"accepted": _BY_UNIT["s"].accepted, "value": show(value)},
            ) from None
        if not 0 < time_s <= LONGEST_RUN_S:
            bound = (
                "above 0 s"
                if time_s <= 0
                else f"of at most {LONGEST_RUN_S:g} s ({WHY_LONGEST_RUN})"
            )
            raise PydanticCustomError(
                "span_time",
                "expected a time {bound}, got {value}",
                {"bound": bound, "value": show(value)},
            )
        return cls(time_s=time_s)

    def __str__(self) -> str:
        return f"{self.rounds} rounds" if self.rounds is not None else f"{self.time_s!r} s"
