"""What planners of a given shape share: they choose pairs, and the rest follows.

A pair can be chosen if it is in range and carries both devices' updates at all: at full power over
the whole band, in a finite time within `max_delay`. What is chosen becomes links in both
directions; the components of the chosen graph are the clusters, numbered by their lowest device,
and a device without a link is a cluster of its own.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cosim.planning.links import Casting, Power, assemble, equal_power, gateways
from cosim.planning.planners.base import Layout, SteadyPlanner
from cosim.planning.view import Bools, Floats, Ints, Plan, PlanView
from cosim.units import Seconds
from cosim.wording import counted

# With more of a sort than this, they are counted instead of named.
_FEW = 20


@dataclass(frozen=True)
class Graph:
    """What a planner has chosen.

    Attributes:
        pairs: positions of the chosen pairs among those of the view, in any order.
        reasons: why, one sentence each.
        cluster: cluster number of each device, or -1, [N]; None for the components.
    """

    pairs: Ints
    reasons: tuple[str, ...] = ()
    cluster: Ints | None = None


class GraphPlanner(SteadyPlanner):
    """A planner whose links have a shape; its clusters are what the links connect.

    A pair that cannot carry an update within `max_delay`, even alone at full power over the whole
    band, counts as out of range. Links that are slower because they share the band are planned all
    the same, and the plan's reasons say how many. `power` is how a device sets the powers of its
    links: `equal` shares of its limit, or its `full` power on each, for devices that send to one
    at a time. `casting` is as in the planners with limits.
    """

    max_delay_s: Annotated[Seconds, Field(gt=0)] | None = None
    power: Literal["equal", "full"] = "equal"
    casting: Casting = "unicast"

    @abstractmethod
    def choose(self, view: PlanView) -> Graph:
        """Return the pairs to link.

        Args:
            view: what is planned for, with at least one device alive; all its pairs can be chosen.
        """

    def plan(self, view: PlanView) -> Plan:
        """Return the plan with the chosen links."""
        if not view.alive.any():
            return assemble(view, np.full(view.num_devices, -1), equal_power(view), ())
        carries = self._carries(view)
        usable = only(view, carries)
        graph = self.choose(usable)
        chosen = np.zeros(len(usable.low), dtype=np.bool_)
        chosen[graph.pairs] = True
        cluster = graph.cluster
        if cluster is None:
            cluster = components(only(usable, chosen))
        crosses = cluster[usable.low] != cluster[usable.high]
        plan = self._assembled(only(usable, chosen | crosses), cluster, ())
        lost = len(view.low) - len(usable.low)
        return replace(plan, reasons=(*graph.reasons, *self._reasons(plan, usable, lost)))

    def _assembled(self, view: PlanView, cluster: Ints, reasons: tuple[str, ...]) -> Plan:
        power = equal_power(view) if self.power == "equal" else _full_power(view)
        return assemble(view, cluster, power, reasons, self.casting)

    def lay(self, view: PlanView, layout: Layout, reasons: tuple[str, ...]) -> Plan:
        """Return the plan with these links."""
        usable = only(view, self._carries(view))
        wanted = np.zeros(len(usable.low), dtype=np.bool_)
        wanted[positions(usable, layout.low, layout.high)] = True
        crosses = layout.cluster[usable.low] != layout.cluster[usable.high]
        return self._assembled(only(usable, wanted | crosses), layout.cluster, reasons)

    def broken(self, view: PlanView, layout: Layout) -> Bools:
        """Return which clusters have a link that cannot carry an update any more."""
        found = np.zeros(int(layout.cluster.max(initial=-1)) + 1, dtype=np.bool_)
        usable = only(view, self._carries(view))
        lost = positions(usable, layout.low, layout.high) < 0
        found[layout.cluster[layout.low[lost]]] = True
        return found

    def _carries(self, view: PlanView) -> Bools:
        """Return which pairs carry an update each way in time when nothing else is sent, [E]."""
        # Gateways between clusters of one device each are all pairs, at full power.
        every = np.where(view.alive, np.arange(view.num_devices), -1)
        alone = gateways(view, every)
        forth = alone.src < alone.dst
        slowest_s = alone.predicted_delay_s[forth]
        back_s = alone.predicted_delay_s[~forth]
        order = np.lexsort((alone.src[~forth], alone.dst[~forth]))
        slowest_s = np.maximum(slowest_s, back_s[order])
        return np.isfinite(slowest_s) & (slowest_s <= self._limit_s())

    def _limit_s(self) -> float:
        return np.inf if self.max_delay_s is None else self.max_delay_s

    def _reasons(self, plan: Plan, usable: PlanView, lost: int) -> tuple[str, ...]:
        """Return what became of the choice; `lost` pairs could not be chosen."""
        linked = plan.links.src
        sizes = np.bincount(plan.cluster[plan.cluster >= 0])
        found = [
            f"linked {counted(len(linked) // 2, 'pair')} of {len(usable.low)} that could be: "
            f"{counted(plan.num_clusters, 'cluster')} of {_span(sizes)}"
        ]
        within = "" if self.max_delay_s is None else f" within {self.max_delay_s:g} s"
        if lost:
            found.append(
                f"left out {counted(lost, 'pair')} in range that cannot carry an update{within}, "
                "even alone at full power"
            )
        delay_s = plan.links.predicted_delay_s
        slow = int(np.sum(~np.isfinite(delay_s) | (delay_s > self._limit_s())))
        if slow:
            found.append(
                f"{counted(slow, 'link')} cannot carry an update{within} at its part of the band "
                "and of the power"
            )
        lone = np.setdiff1d(np.flatnonzero(plan.cluster >= 0), linked)
        if lone.size:
            found.append(f"without a link: {named(lone)}")
        return tuple(found)


def only(view: PlanView, pairs: Bools) -> PlanView:
    """Return the view with some of its pairs, those that are marked, [E]."""
    return replace(
        view, low=view.low[pairs], high=view.high[pairs], mean_gain=view.mean_gain[pairs]
    )


def components(view: PlanView) -> Ints:
    """Return the number of each device's component, by lowest device, -1 for the dead, [N]."""
    from scipy.sparse import coo_array  # noqa: PLC0415  scipy is slow to import
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    n = view.num_devices
    graph = coo_array((np.ones(len(view.low)), (view.low, view.high)), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    _, first, which = np.unique(label[view.alive], return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    found = np.full(n, -1, dtype=np.int64)
    found[view.alive] = number[which]
    return found


def groups(cluster: Ints) -> list[Ints]:
    """Return the devices of each component, ascending."""
    order = np.argsort(cluster, kind="stable")
    begins = np.flatnonzero(np.diff(cluster[order], prepend=-1))
    return np.split(order, begins)[1:]


def loss_db(view: PlanView) -> Floats:
    """Return the path loss of each pair in dB, averaged over fading, [E]."""
    return np.asarray(-10.0 * np.log10(view.mean_gain), dtype=np.float64)


def positions(view: PlanView, a: Ints, b: Ints) -> Ints:
    """Return where pairs of devices stand among the view's pairs, -1 where they do not, [K]."""
    known = view.low * view.num_devices + view.high
    wanted = np.minimum(a, b) * view.num_devices + np.maximum(a, b)
    if not len(known):
        return np.full(len(wanted), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[at] == wanted, at, -1)


def in_reach(view: PlanView, a: Ints, b: Ints, shape: str) -> tuple[Ints, tuple[str, ...]]:
    """Return the positions of the wanted pairs that there are, and a sentence for the others.

    Args:
        view: what is planned for.
        a: one end of each pair of the shape; a pair may occur more than once, [K].
        b: the other end, [K].
        shape: what they belong to, as a sentence names it.
    """
    wanted = np.unique(np.sort(np.stack([a, b], axis=1), axis=1), axis=0).reshape(-1, 2)
    at = positions(view, wanted[:, 0], wanted[:, 1])
    gaps = wanted[at < 0]
    if not len(gaps):
        return at, ()
    if len(gaps) > _FEW:
        return at[at >= 0], (f"{len(gaps)} pairs of {shape} are out of reach",)
    listed = ", ".join(f"{i}-{j}" for i, j in gaps.tolist())
    return at[at >= 0], (f"out of reach in {shape}: {listed}",)


def named(devices: Ints) -> str:
    """Return the numbers of some devices, or how many they are."""
    if len(devices) > _FEW:
        return f"{len(devices)} devices"
    noun = "device" if len(devices) == 1 else "devices"
    return f"{noun} {', '.join(map(str, devices.tolist()))}"


def _span(sizes: Ints) -> str:
    least, most = int(sizes.min()), int(sizes.max())
    return counted(least, "device") if least == most else f"{least} to {most} devices"


def _full_power(view: PlanView) -> Power:
    return lambda pairs: view.max_power_w[pairs.src]
