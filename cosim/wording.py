"""How messages to the user name values and the nearest valid name."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

_LONGEST = 60


def show(value: Any) -> str:
    """Return a value read from YAML as a message quotes it, in YAML's own words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST else value[: _LONGEST - 3] + "...")
    if isinstance(value, Mapping):
        text = f"the mapping {{{', '.join(map(_name, value))}}}" if value else "an empty mapping"
        return text if len(text) <= _LONGEST else f"a mapping of {len(value)} keys"
    if isinstance(value, list | tuple):
        text = f"[{', '.join(map(show, value))}]"
        return text if len(text) <= _LONGEST else f"a list of {len(value)}"
    return repr(value)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that `name` most likely means; case does not count."""
    by_lower = {candidate.lower(): candidate for candidate in names}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or nothing if no name is near."""
    close = nearest(name, names)
    return f"; did you mean {close!r}?" if close is not None else ""


def no_such(what: str, name: str, names: Iterable[str]) -> str:
    """Return the message that there is nothing of a name: what there is, and what is near."""
    listed = list(names)
    return f"expected a {what} ({' | '.join(listed)}), got {name!r}{did_you_mean(name, listed)}"


def one_of(names: Iterable[str]) -> str:
    """Return `one of a, b`, or `a` alone."""
    listed = list(names)
    if not listed:
        return "nothing"
    return f"one of {', '.join(listed)}" if len(listed) > 1 else listed[0]


def counted(number: int, noun: str) -> str:
    """Return `1 pair`, or `2 pairs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def dotted(path: Iterable[str | int]) -> str:
    """Return the path of a key as users write it: `devices.0.count`."""
    return ".".join(map(_name, path))


def _name(key: str | int) -> str:
    """Return a key as it is, unless that would break the line."""
    return str(key) if str(key).isprintable() else repr(key)
