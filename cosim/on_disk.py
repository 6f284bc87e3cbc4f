"""What a scenario names on disk: traces, measured gains, edges, data, models, adapters, plug-ins.

What stands there decides a run's numbers as the scenario's own keys do. A field that names some is
annotated:

    file: Annotated[str, OnDisk()]
"""

import ast
import contextlib
import hashlib
import importlib.util
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cosim.plugin import Section

# Folders with such files do not count: they are runs and sweeps, which may lie among data.
_OUTPUT = ({"manifest.json", "scenario.yaml"}, {"sweep.json"})


@dataclass(frozen=True)
class OnDisk:
    """Annotation of a field that names a file or a folder.

    Attributes:
        prefix: what such a name begins with, where the field may hold others, too.
        in_data_root: whether it is looked up in the scenario's `data_root`; else in the current
            directory.
        beside: field of the same section, in or beside whose file or folder it is looked up.
    """

    prefix: str = ""
    in_data_root: bool = True
    beside: str = ""


def under(folder: Path, name: str) -> Path:
    """Return a path of a scenario; what is not absolute is looked up in the folder."""
    with contextlib.suppress(RuntimeError):  # `~name` of a user that there is none
        return folder / Path(name).expanduser()
    return folder / name


def named(value: Any, data_root: Path) -> Iterator[Path]:
    """Yield what a section names on disk, and the sections in it."""
    if isinstance(value, Section):
        for name, field in type(value).model_fields.items():
            held = getattr(value, name)
            marks = [each for each in field.metadata if isinstance(each, OnDisk)]
            if not marks:
                yield from named(held, data_root)
            elif isinstance(held, str) and held.startswith(marks[0].prefix):
                name = held.removeprefix(marks[0].prefix)
                yield under(_place(value, marks[0], data_root), name)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from named(item, data_root)


def _place(section: Section, mark: OnDisk, data_root: Path) -> Path:
    """Return the folder that a name is looked up in."""
    if not mark.beside:
        return data_root if mark.in_data_root else Path()
    other = under(data_root, getattr(section, mark.beside))
    return other if other.is_dir() else other.parent


def sources_of(module: str) -> list[Path]:
    """Return the files of Python that a plug-in is made of, as far as they show.

    They are those of its package, or its single file and those beside it that this imports.
    """
    top = module.partition(".")[0]
    if top in sys.modules:  # which __main__ is, too, that cannot be searched for
        folders = getattr(sys.modules[top], "__path__", None)
        found = getattr(sys.modules[top], "__file__", None)
    else:
        spec = importlib.util.find_spec(top)
        folders = None if spec is None else spec.submodule_search_locations
        found = None if spec is None else spec.origin
    if folders is not None:
        return sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    if found is None or not found.endswith(".py"):
        return []
    path = Path(found)
    return [path] if "site-packages" in path.parts else sorted(_with_imports(path))


def _with_imports(path: Path) -> set[Path]:
    """Return a file of Python with the modules and packages beside it that it imports."""
    modules, packages, waiting = set[Path](), set[Path](), [path]
    while waiting:
        module = waiting.pop()
        modules.add(module)
        for name in _imported(module) - {"cosim"}:  # which counts anyway
            beside = path.parent / f"{name}.py"
            if beside.is_file() and beside not in modules:
                waiting.append(beside)
            packages.update((path.parent / name).rglob("*.py"))
    return modules | packages


def _imported(file: Path) -> set[str]:
    """Return the modules that a file imports, of packages their first parts."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()
    names = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    whole = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level)
    names |= {node.module for node in whole if node.module is not None}
    return {name.partition(".")[0] for name in names}


def digest(paths: Iterable[Path]) -> bytes:
    """Return a digest of what stands in files and folders, wherever these are.

    Of a folder all files count by name and content, but for hidden ones, compiled Python, and runs
    and sweeps. What cannot be read has a digest, too: who needs it says why.
    """
    whole = hashlib.sha256()
    for path in paths:
        whole.update(_of_folder(path) if path.is_dir() else _of_file(path))
    return whole.digest()


def _of_folder(folder: Path) -> bytes:
    whole, seen = hashlib.sha256(), set[str]()
    for top, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(top)
        if real in seen or any(output <= set(files) for output in _OUTPUT):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(each for each in folders if not _is_aside(each))
        for name in sorted(each for each in files if not _is_aside(each)):
            path = Path(top, name)
            whole.update(path.relative_to(folder).as_posix().encode(errors="surrogateescape"))
            whole.update(_of_file(path))
    return whole.digest()


def _is_aside(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


def _of_file(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return b"no file"
        return _content(path, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
    except OSError as error:
        return type(error).__name__.encode()


@cache
def _content(path: Path, _stamp: tuple[int, ...]) -> bytes:
    """Return the digest of a file as it is at this stamp."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
