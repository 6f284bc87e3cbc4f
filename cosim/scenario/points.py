"""What a `sweep:` says: one validated scenario for each run, and figures; or all mistakes at once.

file -> each combination of grid and zip that `where` lets stay -> overrides -> each seed

A combination is laid over the file as overrides are, so its values are read and checked as if they
stood at their keys; overrides from the command line are laid over every point, last of all.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cosim.scenario.axes import Step, Value, axes
from cosim.scenario.document import Document, has
from cosim.scenario.errors import Mark, Problem, ScenarioError
from cosim.scenario.files import read
from cosim.scenario.load import allowed_plugins, validate
from cosim.scenario.messages import mark_of, translate
from cosim.scenario.overrides import Override, Overrides, apply, read_overrides
from cosim.scenario.place import Place
from cosim.scenario.tree import Scenario, Sweep
from cosim.scenario.where import Where
from cosim.wording import dotted

MOST_RUNS = 10_000


@dataclass(frozen=True)
class LoadedSweep:
    """A sweep that was read.

    Attributes:
        scenarios: one for each run, all seeds of the first point first.
        plots: the figures of all runs together.
        plot_marks: where each of them is written.
    """

    scenarios: tuple[Scenario, ...]
    plots: tuple[Any, ...]
    plot_marks: tuple[Mark, ...]


def load_sweep(path: str | Path, overrides: Overrides = ()) -> LoadedSweep:
    """Return what a file sweeps.

    Args:
        path: a YAML file with a `sweep:`, in it or among the overrides.
        overrides: as those of `load`; they are laid over every point.

    Raises:
        ScenarioError: the file, the sweep, or some of its points have mistakes; it holds all.
    """
    path = Path(path)
    document, _ = read(path)
    given, problems = read_overrides(overrides)
    if document.problems and not document.data:
        raise ScenarioError((*document.problems, *problems))
    whole = apply(document, given, Scenario, ())
    plugins = allowed_plugins(whole, path.parent)
    whole = apply(document, given, Scenario, plugins)
    sweep, wrong = _section(whole, plugins)
    problems += document.problems
    if "sweep" in whole.data or not problems:  # a broken file may have lost it
        problems += wrong
    if sweep is None:
        raise ScenarioError(problems)
    swept, wrong = axes(whole)
    problems += wrong
    seeds, wrong = _seeds(sweep, whole, given)
    problems += wrong
    if problems:
        raise ScenarioError(problems)
    combinations = itertools.product(*swept)
    maker = _Maker(_without_sweep(document), given, plugins, path.parent)
    points = [maker.point(combination) for combination in _few(combinations, whole, len(seeds))]
    where = Where(whole)
    points = [
        point for point in points if where.fits(Place(point.document.data, Scenario, plugins))
    ]
    problems += where.problems()
    if not points and not problems:
        message = "expected conditions that at least one point fits, got none that does"
        problems.append(Problem(mark_of(whole, ("sweep", "where")), "sweep.where", message))
    if problems:
        raise ScenarioError(problems)
    marks = (mark_of(whole, ("sweep", "plots", index)) for index in range(len(sweep.plots)))
    return LoadedSweep(maker.scenarios(points, seeds), sweep.plots, tuple(marks))


@dataclass(frozen=True)
class _Point:
    """A combination of swept values, laid over the file."""

    text: str
    document: Document


@dataclass(frozen=True)
class _Maker:
    """Lays combinations over the file and validates what comes out.

    Attributes:
        base: the file without its sweep.
        given: overrides from the command line.
        plugins: modules that the scenario allows.
        folder: that of the file.
    """

    base: Document
    given: Sequence[Override]
    plugins: tuple[str, ...]
    folder: Path

    def point(self, combination: Sequence[Step]) -> _Point:
        values = [value for step in combination for value in step]
        # A whole section before its keys, and a kind before its own.
        ordered = sorted(values, key=lambda each: _depth(each.override))
        document = self.base
        for value in ordered:
            document = _with_inner_marks(self.laid(document, [value.override]), value)
        given = [each for each in self.given if each.path[0] != "sweep"]
        return _Point(", ".join(each.text for each in values), self.laid(document, given))

    def laid(self, document: Document, overrides: Sequence[Override]) -> Document:
        return apply(document, overrides, Scenario, self.plugins)

    def scenarios(
        self, points: Sequence[_Point], seeds: Sequence[Override]
    ) -> tuple[Scenario, ...]:
        """Return the scenario of each point and seed.

        Raises:
            ScenarioError: some have mistakes. One that not all points have says which has it.
        """
        scenarios, found = [], Counter[tuple[str, str]]()
        first: dict[tuple[str, str], tuple[Problem, str]] = {}
        for point in points:
            problems = set(point.document.problems)
            for seed in seeds or (None,):
                seeded = point.document if seed is None else self.laid(point.document, [seed])
                scenario, wrong = validate(seeded, self.plugins, self.folder)
                problems |= set(wrong)
                if scenario is not None:
                    scenarios.append(scenario)
            # A key that is none is one mistake, wherever each of its values stands.
            told = {(each.path, each.message): each for each in problems}
            found.update(told.keys())
            for said, each in told.items():
                first.setdefault(said, (each, point.text))
        if found:
            raise ScenarioError(
                each if found[said] == len(points) else _of_some(each, found[said], len(points), at)
                for said, (each, at) in first.items()
            )
        return tuple(scenarios)


def _depth(override: Override) -> tuple[int, bool]:
    return len(override.path), override.path[-1] != "kind"


def _of_some(problem: Problem, count: int, all_: int, text: str) -> Problem:
    message = f"{problem.message} (in {count} of {all_} points, such as {text})"
    return Problem(problem.mark, problem.path, message)


def _with_inner_marks(document: Document, value: Value) -> Document:
    """Say of what is inside a swept value where it was written, too."""
    target = value.override.path
    marks = {(*target, *path): mark for path, mark in value.marks.items()}
    kept = {path: mark for path, mark in marks.items() if has(document.data, path)}
    return Document(document.data, document.marks | kept, document.problems)


def _section(document: Document, plugins: tuple[str, ...]) -> tuple[Sweep | None, list[Problem]]:
    """Return a document's sweep, if it has one that is none of a mistake."""
    if document.data.get("sweep") is None:
        message = (
            "expected the key `sweep` with grid, zip or seeds, got none; "
            "write it, or give sweep.seeds=5 on the command line; `cosim run` runs one scenario"
        )
        return None, [Problem(mark_of(document, ("sweep",)), "", message)]
    # A scenario of nothing else: messages name their place in the whole.
    alone = {"sweep": document.data["sweep"]}
    try:
        return Scenario.model_validate(alone, context={"plugins": plugins}).sweep, []
    except ValidationError as error:
        return None, translate(error, document, Place(alone, Scenario, plugins))


