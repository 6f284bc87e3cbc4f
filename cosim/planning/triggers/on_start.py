"""Plan once, when the run starts."""

import math

from cosim.planning.triggers.base import START, Trigger, TriggerView


class OnStart(Trigger):
    """The first plan, which every trigger asks for, and no other."""

    def next_check_s(self, t_s: float) -> float:
        """Return infinity: there is no later time to ask at."""
        return math.inf

    def reason(self, view: TriggerView) -> str | None:
        """Return a reason while there is no plan."""
        return START if view.plan is None else None
