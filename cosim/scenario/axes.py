"""The axes of a `sweep:`: which keys take which values together, each with where it was written.

Every key of `grid` is an axis of its own; all keys of `zip` together are one, whose steps set one
value of each list.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cosim.scenario.document import Document, Path, has
from cosim.scenario.errors import Mark, Problem
from cosim.scenario.messages import mark_of
from cosim.scenario.overrides import Override
from cosim.wording import dotted, show

# Keys that no point can have its own of, and what there is instead.
_NOT_SWEPT = {
    "seed": "list them under sweep.seeds",
    "sweep": "a sweep holds no sweep",
    "plots": "figures are drawn from the tables; sweep.plots are of all runs together",
    "data_root": "where data lie is no part of an experiment",
    "plugins": "allow them all in the scenario",
    "extends": "write a file for each",
}


@dataclass(frozen=True)
class Value:
    """One value of a swept key.

    Attributes:
        override: sets the value, at the place in the file where it is written.
        marks: where what is inside the value was written, by path from the value.
    """

    override: Override
    marks: Mapping[Path, Mark] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Key and value in a line."""
        return f"{dotted(self.override.path)}={_flow(self.override.value)}"

    def says(self, path: Path) -> bool:
        """Return whether the value has something at a path from it; a name alone is a kind."""
        value = self.override.value
        return path == ("kind",) if isinstance(value, str) else has(value, path)


Step = tuple[Value, ...]
Axis = tuple[Step, ...]


def axes(document: Document) -> tuple[list[Axis], list[Problem]]:
    """Return the axes of a document's `sweep:`, and what is wrong with them."""
    reader = _Reader(document)
    grid = reader.lists("grid")
    in_step = reader.lists("zip")
    for path in grid.keys() & in_step.keys():
        reader.refuse(("sweep", "zip", dotted(path)), "expected a key of grid or of zip, got both")
    reader.refuse_overruled(grid | in_step)
    lengths = {len(values) for values in in_step.values()}
    if len(lengths) > 1:
        told = ", ".join(f"{dotted(path)} has {len(each)}" for path, each in in_step.items())
        reader.refuse(("sweep", "zip"), f"expected lists of one length, got: {told}")
    found: list[Axis] = [tuple((value,) for value in values) for values in grid.values()]
    if in_step and len(lengths) == 1:
        found.append(tuple(zip(*in_step.values(), strict=True)))
    return found, reader.problems


def flattened(keys: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Path, Any]]:
    """Yield what swept keys lead to: the key's path in the scenario, here, and its value.

    `learning.method: [...]` is the same as `learning: {method: [...]}`.
    """
    for key, value in keys.items():
        here = (*path, key)
        if isinstance(value, Mapping):
            yield from flattened(value, here)
        else:
            yield split(here), here, value


def split(keys: Path) -> Path:
    """Return dotted keys as a path: (`devices.0`, `count`) is (`devices`, 0, `count`)."""
    parts = dotted(keys).split(".")
    return tuple(int(part) if part.isdecimal() else part for part in parts)


@dataclass
class _Reader:
    """Reads `grid` and `zip`, and notes what is wrong."""

    document: Document
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, path: Path, message: str) -> None:
        self.problems.append(Problem(mark_of(self.document, path), dotted(path), message))

    def lists(self, section: str) -> dict[Path, list[Value]]:
        """Return the values of each key of a section that has no mistake."""
        lists: dict[Path, list[Value]] = {}
        for path, keys, values in flattened(self.document.data["sweep"].get(section, {})):
            here: Path = ("sweep", section, *keys)
            problem = wrong_key(path) or _wrong_values(values)
            if problem is None and section == "grid":
                problem = _repeated(values)
            if problem is None and path in lists:
                problem = "expected each key once, got it again"
            if problem is not None:
                self.refuse(here, problem)
                continue
            lists[path] = [
                self.value(path, (*here, index), item) for index, item in enumerate(values)
            ]
        return lists

    def refuse_overruled(self, lists: Mapping[Path, Sequence[Value]]) -> None:
        """Note values that say a key which has a list of its own, and so would not count."""
        for outer, inner in itertools.permutations(lists, 2):
            if not _below(inner, outer):
                continue
            rest = inner[len(outer) :]
            for value in lists[outer]:
                if value.says(rest):
                    message = (
                        f"expected {dotted(inner)} here or in a list of its own, got both; "
                        "remove one"
                    )
                    mark = value.marks.get(rest, value.override.mark)
                    self.problems.append(Problem(mark, dotted(inner), message))

    def value(self, path: Path, here: Path, item: Any) -> Value:
        marks = self.document.marks
        inside = {each[len(here) :]: mark for each, mark in marks.items() if _below(each, here)}
        mark = mark_of(self.document, here)
        # A mark that names its key leaves the path out of messages; here they name another key.
        return Value(Override(path, item, replace(mark, key="")), inside)


def _flow(value: Any) -> str:
    """Return a value as it would be written on one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_flow, value))}]"
    return value if isinstance(value, str) else show(value)


def _below(path: Path, parent: Path) -> bool:
    return len(path) > len(parent) and path[: len(parent)] == parent


def wrong_key(path: Path) -> str | None:
    """Return why points cannot differ in a key; None if they can."""
    if "" in path:
        return f"expected a dotted key, such as learning.local.steps, got {dotted(path)!r}"
    reason = _NOT_SWEPT.get(str(path[0]))
    return None if reason is None else f"expected a key that can be swept; {reason}"


def _repeated(values: Sequence[Any]) -> str | None:
    """Return the message on a value that stands there twice, as `1` and `true` do not."""
    written = [repr(value) for value in values]
    twice = next((n for n, each in enumerate(written) if each in written[:n]), None)
    return None if twice is None else f"expected each value once, got {_flow(values[twice])} again"


def _wrong_values(values: Any) -> str | None:
    if not isinstance(values, tuple):
        hint = "" if values is None else f"; did you mean [{show(values).strip(chr(39))}]?"
        return f"expected a list of values, got {show(values)}{hint}"
    return None if values else "expected at least one value, got an empty list"
