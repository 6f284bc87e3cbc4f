"""Experiments beside each other: means over seeds with 95 % intervals, and paired differences.

The seeds of one experiment are independent samples, so each metric gets a mean and Student's
t-interval. Two experiments with the same seed see the same world (common random numbers), so what
they differ by is told from the differences seed by seed, whose spread is smaller than that of the
metrics themselves:

    d_k = x_k - y_k,    mean d +- t_{0.975, n-1} s_d / sqrt(n)

over the n seeds that both have.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from cosim.learning.pool.base import TrainingPool
from cosim.learning.pool.none import NonePool
from cosim.plugin import kind_of
from cosim.results.groups import group
from cosim.results.run import Run, RunError
from cosim.results.statistics import mean_interval
from cosim.results.summary import Summary, mean_accuracy, summarise
from cosim.scenario.tree import Scenario
from cosim.wording import no_such

_TARGET_STEP = 1e-3  # a target that is told as a whole tenth of a percent


@dataclass(frozen=True)
class Metric:
    """One number of a run.

    Attributes:
        name: its name in tables of data, with its unit.
        title: what people call it.
        unit: of the values, for people; `%` of values that are shares.
        value: of a run's summary; NaN where there is none.
        needs: what a scenario must ask for: models that are judged, or `record.measures` of
            adapters that are trained.
    """

    name: str
    title: str
    unit: str
    value: Callable[[Summary], float]
    needs: Literal["nothing", "judgement", "measures"] = "nothing"

    def misfit(self, scenario: Scenario) -> str | None:
        """Return why runs of a scenario will not have one; None if they may."""
        pool = scenario.learning.pool
        if self.needs == "judgement" and isinstance(pool, NonePool):
            return f"expected a pool that learns, got none, for {self.name}"
        if self.needs == "measures" and not isinstance(pool, TrainingPool):
            return f"expected a pool that trains, got {kind_of(pool)}, for {self.name}"
        if self.needs == "measures" and not scenario.record.measures:
            return f"expected `record: {{measures: true}}` for {self.name}, got measures: false"
        return None


def _time_to_accuracy(summary: Summary) -> float:
    reached = summary.time_to_accuracy
    return math.nan if reached is None else reached.time_s


def _energy_to_accuracy(summary: Summary) -> float:
    """Return what the rounds took that were over when the target was reached."""
    reached = summary.time_to_accuracy
    if reached is None or math.isnan(reached.time_s):
        return math.nan
    rounds = summary.run.rounds
    return float(rounds.loc[rounds["round"] <= reached.rounds, "energy_j"].sum())


def _lost_share(summary: Summary) -> float:
    sent = summary.num_sent_packets
    return summary.num_lost_packets / sent if sent else math.nan


def _measured(column: str) -> Callable[[Summary], float]:
    """Return the mean over devices and evaluations of what `record.measures` has."""

    def value(summary: Summary) -> float:
        values = summary.run.measures[column].to_numpy()
        values = values[np.isfinite(values)]
        return float(values.mean()) if values.size else math.nan

    return value


METRICS = (
    Metric("own_accuracy", "own-task accuracy", "%", lambda s: s.own_accuracy.last, "judgement"),
    Metric("all_accuracy", "all-task accuracy", "%", lambda s: s.all_accuracy.last, "judgement"),
    Metric("time_to_accuracy_s", "time to accuracy", "s", _time_to_accuracy, "judgement"),
    Metric("energy_to_accuracy_j", "energy to accuracy", "J", _energy_to_accuracy, "judgement"),
    Metric("time_s", "simulated time", "s", lambda each: each.time_s),
    Metric("num_rounds", "rounds", "", lambda each: float(each.num_rounds)),
    Metric("sent_bits", "sent", "bit", lambda each: each.bits_sent),
    Metric("delivered_bits", "delivered", "bit", lambda each: each.bits_delivered),
    Metric("energy_j", "energy", "J", lambda each: each.energy_j),
    Metric("collision_rate", "collision rate", "", lambda each: each.collision_rate),
    Metric("num_late", "late updates", "", lambda each: float(each.num_late)),
    Metric("lost_share", "packets lost", "%", _lost_share),
    Metric("orthogonality", "overlap of A", "", _measured("orthogonality"), "measures"),
    Metric("aggregation_gap", "aggregation gap", "", _measured("aggregation_gap"), "measures"),
    Metric("covariance_term", "covariance term", "", _measured("covariance_term"), "measures"),
    Metric("num_plans", "plans", "", lambda each: float(each.num_plans)),
    Metric("wall_s", "wall time", "s", lambda each: each.run.manifest.wall_s),
)


TO_ACCURACY = ("time_to_accuracy_s", "energy_to_accuracy_j")
"""Names of those metrics that are of a target."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: NaN if no seed has a value.
        half_width: of the 95 % t-interval; NaN with fewer than two values.
        num: how many seeds have a value.
    """

    mean: float
    half_width: float
    num: int


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of the values that are numbers, and how sure it is."""
    numbers = [value for value in values if not math.isnan(value)]
    if not numbers:
        return Estimate(math.nan, math.nan, 0)
    mean, half_width = mean_interval(numbers)
    return Estimate(float(mean), float(half_width), len(numbers))


