"""Experiments along a key of the scenario: the values on an axis, and what makes one line.

    learning.method.rank: 4, 8, 16        method=lora     o----o----o
                                          method=lori     o----o----o

A key is written as in a scenario, without units: `devices.0.count`, `spectrum.bandwidth`. One that
leads to a kind stands for the kind and its keys: `learning.method`, `learning.tasks.partition`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cosim.results.figure import FigureError
from cosim.results.labels import Leaves, Path, labels, leaves, show, varied_keys
from cosim.scenario.tree import Scenario
from cosim.units import Dimension, dimension_of, yaml_key
from cosim.wording import nearest


@dataclass(frozen=True)
class Value:
    """What an experiment has at a key.

    Attributes:
        text: as people write it.
        number: in the unit of the field; of a range, its middle; None of what is no number.
        is_range: whether it is a range of more than one value.
    """

    text: str
    number: float | None
    is_range: bool = False


@dataclass(frozen=True)
class Line:
    """Experiments that differ along the key only.

    Attributes:
        label: what tells the line from the others; empty of one alone.
        places: numbers of its experiments, in the order of the values.
    """

    label: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class Along:
    """Experiments along a key.

    Attributes:
        key: the key.
        values: of each experiment.
        is_numeric: whether every value is a number.
        dimension: of the numbers; None if they have none.
        lines: the lines, in the order of their first experiments.
    """

    key: str
    values: tuple[Value, ...]
    is_numeric: bool
    dimension: Dimension | None
    lines: tuple[Line, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The different values as texts, in order of appearance."""
        return tuple(dict.fromkeys(value.text for value in self.values))


def along(scenarios: Sequence[Scenario], key: str, by: Sequence[str] = ()) -> Along:
    """Return some experiments along a key.

    Args:
        scenarios: one of each experiment.
        key: what the axis shows.
        by: keys whose values together make a line; without any, experiments are on one line that
            agree in all but `key` and the keys that go in step with it, such as those of a sweep's
            `zip`.

    Raises:
        FigureError: an experiment has no such key, all have the same there, or a line has two
            experiments at one value.
    """
    if key == "seed":
        raise FigureError("expected a key of the scenario, got seed: seeds are what means are over")
    trees = [leaves(scenario) for scenario in scenarios]
    values = _values(key, trees)
    under = [path for path in varied_keys(trees) if is_under(path, key)]
    if len({value.text for value in values}) < 2:
        raise FigureError(
            f"expected runs that differ in {key}, got {values[0].text or 'the same'} in all; they "
            "differ in "
            f"{', '.join(map(_dotted, varied_keys(trees))) or 'their seeds only'}"
        )
    if not by:
        untold = [
            path
            for path in varied_keys(trees)
            if path in under or _goes_in_step(path, trees, [value.text for value in values])
        ]
        telling = [path for path in varied_keys(trees) if path not in untold]
        marks = [repr([tree.get(path) for path in telling]) for tree in trees]
    else:
        untold = []
        marks = texts_by(scenarios, by)
    members: dict[str, list[int]] = {}
    for place, mark in enumerate(marks):
        members.setdefault(mark, []).append(place)
    if not by:
        told = labels([scenarios[places[0]] for places in members.values()], untold)
    else:
        told = list(members)
    is_numeric = all(value.number is not None for value in values)
    in_order = sorted(values, key=lambda each: each.number or 0.0) if is_numeric else values
    rank = {text: n for n, text in enumerate(dict.fromkeys(each.text for each in in_order))}
    lines = []
    for label, places in zip(told, members.values(), strict=True):
        places.sort(key=lambda place: rank[values[place].text])
        for one, other in pairwise(places):
            if values[one].text == values[other].text:
                difference = _difference(scenarios[one], scenarios[other], by)
                raise FigureError(
                    f"expected one experiment for {key}={values[one].text} on the line {label!r}, "
                    f"got two{difference} leave some runs out"
                )
        lines.append(Line(label if len(members) > 1 else "", tuple(places)))
    paths = [path for path in trees[0] if is_under(path, key)]
    dimension = dimension_of(paths[0][-1]) if is_numeric and len(paths) == 1 else None
    return Along(key, tuple(values), is_numeric, dimension, tuple(lines))


def _difference(one: Scenario, other: Scenario, by: Sequence[str]) -> str:
    """Return what two experiments that should be on two lines differ in, and what would do."""
    differ = ["name"] if one.name != other.name else []
    differ += [_dotted(path) for path in varied_keys([leaves(one), leaves(other)])]
    if not differ:
        return " of the same scenario, run with other files or another code;"
    hint = "name that key in `by` too, or leave `by` out" if by else "name it as `by`"
    return f", which differ in {', '.join(differ)}; {hint}, or"


