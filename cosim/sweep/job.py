"""One run of a sweep as plain text and numbers, which any process on any machine can carry out."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cosim.learning.errors import LearningError
from cosim.plugin import search_in
from cosim.results.identity import folder_name
from cosim.results.run_folder import Manifest, RunExists
from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import loads
from cosim.scenario.tree import Scenario
from cosim.sim.errors import StandstillError
from cosim.sim.observer import Observer, RoundRecord
from cosim.sim.run import simulate
from cosim.world.errors import WorldError

Status = Literal["finished", "failed", "interrupted", "elsewhere"]
"""Elsewhere: another process has the run, or has finished it since the sweep was planned."""

_LEAST_STEP = 0.005  # of a run, between two words of progress

# Errors whose text is all that there is to say; of any other, a traceback is printed too.
_MESSAGES = (LearningError, ScenarioError, StandstillError, WorldError)


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        label: what tells its experiment from the others of the sweep.
        seed: its seed.
        folder: name of the folder that it makes.
        text: the resolved scenario.
        out_dir: where its folder is made.
        plugin_dir: folder of the scenario's file, where modules of plug-ins are looked up.
        command: what the user typed, for the manifest.
    """

    label: str
    seed: int
    folder: str
    text: str
    out_dir: str
    plugin_dir: str
    command: str


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        status: how it ended.
        message: why it failed; empty otherwise.
        wall_s: wall time from its start.
    """

    status: Status
    message: str
    wall_s: float


def run_job(job: Job, tell: Callable[[float], None]) -> Outcome:
    """Run a job as `cosim run` would, and say how it ended; nothing is raised.

    Args:
        job: the run.
        tell: is given the part that is done, 0 to 1, now and then.
    """
    started_s = time.monotonic()

    def outcome(status: Status, message: str = "") -> Outcome:
        return Outcome(status, message, time.monotonic() - started_s)

    try:
        search_in(Path(job.plugin_dir))
        scenario = loads(job.text).scenario
        if folder_name(scenario) != job.folder:
            return outcome(
                "failed",
                f"expected the run {job.folder}, got {folder_name(scenario)}; cosim, a plug-in "
                "or a file that the scenario names was changed while the sweep went on, so start "
                "it again",
            )
        out_dir = Path(job.out_dir)
        simulate(scenario, out_dir, command=job.command, observer=_Share(scenario, tell))
    except KeyboardInterrupt:
        return outcome("interrupted")
    except RunExists as error:
        return outcome("elsewhere" if _is_of_a_run(error.path) else "failed", str(error))
    except _MESSAGES as error:
        return outcome("failed", str(error))
    except Exception as error:  # a defect, or a disk that is full: the other runs go on
        traceback.print_exc()
        return outcome("failed", f"{type(error).__name__}: {error}")
    return outcome("finished")


def _is_of_a_run(folder: Path) -> bool:
    """Return whether a folder that is in the way is a run's."""
    try:
        Manifest.read(folder)
    except (OSError, ValueError):
        return False
    return True


class _Share(Observer):
    """Tells how much of a run is done, whenever that is a little more than it was."""

    def __init__(self, scenario: Scenario, tell: Callable[[float], None]) -> None:
        self._duration = scenario.duration
        self._tell = tell
        self._told = 0.0

    def on_round(self, record: RoundRecord) -> None:
        if self._duration.rounds is not None:
            share = record.round / self._duration.rounds
        elif self._duration.time_s:
            share = min(record.t_s / self._duration.time_s, 1.0)
        else:
            return
        if share - self._told >= _LEAST_STEP or share == 1.0 > self._told:
            self._told = share
            self._tell(share)
