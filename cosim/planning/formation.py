"""Clusters while they form: every merge that is possible, and what each would bring.

Clusters start as single devices. Two are *near* if each device of one is in range of each of the
other, so that their union is a clique; near to a union are those near to both of its parts. With
hashed sets of near clusters a merge costs as much as the two have near ones, and links are looked
at only where two clusters are about to merge.
"""

from itertools import pairwise
from operator import gt
from typing import NamedTuple

import numpy as np

from cosim.planning import collision
from cosim.planning.constraints import Constraints
from cosim.planning.view import Floats, Ints, PlanView

# Collision rates are compared in whole steps of this size, so that rounding does not choose
# between merges that are equally good. Irrational: no density that a person would write puts a
# collision rate on the edge between two steps.
STEP = collision.TOLERANCE * 2**0.5


class Candidate(NamedTuple):
    """Two clusters that might merge; candidates order by S, then best gain, then lowest numbers.

    Attributes:
        overlap: S of the union, equation (16), in whole steps.
        less_gain: minus the best gain between a device of one and a device of the other.
        first, second: lowest device of each, ascending.
        a, b: the numbers of the clusters; a number is never used again.
    """

    overlap: int
    less_gain: float
    first: int
    second: int
    a: int
    b: int


class Merge(NamedTuple):
    """A merge that was made."""

    a: tuple[int, ...]
    b: tuple[int, ...]
    collision_rate: float
    best_gain: float


