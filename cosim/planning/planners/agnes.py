"""AGNES: agglomerative nesting by collision rate, the topology planning of P1.

Start with every device alone; merge the feasible pair of clusters whose union has the least
collision rate S, ties going to the best path gain; stop when no feasible pair is left. Feasible is
what meets the limits of `constraints`, S <= max_collision among them.

Merges whose turn is certain to come are made in bulk, with arrays; the pairs that are left wait in
a heap. Either way it takes about E log E for E pairs in range, and the clusters are the same.
"""

from heapq import heappop, heappush

from cosim.planning.bulk import merge_in_bulk
from cosim.planning.formation import Candidate, Formation
from cosim.planning.planners._constrained import ConstrainedPlanner


class Agnes(ConstrainedPlanner):
    """Clusters of few collisions, within limits of delay, power and compute."""

    def candidates(self, formation: Formation) -> list[Candidate]:
        """Return the pairs that are left once merges whose turn is certain to come are made."""
        merge_in_bulk(formation)
        return formation.candidates()

    def merge(self, formation: Formation, candidates: list[Candidate]) -> None:
        """Merge the best pair first until none is left.

        The pairs that there are now are in order already and wait in a list, best last; the heap
        has those of unions yet to come. A pair whose clusters are gone is passed over when it comes
        up, and so is one that a limit forbids: it will stay forbidden.
        """
        clusters = formation.members
        pairs, heap = candidates[::-1], list[Candidate]()
        while pairs or heap:
            larger = not pairs or (heap and heap[0] < pairs[-1])
            best = heappop(heap) if larger else pairs.pop()
            if best.a in clusters and best.b in clusters:
                for candidate in formation.try_merge(best):
                    heappush(heap, candidate)
