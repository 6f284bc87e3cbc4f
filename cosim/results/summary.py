"""What a run came to: the numbers of the table at its end."""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cosim.results.outcomes import cut_by_end, end_s
from cosim.results.run import Run

if TYPE_CHECKING:
    import pandas as pd

# "Time to accuracy" without a target: when this part of the whole gain has been made.
GAIN_SHARE = 0.8
_NUMBER = re.compile(r"[+-]?\d+(?:[.-]\d+)*")  # also the two ends of a link, `4-5`
_ROUNDING = 1e-9  # of a mean of accuracies
UNFINISHED = "unfinished"  # in flight at the end of the run
OUTCOMES = ("delivered", "partial", "expired", "aborted", "dropped", UNFINISHED)
_COMINGS = {"enter": "entered", "leave": "left", "battery_empty": "ran out of battery"}
_SPENT = ("transmit_j", "receive_j", "compute_j", "idle_j")


@dataclass(frozen=True)
class Change:
    """A mean accuracy at the first evaluation and at the last, 0 to 1; NaN if there is none."""

    first: float
    last: float


@dataclass(frozen=True)
class TaskAccuracy:
    """One task.

    Attributes:
        task: its name.
        own: mean over the devices that train on it.
        all: mean over all devices.
    """

    task: str
    own: Change
    all: Change


@dataclass(frozen=True)
class TimeToAccuracy:
    """When the mean own-task accuracy first reached a target.

    Attributes:
        target: the accuracy.
        time_s: simulated time of the first evaluation at or above it; NaN if it never was.
        rounds: rounds that were over then; -1 if it never was.
    """

    target: float
    time_s: float
    rounds: int


@dataclass(frozen=True)
class Summary:
    """A run in numbers. Totals are over the whole run; what does not exist is NaN or None.

    Attributes:
        own_accuracy: mean over devices, on the tasks that they train on.
        all_accuracy: mean over all devices and tasks.
        time_to_accuracy: with the target that was asked for; by default the first accuracy plus
            80 % of the gain from there to the best. None without a gain.
        time_s: simulated time at the end of the run.
        energy_j: used by all devices until the end of the run.
        bits_sent: on the air, headers and repetitions counted.
        bits_delivered: of payloads; those of a multicast count at each of its receivers.
        collision_rate: mean over rounds.
        num_late: updates that missed their deadline.
        num_unmerged: rounds in which nobody has aggregated anything.
        comings: number of devices that came and went in the run, by the words for it.
        server_end: what became of a server that went; empty if it stayed or there is none.
        transfers: number of transfers by how they ended, those in flight at the end of the run
            apart.
        num_sent_packets: packets that were sent, at least in part, but for those of transfers that
            the run's end has cut off; each counts once.
        num_lost_packets: those of them that did not arrive.
        num_unsent_packets: packets whose transfer ended before their turn came.
        triggers: number of plans by what caused them, in order of appearance; causes that differ
            in numbers only count together, and are told without them.
    """

    run: Run
    own_accuracy: Change
    all_accuracy: Change
    tasks: tuple[TaskAccuracy, ...]
    time_to_accuracy: TimeToAccuracy | None
    time_s: float
    num_rounds: int
    num_devices: int
    bits_sent: float
    bits_delivered: float
    energy_j: float
    collision_rate: float
    num_late: int
    num_unmerged: int
    comings: tuple[tuple[str, int], ...]
    server_end: str
    transfers: tuple[tuple[str, int], ...]
    num_sent_packets: int
    num_lost_packets: int
    num_unsent_packets: int
    triggers: tuple[tuple[str, int], ...]

    @property
    def num_plans(self) -> int:
        """Plans made."""
        return sum(count for _, count in self.triggers)


