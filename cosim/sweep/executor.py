"""What carries out the runs of a sweep: the contract, which is all that the sweep knows of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from cosim.sweep.job import Job, Outcome


@dataclass(frozen=True)
class Started:
    """A job has begun."""

    job: Job


@dataclass(frozen=True)
class Progress:
    """A part of a job is done, 0 to 1. An executor that cannot know it says nothing."""

    job: Job
    share: float


@dataclass(frozen=True)
class Ended:
    """A job is over; each job that was submitted ends once."""

    job: Job
    outcome: Outcome


Event = Started | Progress | Ended


class Executor(ABC):
    """Runs jobs somewhere, as many at a time as there is room for."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Take on a job; it may wait for its turn."""

    @abstractmethod
    def wait(self, timeout_s: float) -> Sequence[Event]:
        """Return what has happened since the last call, or nothing after a while.

        A job whose process or machine dies has failed, and takes no other with it.
        """

    @abstractmethod
    def stop(self, *, at_once: bool = False) -> None:
        """Start no more jobs and interrupt those that run; `wait` tells when they have ended.

        Jobs that were waiting are forgotten.

        Args:
            at_once: do not let them write down what they have; again, where it was not so before.
        """
