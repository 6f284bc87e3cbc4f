"""What a person sees of a sweep: a live table on a terminal, a line for each run elsewhere.

The lines go into the sweep's `log.txt` too, with the time of day.
"""

import math
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cosim.sweep.executor import Ended, Event, Progress, Started
from cosim.sweep.job import Job

_SHARE_TO_TRUST = 0.05  # of a run, before it says how long the rest will take
_REDRAW_S = 0.2
_BAR = 20  # characters


class SweepProgress:
    """Follows the runs of a sweep; use as a context manager.

    Args:
        jobs: what is to be run.
        slots: how many at a time.
        console: where lines and the table go; None for nowhere.
        log: file that lines are added to.
    """

    def __init__(self, jobs: list[Job], slots: int, console: Console | None, log: Path) -> None:
        self._waiting = {job.folder: job for job in jobs}
        self._running: dict[str, tuple[Job, float, float]] = {}  # job, when begun, part done
        self._walls: dict[str, list[float]] = defaultdict(list)  # of finished runs, by label
        self._num, self._slots = len(jobs), slots
        self._num_failed = 0
        self._console, self._log = console, log
        self._drawn_s = -math.inf
        self._live: Live | None = None
        if console is not None and console.is_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "SweepProgress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def see(self, event: Event) -> None:
        """Take note of an event, and say what is worth a line."""
        job = event.job
        if isinstance(event, Started):
            self._waiting.pop(job.folder, None)
            self._running[job.folder] = (job, time.monotonic(), 0.0)
            self._record(f"{_name(job)}: started")
        elif isinstance(event, Progress):
            _, started_s, _ = self._running[job.folder]
            self._running[job.folder] = (job, started_s, event.share)
        else:
            self._end(event)

    def say(self, line: str) -> None:
        """Print a line, and add it to the log."""
        self._record(line)
        if self._console is not None:
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def refresh(self) -> None:
        """Draw the table again, if it has stood for a while."""
        now_s = time.monotonic()
        if self._live is not None and now_s - self._drawn_s >= _REDRAW_S:
            self._drawn_s = now_s
            self._live.update(self._table(), refresh=True)

    def remaining_s(self) -> float | None:
        """Return about how long the rest takes; None before anything is known.

        What a run that waits takes is the mean of its point's finished runs, or of all; what a
        run that goes on takes is told from the part that it has done.
        """
        walls = [wall for each in self._walls.values() for wall in each]
        rest = []
        for job, started_s, share in self._running.values():
            taken_s = time.monotonic() - started_s
            if share > _SHARE_TO_TRUST:
                walls.append(taken_s / share)
                rest.append(taken_s / share - taken_s)
            elif (whole_s := self._expected_s(job, walls)) is not None:
                rest.append(max(whole_s - taken_s, 0.0))
        if not walls:
            return None
        waiting = [self._expected_s(job, walls) or 0.0 for job in self._waiting.values()]
        return max([sum(rest + waiting) / self._slots, *rest])

    def _expected_s(self, job: Job, walls: list[float]) -> float | None:
        same = self._walls.get(job.label) or walls
        return sum(same) / len(same) if same else None

    def _end(self, event: Ended) -> None:
        job, outcome = event.job, event.outcome
        self._running.pop(job.folder, None)
        if outcome.status == "finished":
            self._walls[job.label].append(outcome.wall_s)
        else:
            self._num_failed += outcome.status == "failed"
        over = self._num - len(self._waiting) - len(self._running)
        has_failed = outcome.status == "failed" and outcome.message
        message = f": {outcome.message}" if has_failed else ""
        line = f"[{over}/{self._num}] {_name(job)}: {outcome.status}"
        line += f" after {duration(outcome.wall_s)}{message}"
        rest_s = self.remaining_s()
        if self._live is None and rest_s and (self._waiting or self._running):
            line += f"; about {duration(rest_s)} to go"
        self.say(line)

    def _record(self, line: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._log.open("a", encoding="utf-8") as file:
            file.write(f"{now}  {line}\n")

    def _table(self) -> Group:
        over = self._num - len(self._waiting) - len(self._running)
        rest_s = self.remaining_s()
        head = f"{over} of {self._num} runs over"
        head += f", {self._num_failed} failed" if self._num_failed else ""
        head += f", {len(self._waiting)} waiting" if self._waiting else ""
        head += f", about {duration(rest_s)} to go" if rest_s is not None else ""
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for _ in range(3):
            table.add_column(no_wrap=True, justify="right")
        for job, started_s, share in self._running.values():
            full = round(_BAR * share)
            bar = "\u2501" * full + "\u2500" * (_BAR - full)
            taken = duration(time.monotonic() - started_s)
            table.add_row(Text(_name(job)), bar, f"{share:.0%}", taken)
        return Group(Text(head, style="bold"), table)


def duration(seconds: float) -> str:
    """Return a time as people say it: `8.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 else f"{round(seconds / 60)} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"


def _name(job: Job) -> str:
    return f"{job.label}, seed {job.seed}"
