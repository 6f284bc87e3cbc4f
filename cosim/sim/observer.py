"""Observers: what a progress display or a logger may see of a run while it goes on."""

from collections.abc import Sequence
from dataclasses import dataclass

from cosim.boundary import Evaluation
from cosim.planning.view import Plan


@dataclass(frozen=True)
class RoundRecord:
    """One row of the table `rounds`: a round that has ended.

    Attributes:
        round: number of the round, from 1.
        t_s, start_s: when it ended and began.
        loss_mean: mean training loss of the devices that trained; NaN if none did.
        bits_sent: bits on the air, headers and repeated attempts counted.
        bits_delivered: application bits of the packets that arrived.
        energy_j: energy that all devices used since the round before ended; bits, trainings and
            losses count from there, too.
        num_clusters: clusters of the plan in force.
        collision_rate: measured fraction of coordinates that more than one device of a cluster
            trains, averaged over clusters of two or more; 0 if there is none.
        num_late: updates that missed their deadline, or came after their round had closed.
        num_lost_packets: packets that were sent, at least in part, and did not arrive.
        num_plans: plans made so far.
        num_devices: devices that are taking part.
        num_trainings: local trainings that ended in the round.
        num_merged: updates that were aggregated, each counted at every device that did.
        staleness_mean: how old those were, in rounds of their senders (or versions of a server);
            NaN if there were none.
    """

    round: int
    t_s: float
    start_s: float
    loss_mean: float
    bits_sent: float
    bits_delivered: float
    energy_j: float
    num_clusters: int
    collision_rate: float
    num_late: int
    num_lost_packets: int
    num_plans: int
    num_devices: int
    num_trainings: int
    num_merged: int
    staleness_mean: float


class Observer:
    """Sees a run go by and changes nothing. Override what is of interest."""

    def on_plan(self, plan: Plan, trigger: str) -> None:
        """See a new plan, and why it was made."""

    def on_round(self, record: RoundRecord) -> None:
        """See that a round has ended."""

    def on_evaluation(self, t_s: float, round: int, scores: Sequence[Evaluation]) -> None:
        """See the devices' models judged after `round` rounds (0: before the first)."""

    def on_event(self, t_s: float, kind: str, device: int, detail: str) -> None:
        """See anything worth a line; `device` is -1 where it is about none."""
