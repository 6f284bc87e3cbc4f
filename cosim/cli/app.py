"""The command line. Each command loads only what it needs; `--help` loads nothing else.

Exit status: 0 done, 1 the run failed, 2 bad input, 130 interrupted. A user's mistake is a message
on the error stream, never a traceback.
"""

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cosim import __version__
from cosim.cli import many
from cosim.cli.exits import FAILED, BadInputError, messages
from cosim.cli.words import OverrideWords, ScenarioFile, command
from cosim.wording import counted

if TYPE_CHECKING:
    from cosim.results.figure import Figure
    from cosim.results.profile import Profile
    from cosim.results.run import Run
    from cosim.scenario.load import Loaded
    from cosim.scenario.tree import Scenario
    from cosim.sim.observer import Observer

app = typer.Typer(
    name="cosim",
    help="Co-simulate moving wireless devices that learn from each other.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def run(
    file: ScenarioFile,
    overrides: OverrideWords = None,
    *,
    seed: Annotated[int | None, typer.Option(min=0, help="The same as seed=N.")] = None,
    out: Annotated[Path, typer.Option(help="Where run folders are made.")] = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Show where time goes.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the folder.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a finished run.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Assert invariants on the way.")] = False,
) -> None:
    """Run a scenario, show what came out, and draw its figures."""
    with messages():
        from cosim.sweep.threads import one_thread_beside_the_pool  # noqa: PLC0415

        one_thread_beside_the_pool()
        words = [*(overrides or ()), *([f"seed={seed}"] if seed is not None else [])]
        loaded = _load(file, words)
        scenario = loaded.scenario
        if loaded.sweep is not None and not quiet:
            typer.echo(f"{file} is run once; `cosim sweep {file}` runs its sweep", err=True)
        if dry_run:
            _say_what_would_run(scenario, out)
            return
        from cosim.results.profile import Profile  # noqa: PLC0415
        from cosim.sim.run import simulate  # noqa: PLC0415

        seconds = Profile()
        with _progress(scenario, quiet) as observer, _pointing_at_the_folder(scenario, out):
            result = simulate(
                scenario,
                out,
                command=command(),
                observer=observer,
                profile=seconds,
                check=check,
                force=force,
            )
        with _saying_it_is_finished(result), seconds.part("figures"):
            _report(result, scenario, quiet=quiet)
        if profile:
            _say_profile(seconds)


app.command()(many.sweep)
app.command()(many.compare)


@app.command()
def validate(file: ScenarioFile, overrides: OverrideWords = None) -> None:
    """Check a scenario file, and name all of its mistakes at once."""
    with messages():
        loaded = _load(file, overrides or ())
        scenario = loaded.scenario
        swept = ""
        if loaded.sweep is not None:
            from cosim.sweep.plan import plan_sweep  # noqa: PLC0415

            plan = plan_sweep(file, overrides or (), Path("runs"))
            swept = f"; sweeps {counted(len(plan.runs), 'run')}"
        typer.echo(
            f"{file}: good; {scenario.name}, seed {scenario.seed}, {scenario.duration}, "
            f"{_devices(scenario)}{swept}"
        )


@app.command("list")
def list_(
    what: Annotated[
        Literal["kinds", "scenarios", "figures"] | None, typer.Argument(help="Only these.")
    ] = None,
) -> None:
    """List what ships: the kinds of each family, scenarios, figures."""
    with messages():
        from cosim.plugin import FAMILIES  # noqa: PLC0415

        if what in (None, "kinds"):
            for family in FAMILIES:
                if family != "figure":
                    _list_family(family)
        if what in (None, "figures"):
            _list_family("figure")
        if what in (None, "scenarios"):
            from cosim.cli.shipped import list_scenarios  # noqa: PLC0415

            list_scenarios()


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    with messages():
        from cosim.scenario.schema import json_schema  # noqa: PLC0415

        typer.echo(json.dumps(json_schema(), indent=2))