def _seeds(
    sweep: Sweep, document: Document, given: Iterable[Override]
) -> tuple[list[Override], list[Problem]]:
    """Return the seeds as overrides; none where the scenario's own seed is a mistake."""
    mark = mark_of(document, ("sweep", "seeds"))
    if isinstance(sweep.seeds, int) and sweep.seeds > MOST_RUNS:
        message = f"expected at most {MOST_RUNS}, got {sweep.seeds}"
        return [], [Problem(mark, "sweep.seeds", message)]
    if isinstance(sweep.seeds, int):
        start = document.data.get("seed", Scenario.model_fields["seed"].default)
        if type(start) is not int or start < 0:
            return [], []
        return [Override(("seed",), start + k, mark) for k in range(sweep.seeds)], []
    twice = next((n for n, seed in enumerate(sweep.seeds) if seed in sweep.seeds[:n]), None)
    if twice is not None:
        here = ("sweep", "seeds", twice)
        message = f"expected each seed once, got {sweep.seeds[twice]} again"
        return [], [Problem(mark_of(document, here), dotted(here), message)]
    fixed = next((each for each in given if each.path == ("seed",)), None)
    if fixed is not None:
        message = "expected no seed beside the list sweep.seeds; write sweep.seeds=[...]"
        return [], [Problem(fixed.mark, "seed", message)]
    return [Override(("seed",), seed, mark) for seed in sweep.seeds], []


def _few(
    combinations: Iterable[tuple[Step, ...]], document: Document, num_seeds: int
) -> list[tuple[Step, ...]]:
    most = MOST_RUNS // max(num_seeds, 1)
    few = list(itertools.islice(combinations, most + 1))
    if len(few) > most:
        message = f"expected at most {MOST_RUNS} runs, seeds counted, got more"
        raise ScenarioError([Problem(mark_of(document, ("sweep",)), "sweep", message)])
    return few


def _without_sweep(document: Document) -> Document:
    data = {key: value for key, value in document.data.items() if key != "sweep"}
    marks = {path: mark for path, mark in document.marks.items() if path[:1] != ("sweep",)}
    return Document(data, marks, document.problems)
