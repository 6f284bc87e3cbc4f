"""A random topology under the same constraints as AGNES: the baseline's.

Start with every device alone; merge a pair of clusters drawn uniformly from the feasible ones;
stop when none is left.
"""

from cosim.planning.formation import Candidate, Formation
from cosim.planning.planners._constrained import ConstrainedPlanner


class Random(ConstrainedPlanner):
    """Clusters by chance, within limits of collision rate, delay, power and compute."""

    def merge(self, formation: Formation, candidates: list[Candidate]) -> None:
        """Merge pairs that are drawn until none is left.

        Drawing from all pairs and passing over those that are not feasible is drawing uniformly
        from the feasible ones; what is passed over never becomes feasible again.
        """
        view, pairs = formation.view, candidates
        numbers = view.draws.generator("random_planner", view.index)
        while pairs:
            drawn = int(numbers.random() * len(pairs))
            pairs[drawn], pairs[-1] = pairs[-1], pairs[drawn]
            pairs += formation.try_merge(pairs.pop())
