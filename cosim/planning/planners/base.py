"""A planner decides who talks to whom."""

from abc import abstractmethod

from cosim.planning.view import Plan, PlanView
from cosim.plugin import Plugin


class Planner(Plugin):
    """Contract of family `planner`: a pure function of what it sees."""

    @abstractmethod
    def plan(self, view: PlanView) -> Plan:
        """Return the plan for this view.

        Every alive device is in exactly one cluster (alone, if nobody is feasible), every device
        that is not alive in none, and every link joins two alive devices of one cluster
        (`links`) or of two clusters (`gateways`).
        """