@dataclass(frozen=True)
class Row:
    """One experiment.

    Attributes:
        label: what tells it from the others.
        values: of each metric by seed, by the metric's name.
    """

    label: str
    values: dict[str, dict[int, float]]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds it was run with."""
        return tuple(next(iter(self.values.values())))

    def estimate(self, metric: Metric) -> Estimate:
        """Return a metric's mean over seeds."""
        return estimate(list(self.values[metric.name].values()))

    def difference(self, baseline: "Row", metric: Metric) -> Estimate:
        """Return by how much a metric exceeds that of another experiment, paired by seed."""
        mine, other = self.values[metric.name], baseline.values[metric.name]
        return estimate([mine[seed] - other[seed] for seed in mine if seed in other])


@dataclass(frozen=True)
class Comparison:
    """Experiments beside each other.

    Attributes:
        rows: the experiments, in the order in which their runs were given.
        metrics: what there is of them; a metric that no run has is left out.
        target: own-task accuracy that "time to accuracy" is of; NaN if nothing was evaluated.
        is_own_target: whether it was not asked for; then it is the highest, in whole tenths of a
            percent, that every run has reached.
        baseline: what the others are held against; None if nothing is.
    """

    rows: tuple[Row, ...]
    metrics: tuple[Metric, ...]
    target: float
    is_own_target: bool
    baseline: Row | None

    @cached_property
    def single(self) -> tuple[str, ...]:
        """Labels of the experiments with one seed, of which nothing is known but that run."""
        return tuple(row.label for row in self.rows if len(row.seeds) == 1)


def compare(
    runs: Sequence[Run],
    *,
    target: float | None = None,
    baseline: str | None = None,
    metrics: Sequence[str] = (),
) -> Comparison:
    """Return the experiments of some runs beside each other.

    Args:
        runs: finished runs, in any order.
        target: accuracy for "time to accuracy", 0 to 1.
        baseline: label of the experiment that the others are held against.
        metrics: names of those wanted, in their order; by default all that there are.

    Raises:
        RunError: there is no run, or no such baseline or metric.
    """
    if not runs:
        raise RunError("expected at least one finished run, got none")
    wanted = _wanted(metrics)
    groups = group(runs)
    told = [each.label for each in groups]
    if baseline is not None and baseline not in told:
        raise RunError(no_such("label of a row", baseline, told))
    common = _common_target(runs) if target is None else target
    rows = tuple(_row(each.label, each.runs, wanted, common) for each in groups)
    there = tuple(metric for metric in wanted if metrics or _is_there(metric, rows))
    chosen = None if baseline is None else rows[told.index(baseline)]
    return Comparison(rows, there, common, target is None, chosen)


def _wanted(names: Sequence[str]) -> tuple[Metric, ...]:
    by_name = {metric.name: metric for metric in METRICS}
    for name in names:
        if name not in by_name:
            raise RunError(no_such("metric", name, by_name))
    return tuple(by_name[name] for name in names) if names else METRICS


def _row(label: str, runs: Sequence[Run], metrics: Sequence[Metric], target: float) -> Row:
    summaries = {run.seed: summarise(run, None if math.isnan(target) else target) for run in runs}
    return Row(
        label,
        {
            metric.name: {seed: metric.value(each) for seed, each in summaries.items()}
            for metric in metrics
        },
    )


def _is_there(metric: Metric, rows: Sequence[Row]) -> bool:
    return any(not math.isnan(v) for row in rows for v in row.values[metric.name].values())


def _common_target(runs: Sequence[Run]) -> float:
    """Return the highest own-task accuracy that every run which was evaluated has reached."""
    curves = [mean_accuracy(run, own=True)["accuracy"] for run in runs]
    best = [float(curve.max()) for curve in curves if len(curve)]
    if not best:
        return math.nan
    return float(np.floor(min(best) / _TARGET_STEP + 1e-6) * _TARGET_STEP)
