"""The command line: exit statuses, messages instead of tracebacks, and what each command prints."""

import errno
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import cosim
from cosim import cli
from cosim.learning.errors import LearningError
from cosim.plugin import FAMILIES, kinds, scenarios_dir
from cosim.results.run_folder import RunFolder
from cosim.scenario.load import loads
from cosim.scenario.tree import Scenario

ROOT = Path(__file__).parent.parent


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Call the command line in an empty folder; return status, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        status = cli.main(words)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return status, captured.out, captured.err

    return run


def test_validate(call):
    Path("a.yaml").write_text("name: small\ndevices: [{count: 3}]\n", encoding="utf-8")
    assert call("validate", "a.yaml") == (
        0,
        "a.yaml: good; small, seed 1, 20 rounds, 3 devices\n",
        "",
    )
    status, out, _ = call("validate", "a.yaml", "seed=5", "devices.0.count=4")
    assert (status, out) == (0, "a.yaml: good; small, seed 5, 20 rounds, 4 devices\n")


def test_validate_counts_one_device(call):
    Path("a.yaml").write_text("name: small\ndevices: [{count: 1}]\n", encoding="utf-8")
    assert call("validate", "a.yaml")[1] == "a.yaml: good; small, seed 1, 20 rounds, 1 device\n"


def test_mistakes_are_lines_and_status_2(call):
    Path("a.yaml").write_text("seed: -1\nchannel: {fading: rayleig}\n", encoding="utf-8")
    status, out, err = call("validate", "a.yaml", "record.packets=yes")
    assert (status, out) == (2, "")
    assert err.splitlines() == [
        "a.yaml:1:1 seed: expected at least 0, got -1",
        "a.yaml:2:11 channel.fading: expected one of nakagami, none, rayleigh, "
        "rayleigh_jakes, rician, "
        "got 'rayleig'; did you mean 'rayleigh'?",
        "override record.packets=yes: expected true or false, got 'yes'; did you mean true?",
    ]


@pytest.mark.parametrize("command", ["run", "validate", "sweep"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.yaml", b""),
        ("a.yaml", b"\x00\x01"),
        ("a.yaml", b"\xff\xfe"),
        ("a.yaml", b"a:\n\tb: 1\n"),
        ("a.yaml", b"seed: 1\nseed: 2\n"),
        ("a.yaml", b"extends: a.yaml\n"),
        ("a.yaml", b"[1, 2"),
        ("a.yaml", b"- 1\n"),
        ("other.yaml", b"seed: 1\n"),
        ("a.yaml/file", b"seed: 1\n"),
    ],
)
def test_bad_files_are_messages(call, command, name, content):
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_bytes(content)
    status, out, err = call(command, "a.yaml")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("a.yaml")
    assert "expected" in err


def test_dry_run_prints_the_resolved_scenario_and_writes_nothing(call):
    Path("a.yaml").write_text("name: small\n", encoding="utf-8")
    status, out, err = call("run", "a.yaml", "transport.mtu=1 kB", "--seed", "7", "--dry-run")
    assert (status, err) == (0, "")
    assert out.startswith("# 8 devices, 20 rounds\n# into runs/small-")
    assert loads(out).scenario == loads("name: small\nseed: 7\ntransport: {mtu: 1 kB}\n").scenario
    assert [path.name for path in Path().iterdir()] == ["a.yaml"]


def test_seed_option_wins_over_the_file(call):
    Path("a.yaml").write_text("seed: 3\n", encoding="utf-8")
    assert "\nseed: 9\n" in call("run", "a.yaml", "--dry-run", "--seed", "9")[1]


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("nonsense",),
        ("run", "a.yaml", "--nonsense"),
        ("run", "a.yaml", "--seed", "x"),
        ("run", "a.yaml", "--seed", "-1"),
        ("list", "nonsense"),
        ("plot", "--nonsense"),
        ("sweep",),
        ("sweep", "a.yaml", "--jobs", "0"),
        ("sweep", "a.yaml", "--seed", "1"),
        ("compare",),
        ("compare", "a", "--target", "80"),
    ],
)
def test_wrong_words_are_status_2(call, words):
    Path("a.yaml").write_text("seed: 3\n", encoding="utf-8")
    status, out, err = call(*words)
    assert (status, out) == (2, "")
    assert "Usage: cosim" in err


