"""A planner decides who talks to whom."""

from abc import abstractmethod
from pathlib import Path

from cosim.planning.view import Plan, PlanView
from cosim.plugin import Plugin


class Planner(Plugin):
    """Contract of family `planner`: a pure function of what it sees."""

    def survey(self, num_devices: int, data_root: Path) -> None:
        """Look whether this planner's files and keys speak of these devices.

        Raises:
            WorldError: they do not; the message says where.
        """

    @abstractmethod
    def plan(self, view: PlanView) -> Plan:
        """Return the plan for this view.

        Every alive device is in exactly one cluster (alone, if nobody is feasible), every device
        that is not alive in none, and every link joins two alive devices of one cluster
        (`links`) or of two clusters (`gateways`).
        """
