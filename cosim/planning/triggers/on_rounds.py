"""Plan when so many rounds have begun since the last plan."""

import math
from typing import Annotated

from pydantic import Field

from cosim.planning.triggers.base import START, Trigger, TriggerView


class OnRounds(Trigger):
    """When the round begins that is `rounds` after the one that the plan in force was made for."""

    rounds: Annotated[int, Field(ge=1)] = 1

    def next_check_s(self, t_s: float) -> float:
        """Return infinity: it is asked when a round begins."""
        return math.inf

    def reason(self, view: TriggerView) -> str | None:
        """Return a reason if a round begins and the plan is `rounds` old."""
        if view.plan is None:
            return START
        if not view.round_begins or view.round - view.plan.round < self.rounds:
            return None
        return "every round" if self.rounds == 1 else f"every {self.rounds} rounds"
