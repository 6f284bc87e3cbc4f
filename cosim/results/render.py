"""A summary as a person reads it: plain lines, or a table for a terminal."""

import math
from typing import TYPE_CHECKING

from cosim.results.numbers import scaled
from cosim.results.summary import Change, Summary

if TYPE_CHECKING:
    from rich.table import Table

_NONE = "none"


def rows(summary: Summary) -> tuple[tuple[str, str], ...]:
    """Return the lines of a summary: what it is, and its value with unit."""
    reached = summary.time_to_accuracy
    triggers = ", ".join(f"{count} x {name}" for name, count in summary.triggers)
    lines = [
        ("own-task accuracy", _change(summary.own_accuracy)),
        ("all-task accuracy", _change(summary.all_accuracy)),
    ]
    lines += [
        (f"  {task.task}", f"own {_change(task.own)}, all {_change(task.all)}")
        for task in summary.tasks
    ]
    if reached is not None:
        when = f"{reached.time_s:.4g} s, round {reached.rounds}" if reached.rounds >= 0 else "never"
        lines.append((f"time to own-task {_percent(reached.target)}", when))
    lines += [
        ("simulated time", f"{summary.time_s:.6g} s, {summary.num_rounds} rounds"),
        ("sent", f"{scaled(summary.bits_sent)}bit"),
        ("delivered", f"{scaled(summary.bits_delivered)}bit"),
        ("energy", f"{scaled(summary.energy_j)}J"),
        ("collision rate", _number(summary.collision_rate)),
        ("late updates", str(summary.num_late)),
        ("lost transfers", f"{summary.num_lost} of {summary.num_flows}"),
        ("lost packets", str(summary.num_lost_packets)),
        ("plans", f"{summary.num_plans}: {triggers}" if triggers else "0"),
        ("results", str(summary.run.path)),
    ]
    return tuple(lines)


def text(summary: Summary) -> str:
    """Return a summary as aligned lines."""
    lines = rows(summary)
    width = max(len(label) for label, _ in lines)
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


def _number(value: float) -> str:
    return _NONE if math.isnan(value) else f"{value:.3g}"