def test_figures_without_a_run(call):
    status, _, err = call("plot")
    assert (status, err.count("expected a figure, because there is no run")) == (2, 1)
    status, _, err = call("plot", "--figure", "delay_cdf")
    assert (status, err) == (2, "delay_cdf: expected at least one run folder, got none\n")


def test_no_words_show_the_help(call):
    status, out, err = call()
    assert "Usage: cosim" in out + err
    assert status in (0, 2)


def test_help_names_every_command(call):
    status, out, _ = call("--help")
    assert status == 0
    commands = ("run", "sweep", "compare", "validate", "list", "schema", "doctor", "init", "plot")
    for command in commands:
        assert f"\n  {command} " in out
        assert "..." not in next(line for line in out.splitlines() if f"  {command} " in line)


def test_version(call):
    assert call("--version") == (0, f"cosim {cosim.__version__}\n", "")


def test_version_is_that_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cosim.__version__ == project["version"]


def test_list_kinds(call):
    status, out, _ = call("list", "kinds")
    assert status == 0
    for family in FAMILIES:
        assert (f"{family}:\n" in out) == (family != "figure")
    for kind in kinds("mobility"):
        assert f"\n  {kind} " in out


def test_list_figures(call):
    status, out, _ = call("list", "figures")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == kinds("figure")


def test_list_scenarios(call):
    status, out, _ = call("list", "scenarios")
    assert status == 0
    names = [line.split()[0] for line in out.splitlines()[1:]]
    assert names == [
        str(path.relative_to(scenarios_dir())) for path in sorted(scenarios_dir().rglob("*.yaml"))
    ]


def test_list_everything(call):
    everything = call("list")[1]
    assert everything == "".join(
        call("list", what)[1] for what in ("kinds", "figures", "scenarios")
    )


