"""A sweep's folder: `<name>-sweep-<hash>/` beside the folders of its runs, which it names.

    sweep.json       the runs, in order: folder, seed, label; the figures that it asks for
    log.txt          when runs began and ended, and how
    logs/            what runs printed, if they printed anything
    figures/

The runs lie beside it as those of `cosim run` do, so that each is found and used by whoever wants
the same scenario and seed. The hash is of the runs' names: a sweep of the same runs has the same
folder.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cosim.plugin import plain
from cosim.results.figure import Figure
from cosim.results.run import Run, RunError
from cosim.results.run_folder import MANIFEST

SWEEP = "sweep.json"
_HASH_CHARS = 8


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep.

    Attributes:
        folder: name of its folder.
        seed: its seed.
        label: what tells its experiment from the others of the sweep.
    """

    folder: str
    seed: int
    label: str


def sweep_name(name: str, folders: Iterable[str]) -> str:
    """Return the name of the folder of a sweep over run folders."""
    text = "\n".join(sorted(folders))
    return f"{name}-sweep-{hashlib.sha256(text.encode()).hexdigest()[:_HASH_CHARS]}"


def write_sweep(
    folder: Path, name: str, command: str, runs: Sequence[SweptRun], plots: Sequence[Figure]
) -> None:
    """Make or refresh a sweep's folder."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    content = {
        "name": name,
        "command": command,
        "runs": [asdict(run) for run in runs],
        "plots": plain(plots),
    }
    part = folder / f"{SWEEP}.part"
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    part.replace(folder / SWEEP)


@dataclass(frozen=True)
class SweepFile:
    """What a sweep's folder says of it.

    Attributes:
        runs: in order.
        plots: the figures that it asks for, each as a mapping with its `kind`.
    """

    runs: tuple[SweptRun, ...]
    plots: tuple[Mapping[str, Any], ...]


def read_sweep(folder: Path) -> SweepFile:
    """Return what a sweep's folder says of it.

    Raises:
        RunError: the folder is not that of a sweep.
    """
    path = folder / SWEEP
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        runs = tuple(SweptRun(**each) for each in content["runs"])
        return SweepFile(runs, tuple(content.get("plots", ())))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is no list of a sweep's runs: {error}") from None


def is_sweep(path: Path) -> bool:
    """Return whether a path is the folder of a sweep."""
    return (path / SWEEP).is_file()


@dataclass(frozen=True)
class OpenedRuns:
    """Runs that were found.

    Attributes:
        runs: each once, in order.
        notes: a line for each run that is not finished: of a sweep or folder it is left out; one
            that was named by itself is among `runs`, as far as it went.
    """

    runs: tuple[Run, ...]
    notes: tuple[str, ...]


def open_runs(paths: Sequence[Path]) -> OpenedRuns:
    """Open run folders, all runs of sweep folders, and all runs in other folders.

    Runs that are named one by one are taken as they are; of a sweep or a folder, the finished.

    Raises:
        RunError: a path is none of these.
    """
    runs: dict[Path, Run] = {}
    notes: dict[str, None] = {}
    for path in paths:
        members = _members(path)
        for folder, label in (members if members is not None else {path: ""}).items():
            if members is not None and not (folder / MANIFEST).is_file():
                notes[f"left out: {folder}: not there"] = None
                continue
            # One sweep's runs keep the labels that it lists, also while some are missing.
            run = Run(folder, label if len(paths) == 1 else "")
            is_finished = run.manifest.outcome == "finished"
            if members is None or is_finished:
                runs.setdefault(folder.resolve(), run)
            if not is_finished:
                used = "used as far as it went" if members is None else "left out"
                notes[f"{used}: {folder}: {run.manifest.outcome}"] = None
    return OpenedRuns(tuple(runs.values()), tuple(notes))


def _members(path: Path) -> dict[Path, str] | None:
    """Return the run folders that a path stands for, each with the label that a sweep gives it.

    None if the path is one, or nothing.
    """
    if is_sweep(path):
        return {path.parent / run.folder: run.label for run in read_sweep(path).runs}
    if (path / MANIFEST).is_file():
        return None
    return {found.parent: "" for found in sorted(path.glob(f"*/{MANIFEST}"))} or None
