"""A random topology under the same constraints as AGNES: the baseline's.

Start with every device alone; merge a pair of clusters drawn uniformly from the feasible ones;
stop when none is left.
"""

from cosim.planning.constraints import ConstrainedPlanner, Constraints
from cosim.planning.formation import Formation
from cosim.planning.links import assemble
from cosim.planning.reasons import reasons
from cosim.planning.view import Plan, PlanView


class Random(ConstrainedPlanner):
    """Clusters by chance, within limits of collision rate, delay, power and compute."""

    def plan(self, view: PlanView) -> Plan:
        """Return a plan that merging randomly drawn feasible pairs leads to."""
        constraints = Constraints(self, view)
        formation = Formation(view, constraints)
        numbers = view.draws.generator("random_planner", view.index)
        # Drawing from all pairs and passing over those that are not feasible is drawing uniformly
        # from the feasible ones; what is passed over never becomes feasible again.
        pairs = formation.candidates()
        while pairs:
            drawn = int(numbers.random() * len(pairs))
            pairs[drawn], pairs[-1] = pairs[-1], pairs[drawn]
            pairs += formation.try_merge(pairs.pop())
        power, why = constraints.power(), reasons(formation)
        return assemble(view, formation.clusters(), power, why, self.casting)
