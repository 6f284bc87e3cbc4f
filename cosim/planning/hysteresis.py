"""Hysteresis: a plan does not change for little, so that clusters do not flap.

What a planner finds best may differ a great deal from what is in force and be hardly better: all of
AGNES's later merges hang on its first ones, and those on gains that are nearly the same. Changing
costs: transfers are cut or late, and who was averaged with whom is averaged with others. As in
handover, where a neighbour cell must be better by a margin (3GPP 36.331, event A3), and as in
clustering of mobile nodes, where clusters change only when they must (Chiang, Wu, Liu and Gerla,
Routing in clustered multihop, mobile wireless networks with fading channel, 1997), a new plan must
be worth it.

Old and new clusters that share devices, directly or over others, are a *part* of the network: both
plans have the same devices in it, and no cluster in two parts. So each part is decided by itself,
and a device that moves away at one end does not change the other end. What must change does: where
a device has come or gone, or an old cluster breaks a limit of its planner, the devices of such
clusters are free to merge with each other and with the clusters that hold, as the planner would
(agnes, random); a planner of one shape is followed in the whole part. Beyond that a part changes if
the new plan is better than the old one so mended, at the gains of now, by more than
`min_improvement`.

How good a plan is in a part is how many updates a second it would deliver there if all its links
were used without waiting for each other, the sum over its links of

    1 / (training time of the sender + predicted delay)

More links count, faster ones do, and they count little where training takes most of the time. What
stays gets the powers that the planner sets at the gains of now.

A margin in dB on the gains of pairs that are together would hold less: AGNES goes by collisions
first, and of three devices of equal density it merges two, and then the third with a fourth.
"""

import numpy as np

from cosim.planning.planners.base import Layout, Planner, SteadyPlanner
from cosim.planning.view import Bools, Floats, Ints, Links, Plan, PlanView


def settle(
    planner: Planner, view: PlanView, planned: Plan, min_improvement: float
) -> tuple[Plan, str | None]:
    """Return what is to be in force, and what of the previous plan is kept and why, or None.

    Args:
        planner: who planned; one that cannot lay out clusters that there are is always followed.
        view: what was planned for; `view.previous` is the plan until now.
        planned: the new plan.
        min_improvement: the fraction that it must be better by.
    """
    before = view.previous
    if before is None or not isinstance(planner, SteadyPlanner) or not view.alive.any():
        return planned, None
    old, gone = _survivors(view, before)
    new = _layout(planned.cluster, planned.links)
    gone |= planner.broken(view, old)
    mended = planner.mended(view, np.where(_of(gone, old.cluster), -1, old.cluster))
    if mended is not None:  # the pairs of a layout are those of its plan
        old = _layout(mended, planner.lay(view, Layout(mended, old.low, old.high), ()).links)
        gone = np.zeros(int(mended.max()) + 1, dtype=np.bool_)
    parts = _Parts(old, new)
    must = np.zeros(parts.count, dtype=np.bool_)
    must[parts.of_old[gone]] = True
    if must.all():
        return planned, None
    trial = planner.lay(view, parts.mixed(~must), ())
    differs = parts.differ(view, _layout(trial.cluster, trial.links), new)
    had = parts.updates_per_s(view, trial.links)
    has = parts.updates_per_s(view, planned.links)
    keep = ~must & (has <= (1.0 + min_improvement) * had)
    if not (keep & differs).any():
        return planned, None
    why = _why(has[keep & differs], had[keep & differs], int(differs.sum()), min_improvement)
    changes = (differs & ~keep) | (parts.differ(view, old, new) & must)
    reasons = (why, *planned.reasons) if changes.any() else (why,)
    return planner.lay(view, parts.mixed(keep), reasons), why


def _why(has: Floats, had: Floats, num_changing: int, min_improvement: float) -> str:
    """Return why some parts were kept, from how good the two plans are in them."""
    parts = "all parts" if len(has) == num_changing else f"{len(has)} of {num_changing} parts"
    better = [new / old - 1.0 for new, old in zip(has.tolist(), had.tolist(), strict=True) if old]
    most = f"{100.0 * max(better):+.3g}" if better else "+0"
    return (
        f"kept {parts} that would change: the new plan would bring {most} % updates a second there "
        f"at most, and more than {100.0 * min_improvement:+.3g} % are asked for"
    )


