"""The graph of k nearest neighbours: every device has a link to those that it hears best.

A pair is linked, both ways, if one of the two is among the k that the other hears with the largest
mean gain (ties to the lowest number). So a device has at least min(k, heard) neighbours, and may
have more than k (Eppstein, Paterson and Yao, On nearest-neighbor graphs, 1997).
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from cosim.planning.planners._graph import Graph, GraphPlanner, positions
from cosim.planning.view import PlanView


class KNearest(GraphPlanner):
    """Links between each device and the k that it hears best.

    Attributes:
        k: how many, or all where it hears fewer. The default, 3, is an assumption of this project.
    """

    k: Annotated[int, Field(ge=1)] = 3

    def choose(self, view: PlanView) -> Graph:
        """Return each device's k best pairs."""
        src = np.concatenate([view.low, view.high])
        dst = np.concatenate([view.high, view.low])
        order = np.lexsort((dst, -np.tile(view.mean_gain, 2), src))
        src, dst = src[order], dst[order]
        place = np.arange(len(src)) - np.searchsorted(src, src)
        best = place < self.k
        return Graph(np.unique(positions(view, src[best], dst[best])))