@app.command()
def doctor() -> None:
    """Look whether this machine can run and draw; status 1 if not."""
    with messages():
        from cosim.doctor import examine  # noqa: PLC0415

        good = True
        for finding in examine():
            typer.echo(f"{finding.verdict:<5} {finding.subject:<16} {finding.detail}")
            good = good and finding.verdict != "bad"
        if not good:
            raise typer.Exit(FAILED)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made if it is not there.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace files that differ.")] = False,
) -> None:
    """Copy the shipped scenarios into a folder, to start from."""
    with messages():
        from cosim.cli.shipped import copy_scenarios  # noqa: PLC0415

        copy_scenarios(folder, force=force)


@app.command()
def plot(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUNS",
            help="Folders of runs or sweeps; none for figures that need none.",
        ),
    ] = None,
    *,
    figure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A figure, or '{kind: NAME, key: value}'; again for more. "
            "Without it, those that the scenario or the sweep asks for.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the files go.")] = None,
) -> None:
    """Draw figures of runs: PDF, PNG, and the numbers as CSV."""
    with messages():
        from cosim.results.draw import default_out_dir, draw_figures  # noqa: PLC0415
        from cosim.results.sweep_folder import is_sweep, open_runs, read_sweep  # noqa: PLC0415

        found = open_runs(runs or ())
        for line in found.notes:
            typer.echo(line, err=True)
        opened = found.runs
        names = figure or []
        where = out or (default_out_dir(opened) if opened else Path("figures"))
        if runs is not None and len(runs) == 1 and is_sweep(runs[0]):
            where = out or runs[0] / "figures"
            names = names or [json.dumps(each) for each in read_sweep(runs[0]).plots]
        figures = _chosen_figures(opened, names)
        problems = []
        for drawn in draw_figures(figures, opened, where):
            if drawn.problem:
                problems.append(f"{drawn.figure}: {drawn.problem}")
            for path in drawn.paths:
                typer.echo(path)
        if problems:
            raise BadInputError("\n".join(problems))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; by default with the process's words."""
    try:
        app(arguments, prog_name="cosim")
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    return 0


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cosim {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Hold the options that come before a command."""


def _load(file: Path, overrides: Sequence[str]) -> "Loaded":
    from cosim.scenario.load import load  # noqa: PLC0415

    return load(file, overrides)


def _say_what_would_run(scenario: "Scenario", out: Path) -> None:
    from cosim.results.identity import folder_name  # noqa: PLC0415
    from cosim.scenario.dump import dump  # noqa: PLC0415

    typer.echo(f"# {_devices(scenario)}, {scenario.duration}")
    typer.echo(f"# into {out / folder_name(scenario)}")
    typer.echo(dump(scenario), nl=False)


def _devices(scenario: "Scenario") -> str:
    return counted(scenario.num_devices, "device")


@contextmanager
def _progress(scenario: "Scenario", quiet: bool) -> "Iterator[Observer | None]":
    """Show on the error stream how a run goes, so that the output is the result alone."""
    if quiet:
        yield None
        return
    from rich.console import Console  # noqa: PLC0415

    from cosim.progress import LiveProgress  # noqa: PLC0415

    with LiveProgress(scenario, Console(stderr=True)) as progress:
        yield progress


@contextmanager
def _pointing_at_the_folder(scenario: "Scenario", out: Path) -> Iterator[None]:
    """Say where the tables are when a run ends before its time."""
    from cosim.learning.errors import InputError, LearningError  # noqa: PLC0415
    from cosim.results.identity import folder_name  # noqa: PLC0415

    try:
        yield
    except (LearningError, KeyboardInterrupt) as error:
        folder = out / folder_name(scenario)
        if not isinstance(error, InputError):  # nothing was recorded before it
            error.add_note(f"what was recorded until then is in {folder}")
        raise


@contextmanager
def _saying_it_is_finished(result: "Run") -> Iterator[None]:
    """Say that a run is whole when it is interrupted after its end, while figures are drawn."""
    try:
        yield
    except KeyboardInterrupt as error:
        again = f"cosim plot {shlex.quote(str(result.path))}"
        error.add_note(f"the run is finished; its figures may not be: {again}")
        raise


def _report(result: "Run", scenario: "Scenario", *, quiet: bool) -> None:
    from cosim.results.draw import default_out_dir, draw_figures  # noqa: PLC0415
    from cosim.results.render import LABEL_WIDTH, table, text  # noqa: PLC0415
    from cosim.results.summary import summarise  # noqa: PLC0415

    if not quiet:
        summary = summarise(result)
        if sys.stdout.isatty():
            from rich.console import Console  # noqa: PLC0415

            Console().print(table(summary))
        else:
            typer.echo(text(summary))
    folder = default_out_dir([result])
    figures = draw_figures(scenario.plots, [result], folder)
    for drawn in figures:
        if drawn.problem:
            typer.echo(f"{drawn.figure}: {drawn.problem}", err=True)
    if quiet:
        typer.echo(result.path)
        return
    if figures:
        typer.echo(f"{'figures':<{LABEL_WIDTH}}  {folder}")
    typer.echo(f"\nplot again with: cosim plot {shlex.quote(str(result.path))}")


def _say_profile(profile: "Profile") -> None:
    whole = sum(profile.seconds.values())
    typer.echo("\nwall time")
    for name, seconds in sorted(profile.seconds.items(), key=lambda item: -item[1]):
        typer.echo(f"  {name:<22} {seconds:9.3f} s {100 * seconds / whole:6.1f} %")
    typer.echo(f"  {'all':<22} {whole:9.3f} s")


def _list_family(family: str) -> None:
    from cosim.plugin import find, kinds  # noqa: PLC0415

    typer.echo(f"{family}:")
    for kind in kinds(family):
        about = (find(family, kind).__doc__ or "").strip().partition("\n")[0]
        typer.echo(f"  {kind:<22} {about}")


@contextmanager
def _naming_the_option(names: Sequence[str]) -> Iterator[None]:
    """Say of a mistake in `--figure` that it is there, and not in a scenario's `plots`."""
    from cosim.scenario.errors import ScenarioError  # noqa: PLC0415

    def line(path: str, message: str) -> str:
        _, *place = path.split(".", 2)
        if not place:
            return f"--figure {' '.join(names)}: {message}"
        inside = "".join(f"{key}: " for key in place[1:])
        return f"--figure {names[int(place[0])]}: {inside}{message}"

    try:
        yield
    except ScenarioError as error:
        if any(each.mark.key != "plots" for each in error.problems):
            raise
        lines = [line(each.path or "plots", each.message) for each in error.problems]
        raise BadInputError("\n".join(lines)) from None


def _chosen_figures(runs: Sequence["Run"], names: Sequence[str]) -> tuple["Figure", ...]:
    """Return the figures, checked against the first run's scenario as its own `plots:` would be."""
    from cosim.plugin import kinds  # noqa: PLC0415
    from cosim.results.run_folder import SCENARIO  # noqa: PLC0415
    from cosim.scenario.load import loads  # noqa: PLC0415

    overrides = [f"plots=[{', '.join(names)}]"] if names else []
    with _naming_the_option(names):
        if runs:
            loaded = _load(runs[0].path / SCENARIO, overrides)
            reason = f"the scenario of {runs[0].path} asks for none"
        else:
            loaded = loads("plots: []", overrides)
            reason = "there is no run whose scenario could ask for one"
    if not loaded.scenario.plots:
        raise BadInputError(
            f"expected a figure, because {reason}; "
            f"name one with --figure: {', '.join(kinds('figure'))}"
        )
    figures: tuple[Figure, ...] = loaded.scenario.plots
    return figures
