"""Overrides: `key.sub=value` from a command line, or a mapping from Python, laid over a document.

A key is reached through what the file holds, and where the file is silent through the tree's
defaults: `topology.planner.max_delay=5 s` keeps the protocol's usual planner. Numbers index lists:
`devices.0.count=4`. Naming another `kind` drops the keys of the former one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from cosim import units
from cosim.plugin import Section, find
from cosim.scenario.document import Document, Path, has, parse_value
from cosim.scenario.errors import Mark, Problem
from cosim.scenario.place import ABSENT, Place
from cosim.scenario.tree import USUAL_PLANNER
from cosim.wording import dotted, show

Overrides = Iterable[str] | Mapping[str, Any]

# Overrides come after every file when problems are sorted.
_RANK = 1_000_000
_PLANNER = ("topology", "planner")


@dataclass(frozen=True)
class Override:
    """One value that replaces what a file says."""

    path: Path
    value: Any
    mark: Mark


def read_overrides(overrides: Overrides) -> tuple[list[Override], list[Problem]]:
    """Read overrides, given as `key=value` texts (values in YAML) or as a mapping of values."""
    if isinstance(overrides, str):
        overrides = (overrides,)
    if isinstance(overrides, Mapping):
        given = [(f"{key}={show(value)}", str(key), value) for key, value in overrides.items()]
    else:
        given = [(text, text.partition("=")[0].strip(), None) for text in overrides]
    read, problems = [], []
    for order, (text, key, value) in enumerate(given):
        mark = Mark(f"override {text}", rank=_RANK + order, key=key)
        parts = tuple(int(part) if part.isdecimal() else part for part in key.split("."))
        if "" in parts or "=" not in text:
            message = f"expected key=value, such as learning.local.steps=5, got {text!r}"
            problems.append(Problem(Mark("override", rank=mark.rank), "", message))
            continue
        if isinstance(overrides, Mapping):
            read.append(Override(parts, _plain(value), mark))
            continue
        value, wrong = parse_value(text.partition("=")[2], mark)
        problems += wrong
        if not wrong:
            read.append(Override(parts, value, mark))
    return read, problems


def apply(
    document: Document, overrides: Iterable[Override], root: type[Section], plugins: tuple[str, ...]
) -> Document:
    """Return the document with the overrides in it, the later ones over the earlier."""
    overrides = list(overrides)
    data: Any = document.data
    if any(len(each.path) > 2 and each.path[:2] == _PLANNER for each in overrides):
        data = _with_planner(data, overrides, plugins)
    marks = dict(document.marks)
    problems = list(document.problems)
    for override in overrides:
        try:
            data = _Setting(override, marks).set(Place(data, root, plugins), ())
        except _CannotSetError as error:
            problems.append(Problem(override.mark, dotted(override.path), str(error)))
            continue
        below = [path for path in marks if path[: len(override.path)] == override.path]
        for path in below:
            del marks[path]
        marks[override.path] = override.mark
    marks = {path: mark for path, mark in marks.items() if has(data, path)}
    return Document(data, marks, tuple(problems))


def _with_planner(data: Any, overrides: list[Override], plugins: tuple[str, ...]) -> Any:
    """Return the data with the protocol's usual planner where no planner is named.

    It is of the protocol that there is after all overrides.
    """
    topology = data.get("topology", {})
    if not isinstance(topology, Mapping) or "planner" in topology:
        return data
    protocol = data.get("protocol")
    for each in overrides:
        if each.path in (("protocol",), ("protocol", "kind")):
            protocol = each.value
    kind = protocol.get("kind") if isinstance(protocol, Mapping) else protocol
    try:
        usual = getattr(find("protocol", str(kind), plugins), "usual_planner", USUAL_PLANNER)
    except LookupError:
        return data
    return {**data, "topology": {**topology, "planner": {"kind": usual}}}


class _CannotSetError(Exception):
    """An override leads nowhere; the text says why."""


@dataclass(frozen=True)
class _Setting:
    """One override on its way down the tree; notes in `marks` what it creates."""

    override: Override
    marks: dict[Path, Mark]

    def set(self, place: Place, done: Path) -> Any:
        """Return the value of `place` with the override's value set below it."""
        if len(done) == len(self.override.path):
            return self.override.value
        if place.value is ABSENT:
            self.marks[done] = self.override.mark
        place = place.filled()
        value = place.value
        part = self.override.path[len(done)]
        if isinstance(value, Mapping):
            return self.set_key(place, str(part), done)
        if isinstance(value, tuple):
            return self.set_item(place, part, done)
        raise _CannotSetError(
            f"expected a key, got {str(part)!r} below {dotted(done)}, which is {show(value)}"
        )

    def set_key(self, place: Place, key: str, done: Path) -> dict[str, Any]:
        written = place.written_key(key)
        below = place.step(written) or place.step(key) or Place(ABSENT, None)
        value = self.set(below, (*done, key))
        kept = {name: item for name, item in place.value.items() if name not in (key, written)}
        twin = units.yaml_key(key)
        if twin != key:
            kept.pop(twin, None)
        if key == "kind" and place.value.get("kind", value) != value:
            kept = {name: item for name, item in kept.items() if self.is_override((*done, name))}
        return kept | {key: value}

    def is_override(self, path: Path) -> bool:
        return path in self.marks and self.marks[path].rank >= _RANK

    def set_item(self, place: Place, index: str | int, done: Path) -> tuple[Any, ...]:
        items = place.value
        if not isinstance(index, int) or index >= len(items):
            has = f"0 to {len(items) - 1}" if items else "none, because the list is empty"
            raise _CannotSetError(
                f"expected an index of {dotted(done)} ({has}), got {str(index)!r}"
            )
        below = place.step(index)
        assert below is not None  # the index is in range
        return (*items[:index], self.set(below, (*done, index)), *items[index + 1 :])


def _plain(value: Any) -> Any:
    """Return a Python value as the loader expects it: tuples for lists, no NumPy scalars."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, PurePath):
        return str(value)
    if type(value).__module__ == "numpy":  # told by name, so that NumPy need not be loaded
        return _plain(value.tolist())
    return value