def summarise(run: Run, target: float | None = None) -> Summary:
    """Return the numbers of a run's tables.

    Args:
        run: the run; its tables must be there.
        target: accuracy for "time to accuracy", 0 to 1.
    """
    rounds, evaluations, flows, plans = run.rounds, run.evaluations, run.flows, run.plans
    own = evaluations[evaluations["own"]]
    tasks = tuple(
        TaskAccuracy(str(task), _change(own[own["task"] == task]), _change(rows))
        for task, rows in evaluations.groupby("task", sort=True)
    )
    triggers = plans.drop_duplicates("plan").sort_values("plan")["trigger"]
    is_cut = cut_by_end(run)
    ended, whole = flows["outcome"].mask(is_cut, UNFINISHED).value_counts(), flows[~is_cut]
    return Summary(
        run=run,
        own_accuracy=_change(own),
        all_accuracy=_change(evaluations),
        tasks=tasks,
        time_to_accuracy=time_to_accuracy(run, target),
        time_s=end_s(run),
        num_rounds=len(rounds),
        num_devices=int(plans["device"].nunique()),
        # Not of the rounds, which miss what went on after the last one had closed.
        bits_sent=float(flows["air_bits"].sum()),
        bits_delivered=float(flows["delivered_bits"].sum()),
        energy_j=float(run.energy[list(_SPENT)].to_numpy().sum()),
        collision_rate=float(rounds["collision_rate"].mean()),
        num_late=int(rounds["num_late"].sum()),
        num_unmerged=int((rounds["num_merged"] == 0).sum()),
        comings=_comings(run.events),
        server_end=_server_end(run),
        transfers=tuple((name, int(ended[name])) for name in OUTCOMES if name in ended),
        num_sent_packets=int((whole["num_packets"] - whole["num_unsent"]).sum()),
        num_lost_packets=int(whole["num_lost"].sum()),
        num_unsent_packets=int(flows["num_unsent"].sum()),
        triggers=_causes(triggers),
    )


def _comings(events: "pd.DataFrame") -> tuple[tuple[str, int], ...]:
    counts = events["kind"].value_counts()
    return tuple((words, int(counts[kind])) for kind, words in _COMINGS.items() if kind in counts)


def _server_end(run: Run) -> str:
    events = run.events
    of_servers = events["device"].isin(run.scenario.servers)
    ends = events[of_servers & events["kind"].isin(["leave", "battery_empty"])]
    if ends.empty:
        return ""
    last = ends.iloc[-1]
    return f"the server, device {last['device']}, {_COMINGS[last['kind']]} at {last['t_s']:.6g} s"


def _causes(reasons: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Count causes; those that differ in their numbers only are one, and lose them."""
    sorts: dict[str, Counter[str]] = {}
    for reason in reasons:
        sorts.setdefault(_NUMBER.sub("\u2026", reason), Counter())[reason] += 1
    return tuple(
        (next(iter(counts)) if len(counts) == 1 else sort, counts.total())
        for sort, counts in sorts.items()
    )


def mean_accuracy(run: Run, own: bool) -> "pd.DataFrame":
    """Return the accuracy averaged over devices and tasks, at each evaluation instant.

    Args:
        run: the run.
        own: whether over own tasks only.

    Returns:
        Columns t_s, round, accuracy, in order of time.
    """
    rows = run.evaluations
    rows = rows[rows["own"]] if own else rows
    means = rows.groupby("t_s", sort=True, as_index=False)
    return means.agg(round=("round", "last"), accuracy=("accuracy", "mean"))


def time_to_accuracy(run: Run, target: float | None = None) -> TimeToAccuracy | None:
    """Return when the mean own-task accuracy first reached `target`; see `Summary`."""
    curve = mean_accuracy(run, own=True)
    if curve.empty:
        return None
    if target is None:
        first, best = float(curve["accuracy"].iloc[0]), float(curve["accuracy"].max())
        if not best > first:
            return None
        target = first + GAIN_SHARE * (best - first)
    reached = curve[curve["accuracy"] >= target - _ROUNDING]
    if reached.empty:
        return TimeToAccuracy(target, math.nan, -1)
    return TimeToAccuracy(target, float(reached["t_s"].iloc[0]), int(reached["round"].iloc[0]))


def _change(rows: "pd.DataFrame") -> Change:
    if rows.empty:
        return Change(math.nan, math.nan)
    by_time = rows.groupby("t_s", sort=True)["accuracy"].mean()
    return Change(float(by_time.iloc[0]), float(by_time.iloc[-1]))
