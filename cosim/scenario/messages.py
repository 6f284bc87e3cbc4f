"""Pydantic's errors as problems: `expected ..., got ...`, at the position of what was written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cosim.scenario.document import Document, Path
from cosim.scenario.errors import Mark, Problem
from cosim.scenario.place import Place
from cosim.wording import did_you_mean, dotted, nearest, one_of, show

_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of a few digits",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "none_required": "null",
}
_LIMITS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
# Kinds that people ask for and that have another name here, by family.
_ELSEWHERE = {
    ("mobility", "poisson"): "points of a Poisson process are `mobility: static` in a group with "
    "the key `density`, such as `density: 100 /km2`, in place of `count`",
}
_MEANT = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def translate(error: ValidationError, document: Document, root: Place) -> list[Problem]:
    """Return the problems that a failed validation of `root` stands for."""
    details = error.errors(include_url=False)
    located = [_locate(each, root) for each in details if not _is_echo(each)]
    problems = []
    for one in _without_misspelled(_without_losers(located)):
        path, message = one.path, _message(one)
        if one.detail["type"] == "kind" and isinstance(one.place.value, Mapping):
            path = (*path, "kind")
        problems.append(Problem(mark_of(document, path), dotted(path), message))
    return problems


def mark_of(document: Document, path: Path) -> Mark:
    """Return where a path is written, or else the nearest that holds it."""
    while path and path not in document.marks:
        path = path[:-1]
    return document.marks[path]


@dataclass(frozen=True)
class _Located:
    """An error, the place that it is about, and the member of a union that it came from."""

    detail: ErrorDetails
    path: Path
    place: Place
    parent: Place
    union: Path | None = None
    member: str = ""


def _locate(detail: ErrorDetails, root: Place) -> _Located:
    """Follow an error's location, which also names the members of unions, to a place."""
    parent, place = root, root
    path: Path = ()
    union: Path | None = None
    member = ""
    for part in detail["loc"]:
        written = place.written_key(part) if isinstance(part, str) else part
        below = place.step(written)
        if below is not None:
            path, parent, place = (*path, written), place, below
        elif union is None and isinstance(part, str):
            union, member = path, part
    return _Located(detail, path, place, parent, union, member)


def _is_echo(detail: ErrorDetails) -> bool:
    """Tell a list that counts as too short only because its items are wrong themselves."""
    if detail["type"] != "too_short" or not isinstance(detail["input"], tuple):
        return False
    return len(detail["input"]) >= int(detail["ctx"]["min_length"])


def _without_losers(located: list[_Located]) -> list[_Located]:
    """Keep, for each union, the members that fit best; merge those that all fail at the top."""
    kept = []
    merged: dict[Path, _Located] = {}
    for one in located:
        if one.union is None:
            kept.append(one)
            continue
        rivals = [other for other in located if other.union == one.union]
        deeper = {other.member for other in rivals if len(other.path) > len(one.union)}
        if deeper:
            kept += [one] if one.member in deeper else []
        elif one.union not in merged:
            merged[one.union] = one
            wanted = dict.fromkeys(_message(other).rsplit(", got ", 1)[0] for other in rivals)
            text = " or ".join(each.removeprefix("expected ") for each in wanted)
            message = f"expected {text}, got {show(one.detail['input'])}"
            detail: ErrorDetails = {**one.detail, "type": "union", "msg": message}
            kept.append(_Located(detail, one.path, one.place, one.parent))
    return kept


def _without_misspelled(located: list[_Located]) -> list[_Located]:
    """Leave out a required key that is missing only because it is there under a near name."""
    meant = {
        (*one.path[:-1], nearest(str(one.path[-1]), one.parent.keys))
        for one in located
        if one.detail["type"] == "extra_forbidden"
    }
    return [one for one in located if one.detail["type"] != "missing" or one.path not in meant]


def _message(one: _Located) -> str:
    detail = one.detail
    kind, context, given = detail["type"], detail.get("ctx", {}), detail["input"]
    got = f", got {show(given)}"
    if kind == "missing":
        return _missing(one)
    if kind == "extra_forbidden":
        return _unknown_key(one)
    if kind in _WANTED:
        meant = _MEANT.get(given) if kind == "bool_type" and isinstance(given, str) else None
        hint = f"; did you mean {meant}?" if meant else ""
        if kind == "tuple_type" and isinstance(given, str) and one.place.is_open_list:
            hint = f"; did you mean [{given}]?"
        if kind == "tuple_type" and isinstance(given, Mapping) and one.place.is_open_list:
            hint = "; write it as an item, after `- ` or in [ ]"
        return f"expected {_WANTED[kind]}{got}{hint}"
    if kind in _LIMITS:
        words, key = _LIMITS[kind]
        dimension = one.place.dimension
        unit = f" {dimension.unit}" if dimension is not None else ""
        return f"expected {words} {context[key]}{unit}{got}"
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", context["expected"])
        hint = did_you_mean(given, names) if isinstance(given, str) else ""
        return f"expected {one_of(names)}{got}{hint}"
    if kind in ("model_type", "model_attributes_type"):
        return f"expected a mapping with {_some_of(one.place.keys)}{got}"
    if kind == "string_too_short":
        least = context["min_length"]
        return f"expected text of at least {least} character{'s' if least > 1 else ''}{got}"
    if kind in ("too_short", "too_long"):
        limit = context.get("min_length", context.get("max_length"))
        words = "at least" if kind == "too_short" else "at most"
        items = "item" if limit == 1 else "items"
        return f"expected {words} {limit} {items}, got {context['actual_length']}"
    if kind == "string_pattern_mismatch":
        return f"expected text that matches {context['pattern']}{got}"
    if kind == "kind" and (elsewhere := _elsewhere(one)) is not None:
        return f"{detail['msg']}; {elsewhere}"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if not message.startswith("Input should be"):
        return message
    return f"expected{message.removeprefix('Input should be')}{got}"


def _elsewhere(one: _Located) -> str | None:
    """Return how to ask for a kind that is none, if that is known."""
    given = one.detail["input"]
    name = given.get("kind") if isinstance(given, Mapping) else given
    return _ELSEWHERE.get((one.place.family, name)) if isinstance(name, str) else None


def _missing(one: _Located) -> str:
    given = one.detail["input"]
    if isinstance(given, tuple):
        return f"expected one more value, got a list of {len(given)}"
    keys = ", ".join(map(str, given)) if isinstance(given, Mapping) else ""
    return f"expected the required key {one.path[-1]!r}, got {f'only {keys}' if keys else 'none'}"


def _unknown_key(one: _Located) -> str:
    key = str(one.detail["loc"][-1])
    keys = one.parent.keys
    return f"expected {one_of(keys)}, got the unknown key {key!r}{did_you_mean(key, keys)}"


def _some_of(keys: list[str]) -> str:
    return f"keys such as {', '.join(keys[:4])}" if keys else "keys"
