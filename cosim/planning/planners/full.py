"""Everybody in one cluster: links between all pairs in range, each of equal power."""

import numpy as np

from cosim.planning.links import Casting, assemble, equal_power
from cosim.planning.planners.base import Planner
from cosim.planning.view import Plan, PlanView


class Full(Planner):
    """One cluster of all alive devices, without limits; a pair out of range has no link.

    Attributes:
        casting: how updates go to the neighbours, as in the planners with limits.
    """

    casting: Casting = "unicast"

    def plan(self, view: PlanView) -> Plan:
        """Return the plan with every link that there can be."""
        alive = int(view.alive.sum())
        pairs, linked = alive * (alive - 1) // 2, len(view.low)
        cluster = np.where(view.alive, 0, -1).astype(np.int64)
        reason = (
            f"all {alive} devices in one cluster; {pairs - linked} of {pairs} pairs out of range"
        )
        why = (reason,) if alive else ()
        return assemble(view, cluster, equal_power(view), why, self.casting)
