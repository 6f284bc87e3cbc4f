"""The `where:` of a sweep: which points stay.

    where:
      - {learning.method.kind: lora}
      - {learning.method.kind: {not: lora}, learning.method.density: {at_most: 0.5}}

A point stays if it fits one of the mappings; it fits a mapping if it fits every key of it. That
is every condition on a finite grid, with nothing to be evaluated: values are compared as the
scenario reads them, so `0.01 GHz` is `10 MHz`, and a value that the key cannot have is a mistake.
Points are looked at as they are written, before they are validated, so that `where` can drop
combinations that make no sense.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cosim import units
from cosim.scenario.axes import split, wrong_key
from cosim.scenario.document import Document, Path
from cosim.scenario.errors import Problem
from cosim.scenario.messages import mark_of
from cosim.scenario.place import ABSENT, Place
from cosim.wording import did_you_mean, dotted, show

_CANNOT_BE = object()
_TOP = 4  # parts of the path of a condition's key: sweep, where, index, key


@dataclass
class Where:
    """The conditions of a sweep, and what turns out to be wrong with them.

    Attributes:
        document: the file with its sweep, for the places of messages.
    """

    document: Document
    _seen: set[Path] = field(default_factory=set)
    _met: set[Path] = field(default_factory=set)
    _read_by_some: set[Path] = field(default_factory=set)
    _unread: dict[Path, str] = field(default_factory=dict)
    _wrong: dict[Path, str] = field(default_factory=dict)

    def fits(self, point: Place) -> bool:
        """Return whether a point, as it is written, stays."""
        conditions = self.document.data["sweep"].get("where", ())
        # All of them, so that every mistake is found.
        fitting = [
            self._fits(point, condition, ("sweep", "where", index))
            for index, condition in enumerate(conditions)
        ]
        return any(fitting) or not conditions

    def problems(self) -> list[Problem]:
        """Return what was found wrong, once all points have been looked at."""
        lost = self._seen - self._met
        found = dict.fromkeys(lost, "expected a key of the scenario, got one that no point has")
        # What one kind's key cannot be, another's of that name may.
        found |= {path: m for path, m in self._unread.items() if path not in self._read_by_some}
        return [
            Problem(mark_of(self.document, path), dotted(path), message)
            for path, message in (found | self._wrong).items()
        ]

    def _fits(self, place: Place, wanted: Any, here: Path) -> bool:
        if not isinstance(wanted, Mapping):
            return self._compare(place, wanted, here, lambda found, given: bool(found == given))
        if wanted and wanted.keys() <= self._tests().keys():
            results = [
                self._tests()[name](place, value, (*here, name)) for name, value in wanted.items()
            ]
        else:
            results = [self._fits_key(place, key, value, here) for key, value in wanted.items()]
        return all(results)

    def _fits_key(self, place: Place, key: str, wanted: Any, here: Path) -> bool:
        here = (*here, key)
        if len(here) == _TOP:
            wrong = wrong_key(split((key,)))
        else:
            wrong = _wrong_test(place, key, self._tests().keys())
        if wrong is not None:
            self._wrong[here] = wrong
            return False
        self._seen.add(here)
        found: Place | None = place
        for part in split((key,)):
            found = _down(found, part) if found is not None else None
        if found is None:
            return False
        self._met.add(here)
        return self._fits(found, wanted, here)

    def _tests(self) -> dict[str, Callable[[Place, Any, Path], bool]]:
        return {
            "in": self._in,
            "not": lambda place, value, here: not self._fits(place, value, here),
            "at_least": lambda place, value, here: self._order(place, value, here, 1),
            "at_most": lambda place, value, here: self._order(place, value, here, -1),
        }

    def _in(self, place: Place, wanted: Any, here: Path) -> bool:
        if not isinstance(wanted, tuple):
            self._wrong[here] = f"expected a list of values, got {show(wanted)}"
            return False
        results = [self._fits(place, each, (*here, i)) for i, each in enumerate(wanted)]
        return any(results)

    def _order(self, place: Place, wanted: Any, here: Path, sign: int) -> bool:
        def ordered(found: Any, given: Any) -> bool:
            if not isinstance(given, int | float):
                self._wrong[here] = f"expected a number to compare with, got {show(wanted)}"
                return False
            return isinstance(found, int | float) and sign * found >= sign * given

        return self._compare(place, wanted, here, ordered)

    def _compare(
        self, place: Place, wanted: Any, here: Path, test: Callable[[Any, Any], bool]
    ) -> bool:
        """Compare what is written with what is wanted, both as the scenario reads them."""
        value = place.default() if place.value is ABSENT else place.value
        if place.is_kind and isinstance(wanted, str):  # whatever keys it has
            kind = place.filled().value.get("kind")
            return self._reads(place, wanted, here) and test(kind, wanted)
        if not self._reads(place, wanted, here):
            return False
        found = _read(place, value)
        return found is not _CANNOT_BE and test(found, _read(place, wanted))

    def _reads(self, place: Place, wanted: Any, here: Path) -> bool:
        if place.is_kind and isinstance(wanted, str):
            kind = Place(wanted, place.annotation, place.plugins)
            good = kind.section is not None
        else:
            good = _read(place, wanted) is not _CANNOT_BE
        if good:
            self._read_by_some.add(here)
        else:
            self._unread[here] = f"expected a value that this key can have, got {show(wanted)}"
        return good


def _wrong_test(place: Place, key: str, tests: Collection[str]) -> str | None:
    """Return that a mapping is of no keys, and no condition either, where the scenario has none."""
    filled = place.filled()
    if filled.section is not None or isinstance(place.value, Mapping | tuple):
        return None
    return f"expected a value, or one of {', '.join(tests)}, got {key!r}{did_you_mean(key, tests)}"


def _down(place: Place, part: str | int) -> Place | None:
    """Return the place one key or index on, with the value as it could have been written."""
    place = place.filled()
    if not isinstance(part, str):
        below = place.step(part)
        return None if below is None or below.value is ABSENT else below
    written = place.written_key(part)
    below = place.step(written)
    dimension = units.dimension_of(written)
    if below is None or written == part or dimension is None:
        return below
    value = units.with_unit(below.value, dimension)
    return Place(value, below.annotation, below.plugins, below.field)


def _read(place: Place, value: Any) -> Any:
    """Return a value as the scenario holds it; _CANNOT_BE if it does not fit the key."""
    if place.annotation is None:
        return value
    adapter = TypeAdapter[Any](place.annotation)
    try:
        return adapter.validate_python(value, strict=True, context={"plugins": place.plugins})
    except ValidationError:
        return _CANNOT_BE
