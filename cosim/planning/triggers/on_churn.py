"""Plan when devices have entered or left since the newest plan."""

from typing import Annotated

import numpy as np
from pydantic import Field

from cosim.planning.triggers.base import START, Trigger, TriggerView, ticks
from cosim.units import Seconds


class OnChurn(Trigger):
    """When those who take part are not those that the plan was made for.

    Asked when a round begins and at every multiple of `min_interval`.
    """

    min_interval_s: Annotated[Seconds, Field(gt=0)] = 10.0

    def next_check_s(self, t_s: float) -> float:
        """Return the next multiple of `min_interval`."""
        return (ticks(t_s, self.min_interval_s) + 1) * self.min_interval_s

    def reason(self, view: TriggerView) -> str | None:
        """Return how many have entered and left, if any have."""
        if view.plan is None:
            return START
        planned = view.plan.cluster >= 0
        entered = int(np.count_nonzero(view.alive & ~planned))
        left = int(np.count_nonzero(planned & ~view.alive))
        if not entered and not left:
            return None
        return f"{entered} entered and {left} left"
