"""The minimum spanning tree over path loss: the fewest links that connect, and the best of them.

Of all trees that connect the devices, the one of least total path loss in dB (Kruskal, On the
shortest spanning subtree of a graph, 1956); ties go to the pair of lowest numbers. Its worst link
is as good as that of any tree. Devices that cannot all reach each other have a tree, and a
cluster, for each component.
"""

import numpy as np

from cosim.planning.planners._graph import Graph, GraphPlanner, positions
from cosim.planning.view import PlanView


class MinimumSpanningTree(GraphPlanner):
    """The tree of least path loss between all devices that can be reached from each other."""

    def choose(self, view: PlanView) -> Graph:
        """Return the branches."""
        from scipy.sparse import coo_array  # noqa: PLC0415  scipy is slow to import
        from scipy.sparse.csgraph import minimum_spanning_tree  # noqa: PLC0415

        # The tree depends on the order of the losses alone. The pairs' ranks are in that order,
        # without ties, and never 0, which a sparse matrix does not tell from nothing.
        rank = np.empty(len(view.low))
        rank[np.lexsort((view.high, view.low, -view.mean_gain))] = 1.0 + np.arange(len(rank))
        n = view.num_devices
        graph = coo_array((rank, (view.low, view.high)), shape=(n, n))
        tree = minimum_spanning_tree(graph.tocsr()).tocoo()
        ends = tree.row.astype(np.int64), tree.col.astype(np.int64)  # scipy's are shorter
        return Graph(np.sort(positions(view, *ends)))
