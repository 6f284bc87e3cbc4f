"""A planner whose plans are given by time, for plans that change when a test wants them to."""

from dataclasses import replace

import numpy as np

from cosim.planning.links import Casting, assemble, equal_power
from cosim.planning.planners.base import Planner


class ByTime(Planner):
    """Clusters from instants on: `starts`, ascending, and who is with whom from each.

    Attributes:
        starts: when, in seconds; the first is 0.
        clusters: the cluster of each device, from each of these.
        gateways: whether there are gateways, from each of these; always, if empty.
        casting: as in other planners.
    """

    starts: tuple[float, ...] = (0.0,)
    clusters: tuple[tuple[int, ...], ...] = ()
    gateways: tuple[bool, ...] = ()
    casting: Casting = "unicast"

    def plan(self, view):
        """Return the plan of now."""
        now = int(np.searchsorted(self.starts, view.t_s + 1e-9, side="right")) - 1
        _, cluster = np.unique(np.array(self.clusters[now]), return_inverse=True)
        cluster = np.where(view.alive, cluster, -1)
        _, cluster[view.alive] = np.unique(cluster[view.alive], return_inverse=True)
        plan = assemble(view, cluster, equal_power(view), ("by time",), self.casting)
        if self.gateways and not self.gateways[now]:
            none = plan.gateways
            none = replace(none, **{name: value[:0] for name, value in vars(none).items()})
            plan = replace(plan, gateways=none)
        return plan
