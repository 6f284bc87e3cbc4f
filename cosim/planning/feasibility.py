"""Whether clusters that are there already meet the limits: `constraints`, for a whole view at once.

Where planners grow clusters and ask at each merge whether the union is within limits, this asks it
of given clusters, whose devices may have moved since.
"""

import numpy as np

from cosim.collision import TOLERANCE, collision_rates
from cosim.planning.constraints import Constraints
from cosim.planning.view import Bools, Ints, PlanView

_ROUNDING = 1.0 + 1e-9  # a sum of costs may have been made in another order


def broken(constraints: Constraints, cluster: Ints) -> Bools:
    """Return which clusters of two or more devices break a limit, [num_clusters].

    Args:
        constraints: the limits, for one view.
        cluster: cluster number of each alive device, or -1, [N].
    """
    view, limits = constraints.view, constraints.limits
    takes_part = cluster >= 0
    size = np.bincount(cluster[takes_part], minlength=int(cluster.max(initial=-1)) + 1)
    found = collision_rates(view.density, cluster) > limits.max_collision + TOLERANCE
    if limits.max_cluster_size is not None:
        found |= size > limits.max_cluster_size
    found[cluster[takes_part & ~constraints.computes_in_time()]] = True

    same = np.flatnonzero(
        takes_part[view.low] & (cluster[view.low] == cluster[view.high]) & (view.mean_gain > 0)
    )
    found |= _torn(view, cluster, same, size, limits.linkage)
    found[cluster[_overloaded(constraints, cluster, same)]] = True
    return np.asarray(found & (size > 1))


def _torn(view: PlanView, cluster: Ints, same: Ints, size: Ints, linkage: str) -> Bools:
    """Return which clusters lack the pairs, of those `same` inside, that the linkage asks for."""
    low, high = view.low[same], view.high[same]
    if linkage == "complete":
        pairs = np.bincount(cluster[low], minlength=len(size))
        return np.asarray(pairs < size * (size - 1) // 2)
    from scipy.sparse import coo_array  # noqa: PLC0415  scipy is slow to import
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    n = view.num_devices
    graph = coo_array((np.ones(len(same)), (low, high)), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    devices = np.flatnonzero(cluster >= 0)
    parts = np.unique(np.stack([cluster[devices], label[devices]]), axis=1)
    return np.asarray(np.bincount(parts[0], minlength=len(size)) > 1)


def _overloaded(constraints: Constraints, cluster: Ints, same: Ints) -> Ints:
    """Return the devices whose links ask for more than (11a) or (11b) allows."""
    view = constraints.view
    low, high, gain = view.low[same], view.high[same], view.mean_gain[same]
    src, dst = np.concatenate([low, high]), np.concatenate([high, low])
    cost = view.noise_w_per_hz[dst] / np.tile(gain, 2)
    load = np.zeros(view.num_devices)
    (np.add if constraints.limits.power == "least" else np.maximum).at(load, src, cost)
    links = np.bincount(src, minlength=view.num_devices)
    sharing = links
    if view.shared_by != "per_transmitter":
        of_cluster = np.bincount(cluster[src], minlength=view.num_devices)
        sharing = of_cluster[cluster]  # of a device without a cluster it is not asked
    over = np.zeros(view.num_devices, dtype=np.bool_)
    linked = np.flatnonzero(links)
    for some in np.unique(np.stack([links[linked], sharing[linked]]), axis=1).T.tolist():
        devices = linked[(links[linked] == some[0]) & (sharing[linked] == some[1])]
        budget = np.array(constraints.budget_of(*some))
        over[devices] = load[devices] > budget[devices] * _ROUNDING
    return np.flatnonzero(over)
