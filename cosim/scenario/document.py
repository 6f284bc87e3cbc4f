"""YAML text to plain data, with the position of every key.

YAML 1.2 core schema (`no` is text, `1e-3` is a number), one document, plain data only. The tree
is built from the parser's nodes, because those know where they were written.
"""

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from cosim.scenario.errors import Mark, Problem
from cosim.wording import dotted, show

Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {
    f"{_TAG}{name}"
    for name in ("null", "bool", "int", "float", "str", "map", "seq", "timestamp", "merge", "value")
}
# Longer digits are read as floats: no scenario means them, and int() refuses thousands of digits.
_INT = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL: dict[str, Any] = {
    spelling: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for spelling in (word, word.capitalize(), word.upper())
} | {"": None, "~": None}
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")
# Aliases of aliases can make a small file huge; no real scenario comes near this many values.
_MOST_NODES = 100_000


@dataclass(frozen=True)
class Document:
    """A mapping read from YAML: dicts, tuples and scalars, and where each key was written."""

    data: dict[str, Any]
    marks: dict[Path, Mark]
    problems: tuple[Problem, ...] = ()


def has(data: Any, path: Path) -> bool:
    """Return whether there is a value at a path of mappings and lists."""
    for part in path:
        if isinstance(data, Mapping):
            if part not in data:
                return False
        elif not (isinstance(data, tuple) and isinstance(part, int) and 0 <= part < len(data)):
            return False
        data = data[part]
    return True


def parse(text: str, source: str, rank: int = 0) -> Document:
    """Read a file's text.

    Returns:
        The document; empty with one problem if the text is no YAML mapping. Keys that are given
        twice and values that are no plain data are problems too, beside what could be read.
    """
    start = Mark(source, 1, 1, rank)
    node, problem = _compose(text, start)
    if problem is not None:
        return Document({}, {(): start}, (problem,))
    if node is None or (isinstance(node, ScalarNode) and not node.value):
        message = "expected keys such as `name: quickstart`, got an empty file"
        return Document({}, {(): start}, (Problem(start, "", message),))
    if not isinstance(node, MappingNode):
        value, _ = parse_value(text, start)
        message = f"expected keys such as `name: quickstart` at the top level, got {show(value)}"
        return Document({}, {(): start}, (Problem(start, "", message),))
    builder = _Builder(start)
    builder.marks[()] = start
    data = builder.build(node, ())
    return Document(data, builder.marks, tuple(builder.problems))


def parse_value(text: str, mark: Mark) -> tuple[Any, tuple[Problem, ...]]:
    """Read one value, such as the right side of an override; problems are all at `mark`."""
    node, problem = _compose(text, mark)
    if problem is not None:
        return None, (Problem(mark, "", problem.message),)
    if node is None:
        return None, ()
    builder = _Builder(mark)
    value = builder.build(node, ())
    return value, tuple(Problem(mark, each.path, each.message) for each in builder.problems)


