"""What a sweep asks for, and what of it is there already."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cosim.learning.pool.base import TrainingPool
from cosim.results.figure import Figure, FigureError
from cosim.results.identity import folder_name
from cosim.results.labels import labels
from cosim.results.run_folder import Manifest
from cosim.results.sweep_folder import SweptRun, sweep_name, write_sweep
from cosim.scenario.checks import figure_misfits
from cosim.scenario.dump import dump
from cosim.scenario.errors import Problem, ScenarioError
from cosim.scenario.overrides import Overrides
from cosim.scenario.points import LoadedSweep, load_sweep
from cosim.scenario.tree import Scenario
from cosim.sweep.job import Job
from cosim.sweep.threads import num_cores, threads_of
from cosim.wording import dotted

State = Literal["done", "missing", "unfinished", "going on"]


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes:
        scenario: resolved, with its seed.
        label: what tells its experiment from the others of the sweep.
        folder: name of its run folder, which says what is run (cosim.results.identity).
        state: what is there; a run is unfinished that failed, was interrupted or was killed, and
            going on if another process has it.
    """

    scenario: Scenario
    label: str
    folder: str
    state: State


@dataclass(frozen=True)
class SweepPlan:
    """A sweep.

    Attributes:
        file: the scenario's file.
        out_dir: where run folders are made.
        name: of the sweep, for people.
        folder: the sweep's own folder.
        runs: in order of points, seeds of a point together.
        num_same: combinations beside these that come out the same as one of them.
        plots: figures of all of them.
    """

    file: Path
    out_dir: Path
    name: str
    folder: Path
    runs: tuple[PlannedRun, ...]
    num_same: int
    plots: tuple[Figure, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The experiments, in order."""
        return tuple(dict.fromkeys(run.label for run in self.runs))

    def of(self, label: str) -> tuple[PlannedRun, ...]:
        """Return the runs of an experiment, by seed."""
        return tuple(run for run in self.runs if run.label == label)

    def states(self) -> Iterator[State]:
        """Yield what is there of each run now."""
        return (_state(self.out_dir / run.folder) for run in self.runs)

    def to_run(self) -> tuple[PlannedRun, ...]:
        """Return what is neither done nor going on: one seed of every point first, then another.

        So a sweep that is stopped has as many seeds of one point as of another.
        """
        rank: dict[str, int] = {}
        turns = []
        for run in self.runs:
            turns.append(rank.setdefault(run.label, 0))
            rank[run.label] += 1
        ordered = sorted(zip(turns, self.runs, strict=True), key=lambda pair: pair[0])
        return tuple(run for _, run in ordered if run.state in ("missing", "unfinished"))

    def slots(self) -> int:
        """Return how many runs at a time fill the cores, by the threads of the largest."""
        threads = max((threads_of(run.scenario) for run in self.to_run()), default=1)
        return max(1, min(num_cores() // threads, len(self.to_run())))

    def trains(self) -> bool:
        """Return whether some runs need PyTorch."""
        return any(isinstance(run.scenario.learning.pool, TrainingPool) for run in self.to_run())

    def jobs(self, command: str) -> list[Job]:
        """Return what is to be run, as jobs."""
        return [
            Job(
                label=run.label,
                seed=run.scenario.seed,
                folder=run.folder,
                text=dump(run.scenario),
                out_dir=str(self.out_dir),
                plugin_dir=str(self.file.parent),
                command=command,
            )
            for run in self.to_run()
        ]

    def write(self, command: str) -> None:
        """Make or refresh the sweep's folder."""
        swept = [SweptRun(run.folder, run.scenario.seed, run.label) for run in self.runs]
        write_sweep(self.folder, self.name, command, swept, self.plots)


def plan_sweep(file: Path, overrides: Overrides, out_dir: Path) -> SweepPlan:
    """Read a file's sweep and look what of it is done.

    Raises:
        ScenarioError: the file, its sweep, or some of its points have mistakes, or a figure cannot
            be drawn of them.
    """
    loaded = load_sweep(file, overrides)
    scenarios = loaded.scenarios
    runs: dict[str, Scenario] = {}  # points that come out the same are one
    experiments: dict[str, str] = {}
    firsts: dict[str, Scenario] = {}
    for folder, experiment, scenario in _named(scenarios):
        runs.setdefault(folder, scenario)
        experiments[folder] = experiment
        firsts.setdefault(experiment, scenario)
    told = dict(zip(firsts, labels(list(firsts.values())), strict=True))
    planned = tuple(
        PlannedRun(scenario, told[experiments[folder]], folder, _state(out_dir / folder))
        for folder, scenario in runs.items()
    )
    if problems := _undrawable(loaded, tuple(firsts.values())):
        raise ScenarioError(problems)
    name = _name(scenarios, file)
    return SweepPlan(
        file=file,
        out_dir=out_dir,
        name=name,
        folder=out_dir / sweep_name(name, runs),
        runs=planned,
        num_same=len(scenarios) - len(planned),
        plots=loaded.plots,
    )


def _undrawable(loaded: LoadedSweep, experiments: Sequence[Scenario]) -> list[Problem]:
    """Return what keeps figures from being drawn, as far as it shows before anything has run."""
    found: dict[tuple[int | str, ...], str] = {}
    for scenario in experiments:
        for (_, *place), message in figure_misfits(loaded.plots, scenario):
            found.setdefault(tuple(place), message)
    for index, figure in enumerate(loaded.plots):
        try:
            figure.survey(experiments)
        except FigureError as error:
            found.setdefault((index,), str(error))
    return [
        Problem(loaded.plot_marks[int(place[0])], dotted(("sweep", "plots", *place)), message)
        for place, message in found.items()
    ]


def _named(scenarios: Sequence[Scenario]) -> Iterator[tuple[str, str, Scenario]]:
    """Yield each scenario with the name of its folder, and that name without its seed.

    The content is hashed once for all seeds of a point, whose folders differ in the seed alone:
    that takes as long as everything else together.
    """
    experiment, unseeded = "", None
    for scenario in scenarios:
        if scenario.model_copy(update={"seed": 0}) != unseeded:
            unseeded = scenario.model_copy(update={"seed": 0})
            experiment = folder_name(scenario).removesuffix(str(scenario.seed))
        yield f"{experiment}{scenario.seed}", experiment, scenario


def _name(scenarios: Sequence[Scenario], file: Path) -> str:
    names = {scenario.name for scenario in scenarios}
    return names.pop() if len(names) == 1 else file.stem


def _state(folder: Path) -> State:
    try:
        manifest = Manifest.read(folder)
    except (OSError, ValueError):
        return "missing"  # what else lies there is told when the run is to be made
    if manifest.outcome == "finished":
        return "done"
    return "going on" if manifest.is_going_on() else "unfinished"
