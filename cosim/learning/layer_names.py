"""Names of layers as users write them: the end of a path, or a pattern of whole paths."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

_WILD = frozenset("*?[")


def matches(name: str, target: str) -> bool:
    """Return whether a path is what a target says: its end, or all of it if it is a pattern."""
    if _WILD.isdisjoint(target):
        return f".{name}".endswith(f".{target}")
    return fnmatchcase(name, target)


def listed(names: Iterable[str], target: str) -> str:
    """Return what there is: the last parts of paths, or for a pattern all paths of one block."""
    if _WILD.isdisjoint(target):
        return ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in names))
    parts = (".".join("*" if p.isdigit() else p for p in name.split(".")) for name in names)
    return ", ".join(dict.fromkeys(parts))
