"""A trigger says when to plan again, and why.

Any trigger asks for the first plan, so that a scenario may name any one of them alone.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.planning.view import Plan
from cosim.plugin import Plugin

START = "start of the run"
"""Why there is a first plan."""


@dataclass(frozen=True)
class TriggerView:
    """What a trigger sees when it is asked.

    Attributes:
        t_s: now.
        round: the round that begins, or that is going on, from 1.
        round_begins: whether a round begins now.
        plan: the newest plan; None before the first.
        alive: whether each device takes part now, [N].
        mean_gain: returns the linear gains, averaged over fading, of links (src[L], dst[L]) now.
    """

    t_s: float
    round: int
    round_begins: bool
    plan: Plan | None
    alive: NDArray[np.bool_]
    mean_gain: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]


class Trigger(Plugin):
    """Contract of family `trigger`: pure; it is asked when a round begins and at its own times."""

    @abstractmethod
    def next_check_s(self, t_s: float) -> float:
        """Return the first time after `t_s` to ask at; infinity for only when a round begins."""

    @abstractmethod
    def reason(self, view: TriggerView) -> str | None:
        """Return why to plan now (`every 20 s`, `link 2-5 changed by 4.1 dB`), or None."""


def ticks(t_s: float, interval_s: float) -> int:
    """Return how many whole intervals have passed at `t_s`.

    A time within a billionth of an interval of a multiple counts as that multiple, so that
    `ticks(n * interval_s, interval_s)` is n whatever the rounding.
    """
    return math.floor(t_s / interval_s + 1e-9)
