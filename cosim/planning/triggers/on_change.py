"""Plan when a channel that the plan relies on has changed by some decibels."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.planning.triggers.base import START, Trigger, TriggerView, ticks
from cosim.units import Decibels, Seconds


class OnChange(Trigger):
    """When the mean gain of a planned link has moved more than `threshold`, either way.

    Looks at the links inside clusters and at the gateways: a device that is alone has only
    gateways, and it is through them that it is seen to come nearer. Pairs that were out of range
    of each other are not in the plan, and do not count; an `every` trigger beside this one finds
    them. Asked when a round begins and at every multiple of `min_interval`, and silent until the
    plan is `min_interval` old.
    """

    threshold_db: Annotated[Decibels, Field(gt=0)] = 3.0
    min_interval_s: Annotated[Seconds, Field(gt=0)] = 20.0

    def next_check_s(self, t_s: float) -> float:
        """Return the next multiple of `min_interval`."""
        return (ticks(t_s, self.min_interval_s) + 1) * self.min_interval_s

    def reason(self, view: TriggerView) -> str | None:
        """Return the planned link that changed most, if that is more than `threshold`."""
        if view.plan is None:
            return START
        age_s = view.t_s - view.plan.t_s
        if ticks(age_s, self.min_interval_s) < 1:
            return None
        links, gateways = view.plan.links, view.plan.gateways
        src = np.concatenate([links.src, gateways.src])
        dst = np.concatenate([links.dst, gateways.dst])
        planned = np.concatenate([links.mean_gain, gateways.mean_gain])
        one_way = src < dst  # a channel is the same in both directions
        src, dst, planned = src[one_way], dst[one_way], planned[one_way]
        if not len(src):
            return None
        change_db = _decibels(view.mean_gain(src, dst)) - _decibels(planned)
        most = int(np.argmax(np.abs(change_db)))
        if abs(change_db[most]) <= self.threshold_db:
            return None
        return f"link {src[most]}-{dst[most]} changed by {change_db[most]:+.1f} dB"


def _decibels(gain: NDArray[np.float64]) -> NDArray[np.float64]:
    # No gain at all counts as -3000 dB, so that two such gains differ by nothing.
    return 10.0 * np.log10(np.maximum(gain, 1e-300))
