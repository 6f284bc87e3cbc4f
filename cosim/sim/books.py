"""The books of a run: the rows of its tables, and what is summed up while a round goes on."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cosim.boundary import Delivery, Evaluation, TrainingReport
from cosim.learning.learner import Learner
from cosim.planning.view import Plan
from cosim.results.tables import Recorder
from cosim.sim.energy import USES, EnergyMeter
from cosim.sim.measures import MeasureBooks
from cosim.sim.observer import Observer, RoundRecord
from cosim.sim.records import FlowRecord, PacketRecord
from cosim.wording import counted

BACKGROUND = "background"
"""Kind of a payload that is not of learning; it is recorded, and left out of a round's sums."""


@dataclass
class _Sums:
    """What a round comes to."""

    start_energy_j: float = 0.0
    losses: list[float] = field(default_factory=list)
    bits_sent: float = 0.0
    bits_delivered: float = 0.0
    num_late: int = 0
    num_lost_packets: int = 0
    staleness: list[int] = field(default_factory=list)  # of the updates that were aggregated


class Books:
    """What is written down of a run, and told to its observer.

    Args:
        clock: returns the simulated time.
        learner: says how adapters overlap.
        recorder: takes the rows.
        observer: sees them go by.
        num_devices: N.
        measures: whether adapters are compared with each other at evaluations.

    Attributes:
        round: number of the round that is open, or was last; 0 before the first.
        start_s: when it began.
        is_open: whether it goes on.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        learner: Learner,
        recorder: Recorder,
        observer: Observer,
        num_devices: int,
        *,
        measures: bool,
    ) -> None:
        self.round, self.start_s, self.is_open = 0, 0.0, False
        self._sums = _Sums()
        self._clock = clock
        self._learner = learner
        self._recorder = recorder
        self._observer = observer
        self._measures = MeasureBooks(num_devices) if measures else None
        self._evaluated_s, self._evaluated_round = -math.inf, -1

    # Rounds

    def open_round(self, round: int, *, may_be_evaluated: bool) -> None:
        """Begin a round; what has happened since the one before closed counts to it, too."""
        self.round, self.start_s, self.is_open = round, self._clock(), True
        if self._measures is not None:
            self._learner.watch_merges(may_be_evaluated)

    def close_round(self, plan: Plan, num_plans: int, num_devices: int, energy_j: float) -> None:
        """Record the round that has ended.

        Args:
            plan: in force.
            num_plans: made so far.
            num_devices: that take part.
            energy_j: what all devices have used until now.
        """
        sums = self._sums
        self.is_open = False
        record = RoundRecord(
            round=self.round,
            t_s=self._clock(),
            start_s=self.start_s,
            loss_mean=_mean(sums.losses),
            bits_sent=sums.bits_sent,
            bits_delivered=sums.bits_delivered,
            energy_j=energy_j - sums.start_energy_j,
            num_clusters=plan.num_clusters,
            collision_rate=self._collision_rate(plan),
            num_late=sums.num_late,
            num_lost_packets=sums.num_lost_packets,
            num_plans=num_plans,
            num_devices=num_devices,
            num_trainings=len(sums.losses),
            num_merged=len(sums.staleness),
            staleness_mean=_mean(sums.staleness),
        )
        self._sums = _Sums(energy_j)
        self._recorder.add("rounds", **vars(record))
        self._observer.on_round(record)

    @property
    def num_trainings(self) -> int:
        """Local trainings that have ended in the round."""
        return len(self._sums.losses)

    def _collision_rate(self, plan: Plan) -> float:
        clusters = (plan.members(cluster).tolist() for cluster in range(plan.num_clusters))
        rates = [self._learner.overlap(members) for members in clusters if len(members) > 1]
        return float(np.mean(rates)) if rates else 0.0

    # What happens in them

    def log(self, kind: str, device: int, detail: str) -> None:
        """Add a row to the table `events`; device -1 where it is about none."""
        t_s = self._clock()
        self._recorder.add("events", t_s=t_s, kind=kind, device=device, detail=detail)
        self._observer.on_event(t_s, kind, device, detail)

    def late(self, delivery: Delivery, detail: str) -> None:
        """Note that an update came too late for its round."""
        self._sums.num_late += 1
        text = f"update of device {delivery.payload.src}, round {delivery.payload.round}: {detail}"
        self.log("late", delivery.payload.dst, text)

    def plan(self, plan: Plan, trigger: str) -> None:
        """Record a plan that was made."""
        num = len(plan.cluster)
        self._recorder.extend(
            "plans",
            plan=plan.index,
            t_s=plan.t_s,
            trigger=trigger,
            device=np.arange(num),
            cluster=plan.cluster,
            is_gateway=np.isin(np.arange(num), plan.gateways.src),
            density=plan.density,
        )
        for links in (plan.links, plan.gateways):
            with np.errstate(divide="ignore"):  # no gain is minus infinity in dB
                mean_gain_db = 10 * np.log10(links.mean_gain)
            self._recorder.extend(
                "links",
                plan=plan.index,
                src=links.src,
                dst=links.dst,
                power_w=links.power_w,
                mean_gain_db=mean_gain_db,
                predicted_delay_s=links.predicted_delay_s,
            )
        clusters = counted(plan.num_clusters, "cluster")
        self.log("plan", -1, "; ".join([f"{trigger}: {clusters}", *plan.reasons]))
        self._observer.on_plan(plan, trigger)

    def training(self, report: TrainingReport, start_s: float, power_w: float) -> None:
        """Record a local training that ends now."""
        self._sums.losses.append(report.loss)
        if self._measures is not None:
            self._measures.flops[report.device] += report.flops
        end_s = self._clock()
        self._recorder.add(
            "trainings",
            start_s=start_s,
            end_s=end_s,
            energy_j=power_w * (end_s - start_s),
            **vars(report),
        )

    def flow(self, flow: FlowRecord) -> None:
        """Record a transfer that has ended."""
        self._recorder.add("flows", **vars(flow))
        if flow.kind == BACKGROUND:
            return
        self._sums.bits_sent += flow.air_bits
        if self._measures is not None:
            self._measures.bits_sent[flow.src] += flow.air_bits
        self._sums.bits_delivered += flow.delivered_bits
        self._sums.num_lost_packets += flow.num_lost

    def packets(self, packets: PacketRecord) -> None:
        """Record the packets of a transfer."""
        self._recorder.extend("packets", **vars(packets))

    def merges(
        self,
        device: int,
        deliveries: Sequence[Delivery],
        weights: Sequence[float],
        staleness: Sequence[int],
    ) -> None:
        """Record updates that a device has aggregated, how each counted and how old it was."""
        if not deliveries:
            return
        self._sums.staleness += staleness
        num = len(deliveries)
        self._recorder.extend(
            "merges",
            round=np.full(num, self.round),
            t_s=np.full(num, self._clock()),
            device=np.full(num, device),
            src=np.array([delivery.payload.src for delivery in deliveries]),
            sent_round=np.array([delivery.payload.round for delivery in deliveries]),
            staleness=np.array(staleness),
            weight=np.array(weights, dtype=np.float64),
        )

    def positions(
        self,
        at_s: NDArray[np.float64],
        devices: NDArray[np.int64],
        positions_m: NDArray[np.float64],
    ) -> None:
        """Record where devices were, [n], [n] and [n, 2]."""
        self._recorder.extend(
            "positions",
            t_s=at_s,
            device=devices,
            x_m=positions_m[:, 0],
            y_m=positions_m[:, 1],
        )

    def energy(self, meter: EnergyMeter, num_devices: int) -> None:
        """Record what each device has used until now, and for what."""
        devices = range(num_devices)
        used_j = {
            f"{use}_j": np.array([meter.used_for_j(use, device) for device in devices])
            for use in USES
        }
        self._recorder.extend(
            "energy",
            t_s=self._clock(),
            device=np.array(devices),
            **used_j,
            left_j=np.array([meter.left_j(device) for device in devices]),
        )

    # Evaluations

    @property
    def since_evaluation_s(self) -> float:
        """Time since the last evaluation; infinity before the first."""
        return self._clock() - self._evaluated_s

    @property
    def is_evaluated(self) -> bool:
        """Whether the round's models have been judged."""
        return self._evaluated_round == self.round

    def evaluation(
        self,
        round: int,
        scores: Sequence[Evaluation],
        devices: Sequence[int],
        plan: Plan | None,
    ) -> None:
        """Record what models are worth after so many rounds.

        Args:
            round: how many are over.
            scores: of the models that were judged.
            devices: that take part, whose adapters are measured.
            plan: in force; None before the first.
        """
        t_s = self._clock()
        self._evaluated_s, self._evaluated_round = t_s, round
        for score in scores:
            self._recorder.add("evaluations", round=round, t_s=t_s, **vars(score))
        self._observer.on_evaluation(t_s, round, scores)
        if self._measures is not None:
            measured = self._measures.take(self._learner, devices, plan, scores)
            for table, columns in measured.items():
                self._recorder.extend(table, round=round, t_s=t_s, **columns)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
