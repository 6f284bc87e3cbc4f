"""Clusters while they form: every merge that is possible, and what each would bring.

Clusters start as single devices. With complete linkage two are *near* if each device of one is in
range of each of the other, so that their union is a clique; near to a union are those near to both
of its parts. With single linkage they are near if any device of one is in range of any of the
other; near to a union are those near to either part. With hashed sets of near clusters a merge
costs as much as the two have near ones.
"""

from functools import cached_property
from itertools import chain
from typing import NamedTuple

import numpy as np

from cosim import collision
from cosim.planning.constraints import Constraints
from cosim.planning.loads import Loads
from cosim.planning.neighbours import Rows
from cosim.planning.view import Bools, Floats, Ints, PlanView

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


class Candidates(NamedTuple):
    """Candidates in columns, [C] each."""

    overlap: Ints
    less_gain: Floats
    first: Ints
    second: Ints
    a: Ints
    b: Ints

    def where(self, which: Ints | Bools) -> "Candidates":
        """Return some of them."""
        return Candidates(
            self.overlap[which], self.less_gain[which],
            self.first[which], self.second[which],
            self.a[which], self.b[which],
        )  # fmt: skip

    def and_also(self, others: "Candidates") -> "Candidates":
        """Return these and others."""
        return Candidates(
            np.append(self.overlap, others.overlap), np.append(self.less_gain, others.less_gain),
            np.append(self.first, others.first), np.append(self.second, others.second),
            np.append(self.a, others.a), np.append(self.b, others.b),
        )  # fmt: skip

    def in_order(self) -> "Candidates":
        """Return them in the order of `Candidate`."""
        lowest = np.argsort(self.first * (self.second.max(initial=0) + 1) + self.second)
        return self.where(lowest[np.lexsort((self.less_gain[lowest], self.overlap[lowest]))])


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
        merges: what was merged so far, in the order in which it was.
        eligible: whether each device is alive and meets the compute limit (11c), [N].
        loads: what links ask of the devices, held against (11a) and (11b).
        near: the merges within the collision and size limits, in order; what `try_merge` makes
            possible is not among them.
        lowest: lowest device of each cluster that exists or did, by cluster number.
        is_complete: whether clusters are cliques.
        max_size: most devices that a cluster may have.
        max_overlap: highest S that a cluster may have, in steps.
    """

    def __init__(self, view: PlanView, constraints: Constraints) -> None:
        self.view = view
        self.constraints = constraints
        self.eligible = view.alive & constraints.computes_in_time()
        self.members: dict[int, tuple[int, ...]] = {
            device: (device,) for device in np.flatnonzero(view.alive).tolist()
        }
        self.merges: list[Merge] = []
        self.is_complete = constraints.limits.linkage == "complete"
        self.max_size = constraints.limits.max_cluster_size or view.num_devices
        self.max_overlap = int((constraints.limits.max_collision + collision.TOLERANCE) / STEP)
        self.loads = Loads(view, constraints)
        self.lowest = list(range(view.num_devices))
        self._terms = [collision.alone(density) for density in view.density.tolist()]

        p, q = 1.0 - view.density, view.density
        low, high = view.low, view.high
        steps = overlap_steps(p[low], q[low], p[high], q[high])
        open_ = self.eligible[low] & self.eligible[high] & (view.mean_gain > 0)
        open_ &= (steps <= self.max_overlap) & (self.max_size >= 2)
        low, high, less_gain = low[open_], high[open_], -view.mean_gain[open_]
        self.near = Candidates(steps[open_], less_gain, low, high, low, high).in_order()

    def candidates(self) -> list[Candidate]:
        """Return the merges of `near`, of two devices each at first."""
        return list(map(Candidate, *(column.tolist() for column in self.near)))

    def obstacle(self, a: int, b: int) -> str | None:
        """Return the limit that the union of two near clusters breaks, or None.

        It is `size`, `collision`, `delay` (11a) or `power` (11b).
        """
        if len(self.members[a]) + len(self.members[b]) > self.max_size:
            return "size"
        if self._overlap(a, b) > self.max_overlap:
            return "collision"
        if self.loads.exceed(a, b):
            return "power" if self.constraints.limits.power == "least" else "delay"
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
        near = self._near  # as it is before the merge
        merged = self.join(a, b, candidate.first, candidate.less_gain)
        if merged is None:
            return []
        near.append({})
        return self._meet_neighbours(a, b, merged)

    def hold(self, cluster: Ints) -> list[Candidate]:
        """Form given clusters first, which are within the limits; return what may merge then.

        Args:
            cluster: cluster number of each device that is in one, -1 for the others, [N].
        """
        in_one = np.flatnonzero(cluster >= 0)
        order = in_one[np.argsort(cluster[in_one], kind="stable")]
        for members in np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1):
            left = members.tolist()
            held = left.pop(0) if left else -1
            while left:  # each is near to those before it, as the cluster holds together
                near, next_number = self._near[held], len(self.lowest)
                device = next((each for each in left if each in near), None)
                if device is not None:
                    left.remove(device)
                    self.try_merge(self._candidate(held, device))
                if len(self.lowest) == next_number:  # at a limit, by a rounding: the rest is free
                    break
                held = next_number
        return sorted(self._candidate(a, b) for a in self.members for b in self._near[a] if a < b)

    def _candidate(self, a: int, b: int) -> Candidate:
        first, second = sorted((self.lowest[a], self.lowest[b]))
        return Candidate(self._overlap(a, b), -self._near[a][b], first, second, a, b)

    def join(self, a: int, b: int, first: int, less_gain: float) -> int | None:
        """Merge two near clusters that exist, within the collision and size limits.

        Args:
            a: number of one.
            b: number of the other.
            first: the lowest device of both.
            less_gain: as in `Candidate`.

        Returns:
            The number of the union; None if another limit forbids it.
        """
        if self.loads.exceed(a, b):
            return None
        merged = len(self._terms)
        members_a, members_b = self.members.pop(a), self.members.pop(b)
        self.members[merged] = self.loads.join(a, b)
        self.lowest.append(first)
        self._terms.append(collision.union(self._terms[a], self._terms[b]))
        self.merges.append(
            Merge(members_a, members_b, collision.rate(self._terms[merged]), -less_gain)
        )
        return merged

    def clusters(self) -> Ints:
        """Return each device's cluster, numbered by lowest device; -1 if it takes no part, [N]."""
        cluster = np.full(self.view.num_devices, -1, dtype=np.int64)
        lowest = sorted(self.members, key=self.lowest.__getitem__)
        members = [self.members[number] for number in lowest]
        devices = np.fromiter(chain.from_iterable(members), dtype=np.int64)
        cluster[devices] = np.repeat(np.arange(len(members)), list(map(len, members)))
        return cluster

    @cached_property
    def _near(self) -> list[dict[int, float]]:
        """Best gain to each near cluster, by cluster number, from the first `try_merge` on."""
        return Rows(len(self.lowest), self.near.a, self.near.b, -self.near.less_gain).all()

    def _meet_neighbours(self, a: int, b: int, merged: int) -> list[Candidate]:
        """Make `merged` near to what was near to both parts, and forget the parts."""
        near_a, near_b, near = self._near[a], self._near[b], self._near[merged]
        near_a.pop(b)
        near_b.pop(a)
        for part, others in ((a, near_a), (b, near_b)):
            for other in others:
                del self._near[other][part]
        found = []
        members, all_near, all_lowest = self.members, self._near, self.lowest
        room, lowest = self.max_size - len(members[merged]), all_lowest[merged]
        both = near_a.keys() & near_b.keys() if self.is_complete else near_a.keys() | near_b.keys()
        for other in sorted(both):
            # Neither limit can be met later, since both clusters can only grow.
            if len(members[other]) > room:
                continue
            overlap = self._overlap(merged, other)
            if overlap > self.max_overlap:
                continue
            gain = max(near_a.get(other, 0.0), near_b.get(other, 0.0))
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


def overlap_steps(
    nobody_a: Floats, one_a: Floats, nobody_b: Floats | float, one_b: Floats | float
) -> Ints:
    """Return S of unions in steps by the terms of their parts, to the last bit as `_overlap`."""
    rate = 1.0 - nobody_a * nobody_b - (nobody_a * one_b + one_a * nobody_b)
    return np.floor(np.maximum(rate, 0.0) / STEP).astype(np.int64)