def _of(clusters: Bools, cluster: Ints) -> Bools:
    """Return whether each device is in one of some clusters, [N]."""
    return np.asarray((cluster >= 0) & clusters[cluster])


def _layout(cluster: Ints, links: Links) -> Layout:
    forth = links.src < links.dst
    return Layout(cluster, links.src[forth], links.dst[forth])


def _survivors(view: PlanView, before: Plan) -> tuple[Layout, Bools]:
    """Return the old layout of those who are alive, and which clusters lost or gained a device.

    Who has come since is a cluster of its own, which counts as having gained one.
    """
    cluster = before.cluster.copy()
    left = (cluster >= 0) & ~view.alive
    came = np.flatnonzero((cluster < 0) & view.alive)
    gone = np.zeros(before.num_clusters + len(came), dtype=np.bool_)
    gone[cluster[left]] = True
    cluster[left] = -1
    cluster[came] = before.num_clusters + np.arange(len(came))
    gone[before.num_clusters :] = True
    whole = _layout(cluster, before.links)
    stays = view.alive[whole.low] & view.alive[whole.high]
    # The last cluster may have nobody left.
    gone = gone[: int(cluster.max(initial=-1)) + 1]
    return Layout(cluster, whole.low[stays], whole.high[stays]), gone


class _Parts:
    """The parts of a network that has an old and a new layout of the same devices."""

    def __init__(self, old: Layout, new: Layout) -> None:
        from scipy.sparse import coo_array  # noqa: PLC0415  scipy is slow to import
        from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

        devices = np.flatnonzero(new.cluster >= 0)
        num_old, num_new = int(old.cluster.max()) + 1, int(new.cluster.max()) + 1
        ends = old.cluster[devices], num_old + new.cluster[devices]
        shape = (num_old + num_new, num_old + num_new)
        shared = coo_array((np.ones(len(devices)), ends), shape=shape)
        self.count, label = connected_components(shared, directed=False)
        self._old, self._new = old, new
        self.of_old = label[:num_old].astype(np.int64)
        self._of_new = label[num_old:].astype(np.int64)
        self._of_device = np.where(new.cluster >= 0, self._of_new[new.cluster], -1)

    def differ(self, view: PlanView, one: Layout, other: Layout) -> Bools:
        """Return in which parts two layouts have other links or clusters, [parts]."""
        found = self._num_clusters(one) != self._num_clusters(other)
        n = view.num_devices
        for these, those in ((one, other), (other, one)):
            lacks = ~np.isin(these.low * n + these.high, those.low * n + those.high)
            found[self._of_device[these.low[lacks]]] = True
        return np.asarray(found)

    def _num_clusters(self, layout: Layout) -> Ints:
        devices = np.flatnonzero(self._of_device >= 0)
        _, first = np.unique(layout.cluster[devices], return_index=True)
        return np.bincount(self._of_device[devices[first]], minlength=self.count)

    def updates_per_s(self, view: PlanView, links: Links) -> Floats:
        """Return how good links are in each part, [parts]."""
        with np.errstate(divide="ignore"):
            each = 1.0 / (view.compute_s[links.src] + links.predicted_delay_s)
        summed: Floats = np.bincount(
            self._of_device[links.src], weights=each, minlength=self.count
        ).astype(np.float64)
        return summed

    def mixed(self, keep: Bools) -> Layout:
        """Return the old layout in some parts, and the new one in the others."""
        part = self._of_device
        of_old = np.where(part >= 0, keep[part], False)
        number = np.where(of_old, self._old.cluster, len(self.of_old) + self._new.cluster)
        cluster = np.full(len(part), -1, dtype=np.int64)
        alive = np.flatnonzero(part >= 0)
        _, first, which = np.unique(number[alive], return_index=True, return_inverse=True)
        rank = np.empty(len(first), dtype=np.int64)
        rank[np.argsort(first)] = np.arange(len(first))  # by lowest device
        cluster[alive] = rank[which]
        from_old, from_new = of_old[self._old.low], ~of_old[self._new.low]
        return Layout(
            cluster,
            np.concatenate([self._old.low[from_old], self._new.low[from_new]]),
            np.concatenate([self._old.high[from_old], self._new.high[from_new]]),
        )
