"""Drawing figures: into files, for a run that has ended, for `cosim plot`, and as a script."""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cosim.plugin import kind_of
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.run import Run, RunError
from cosim.results.sweep_folder import open_runs


@dataclass(frozen=True)
class Drawn:
    """What became of one figure.

    Attributes:
        figure: its name.
        paths: the files written: PDF, PNG, CSV; none if it could not be drawn.
        problem: why it could not be drawn; empty if it was.
    """

    figure: str
    paths: tuple[Path, ...] = ()
    problem: str = ""


def draw_figures(
    figures: Sequence[Figure], runs: Sequence[Run], out_dir: Path
) -> tuple[Drawn, ...]:
    """Draw figures of runs into PDF, PNG and CSV files.

    A figure that compares takes all runs at once. Any other is drawn for each run, and where there
    are several, the run's folder is part of the file's name. Without a run, each is drawn once. A
    figure that cannot be drawn keeps none of the others from it.

    Args:
        figures: what to draw.
        runs: at least one, unless none of the figures needs one.
        out_dir: where the files go; made if it is not there.

    Returns:
        What became of each figure, in order.
    """
    drawn = []
    used: Counter[str] = Counter()
    for figure in figures:
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", _name(type(figure)))
        batches = [tuple(runs)] if figure.compares or not runs else [(run,) for run in runs]
        for batch in batches:
            stem = name if len(batches) == 1 else f"{name}-{batch[0].path.resolve().name}"
            used[stem] += 1
            unique = stem if used[stem] == 1 else f"{stem}-{used[stem]}"
            drawn.append(_draw_one(figure, batch, out_dir / unique))
    return tuple(drawn)


def draw(figure: Figure, runs: Sequence[Run]) -> Drawing:
    """Draw one figure, after a look at whether the runs fit it.

    Raises:
        FigureError: there is no run and the figure needs one, or there are several and it is of
            one, or a run lacks packets or measures that it needs, or the figure itself says so.
    """
    if not runs and figure.needs_runs:
        raise FigureError("expected at least one run folder, got none")
    if len(runs) > 1 and not figure.compares:
        raise FigureError(f"{_name(type(figure))} draws one run, got {len(runs)}")
    for rows, reason in (("packets", "nothing was sent"), ("measures", "nothing was trained")):
        for run in runs if getattr(figure, f"needs_{rows}") else ():
            if getattr(run, rows).empty:
                was_asked_for = getattr(run.scenario.record, rows)
                remedy = reason if was_asked_for else f"set `record.{rows}: true`"
                raise FigureError(f"run {run.path} recorded no {rows}; {remedy}")
    return figure.draw(runs)


def main(figure_class: type[Figure], arguments: Sequence[str] | None = None) -> int:
    """Draw one figure from the command line: `python plots/NAME.py [RUNS...] [key=value ...]`.

    Args:
        figure_class: the figure.
        arguments: of the command line; by default those of this process.

    Returns:
        The exit status: 0 drawn, 2 bad input.
    """
    name = _name(figure_class)
    parser = argparse.ArgumentParser(
        prog=name, description=(figure_class.__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="folder of a run or a sweep, or KEY=VALUE"
    )
    parser.add_argument("--out", type=Path, help="folder for the files")
    options = parser.parse_args(arguments)
    settings = [word for word in options.runs if "=" in word and not Path(word).exists()]
    folders = [word for word in options.runs if word not in settings]
    try:
        figure = figure_class.model_validate(_read_settings(settings))
        opened = open_runs([Path(folder) for folder in folders])
        runs = opened.runs
        for line in opened.notes:
            print(f"{name}: {line}", file=sys.stderr)
        if not runs and figure.needs_runs:
            raise FigureError("expected at least one run folder, got none")
    except ValidationError as error:
        for problem in error.errors():
            where = ".".join(map(str, problem["loc"]))
            print(f"{name}: {where}: {problem['msg']}", file=sys.stderr)
        return 2
    except (RunError, FigureError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    status = 0
    for drawn in draw_figures([figure], runs, options.out or default_out_dir(runs)):
        if drawn.problem:
            print(f"{name}: {drawn.problem}", file=sys.stderr)
            status = 2
        for path in drawn.paths:
            print(path)
    return status


def default_out_dir(runs: Sequence[Run]) -> Path:
    """Return where figures go: into the run's folder; `figures/` here for several runs or none."""
    return runs[0].path / "figures" if len(runs) == 1 else Path("figures")


def _draw_one(figure: Figure, runs: Sequence[Run], stem: Path) -> Drawn:
    name = _name(type(figure))
    try:
        return Drawn(name, draw(figure, runs).save(stem))
    except (FigureError, RunError) as error:
        return Drawn(name, problem=str(error))
    except Exception as error:  # one figure's bug must not cost the others
        return Drawn(name, problem=f"failed with {type(error).__name__}: {error}")


def _name(figure_class: type[Figure]) -> str:
    """Return a figure's kind; of a script that is run, its file's name."""
    if figure_class.__module__ == "__main__":
        return Path(sys.modules["__main__"].__file__ or figure_class.__name__).stem
    return kind_of(figure_class)


def _read_settings(settings: Sequence[str]) -> dict[str, object]:
    """Read `key=value` words, values as in a scenario."""
    reader = YAML(typ="safe", pure=True)
    read = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        try:
            read[key] = _tuples(reader.load(value))
        except YAMLError:
            raise FigureError(f"expected KEY=VALUE with a value in YAML, got {setting!r}") from None
    return read


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
