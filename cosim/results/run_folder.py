"""A run's folder: `<name>-<hash>-s<seed>/`, and the manifest that says how the run ended.

    scenario.yaml    the resolved scenario, in SI units
    manifest.json    versions, seed, command, wall time, outcome
    NAME.parquet     one table per kind of record (cosim.results.tables)
    adapters/ figures/

The hash says what was run (cosim.results.identity), so the same experiment always has the same
folder, and seeds of one experiment differ in the last part only. A folder is built under
another name and moved into place, and the manifest is replaced whole: a process that is killed
leaves a folder whose outcome still reads `running`.
"""

import errno
import json
import os
import platform
import shutil
import socket
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from cosim.learning.errors import InputError
from cosim.results.identity import code_version, content_hash, folder_name
from cosim.results.undisturbed import undisturbed
from cosim.scenario.dump import dump
from cosim.scenario.tree import Scenario

Outcome = Literal["running", "finished", "failed", "interrupted"]

MANIFEST = "manifest.json"
SCENARIO = "scenario.yaml"

# What decides the numbers of a run, beside Python and the system.
_PACKAGES = ("numpy", "scipy", "simpy", "networkx", "torch", "transformers", "peft")


class RunExists(FileExistsError):
    """The folder holds a finished run, or one that is going on."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


@dataclass(frozen=True)
class Manifest:
    """What a run folder says about its run.

    Attributes:
        hash: short hash of what was run; the same for all seeds of one experiment.
        command: what the user typed; empty from Python.
        started, ended: wall time in UTC, ISO 8601; `ended` is empty while it runs.
        outcome: `running` also stands in the folder of a process that was killed.
        error: why it failed; empty otherwise.
        host, pid: the process that runs it.
        versions: of Python and the packages that decide the numbers.
    """

    name: str
    seed: int
    hash: str
    command: str
    started: str
    ended: str
    outcome: Outcome
    error: str
    host: str
    pid: int
    system: str
    versions: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the manifest of a run folder.

        Raises:
            OSError: there is none.
            ValueError: it is not one.
        """
        path = folder / MANIFEST
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} is no manifest of a run: {error}") from None

    def write(self, folder: Path) -> None:
        """Write or replace the manifest of a run folder, whole."""
        part = folder / f"{MANIFEST}.part"
        part.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        part.replace(folder / MANIFEST)

    @property
    def wall_s(self) -> float:
        """Wall time that the run took; NaN while it runs."""
        if not self.ended:
            return float("nan")
        span = datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)
        return span.total_seconds()

    def is_going_on(self) -> bool:
        """Return whether another process is running it; one on another host is taken for dead."""
        here = self.host == socket.gethostname() and self.pid != os.getpid()
        if self.outcome != "running" or not here:
            return False
        try:
            os.kill(self.pid, 0)  # signal 0 only asks
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


@dataclass(frozen=True)
class RunFolder:
    """A run folder that is being filled.

    As a context manager it writes into the manifest how the run ended, or deletes the folder of one
    that could not begin (InputError):

        with RunFolder.create(Path("runs"), scenario) as folder:
            ...

    Attributes:
        path: the folder.
        replaced: outcome of the unfinished (or, by force, finished) run whose folder was deleted
            to make room for this one; empty if there was none.
    """

    path: Path
    replaced: str = ""

    @classmethod
    def create(
        cls, out_dir: Path, scenario: Scenario, *, command: str = "", force: bool = False
    ) -> Self:
        """Make the folder of a scenario's run, outcome `running`.

        The folder of a run that failed, was interrupted or was killed is deleted and replaced.

        Args:
            out_dir: the folder that run folders are made in; made if it is not there.
            scenario: what will be run.
            command: what the user typed.
            force: also delete and replace a finished run.

        Raises:
            RunExists: there is a finished run and no force, a run going on, or a folder of that
                name that is no run.
            OSError: no folder can be made there.
        """
        content = content_hash(scenario)
        path = out_dir / folder_name(scenario, content)
        if out_dir.exists() and not out_dir.is_dir():
            reason = "expected a folder to make run folders in, got a file"
            raise NotADirectoryError(errno.ENOTDIR, reason, str(out_dir))
        out_dir.mkdir(parents=True, exist_ok=True)
        replaced = _may_replace(path, force) if path.exists() else ""
        manifest = Manifest(
            name=scenario.name,
            seed=scenario.seed,
            hash=content,
            command=command,
            started=_now(),
            ended="",
            outcome="running",
            error="",
            host=socket.gethostname(),
            pid=os.getpid(),
            system=platform.platform(),
            versions=_versions(),
        )
        new = out_dir / f".{path.name}.{os.getpid()}.new"
        shutil.rmtree(new, ignore_errors=True)
        for folder in ("figures", "adapters"):
            (new / folder).mkdir(parents=True)
        (new / SCENARIO).write_text(dump(scenario), encoding="utf-8")
        manifest.write(new)
        if replaced:
            old = out_dir / f".{path.name}.{os.getpid()}.old"
            path.rename(old)
            shutil.rmtree(old)
        try:
            new.rename(path)
        except OSError:
            shutil.rmtree(new)
            raise RunExists(path, "another process has just begun this run") from None
        return cls(path, replaced)

    @property
    def manifest(self) -> Manifest:
        """What the folder says now."""
        return Manifest.read(self.path)

    def finish(self, outcome: Outcome = "finished", error: str = "") -> None:
        """Write into the manifest that the run has ended, and how."""
        replace(self.manifest, outcome=outcome, error=error, ended=_now()).write(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with undisturbed():
            if error is None:
                self.finish()
            elif isinstance(error, InputError):  # nothing has begun: nothing is left
                shutil.rmtree(self.path)
            elif isinstance(error, Exception):
                self.finish("failed", f"{type(error).__name__}: {error}")
            else:  # KeyboardInterrupt, SystemExit
                self.finish("interrupted")


def _may_replace(path: Path, force: bool) -> str:
    """Return the outcome of the run that is in the way; raise if it must stay."""
    try:
        manifest = Manifest.read(path)
    except (OSError, ValueError):
        raise RunExists(
            path, "expected no such folder, or a run's; move it away, it has no manifest of a run"
        ) from None
    if manifest.is_going_on():
        raise RunExists(
            path,
            f"this run is going on, in process {manifest.pid}; "
            "wait for it or end it (if that process is another program, delete the folder)",
        )
    if manifest.outcome == "finished" and not force:
        raise RunExists(
            path,
            "this run is finished, and the same scenario, files, code and seed give the same "
            "numbers; use what is there, or run it again with --force (force=True from Python)",
        )
    return manifest.outcome


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _versions() -> dict[str, str]:
    """Versions by their package metadata: nothing is imported to be asked."""
    versions = {"python": sys.version.split()[0], "cosim": code_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions
