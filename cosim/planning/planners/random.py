"""A random topology under the same constraints as AGNES: the baseline's.

Start with every device alone; merge a pair of clusters drawn uniformly from the feasible ones;
stop when none is left.
"""

from cosim.planning.constraints import Constraints
from cosim.planning.formation import Candidate, Formation
from cosim.planning.planners._constrained import ConstrainedPlanner
from cosim.planning.reasons import reasons
from cosim.planning.view import Ints, Plan, PlanView


class Random(ConstrainedPlanner):
    """Clusters by chance, within limits of collision rate, delay, power and compute."""

    def plan(self, view: PlanView) -> Plan:
        """Return a plan that merging randomly drawn feasible pairs leads to."""
        formation = Formation(view, Constraints(self, view))
        _merge(formation, formation.candidates())
        return self.assembled(view, formation.clusters(), reasons(formation))

    def mended(self, view: PlanView, cluster: Ints) -> Ints:
        """Return what merging randomly drawn feasible pairs makes of given clusters."""
        formation = Formation(view, Constraints(self, view))
        _merge(formation, formation.hold(cluster))
        return formation.clusters()


def _merge(formation: Formation, pairs: list[Candidate]) -> None:
    """Merge pairs that are drawn until none is left.

    Drawing from all pairs and passing over those that are not feasible is drawing uniformly from
    the feasible ones; what is passed over never becomes feasible again.
    """
    view = formation.view
    numbers = view.draws.generator("random_planner", view.index)
    while pairs:
        drawn = int(numbers.random() * len(pairs))
        pairs[drawn], pairs[-1] = pairs[-1], pairs[drawn]
        pairs += formation.try_merge(pairs.pop())
