"""What a person sees while a run goes on: a live line on a terminal, plain lines elsewhere."""

import math
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from cosim.boundary import Evaluation
from cosim.planning.view import Plan
from cosim.scenario.tree import Scenario
from cosim.sim.observer import Observer, RoundRecord

_PLAIN_INTERVAL_S = 10.0  # wall seconds between plain lines


class _Status(ProgressColumn):
    """Round, simulated time, loss and accuracy, in one line that a narrow terminal cuts."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True, overflow="ellipsis"))

    def render(self, task: Task) -> Text:
        return Text(task.fields.get("status", ""))


class LiveProgress(Observer):
    """Follows a run; use as a context manager."""

    def __init__(self, scenario: Scenario, console: Console) -> None:
        self._console = console
        self._duration = scenario.duration
        self._accuracy = math.nan
        self._round_s = 0.0
        self._line_s = time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(),
                _Status(),
                console=console,
            )
            total = self._duration.rounds or self._duration.time_s
            self._task = self._bar.add_task(scenario.name, total=total, status="loading the model")

    def __enter__(self) -> "LiveProgress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def on_plan(self, plan: Plan, trigger: str) -> None:
        """Say when and why clusters changed."""
        clusters = "1 cluster" if plan.num_clusters == 1 else f"{plan.num_clusters} clusters"
        text = f"t = {plan.t_s:.1f} s  plan {plan.index}: {clusters} ({trigger})"
        self._console.print(text, highlight=False)

    def on_round(self, record: RoundRecord) -> None:
        """Move the bar on, or print a line now and then."""
        parts = [f"round {record.round}", f"t = {record.t_s:.1f} s"]
        if not math.isnan(record.loss_mean):
            parts.append(f"loss {record.loss_mean:.3f}")
        parts.append(f"round took {record.t_s - record.start_s:.2f} s")
        if not math.isnan(self._accuracy):
            parts.append(f"accuracy {self._accuracy:.1%}")
        status = "  ".join(parts)
        if self._bar is not None:
            done = record.round if self._duration.rounds else record.t_s
            self._bar.update(self._task, completed=done, status=status)
        elif time.monotonic() - self._line_s >= _PLAIN_INTERVAL_S:
            self._line_s = time.monotonic()
            self._console.print(status, highlight=False, soft_wrap=True)

    def on_evaluation(self, t_s: float, round: int, scores: Sequence[Evaluation]) -> None:
        """Remember the devices' mean accuracy on their own tasks."""
        own = [score.accuracy for score in scores if score.own]
        if own:
            self._accuracy = sum(own) / len(own)
        if own and self._bar is not None and round == 0:
            self._bar.update(self._task, status=f"untrained accuracy {self._accuracy:.1%}")

    def on_event(self, t_s: float, kind: str, device: int, detail: str) -> None:
        """Say which devices left, and why."""
        if kind in ("battery_empty", "depart"):
            self._console.print(f"t = {t_s:.1f} s  device {device}: {kind} {detail}")
