"""The scenarios that cosim ships: what there are, and copies to change."""

import itertools
import shutil
from pathlib import Path

import typer

from cosim.cli.exits import BadInputError
from cosim.plugin import scenarios_dir


def list_scenarios() -> None:
    """Say which scenarios there are, and what each is about: the first sentence of its comment."""
    folder = scenarios_dir()
    typer.echo(f"scenarios in {folder} (`cosim init DIR` copies them):")
    for path in sorted(folder.rglob("*.yaml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
        about = " ".join(line.removeprefix("#").strip() for line in comment).partition(". ")[0]
        typer.echo(f"  {path.relative_to(folder)!s:<30} {about}")


def copy_scenarios(folder: Path, *, force: bool) -> None:
    """Copy the scenarios to a folder, and say what was copied.

    Raises:
        BadInputError: there is a file in its place, or one that was changed and not to be replaced.
    """
    shipped = scenarios_dir()
    if folder.exists() and not folder.is_dir():
        raise BadInputError(f"expected a folder, got {folder}, which is a file")
    files = (path for path in sorted(shipped.rglob("*")) if path.is_file())
    copies = {path: folder / path.relative_to(shipped) for path in files}
    changed = [
        copy
        for path, copy in copies.items()
        if copy.exists() and copy.read_bytes() != path.read_bytes()
    ]
    if changed and not force:
        raise BadInputError(
            "expected no changed scenarios there, got "
            f"{', '.join(map(str, changed))}; name another folder, or replace them with --force"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for path, copy in copies.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        typer.echo(copy)