def test_schema_is_json(call):
    status, out, _ = call("schema")
    assert status == 0
    assert json.loads(out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_init_copies_what_is_shipped(call):
    status, out, _ = call("init", "mine")
    assert status == 0
    for path in scenarios_dir().rglob("*.yaml"):
        copy = Path("mine") / path.relative_to(scenarios_dir())
        assert copy.read_bytes() == path.read_bytes()
        assert f"{copy}\n" in out


def test_init_never_overwrites_silently(call):
    assert call("init", "mine")[0] == 0
    assert call("init", "mine")[0] == 0, "files that are the same are no loss"
    Path("mine/quickstart.yaml").write_text("name: mine\n", encoding="utf-8")
    status, out, err = call("init", "mine")
    assert (status, out) == (2, "")
    assert err == (
        "expected no changed scenarios there, got mine/quickstart.yaml; name another folder, or "
        "replace them with --force\n"
    )
    assert Path("mine/quickstart.yaml").read_text(encoding="utf-8") == "name: mine\n"
    assert call("init", "mine", "--force")[0] == 0
    assert Path("mine/quickstart.yaml").read_text(encoding="utf-8") != "name: mine\n"


def test_init_into_a_file(call):
    Path("file").write_text("", encoding="utf-8")
    assert call("init", "file")[::2] == (2, "expected a folder, got file, which is a file\n")


def test_init_below_a_file(call):
    Path("file").write_text("", encoding="utf-8")
    assert call("init", "file/mine")[::2] == (2, "file/mine: Not a directory\n")


def test_plot_of_no_run(call):
    status, out, err = call("plot", "nothing")
    assert (status, out) == (2, "")
    assert err == "expected a run folder, got nothing, which does not exist\n"


@pytest.fixture
def run_folder(call):
    """The folder of a run that has ended and recorded nothing."""
    with RunFolder.create(Path("runs"), loads("name: small\n").scenario) as folder:
        pass
    return str(folder.path)


def test_plot_without_any_figure(call, run_folder):
    status, out, err = call("plot", run_folder)
    assert (status, out) == (2, "")
    assert err == (
        f"expected a figure, because the scenario of {run_folder} asks for none; "
        f"name one with --figure: {', '.join(kinds('figure'))}\n"
    )


def test_plot_of_a_figure_that_is_not_there(call, run_folder):
    status, _, err = call("plot", run_folder, "--figure", "topolgy_map")
    assert status == 2
    assert err.endswith(", got 'topolgy_map'; did you mean 'topology_map'?\n")


def test_plot_of_a_device_that_is_not_there(call, run_folder):
    status, _, err = call("plot", run_folder, "--figure", "{kind: channel_trace, link: [0, 8]}")
    assert status == 2
    assert err == (
        "--figure {kind: channel_trace, link: [0, 8]}: link.1: expected a device, 0 to 7 "
        "(devices: 0 to 7), got 8\n"
    )


def test_plot_draws_with_keys(call, run_folder):
    words = ("--figure", "{kind: channel_trace, link: [0, 3]}", "--out", "drawn")
    status, out, _ = call("plot", run_folder, *words)
    assert status == 0
    assert out.splitlines() == [f"drawn/channel_trace.{end}" for end in ("pdf", "png", "csv")]
    assert all(Path(line).stat().st_size > 0 for line in out.splitlines())


def ending_with(error):
    """Return a `simulate` that raises."""

    def simulate(*_, **__):
        raise error

    return simulate


def test_a_run_that_is_interrupted_says_where_its_tables_are(call, monkeypatch):
    Path("a.yaml").write_text("name: small\n", encoding="utf-8")
    monkeypatch.setattr("cosim.sim.run.simulate", ending_with(KeyboardInterrupt()))
    status, out, err = call("run", "a.yaml")
    assert (status, out) == (130, "")
    first, second = err.splitlines()[-2:]
    assert first == "cosim: interrupted"
    assert second.startswith("what was recorded until then is in runs/small-")


def test_a_run_that_fails_says_where_its_tables_are(call, monkeypatch):
    Path("a.yaml").write_text("name: small\n", encoding="utf-8")
    error = LearningError("expected a finite loss, got nan")
    monkeypatch.setattr("cosim.sim.run.simulate", ending_with(error))
    status, out, err = call("run", "a.yaml", "--quiet")
    assert (status, out) == (1, "")
    first, second = err.splitlines()
    assert first == "cosim: expected a finite loss, got nan"
    assert second.startswith("what was recorded until then is in runs/small-")


def test_interrupt_is_status_130(call, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cosim.cli.app._load", interrupted)
    assert call("validate", "a.yaml") == (130, "", "cosim: interrupted\n")


def test_a_defect_is_not_hidden(call, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("cosim.cli.app._load", broken)
    with pytest.raises(ZeroDivisionError):
        call("validate", "a.yaml")


def test_a_closed_pipe_is_no_traceback():
    done = subprocess.run(
        f"{sys.executable} -m cosim.cli schema | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr


def test_the_installed_command():
    """The console script in a process of its own, where the file is not valid."""
    command = Path(sys.executable).parent / ("cosim.exe" if os.name == "nt" else "cosim")
    if not command.exists():
        pytest.skip("cosim is not installed beside this Python")
    done = subprocess.run(
        [command, "validate", "no.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "no.yaml: expected a scenario file, got a path that does not exist\n"


def test_load_from_python(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("seed: 3\n", encoding="utf-8")
    scenario = cosim.load(path, {"learning.local.steps": 5})
    assert isinstance(scenario, Scenario)
    assert (scenario.seed, scenario.learning.local.steps) == (3, 5)


def test_doctor_finds_what_is_missing(monkeypatch):
    from cosim import doctor

    monkeypatch.setattr(doctor.metadata, "requires", lambda _: ["numpy>=99", "no-such-thing>=1"])
    assert [(each.verdict, each.subject) for each in doctor._packages()] == [
        ("bad", "numpy"),
        ("bad", "no-such-thing"),
    ]


def test_doctor_tries_in_a_process_of_its_own():
    from cosim import doctor

    assert doctor._tried("x", "print('fine')") == doctor.Finding("good", "x", "fine")
    crashed = doctor._tried("x", "import os; os.abort()")
    assert crashed.verdict == "bad"
    missing = doctor._tried("x", "import no_such_thing")
    assert missing.detail == "ModuleNotFoundError: No module named 'no_such_thing'"


def test_doctor_on_a_folder_that_cannot_be_written_to(tmp_path):
    from cosim import doctor

    assert doctor._writable(tmp_path).verdict == "good"
    assert doctor._writable(tmp_path / "none").verdict == "warn"


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("2.13.0+cpu", (2, 13, 0)), ("5.0rc1", (5,)), ("1.26", (1, 26)), ("", ())],
)
def test_versions_are_compared_by_number(version, numbers):
    from cosim import doctor

    assert doctor._numbers(version) == numbers


def test_a_folder_of_runs_that_cannot_be_is_a_message(call):
    Path("a.yaml").write_text("learning: {pool: none}\n", encoding="utf-8")
    words = ("run", "a.yaml", "--quiet", "--out")
    assert call(*words, "a.yaml") == (
        2,
        "",
        "a.yaml: expected a folder to make run folders in, got a file\n",
    )
    status, out, err = call(*words, "b" * 300)
    assert (status, out, err) == (2, "", f"{'b' * 300}: File name too long\n")


def test_a_finished_run_says_how_to_run_again(call):
    Path("a.yaml").write_text("duration: 1 round\nlearning: {pool: none}\n", encoding="utf-8")
    assert call("run", "a.yaml", "--quiet")[0] == 0
    status, _, err = call("run", "a.yaml", "--quiet")
    assert status == 2
    assert "--force" in err
    assert call("run", "a.yaml", "--quiet", "--force")[0] == 0


def test_a_full_disk_is_a_message(call, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Path("a.yaml").write_text("duration: 1 round\nlearning: {pool: none}\n", encoding="utf-8")
    monkeypatch.setattr("cosim.results.tables.Recorder.add", full)
    assert call("run", "a.yaml", "-q") == (1, "", "cosim: [Errno 28] No space left on device\n")


def test_an_interrupt_while_figures_are_drawn_points_at_the_finished_run(call, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    Path("a.yaml").write_text("duration: 1 round\nlearning: {pool: none}\n", encoding="utf-8")
    monkeypatch.setattr("cosim.results.draw.draw_figures", interrupted)
    status, _, err = call("run", "a.yaml", "-q")
    (folder,) = Path("runs").iterdir()
    assert status == 130
    assert err.splitlines() == [
        "cosim: interrupted",
        f"the run is finished; its figures may not be: cosim plot {folder}",
    ]


SWEPT = """\
name: small
duration: 1 round
learning: {pool: none}
sweep: {grid: {spectrum.bandwidth: [1 MHz, 5 MHz]}, seeds: 2}
"""


@pytest.fixture
def swept(call):
    """A scenario with a sweep, of which one run of four is done."""
    Path("a.yaml").write_text(SWEPT, encoding="utf-8")
    assert call("run", "a.yaml", "-q", "spectrum.bandwidth=5 MHz", "seed=2")[0] == 0
    return Path("a.yaml")


def test_a_dry_sweep_lists_points_and_writes_nothing(call, swept):
    before = sorted(Path().rglob("*"))
    status, out, err = call("sweep", "a.yaml", "--dry-run", "--jobs", "3")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "small: 4 runs of 2 points: 3 missing, 1 done; 3 at a time",
        "  bandwidth=1 MHz  missing: seed 1 2",
        "  bandwidth=5 MHz  missing: seed 1; done: seed 2",
    ]
    assert sorted(Path().rglob("*")) == before


def test_validate_looks_at_every_point_of_a_sweep(call, swept):
    status, out, _ = call("validate", "a.yaml")
    assert (status, out) == (
        0,
        "a.yaml: good; small, seed 1, 1 rounds, 8 devices; sweeps 4 runs\n",
    )
    status, _, err = call("validate", "a.yaml", "sweep.grid={transport.mtu: [1 km]}")
    assert status == 2
    assert "transport.mtu: expected" in err


def test_run_says_that_a_sweep_is_run_once(call, swept):
    status, _, err = call("run", "a.yaml")
    assert status == 0
    assert err.startswith("a.yaml is run once; `cosim sweep a.yaml` runs its sweep\n")


def test_a_sweep_of_nothing_is_a_message(call):
    Path("a.yaml").write_text("name: small\n", encoding="utf-8")
    status, out, err = call("sweep", "a.yaml")
    assert (status, out) == (2, "")
    assert err.startswith("a.yaml:1:1: expected the key `sweep` with grid, zip or seeds, got none")


def test_a_sweep_into_a_file_is_a_message(call, swept):
    assert call("sweep", "a.yaml", "--out", "a.yaml") == (
        2,
        "",
        "a.yaml: expected a folder to make run folders in, got a file\n",
    )


def test_compare_and_plot_take_a_sweeps_folder(call, swept):
    """What is not finished is told, and left out."""
    from cosim.sweep.plan import plan_sweep

    plan = plan_sweep(swept, (), Path("runs"))
    plan.write("")
    folder = str(plan.folder)
    words = ("--csv", "a.csv", "--latex", "a.tex", "--metric", "energy_j", "--metric", "time_s")
    status, out, err = call("compare", folder, *words)
    assert status == 0
    assert [line.rpartition("/")[2] for line in err.splitlines()] == [
        f"{run.folder}: not there" for run in plan.runs if run.state != "done"
    ]
    assert "one seed only, so no interval: every row" in out
    assert out.splitlines()[-2:] == ["a.csv", "a.tex"]
    assert Path("a.csv").read_text(encoding="utf-8").startswith("label,num_seeds,seeds,energy_j,")
    assert r"\toprule" in Path("a.tex").read_text(encoding="utf-8")
    status, out, err = call("plot", folder, "--figure", "{kind: channel_trace, link: [0, 3]}")
    assert status == 0
    assert out.splitlines()[0] == f"{folder}/figures/channel_trace.pdf"
    assert err.startswith("left out: runs/small-")


def test_a_sweep_draws_its_figures_when_the_last_run_is_done(call, swept):
    figure = "{kind: metric_vs_key, x: spectrum.bandwidth, y: [time_s]}"
    status, out, err = call("sweep", "a.yaml", f"sweep.plots=[{figure}]")
    assert status == 0, err
    (folder,) = Path("runs").glob("small-sweep-*")
    drawn = sorted(str(path) for path in (folder / "figures").iterdir())
    assert drawn == [f"{folder}/figures/metric_vs_key.{each}" for each in ("csv", "pdf", "png")]
    assert all(path in out.splitlines() for path in drawn)
    assert out.splitlines()[-1] == f"figures with: cosim plot {folder}"
    table = (folder / "figures/metric_vs_key.csv").read_bytes()
    (folder / "figures/metric_vs_key.csv").unlink()
    status, out, err = call("plot", str(folder))
    assert (status, err) == (0, "")
    assert (folder / "figures/metric_vs_key.csv").read_bytes() == table


def test_a_mistake_in_a_sweeps_figures_is_a_message(call, swept):
    status, _, err = call("sweep", "a.yaml", "sweep.plots=[{kind: metric_vs_key, y: [speed]}]")
    assert status == 2
    assert "sweep.plots.0.y.0: expected one of own_accuracy, " in err
    assert "got 'speed'" in err


def test_compare_messages(call, swept):
    assert call("compare", "none") == (
        2,
        "",
        "expected a run folder, got none, which does not exist\n",
    )
    status, out, err = call("compare", "runs", "--baseline", "x")
    assert (status, out, err) == (2, "", "expected a label of a row (small), got 'x'\n")
    status, _, err = call("compare", "runs", "--csv", "a.yaml/b.csv")
    assert (status, err) == (2, "a.yaml: File exists\n")


def test_compare_makes_the_folder_of_its_tables(call, swept):
    status, out, _ = call("compare", "runs", "--csv", "new/a.csv", "--latex", "new/tex/a.tex")
    assert status == 0
    assert out.splitlines()[-2:] == ["new/a.csv", "new/tex/a.tex"]
    assert Path("new/a.csv").stat().st_size
    assert Path("new/tex/a.tex").stat().st_size
