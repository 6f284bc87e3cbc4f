"""What a scenario names on disk: traces, measured gains, edges, data, models, adapters, plug-ins.

What stands there decides a run's numbers as the scenario's own keys do. A field that names some is
annotated:

    file: Annotated[str, OnDisk()]
"""

import hashlib
import importlib.util
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cosim.plugin import Section


@dataclass(frozen=True)
class OnDisk:
    """Annotation of a field that names a file or a folder.

    Attributes:
        prefix: what such a name begins with, where the field may hold others, too.
        in_data_root: whether it is looked up in the scenario's `data_root`; else in the current
            directory.
    """

    prefix: str = ""
    in_data_root: bool = True


def named(value: Any, data_root: Path) -> Iterator[Path]:
    """Yield what a section names on disk, and the sections in it."""
    if isinstance(value, Section):
        for name, field in type(value).model_fields.items():
            held = getattr(value, name)
            marks = [each for each in field.metadata if isinstance(each, OnDisk)]
            if not marks:
                yield from named(held, data_root)
            elif isinstance(held, str) and held.startswith(marks[0].prefix):
                path = _home(held.removeprefix(marks[0].prefix))
                yield data_root / path if marks[0].in_data_root else path
    elif isinstance(value, list | tuple):
        for item in value:
            yield from named(item, data_root)


def _home(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # `~name` of a user that there is none
        return Path(name)


def source_of(module: str) -> Path | None:
    """Return where a module's source is: its package, if it is in one, or else its file."""
    top = importlib.util.find_spec(module.partition(".")[0])
    if top is None:
        return None
    if top.submodule_search_locations:
        return Path(next(iter(top.submodule_search_locations)))
    return None if top.origin is None else Path(top.origin)


def digest(paths: Iterable[Path]) -> bytes:
    """Return a digest of what stands in files and folders, wherever these are.

    Of a folder all files count by name and content, but for hidden ones and compiled Python. What
    cannot be read has a digest, too: who needs it says why.
    """
    whole = hashlib.sha256()
    for path in paths:
        whole.update(_of_folder(path) if path.is_dir() else _of_file(path))
    return whole.digest()


def _of_folder(folder: Path) -> bytes:
    whole = hashlib.sha256()
    for top, folders, files in os.walk(folder):
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
        return _content(path, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
    except OSError as error:
        return type(error).__name__.encode()


@lru_cache(maxsize=4096)
def _content(path: Path, _stamp: tuple[int, ...]) -> bytes:
    """Return the digest of a file as it is at this stamp."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
