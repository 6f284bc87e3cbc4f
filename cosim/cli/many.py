"""The commands for many runs: `sweep` runs them, `compare` puts them beside each other."""

import math
import shlex
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cosim.cli.exits import FAILED, INTERRUPTED, BadInputError, messages
from cosim.cli.words import OverrideWords, ScenarioFile, command
from cosim.wording import counted

if TYPE_CHECKING:
    from cosim.results.comparison import Comparison
    from cosim.sweep.plan import SweepPlan
    from cosim.sweep.run import SweepResult

_WIDTH = 100  # of a table that goes into a file


def sweep(
    file: ScenarioFile,
    overrides: OverrideWords = None,
    *,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at a time; by default the cores by learning.pool.threads."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the points: what is done, what is missing.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Where run folders are made.")] = Path("runs"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the folder.")] = False,
) -> None:
    """Run what is missing of a scenario's sweep, side by side."""
    with messages():
        from cosim.sweep.threads import one_thread_beside_the_pool  # noqa: PLC0415

        one_thread_beside_the_pool()
        from cosim.sweep.plan import plan_sweep  # noqa: PLC0415

        plan = plan_sweep(file, overrides or (), out)
        slots = plan.slots() if jobs is None else jobs
        if plan.num_same:
            same = f"{counted(plan.num_same, 'run')} beside these {len(plan.runs)}"
            typer.echo(f"left out: {same}: the same as one of them", err=True)
        if dry_run:
            _list_points(plan, slots)
            return
        if out.exists() and not out.is_dir():
            raise BadInputError(f"{out}: expected a folder to make run folders in, got a file")
        result = _carry_out(plan, slots, quiet)
        _say_how_it_ended(plan, result, quiet)


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUNS", help="Folders of runs or sweeps, or of both.")
    ],
    *,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="Tell differences from this row, paired by seed."),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help='Accuracy for "time to accuracy", such as 0.8.'),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this column, named as in the CSV; again for more."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write them as CSV.")] = None,
    latex: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write them as a LaTeX table (booktabs).")
    ] = None,
) -> None:
    """Compare runs: means over seeds, intervals, differences."""
    with messages():
        from cosim.results import comparison_text  # noqa: PLC0415
        from cosim.results.comparison import compare as compare_runs  # noqa: PLC0415
        from cosim.results.sweep_folder import open_runs  # noqa: PLC0415

        found = open_runs(runs)
        for line in found.notes:
            typer.echo(line, err=True)
        compared = compare_runs(found.runs, target=target, baseline=baseline, metrics=metric or ())
        typer.echo(comparison_text.text(compared, _width()))
        if csv is not None:
            _write(csv, comparison_text.frame(compared).to_csv(index=False))
        if latex is not None:
            _write(latex, comparison_text.latex(compared))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    typer.echo(path)


def _list_points(plan: "SweepPlan", slots: int) -> None:
    states = Counter(run.state for run in plan.runs)
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    what = f"{counted(len(plan.runs), 'run')} of {counted(len(plan.labels), 'point')}"
    typer.echo(f"{plan.name}: {what}: {counts}; {slots} at a time")
    width = max(map(len, plan.labels))
    for label in plan.labels:
        seeds: dict[str, list[str]] = {}
        for run in plan.of(label):
            seeds.setdefault(run.state, []).append(str(run.scenario.seed))
        told = "; ".join(f"{state}: seed {' '.join(each)}" for state, each in seeds.items())
        typer.echo(f"  {label:<{width}}  {told}")


def _carry_out(plan: "SweepPlan", slots: int, quiet: bool) -> "SweepResult":
    from rich.console import Console  # noqa: PLC0415

    from cosim.sweep.local import LocalProcesses  # noqa: PLC0415
    from cosim.sweep.progress import SweepProgress  # noqa: PLC0415
    from cosim.sweep.run import run_sweep  # noqa: PLC0415

    plan.write(command())
    jobs = plan.jobs(command())
    console = None if quiet else Console(stderr=True)
    executor = LocalProcesses(slots, plan.folder / "logs", learning=plan.trains())
    with SweepProgress(jobs, slots, console, plan.folder / "log.txt") as progress:
        return run_sweep(jobs, executor, progress)


def _say_how_it_ended(plan: "SweepPlan", result: "SweepResult", quiet: bool) -> None:
    for run in plan.runs:
        if run.state == "going on":
            typer.echo(f"{run.label}, seed {run.scenario.seed}: another process runs it", err=True)
    was_done = sum(run.state == "done" for run in plan.runs)
    finished, failed = result.count("finished"), result.count("failed")
    now = Counter(plan.states())
    missing, going_on = len(plan.runs) - now["done"], now["going on"]
    made_elsewhere = now["done"] - was_done - finished
    left = missing - failed - going_on
    if not quiet:
        over = f"{counted(len(plan.runs), 'run')}: {was_done} done before, {finished} finished"
        over += f", {failed} failed" if failed else ""
        over += f", {made_elsewhere} finished elsewhere" if made_elsewhere else ""
        over += f", {going_on} going on elsewhere" if going_on else ""
        typer.echo(over + (f", {left} left" if left else ""))
    if now["done"] and not result.is_interrupted:
        _say_results(plan, missing, quiet)
    if quiet:
        typer.echo(plan.folder)
    if result.is_interrupted:
        again = "the same command goes on with what is left"
        typer.echo(f"cosim: interrupted; {again}", err=True)
        raise typer.Exit(INTERRUPTED)
    if missing:
        again = "the same command tries them again and leaves the others as they are"
        typer.echo(f"cosim: {missing} of {len(plan.runs)} runs are missing; {again}", err=True)
        raise typer.Exit(FAILED)


def _say_results(plan: "SweepPlan", missing: int, quiet: bool) -> None:
    """Compare the runs that are there, and draw them."""
    from cosim.results.comparison import compare as compare_runs  # noqa: PLC0415
    from cosim.results.comparison_text import text  # noqa: PLC0415
    from cosim.results.draw import draw_figures  # noqa: PLC0415
    from cosim.results.sweep_folder import open_runs  # noqa: PLC0415

    runs = open_runs([plan.folder]).runs
    figures = draw_figures(plan.plots, runs, plan.folder / "figures")
    for drawn in figures:
        if drawn.problem:
            typer.echo(f"{drawn.figure}: {drawn.problem}", err=True)
    if quiet:
        return
    comparison: Comparison = compare_runs(runs)
    without = f"without the {missing} missing:\n" if missing else ""
    typer.echo(f"\n{without}{text(comparison, _width())}\n")
    for path in (path for drawn in figures for path in drawn.paths):
        typer.echo(path)
    folder = shlex.quote(str(plan.folder))
    typer.echo(f"differences with: cosim compare {folder} --baseline LABEL")
    figure = "delay_cdf" if math.isnan(comparison.target) else "accuracy_vs_time"
    again = "" if plan.plots else f" --figure {figure}"
    typer.echo(f"figures with: cosim plot {folder}{again}")


def _width() -> int:
    return shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else _WIDTH
