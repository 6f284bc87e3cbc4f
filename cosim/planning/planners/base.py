"""A planner decides who talks to whom."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from cosim.planning.view import Bools, Ints, Plan, PlanView
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


@dataclass(frozen=True)
class Layout:
    """Who is with whom, without powers and delays.

    Attributes:
        cluster: cluster number of each device, or -1 for one that takes no part, [N].
        low, high: the pairs that have a link each way, low < high, [P].
    """

    cluster: Ints
    low: Ints
    high: Ints


class SteadyPlanner(Planner):
    """A planner whose clusters can outlast its plans; see `hysteresis`."""

    def mended(self, view: PlanView, cluster: Ints) -> Ints | None:
        """Return clusters that contain given ones, none of which is broken, [N].

        Args:
            view: what is planned for.
            cluster: cluster number of each device that is in one, -1 for the others, [N].

        Returns:
            Numbers for all alive devices, by lowest device; None where what is planned is one shape
            of all devices, and not clusters that stand by themselves.
        """
        return None

    @abstractmethod
    def lay(self, view: PlanView, layout: Layout, reasons: tuple[str, ...]) -> Plan:
        """Return the plan of a layout none of whose clusters is broken, at the gains of now."""

    @abstractmethod
    def broken(self, view: PlanView, layout: Layout) -> Bools:
        """Return which clusters of alive devices are not what this planner may plan now, [C].

        Some pairs of the layout may be out of range now. A device alone is never broken.
        """
