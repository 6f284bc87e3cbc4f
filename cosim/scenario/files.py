"""Scenario files and what they extend, merged into one document.

`extends: other.yaml` names a file relative to the one that says so. Mappings are merged key by
key and everything else is replaced, lists too. A mapping that names another `kind` than the one it
extends replaces it, because the former kind's keys mean nothing to the new one.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cosim import units
from cosim.scenario.document import Document, has, parse
from cosim.scenario.errors import Mark, Problem
from cosim.wording import nearest, show


def read(path: Path) -> tuple[Document, tuple[Path, ...]]:
    """Read a file and all that it extends.

    Returns:
        The merged document, whose problems are those of all files, and the files, the first the
        one that was asked for.
    """
    document = _read_one(path, rank=0)
    files = [path]
    while "extends" in document.data:
        mark = document.marks[("extends",)]
        base, problem = _base(files, document.data["extends"], mark)
        document = _without_extends(document)
        if base is None:
            problems = (*document.problems, problem) if problem is not None else document.problems
            return Document(document.data, document.marks, problems), tuple(files)
        document = merge(_read_one(base, rank=len(files)), document)
        files.append(base)
    return document, tuple(files)


def merge(base: Document, over: Document) -> Document:
    """Lay one document over another; marks are of where each remaining value was written."""
    data = _merged(base.data, over.data)
    kept = {path: mark for path, mark in base.marks.items() if has(data, path)}
    return Document(data, kept | over.marks, (*base.problems, *over.problems))


def _merged(base: Any, over: Any) -> Any:
    if isinstance(base, str) and isinstance(over, Mapping) and "kind" not in over:
        base = {"kind": base}  # a bare name is a kind with its defaults
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    if "kind" in over and base.get("kind") != over["kind"]:
        return over
    # `carrier_hz: 3.5e9`, as a run folder's scenario has it, is the same key as `carrier`.
    given = {units.yaml_key(key): key for key in over}
    kept = {key: value for key, value in base.items() if given.get(units.yaml_key(key), key) == key}
    both = {key: _merged(kept[key], value) for key, value in over.items() if key in kept}
    return kept | dict(over) | both


def _without_extends(document: Document) -> Document:
    data = {key: value for key, value in document.data.items() if key != "extends"}
    marks = {path: mark for path, mark in document.marks.items() if path[:1] != ("extends",)}
    return Document(data, marks, document.problems)


def _base(files: list[Path], named: Any, mark: Mark) -> tuple[Path, None] | tuple[None, Problem]:
    """Return the file that the last of `files` extends, or what is wrong with it."""
    if not isinstance(named, str) or not named:
        message = f"expected the path of a scenario file, got {show(named)}"
        return None, Problem(mark, "extends", message)
    path = Path(os.path.normpath(files[-1].parent / named))
    chain = [file.resolve() for file in files]
    if path.resolve() in chain:
        names = [*map(str, files[chain.index(path.resolve()) :]), str(path)]
        message = f"expected a file that does not lead back here, got {' -> '.join(names)}"
        return None, Problem(mark, "extends", message)
    if not path.is_file():
        message = f"expected the path of a scenario file, got {named!r}, which {_why_not(path)}"
        return None, Problem(mark, "extends", message)
    return path, None


def _read_one(path: Path, rank: int) -> Document:
    mark = Mark(str(path), rank=rank)

    def unreadable(message: str) -> Document:
        return Document({}, {(): mark}, (Problem(mark, "", message),))

    try:
        if not path.is_file():
            return unreadable(f"expected a scenario file, got a path that {_why_not(path)}")
        content = path.read_bytes()
    except OSError as error:
        return unreadable(f"expected a readable file, got: {error.strerror}")
    if b"\0" in content:
        return unreadable("expected a YAML text file, got a binary file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        mark = Mark(str(path), line, column, rank)
        return unreadable(
            f"expected UTF-8 text, got the byte 0x{content[error.start]:02x}; "
            "save the file as UTF-8"
        )
    return parse(text, str(path), rank)


def _why_not(path: Path) -> str:
    """Return why a path is no file: `does not exist; did you mean ...?`."""
    if path.is_dir():
        inside = sorted(each.name for each in path.glob("*.yaml"))
        return "is a directory" + (f"; it holds {', '.join(inside[:5])}" if inside else "")
    if path.exists():
        return "is no regular file"
    siblings = []
    if path.parent.is_dir():
        siblings = [each.name for each in path.parent.iterdir() if each.suffix in (".yaml", ".yml")]
    close = nearest(path.name, sorted(siblings))
    return "does not exist" + (f"; did you mean '{path.parent / close}'?" if close else "")