def _compose(text: str, start: Mark) -> tuple[Node | None, Problem | None]:
    yaml = YAML(typ="safe", pure=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML 1.2 allows it
            return yaml.compose(text), None
    except MarkedYAMLError as error:
        return None, _syntax_problem(error, text, start)
    except ReaderError as error:
        before = text[: error.position]
        line = before.count("\n") + 1
        column = error.position - before.rfind("\n")
        message = f"expected text, got the control character U+{error.character:04X}"
        return None, Problem(Mark(start.source, line, column, start.rank), "", message)
    except RecursionError:
        return None, Problem(start, "", "expected YAML, got brackets nested hundreds deep")
    except YAMLError as error:
        reason = " ".join(str(error).split())
        return None, Problem(start, "", f"expected YAML, got something unreadable: {reason}")


def _syntax_problem(error: MarkedYAMLError, text: str, start: Mark) -> Problem:
    at = error.problem_mark or error.context_mark
    line, column = (at.line, at.column) if at is not None else (0, 0)
    lines = text.splitlines()
    here = lines[line] if line < len(lines) else ""
    indent = here[: len(here) - len(here.lstrip())]
    reason = f"{error.problem or error.context}"
    if "\t" in indent or here[column : column + 1] == "\t":
        column = indent.index("\t") if "\t" in indent else column
        message = "expected spaces, got a tab; YAML is indented with spaces only"
    elif "mapping values are not allowed" in reason:
        message = (
            "expected one `key: value`, got a second ':'; indent a nested key on a line of its own"
            ", or quote a text that holds ': '"
        )
    elif "another document" in reason:
        message = "expected one document, got a second one after `---`; split the file"
    elif "that cannot start any token" in reason:
        message = f"expected a key or a value, got {here[column : column + 1]!r}; quote the text"
    elif "undefined alias" in reason:
        name = reason.rsplit(" ", 1)[-1].strip("'")
        message = f"expected an anchor `&{name}` earlier in the file, got only its alias `*{name}`"
    elif "unknown escape character" in reason:
        message = f"expected a known escape, got {reason.rsplit(maxsplit=1)[-1]}; use single quotes"
    elif error.context is not None and "flow" in error.context and here[:column][-1:] == ":":
        message = f"expected a space after ':', got {here[column : column + 1]!r}"
    elif error.context is not None and "flow" in error.context:
        opening = error.context_mark
        bracket = "}" if "mapping" in error.context else "]"
        message = (
            f"expected ',' or {bracket!r} to go on with or close what opens at "
            f"{opening.line + 1}:{opening.column + 1}, got {_found(reason)}"
        )
    elif error.context is not None and "quoted scalar" in error.context:
        opening = error.context_mark
        message = (
            "expected the closing quote of the text that starts at "
            f"{opening.line + 1}:{opening.column + 1}, got the end of the file"
        )
    elif "expected <block end>" in reason:
        message = (
            f"expected a key at the indentation of its neighbours, got {_found(reason)}; "
            "check the indentation and the brackets of this line and the one above"
        )
    else:
        message = f"expected YAML, got a mistake in its syntax: {reason}"
    return Problem(Mark(start.source, line + 1, column + 1, start.rank), "", message)


def _found(reason: str) -> str:
    """Return what the parser found, in words, from its `expected X, but got 'Y'`."""
    found = reason.rsplit("but ", 1)[-1].removeprefix("got ").removeprefix("found ").strip("'")
    words = {
        "<stream end>": "the end of the file",
        "<block mapping start>": "a key",
        "<block sequence start>": "a list",
        "<scalar>": "text",
        "<block end>": "the end of the block",
        "-": "a list item",
    }
    return words.get(found, repr(found))


@dataclass
class _Builder:
    """Turns nodes into data, and notes positions and problems on the way."""

    start: Mark
    marks: dict[Path, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    open_nodes: set[int] = field(default_factory=set)
    num_nodes: int = 0

    def mark(self, node: Node) -> Mark:
        at = node.start_mark
        return Mark(self.start.source, at.line + 1, at.column + 1, self.start.rank)

    def refuse(self, node: Node, path: Path, message: str) -> None:
        self.problems.append(Problem(self.mark(node), dotted(path), message))

    def build(self, node: Node, path: Path) -> Any:
        self.num_nodes += 1
        if self.num_nodes > _MOST_NODES:
            if self.num_nodes == _MOST_NODES + 1:
                self.refuse(node, path, f"expected at most {_MOST_NODES} values, got more")
            return None
        if node.tag not in _PLAIN_TAGS:
            tag = str(node.tag).replace(_TAG, "!!")
            self.refuse(node, path, f"expected plain data, got the tag {tag!r}; remove it")
            return None
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if id(node) in self.open_nodes:
            message = "expected a value, got an alias of what it is part of"
            self.problems.append(Problem(self.marks[path], dotted(path), message))
            return None
        self.open_nodes.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self.mapping(node, path)
            return self.sequence(node, path)
        finally:
            self.open_nodes.discard(id(node))

    def sequence(self, node: Node, path: Path) -> tuple[Any, ...]:
        items = []
        for index, item in enumerate(node.value):
            at = (*path, index)
            self.marks[at] = self.mark(item)
            items.append(self.build(item, at))
        return tuple(items)

    def mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        first: dict[str, Mark] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                continue
            key = _scalar(key_node) if isinstance(key_node, ScalarNode) else None
            if not isinstance(key, str):
                shown = show(key) if isinstance(key_node, ScalarNode) else "a collection"
                self.refuse(key_node, path, f"expected text as a key, got {shown}")
                continue
            if ":" in key and key_node.style is None and _is_empty(value_node):
                name, _, value = key.partition(":")
                message = f"expected {f'{name}: {value}'!r}, got {key!r}, with no space after ':'"
                self.refuse(key_node, path, message)
                continue
            at = (*path, key)
            if key in first:
                before = first[key]
                self.refuse(
                    key_node,
                    at,
                    f"expected each key once, got {key!r} again; it is first given at "
                    f"{before.line}:{before.column}",
                )
                continue
            first[key] = self.marks[at] = self.mark(key_node)
            data[key] = self.build(value_node, at)
        for merged in self.merged(node, path):
            for key, value in merged.items():
                data.setdefault(key, value)
        return data

    def merged(self, node: MappingNode, path: Path) -> Iterator[dict[str, Any]]:
        """Build what `<<: *alias` adds; keys that the mapping gives itself win."""
        for key_node, value_node in node.value:
            if key_node.tag != f"{_TAG}merge":
                continue
            given = value_node.value if isinstance(value_node, SequenceNode) else [value_node]
            for each in given:
                if not isinstance(each, MappingNode):
                    self.refuse(each, path, "expected a mapping after '<<', such as an alias")
                    continue
                own = dict(self.marks)
                built = self.build(each, path)
                self.marks |= own
                if isinstance(built, dict):
                    yield built


def _is_empty(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.style is None and not node.value


def _scalar(node: ScalarNode) -> Any:
    """Resolve a scalar by YAML 1.2's core schema."""
    text = str(node.value)
    if node.style in ("'", '"', "|", ">") or node.tag == f"{_TAG}str":
        return text
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if infinite := _INFINITE.fullmatch(text):
        return -math.inf if infinite[1] == "-" else math.inf
    return math.nan if _NAN.fullmatch(text) else text
