"""The static exponential graph: links to the devices 1, 2, 4, 8, ... places on.

The m devices that can be reached from each other stand in a circle in the order of their numbers.
Each has a link to and from the one 2^k places on, for all 2^k < m (Assran et al., Stochastic
gradient push for distributed deep learning, 2019; Ying et al., Exponential graph is provably
efficient for decentralized deep training, 2021). Theirs is directed; here every link is there both
ways, as symmetric weights need, so that a device has up to 2 ceil(log2 m) neighbours.
"""

import numpy as np

from cosim.planning.planners._graph import Graph, GraphPlanner, components, groups, in_reach
from cosim.planning.view import PlanView


class Exponential(GraphPlanner):
    """Links between devices whose places in a circle differ by a power of two.

    A pair out of range has no link.
    """

    def choose(self, view: PlanView) -> Graph:
        """Return the pairs a power of two apart."""
        a = [np.empty(0, dtype=np.int64)]
        b = list(a)
        for circle in groups(components(view)):
            for k in range((len(circle) - 1).bit_length()):
                a.append(circle)
                b.append(np.roll(circle, -(2**k)))
        return Graph(*in_reach(view, np.concatenate(a), np.concatenate(b), "an exponential graph"))
