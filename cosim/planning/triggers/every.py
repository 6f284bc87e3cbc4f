"""Plan at every whole multiple of an interval."""

from typing import Annotated

from pydantic import Field

from cosim.planning.triggers.base import START, Trigger, TriggerView, ticks
from cosim.units import Seconds


class Every(Trigger):
    """At `interval`, 2 `interval` and so on, whatever was planned in between."""

    interval_s: Annotated[Seconds, Field(gt=0)] = 60.0

    def next_check_s(self, t_s: float) -> float:
        """Return the next multiple of the interval."""
        return (ticks(t_s, self.interval_s) + 1) * self.interval_s

    def reason(self, view: TriggerView) -> str | None:
        """Return a reason if a multiple of the interval has come since the plan was made."""
        if view.plan is None:
            return START
        if ticks(view.t_s, self.interval_s) <= ticks(view.plan.t_s, self.interval_s):
            return None
        return f"every {self.interval_s:g} s"
