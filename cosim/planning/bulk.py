"""The merges of AGNES that are certain before their turn, found with arrays, many at a time.

A merge is certain once nothing that could come before it can touch its two clusters. Before it
come the candidates ahead in the order, and those that unions will add. A union that `a` is near to
holds a cluster X that `a` is near to now and one device more, so that S of it with `a` is at least

    bound(a) = min over the X near to a of S(a + X + the device of least density)

So what lies below the bounds of both its clusters is overtaken by no union, and one pass over the
candidates in order settles it. What lies above may have to wait for a union: it is left open, and
so are later candidates of its two clusters. Devices of equal density settle everything of one size
in one pass, and so have few passes. Where hardly anything is settled the rest is left to merge one
by one. Either way the clusters are the same.
"""

from dataclasses import dataclass

import numpy as np

from cosim.planning.formation import Candidates, Formation, overlap_steps
from cosim.planning.view import Bools, Floats, Ints

# With fewer candidates at first, or a pass that settles a smaller share of them, merging one by one
# is faster (own measurements). The 50 devices of which `reasons` lists every merge, in the order of
# AGNES, have fewer candidates than that: 1,225 pairs at most.
_FEW = 2_000
_WORTH = 0.01

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class _Clusters:
    """All clusters that there are or were, by number, [C] each.

    Attributes:
        nobody, one: the terms of S, see `collision`.
        size: number of devices.
        lowest: lowest device.
        overlap, less_gain: of the merge that made it; a single device comes before all.
    """

    nobody: Floats
    one: Floats
    size: Ints
    lowest: Ints
    overlap: Ints
    less_gain: Floats

    def with_unions(self, made: Candidates) -> "_Clusters":
        """Return these and the unions that some merges made."""
        nobody, one = self.terms(made.a, made.b)
        return _Clusters(
            nobody=np.append(self.nobody, nobody),
            one=np.append(self.one, one),
            size=np.append(self.size, self.size[made.a] + self.size[made.b]),
            lowest=np.append(self.lowest, made.first),
            overlap=np.append(self.overlap, made.overlap),
            less_gain=np.append(self.less_gain, made.less_gain),
        )

    def terms(self, a: Ints, b: Ints) -> tuple[Floats, Floats]:
        """Return the terms of unions; `collision.union` for arrays."""
        p, q = self.nobody, self.one
        return p[a] * p[b], p[a] * q[b] + q[a] * p[b]

    def is_older(self, a: Ints, b: Ints) -> Bools:
        """Return whether each `a` is made before `b`: merges are made in the order of candidates.

        A union is newer than a single device, and no two devices are asked about.
        """
        tie = self.overlap[a] == self.overlap[b]
        same = tie & (self.less_gain[a] == self.less_gain[b])
        older = np.where(
            tie, self.less_gain[a] < self.less_gain[b], self.overlap[a] < self.overlap[b]
        )
        return np.asarray(np.where(same, self.lowest[a] < self.lowest[b], older))


def merge_in_bulk(formation: Formation) -> None:
    """Make the merges that are certain, as long as many are; afterwards `formation.near` is less.

    `formation.merges` holds them pass by pass, which need not be the order of AGNES.
    """
    view = formation.view
    devices = np.arange(view.num_devices)
    clusters = _Clusters(
        nobody=1.0 - view.density,
        one=view.density,
        size=np.ones_like(devices),
        lowest=devices,
        overlap=np.full_like(devices, -1),
        less_gain=np.zeros(len(devices)),
    )
    lightest = float(view.density.min(initial=1.0))
    enough = len(formation.near.a) > _FEW
    while enough:
        near = formation.near
        made = near.where(_settle(formation, _below_bounds(near, clusters, lightest)))
        if len(made.a):
            clusters = clusters.with_unions(made)
            formation.near = _contract(formation, made, clusters)
        enough = len(made.a) > _WORTH * len(near.a)


def _below_bounds(near: Candidates, clusters: _Clusters, lightest: float) -> Bools:
    """Return which candidates no union can overtake, [C]."""
    nobody, one = clusters.terms(near.a, near.b)
    # Less one step, for the rounding.
    larger = overlap_steps(nobody, one, 1.0 - lightest, lightest) - 1
    bound = np.full(len(clusters.size), _NEVER)
    np.minimum.at(bound, near.a, larger)
    np.minimum.at(bound, near.b, larger)
    below: Bools = near.overlap < np.minimum(bound[near.a], bound[near.b])
    return below


def _settle(formation: Formation, below: Bools) -> Ints:
    """Go over the candidates in order, and merge what is certain; return which were merged."""
    near, alive = formation.near, formation.members
    open_ = bytearray(len(formation.lowest))  # whether a cluster waits for what unions will bring
    made = []
    rows = zip(near.a.tolist(), near.b.tolist(), below.tolist(), strict=True)
    for row, (a, b, is_below) in enumerate(rows):
        if a not in alive or b not in alive:
            continue
        if not is_below or open_[a] or open_[b]:
            open_[a] = open_[b] = True
        elif formation.join(a, b, int(near.first[row]), float(near.less_gain[row])) is not None:
            made.append(row)
    return np.array(made, dtype=np.int64)


def _contract(formation: Formation, made: Candidates, clusters: _Clusters) -> Candidates:
    """Return the candidates after some merges: near to a union is what was near to its parts."""
    near, count = formation.near, len(clusters.size)
    union = np.arange(count - len(made.a), count)
    now, parts = np.arange(count), np.ones(count, dtype=np.int64)
    now[made.a] = now[made.b] = union
    parts[union] = 2
    a, b = now[near.a], now[near.b]
    same = (a == near.a) & (b == near.b)
    moved = np.flatnonzero(~same & (a != b))
    if not len(moved):
        return near.where(same)
    low, high = np.minimum(a[moved], b[moved]), np.maximum(a[moved], b[moved])
    couple = low * count + high
    order = np.argsort(couple)
    begins = np.flatnonzero(np.diff(couple[order], prepend=-1))
    low, high = low[order[begins]], high[order[begins]]
    whole = np.full(len(low), not formation.is_complete)
    whole |= np.diff(begins, append=len(order)) == parts[low] * parts[high]
    whole &= clusters.size[low] + clusters.size[high] <= formation.max_size
    less_gain = np.minimum.reduceat(near.less_gain[moved[order]], begins)[whole]
    low, high = low[whole], high[whole]
    older = clusters.is_older(low, high)
    a, b = np.where(older, high, low), np.where(older, low, high)  # the newer one first
    nobody, one = clusters.nobody, clusters.one
    overlap = overlap_steps(nobody[a], one[a], nobody[b], one[b])
    of_a, of_b = clusters.lowest[a], clusters.lowest[b]
    found = Candidates(overlap, less_gain, np.minimum(of_a, of_b), np.maximum(of_a, of_b), a, b)
    return near.where(same).and_also(found.where(overlap <= formation.max_overlap)).in_order()
