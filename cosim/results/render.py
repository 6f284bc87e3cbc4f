"""A summary as a person reads it: plain lines, or a table for a terminal."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cosim.results.numbers import scaled
from cosim.results.summary import Change, Summary

if TYPE_CHECKING:
    from rich.table import Table

_NONE = "none"
LABEL_WIDTH = 23  # of `text` at least, so that the lines of all runs stand alike


def rows(summary: Summary) -> tuple[tuple[str, str], ...]:
    """Return the lines of a summary: what it is, and its value with unit."""
    lines = [*_accuracies(summary)]
    lines += [
        ("simulated time", f"{summary.time_s:.6g} s, {summary.num_rounds} rounds"),
        ("sent", f"{scaled(summary.bits_sent)}bit"),
        ("delivered", f"{scaled(summary.bits_delivered)}bit of payload, summed over receivers"),
        ("energy", f"{scaled(summary.energy_j)}J"),
    ]
    if not math.isnan(summary.collision_rate):
        lines.append(("collision rate", f"{summary.collision_rate:.3g}"))
    lines.append(("late updates", str(summary.num_late)))
    if summary.num_unmerged:
        lines.append(("rounds without a merge", str(summary.num_unmerged)))
    lines += [
        ("transfers", _counted(summary.transfers, "{count} {name}")),
        ("lost packets", f"{summary.num_lost_packets} of {summary.num_sent_packets} sent"),
    ]
    if summary.num_unsent_packets:
        lines.append(("unsent packets", str(summary.num_unsent_packets)))
    if summary.comings:
        told = [f"{count} {words}" for words, count in summary.comings]
        lines.append(("devices", "; ".join([", ".join(told), *filter(None, [summary.server_end])])))
    lines += [
        ("plans", _counted(summary.triggers, "{count} x {name}")),
        ("results", str(summary.run.path)),
    ]
    return tuple(lines)


def _accuracies(summary: Summary) -> list[tuple[str, str]]:
    """Return the lines of a run that was evaluated; none for one without learning."""
    if math.isnan(summary.all_accuracy.first):
        return []
    lines = [
        ("own-task accuracy", _change(summary.own_accuracy)),
        ("all-task accuracy", _change(summary.all_accuracy)),
    ]
    lines += [
        (f"  {task.task}", f"own {_change(task.own)}, all {_change(task.all)}")
        for task in summary.tasks
    ]
    reached = summary.time_to_accuracy
    if reached is not None:
        when = f"{reached.time_s:.4g} s, round {reached.rounds}" if reached.rounds >= 0 else "never"
        lines.append((f"time to own-task {_percent(reached.target)}", when))
    return lines


def _counted(counts: Sequence[tuple[str, int]], each: str) -> str:
    """Return a total and what it is made of."""
    total = sum(count for _, count in counts)
    parts = ", ".join(each.format(name=name, count=count) for name, count in counts)
    return f"{total}: {parts}" if parts else "0"


def text(summary: Summary) -> str:
    """Return a summary as aligned lines."""
    lines = rows(summary)
    width = max(LABEL_WIDTH, *(len(label) for label, _ in lines))
    return "\n".join(f"{label:<{width}}  {value}" for label, value in lines)


def table(summary: Summary) -> "Table":
    """Return a summary as a table for a terminal."""
    from rich.table import Table  # noqa: PLC0415  plain output does without
    from rich.text import Text  # noqa: PLC0415

    shown = Table(show_header=False, title=f"{summary.run.name}, seed {summary.run.seed}")
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for label, value in rows(summary):
        shown.add_row(Text(label), Text(value))  # Text: brackets in a path are no markup
    return shown


def _change(change: Change) -> str:
    if math.isnan(change.first):
        return _NONE
    return f"{_percent(change.first)} -> {_percent(change.last)}"


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"
