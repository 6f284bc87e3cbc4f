"""AGNES: agglomerative nesting by collision rate, the topology planning of P1.

Start with every device alone; merge the feasible pair of clusters whose union has the least
collision rate S, ties going to the best path gain; stop when no feasible pair is left. Feasible is
what meets the limits of `constraints`, S <= max_collision among them.

Merges whose turn is certain to come are made in bulk, with arrays; the pairs that are left wait in
a heap. Either way it takes about E log E for E pairs in range, and the clusters are the same.
"""

from heapq import heappop, heappush

from cosim.planning.bulk import merge_in_bulk
from cosim.planning.constraints import Constraints
from cosim.planning.formation import Candidate, Formation
from cosim.planning.planners._constrained import ConstrainedPlanner
from cosim.planning.reasons import reasons
from cosim.planning.view import Ints, Plan, PlanView


class Agnes(ConstrainedPlanner):
    """Clusters of few collisions, within limits of delay, power and compute."""

    def plan(self, view: PlanView) -> Plan:
        """Return the plan that merging the best feasible pair first leads to."""
        formation = Formation(view, Constraints(self, view))
        merge_in_bulk(formation)
        _merge(formation, formation.candidates())
        return self.assembled(view, formation.clusters(), reasons(formation))

    def mended(self, view: PlanView, cluster: Ints) -> Ints:
        """Return what merging the best feasible pair first makes of given clusters."""
        formation = Formation(view, Constraints(self, view))
        _merge(formation, formation.hold(cluster))
        return formation.clusters()


def _merge(formation: Formation, in_order: list[Candidate]) -> None:
    """Merge the best pair first until none is left.

    The pairs that there are now are in order already and wait in a list, best last; the heap has
    those of unions yet to come. A pair whose clusters are gone is passed over when it comes up, and
    so is one that a limit forbids: it will stay forbidden.
    """
    clusters = formation.members
    pairs, heap = in_order[::-1], list[Candidate]()
    while pairs or heap:
        larger = not pairs or (heap and heap[0] < pairs[-1])
        best = heappop(heap) if larger else pairs.pop()
        if best.a in clusters and best.b in clusters:
            for candidate in formation.try_merge(best):
                heappush(heap, candidate)
