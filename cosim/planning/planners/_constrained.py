"""What planners share whose clusters are within limits of collisions, delay, power and compute.

Clusters grow from devices alone by merges of two; which merge comes next is all that they differ
in.
"""

from abc import abstractmethod
from dataclasses import replace

from cosim.planning.constraints import Constraints, Limits
from cosim.planning.feasibility import broken
from cosim.planning.formation import Candidate, Formation
from cosim.planning.links import assemble
from cosim.planning.planners.base import Layout, SteadyPlanner
from cosim.planning.reasons import reasons
from cosim.planning.view import Bools, Ints, Plan, PlanView


class ConstrainedPlanner(Limits, SteadyPlanner):
    """A planner whose clusters are within limits; a limit that is left out is none."""

    @abstractmethod
    def merge(self, formation: Formation, candidates: list[Candidate]) -> None:
        """Merge pairs, those given and those that come of it, until none is left."""

    def candidates(self, formation: Formation) -> list[Candidate]:
        """Return the pairs that a plan begins from, where all devices are alone."""
        return formation.candidates()

    def plan(self, view: PlanView) -> Plan:
        """Return the plan that merging devices that are alone leads to."""
        formation = Formation(view, Constraints(self, view))
        self.merge(formation, self.candidates(formation))
        return self._assembled(view, formation.clusters(), reasons(formation))

    def mended(self, view: PlanView, cluster: Ints) -> Ints:
        """Return what merging makes of given clusters."""
        formation = Formation(view, Constraints(self, view))
        self.merge(formation, formation.hold(cluster))
        return formation.clusters()

    def _assembled(self, view: PlanView, cluster: Ints, reasons: tuple[str, ...]) -> Plan:
        """Return the plan with these clusters, at the powers that the limits ask for."""
        if self.linkage == "single":  # a pair in range without any gain is no link
            heard = view.mean_gain > 0
            view = replace(
                view, low=view.low[heard], high=view.high[heard], mean_gain=view.mean_gain[heard]
            )
        return assemble(view, cluster, Constraints(self, view).power(), reasons, self.casting)

    def lay(self, view: PlanView, layout: Layout, reasons: tuple[str, ...]) -> Plan:
        """Return the plan with these clusters; their links are all pairs in range."""
        return self._assembled(view, layout.cluster, reasons)

    def broken(self, view: PlanView, layout: Layout) -> Bools:
        """Return which clusters do not meet the limits."""
        return broken(Constraints(self, view), layout.cluster)
