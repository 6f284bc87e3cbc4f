"""The loop of a sweep: hand out what is missing, see it go by, stop when told to."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any, Self

from cosim.sweep.executor import Ended, Executor
from cosim.sweep.job import Job, Outcome
from cosim.sweep.progress import SweepProgress

_TICK_S = 0.25  # between two looks at signals, and at the table, when nothing happens


@dataclass(frozen=True)
class SweepResult:
    """How the runs of a sweep ended.

    Attributes:
        outcomes: of the runs that were begun, by folder.
        is_interrupted: whether it was told to stop.
    """

    outcomes: dict[str, Outcome]
    is_interrupted: bool

    def count(self, status: str) -> int:
        """Return how many ended so."""
        return sum(outcome.status == status for outcome in self.outcomes.values())


def run_sweep(jobs: Sequence[Job], executor: Executor, progress: SweepProgress) -> SweepResult:
    """Run jobs, all of them whatever becomes of each, until they are over or a signal says stop.

    On Ctrl-C, or when the system ends or hangs up on this process, what runs is interrupted and
    writes down what it has; on a second Ctrl-C it is killed.

    Args:
        jobs: in the order in which they are to be begun.
        executor: what carries them out.
        progress: sees everything.
    """
    outcomes: dict[str, Outcome] = {}
    begun: set[str] = set()
    num_stops = 0
    with _StopSignals() as signals:
        for job in jobs:
            executor.submit(job)
        while len(outcomes) < (len(begun) if num_stops else len(jobs)):
            for event in executor.wait(_TICK_S):
                begun.add(event.job.folder)
                if isinstance(event, Ended):
                    outcomes[event.job.folder] = event.outcome
                progress.see(event)
            progress.refresh()
            if signals.count > num_stops:  # the next may come at any moment: one at a time
                num_stops += 1
                progress.say("stopping; again to kill" if num_stops == 1 else "killing")
                executor.stop(at_once=num_stops > 1)
    return SweepResult(outcomes, num_stops > 0)


@dataclass
class _StopSignals:
    """Counts the signals that ask to stop, so that none of them interrupts at a bad moment."""

    count: int = 0
    _before: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