class Formation:
    """Clusters of the alive devices of a view; at first everybody is alone.

    Attributes:
        members: devices of each cluster that exists, by cluster number; a device alone is the
            cluster of its own number.
        merges: what was merged so far, in order.
        eligible: whether each device is alive and meets the compute limit (11c), [N].
        gain: linear gain of every device j in range, by device i.
    """

    def __init__(self, view: PlanView, constraints: Constraints) -> None:
        self.view = view
        self.constraints = constraints
        self.eligible = view.alive & constraints.computes_in_time()
        self.members: dict[int, tuple[int, ...]] = {
            device: (device,) for device in np.flatnonzero(view.alive).tolist()
        }
        self.merges: list[Merge] = []
        self._adds = constraints.limits.power == "least"
        self._max_size = constraints.limits.max_cluster_size or view.num_devices
        self._max_overlap = _steps(constraints.limits.max_collision + collision.TOLERANCE)
        self._lowest = list(range(view.num_devices))
        self._terms = [collision.alone(density) for density in view.density.tolist()]
        self._loads: list[list[float]] = [[0.0] for _ in range(view.num_devices)]

        heard = view.mean_gain > 0
        low, high, gain = view.low[heard], view.high[heard], view.mean_gain[heard]
        self.gain = _by_device(view.num_devices, low, high, gain)
        self._noise = view.noise_w_per_hz.tolist()

        p, q = 1.0 - view.density, view.density
        overlap = 1.0 - p[low] * p[high] - (p[low] * q[high] + q[low] * p[high])
        steps = np.floor(np.maximum(overlap, 0.0) / STEP).astype(np.int64)
        open_ = self.eligible[low] & self.eligible[high] & (steps <= self._max_overlap)
        if self._max_size < 2:
            open_[:] = False
        low, high, gain, steps = low[open_], high[open_], gain[open_], steps[open_]
        # Best gain to each near cluster; at first as `gain`, without the pairs ruled out.
        if open_.all():
            self._near = [each.copy() for each in self.gain]
        else:
            self._near = _by_device(view.num_devices, low, high, gain)
        order = np.lexsort((high, low, -gain, steps))
        columns = (column[order].tolist() for column in (steps, -gain, low, high, low, high))
        self._first = list(map(Candidate, *columns))

    def candidates(self) -> list[Candidate]:
        """Return the merges of two devices within the collision and size limits, in order."""
        return list(self._first)

    def obstacle(self, a: int, b: int) -> str | None:
        """Return the limit that the union of two near clusters breaks, or None.

        It is `size`, `collision`, `delay` (11a) or `power` (11b).
        """
        if len(self.members[a]) + len(self.members[b]) > self._max_size:
            return "size"
        if self._overlap(a, b) > self._max_overlap:
            return "collision"
        if self._overloads(a, b, self._loads_of_union(a, b)):
            return "power" if self._adds else "delay"
        return None

    def try_merge(self, candidate: Candidate) -> list[Candidate]:
        """Merge two clusters, if both still exist and no limit forbids it.

        Returns:
            The merges that this makes possible, within the collision and size limits; none if
            nothing was merged.
        """
        a, b = candidate.a, candidate.b
        if a not in self.members or b not in self.members:
            return []
        loads = self._loads_of_union(a, b)
        if self._overloads(a, b, loads):  # a candidate meets the other limits
            return []
        merged = len(self._near)
        members_a, members_b = self.members.pop(a), self.members.pop(b)
        self.members[merged] = members_a + members_b
        self._lowest.append(candidate.first)
        self._loads.append(loads)
        self._terms.append(collision.union(self._terms[a], self._terms[b]))
        self._near.append({})
        self.merges.append(
            Merge(members_a, members_b, collision.rate(self._terms[merged]), -candidate.less_gain)
        )
        return self._meet_neighbours(a, b, merged)

    def clusters(self) -> Ints:
        """Return each device's cluster, numbered by lowest device; -1 if it takes no part, [N]."""
        cluster = np.full(self.view.num_devices, -1, dtype=np.int64)
        for number, members in enumerate(sorted(map(sorted, self.members.values()))):
            cluster[members] = number
        return cluster

    def _meet_neighbours(self, a: int, b: int, merged: int) -> list[Candidate]:
        """Make `merged` near to what was near to both parts, and forget the parts."""
        near_a, near_b, near = self._near[a], self._near[b], self._near[merged]
        for part, others in ((a, near_a), (b, near_b)):
            for other in others:
                del self._near[other][part]
        found = []
        members, all_near, all_lowest = self.members, self._near, self._lowest
        room, lowest = self._max_size - len(members[merged]), all_lowest[merged]
        for other in sorted(near_a.keys() & near_b.keys()):
            # Neither limit can be met later, since both clusters can only grow.
            if len(members[other]) > room:
                continue
            overlap = self._overlap(merged, other)
            if overlap > self._max_overlap:
                continue
            gain = max(near_a[other], near_b[other])
            near[other] = all_near[other][merged] = gain
            first, second = lowest, all_lowest[other]
            if first > second:
                first, second = second, first
            found.append(Candidate(overlap, -gain, first, second, merged, other))
        self._near[a] = self._near[b] = {}
        return found

    def _overlap(self, a: int, b: int) -> int:
        """Return S of the union in steps; `collision.union` and `rate` written out."""
        (nobody_a, one_a), (nobody_b, one_b) = self._terms[a], self._terms[b]
        rate = 1.0 - nobody_a * nobody_b - (nobody_a * one_b + one_a * nobody_b)
        return int(rate / STEP) if rate > 0.0 else 0

    def _overloads(self, a: int, b: int, loads: list[float]) -> bool:
        """Return whether a load of the union is above what (11a) or (11b) allows."""
        members = self.members[a] + self.members[b]
        budget = self.constraints.budget(len(members))
        return any(map(gt, loads, [budget[device] for device in members]))

    def _loads_of_union(self, a: int, b: int) -> list[float]:
        """Return max_j c_ij (`equal`) or sum_j c_ij (`least`) of each member of the union."""
        members_a, members_b = self.members[a], self.members[b]
        loads, noise = [], self._noise
        for members, others, known in (
            (members_a, members_b, self._loads[a]),
            (members_b, members_a, self._loads[b]),
        ):
            for device, load in zip(members, known, strict=True):
                gain = self.gain[device]
                new = [noise[other] / gain[other] for other in others]
                loads.append(load + sum(new) if self._adds else max(load, *new))
        return loads


def _steps(collision_rate: float) -> int:
    return int(collision_rate / STEP)


def _by_device(num_devices: int, low: Ints, high: Ints, value: Floats) -> list[dict[int, float]]:
    """Return for each device the value [E] of each device that it is paired with."""
    src, dst = np.concatenate([low, high]), np.concatenate([high, low])
    order = np.argsort(src, kind="stable")
    others = dst[order].tolist()
    values = np.concatenate([value, value])[order].tolist()
    ends = np.searchsorted(src[order], np.arange(num_devices + 1)).tolist()
    return [dict(zip(others[i:j], values[i:j], strict=True)) for i, j in pairwise(ends)]