def only_key(scenarios: Sequence[Scenario]) -> str:
    """Return the one key in which experiments differ; a kind stands for what is under it.

    Raises:
        FigureError: they differ in none, or in several.
    """
    varied = varied_keys([leaves(scenario) for scenario in scenarios])
    kinds = [path[:-1] for path in varied if path[-1] == "kind"]
    covered = [path for path in varied if not any(path[: len(kind)] == kind for kind in kinds)]
    told = [_dotted(path) for path in [*kinds, *covered]]
    if len(told) != 1:
        differ = ", ".join(told) or "their seeds only"
        raise FigureError(f"name the key to draw along as `x`: the runs differ in {differ}")
    return told[0]


def texts_by(scenarios: Sequence[Scenario], keys: Sequence[str]) -> list[str]:
    """Return what each experiment has at some keys together, as people write it: `lora, rank=8`.

    Keys that tell none apart are left out, if others do.

    Raises:
        FigureError: an experiment has no such key.
    """
    trees = [leaves(scenario) for scenario in scenarios]
    last = [key.rpartition(".")[2] for key in keys]
    names = [key if last.count(each) > 1 else each for key, each in zip(keys, last, strict=True)]
    texts = [
        [_named(value, name) for value in _values(key, trees)]
        for key, name in zip(keys, names, strict=True)
    ]
    telling = [each for each in texts if len(set(each)) > 1] or texts
    return [", ".join(values) for values in zip(*telling, strict=True)]


def _named(value: Value, name: str) -> str:
    """Return a value with its name, if it says nothing alone."""
    is_bare = value.number is not None or value.text in ("true", "false", "none")
    return f"{name}={value.text}" if is_bare else value.text


def is_under(path: Path, key: str) -> bool:
    """Return whether a path of a scenario's leaf is that of a dotted key, or below it."""
    parts = key.split(".")
    return [yaml_key(part) for part in path[: len(parts)]] == parts


def _values(key: str, trees: Sequence[Leaves]) -> list[Value]:
    found = []
    for tree in trees:
        under = {path: leaf for path, leaf in tree.items() if is_under(path, key)}
        if not under:
            there = sorted({_dotted(path[: key.count(".") + 1]) for path in tree})
            near = [each for each in there if each.rpartition(".")[0] == key.rpartition(".")[0]]
            close = nearest(key.rpartition(".")[2], [each.rpartition(".")[2] for each in near])
            hint = f"; there are {', '.join(near)}" if near else ""
            if close is not None:
                hint = f"; did you mean {'.'.join([*key.split('.')[:-1], close])!r}?"
            raise FigureError(f"expected a key that every run's scenario has, got {key!r}{hint}")
        found.append(under)
    return [_value(under, found) for under in found]


def _value(under: Leaves, found: Sequence[Leaves]) -> Value:
    if len(under) > 1 or next(iter(under))[-1] == "kind":
        top = min(under, key=len)  # the kind stands above its keys
        kinds = [str(under[top])] if top[-1] == "kind" else []
        same = [other for other in found if other.get(top) == under[top]]
        varied = varied_keys(same if kinds else found)
        rest = [
            f"{yaml_key(path[-1])}={show(path[-1], under[path])}"
            for path in varied
            if path in under and path[-1] != "kind"
        ]
        return Value(", ".join([*kinds, *rest]), None)
    ((path, leaf),) = under.items()
    text = show(path[-1], leaf)
    if isinstance(leaf, tuple) and len(leaf) == 2 and all(map(_is_number, leaf)):
        low, high = leaf
        return Value(text, 0.5 * (low + high), low != high)
    return Value(text, float(leaf) if _is_number(leaf) else None)


def _is_number(leaf: object) -> bool:
    return isinstance(leaf, int | float) and not isinstance(leaf, bool)


def _goes_in_step(path: Path, trees: Sequence[Leaves], values: Sequence[str]) -> bool:
    """Return whether a key has one value wherever the axis has one."""
    seen: dict[str, str] = {}
    return all(
        seen.setdefault(value, repr(tree.get(path))) == repr(tree.get(path))
        for value, tree in zip(values, trees, strict=True)
    )


def _dotted(path: Path) -> str:
    return ".".join(yaml_key(part) for part in path)
