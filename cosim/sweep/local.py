"""Runs side by side on this machine, each in a process of its own.

A pool of workers that are used again breaks as a whole when one of them dies, and leaves open
which run it was. With a process for each run, a run that is killed is one failed run, its memory
is given back, and nothing of it can be seen in the next one's numbers. Processes are forked from a
server that has the libraries loaded and has done nothing else (multiprocessing's `forkserver`), so
a start costs milliseconds and not the seconds that PyTorch takes.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from cosim.sweep.executor import Ended, Event, Executor, Progress, Started
from cosim.sweep.job import Job, Outcome, run_job

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Not cosim itself: the server may find another copy of it than this process has.
_LIBRARIES = ("numpy", "scipy", "pyarrow.parquet", "pandas", "pydantic", "networkx", "simpy")
_LEARNING_LIBRARIES = ("torch", "transformers", "peft")


@dataclass(frozen=True)
class _Running:
    """A job, its process, and what the process says."""

    job: Job
    process: ForkServerProcess
    connection: Connection
    started_s: float = field(default_factory=time.monotonic)


class LocalProcesses(Executor):
    """As many processes at a time as there is room for.

    Args:
        slots: how many at a time.
        log_dir: where what they print is kept, a file for each run that prints anything.
        learning: whether runs train, so that PyTorch is worth loading once for all.
    """

    def __init__(self, slots: int, log_dir: Path, *, learning: bool) -> None:
        self._slots = slots
        self._log_dir = log_dir
        self._waiting: deque[Job] = deque()
        self._running: list[_Running] = []
        self._is_killing = False
        self._context = multiprocessing.get_context("forkserver")
        preloaded = [*_LIBRARIES, *(_LEARNING_LIBRARIES if learning else ())]
        self._context.set_forkserver_preload(preloaded)

    def submit(self, job: Job) -> None:
        self._waiting.append(job)

    def wait(self, timeout_s: float) -> Sequence[Event]:
        events: list[Event] = []
        while self._waiting and len(self._running) < self._slots:
            self._running.append(self._start(self._waiting.popleft()))
            events.append(Started(self._running[-1].job))
        by_connection = {each.connection: each for each in self._running}
        for ready in wait(list(by_connection), 0.0 if events else timeout_s):
            events.append(self._heard(by_connection[ready]))  # type: ignore[index]
        return events

    def stop(self, *, at_once: bool = False) -> None:
        self._waiting.clear()
        self._is_killing = at_once
        for each in self._running:
            if each.process.pid is not None and each.process.is_alive():
                os.kill(each.process.pid, signal.SIGKILL if at_once else signal.SIGINT)

    def _start(self, job: Job) -> _Running:
        here, there = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_work, args=(job, there, str(self._log(job))), name=job.folder
        )
        with _no_signals():
            process.start()
        there.close()  # so that its end is heard when the process has died
        return _Running(job, process, here)

    def _heard(self, running: _Running) -> Event:
        try:
            said = running.connection.recv()
        except EOFError:
            said = None
        if isinstance(said, float):
            return Progress(running.job, said)
        running.process.join()
        running.connection.close()
        self._running.remove(running)
        log = self._log(running.job)
        if log.exists() and log.stat().st_size == 0:
            log.unlink()
        if isinstance(said, Outcome):
            return Ended(running.job, said)
        wall_s = time.monotonic() - running.started_s
        if self._is_killing:
            return Ended(running.job, Outcome("interrupted", "", wall_s))
        reason = _how_it_died(running.process.exitcode, log)
        return Ended(running.job, Outcome("failed", reason, wall_s))

    def _log(self, job: Job) -> Path:
        return self._log_dir / f"{job.folder}.txt"


@contextmanager
def _no_signals() -> Iterator[None]:
    """Hold signals back, here and in what is started here until it lets them in itself."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _how_it_died(status: int | None, log: Path) -> str:
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        memory = "; perhaps there was not enough memory" if name == "SIGKILL" else ""
        reason = f"its process was killed by {name}{memory}"
    else:
        reason = f"its process ended with status {status}"
    return f"{reason}; what it printed is in {log}" if log.exists() else reason


def _work(job: Job, connection: Connection, log: str) -> None:
    """Be the process of one job: run it, and send progress and, last, the outcome."""
    os.setsid()  # Ctrl-C in the terminal is for the sweep, which passes it on
    _print_into(log)
    outcome = None
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        threading.Thread(target=_end_with_the_sweep, daemon=True).start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        outcome = run_job(job, lambda share: _send(connection, share))
    except KeyboardInterrupt:
        outcome = outcome or Outcome("interrupted", "", 0.0)
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    with suppress(KeyboardInterrupt):  # the sweep is gone, and the run folder says the rest
        _send(connection, outcome)


def _send(connection: Connection, said: float | Outcome) -> None:
    try:
        connection.send(said)
    except OSError:
        raise KeyboardInterrupt from None  # nobody listens any more


def _end_with_the_sweep() -> None:
    """Interrupt this process when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGINT)


def _print_into(log: str) -> None:
    """Let everything that is printed here go into a file, also from libraries in C."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    os.close(file)
