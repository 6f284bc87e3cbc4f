"""Runs that belong together: the seeds of one experiment, and what tells experiments apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cosim.plugin import plain
from cosim.results.numbers import scaled
from cosim.results.run import Run
from cosim.units import dimension_of, yaml_key

# None of these is what an experiment varies.
_ASIDE = ("name", "seed", "plots", "data_root")


@dataclass(frozen=True)
class Group:
    """Runs of one experiment, which differ in their seeds only.

    Attributes:
        label: what tells it from the other groups, for a legend.
        runs: its runs, by seed.
    """

    label: str
    runs: tuple[Run, ...]


def group(runs: Sequence[Run]) -> tuple[Group, ...]:
    """Return the experiments among some runs, in the order in which they first appear.

    A group's label is the scenario's name where names differ; else the keys that differ, a kind by
    its name alone: `fedavg`, or `sparse_orthogonal, rank 8`.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        members = groups.setdefault(run.manifest.hash, [])
        if run.seed not in {member.seed for member in members}:
            members.append(run)
    ordered = [tuple(sorted(members, key=lambda run: run.seed)) for members in groups.values()]
    labels = _labels([members[0] for members in ordered])
    return tuple(Group(label, members) for label, members in zip(labels, ordered, strict=True))


def _labels(firsts: Sequence[Run]) -> list[str]:
    names = [run.name for run in firsts]
    if len(set(names)) == len(names):
        return names
    trees = [_leaves(plain(run.scenario)) for run in firsts]
    keys = list(dict.fromkeys(key for tree in trees for key in tree))
    varied = [
        key
        for key in keys
        if key[0] not in _ASIDE and len({repr(tree.get(key)) for tree in trees}) > 1
    ]
    # Where a kind differs, its own keys differ too and say no more.
    kinds = [key[:-1] for key in varied if key[-1] == "kind"]
    told = [key for key in varied if key[-1] == "kind" or not any(_under(key, k) for k in kinds)]
    labels = [", ".join(_say(key, tree[key]) for key in told if key in tree) for tree in trees]
    if len(set(labels)) == len(labels):
        return labels
    return [f"{run.name}-{run.manifest.hash}" for run in firsts]


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if isinstance(tree, Mapping):
        items = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list | tuple) and any(isinstance(item, Mapping) for item in tree):
        items = [(str(index), value) for index, value in enumerate(tree)]
    else:
        return {path: tree}
    return {key: leaf for name, item in items for key, leaf in _leaves(item, (*path, name)).items()}


def _under(key: tuple[str, ...], parent: tuple[str, ...]) -> bool:
    return key[: len(parent)] == parent


def _say(key: tuple[str, ...], value: Any) -> str:
    name, dimension = key[-1], dimension_of(key[-1])
    if name == "kind":
        return str(value)
    if dimension is None or not isinstance(value, float):
        return f"{yaml_key(name)} {value}"
    number = f"{value:g} " if "dB" in dimension.unit else scaled(value)
    return f"{yaml_key(name)} {number}{dimension.unit}"
