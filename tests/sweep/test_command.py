"""`cosim sweep` as a process of its own: how it ends, goes on, and leaves things."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cosim.results.run_folder import Manifest

ROOT = Path(__file__).parent.parent.parent


def environment(**more: str) -> dict[str, str]:
    paths = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return os.environ | {"PYTHONPATH": paths} | more


def cosim(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cosim.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment(**more),
    )


def heed_signals() -> None:
    """Heed the signals that a test run in the background is told to ignore."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def begun():
    """Return a function that starts the command line and does not wait for it."""
    started = []

    def begin(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "cosim.cli", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            preexec_fn=heed_signals,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def outcomes() -> list[str]:
    """Return what the run folders say of how their runs ended."""
    return [Manifest.read(path.parent).outcome for path in Path("runs").glob("*/manifest.json")]


def test_a_failing_point_is_reported_and_the_rest_goes_on(lab):
    done = cosim("sweep", str(lab("fail", "die", "nothing", seeds="2")))
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "do=fail, seed 1: failed after" in done.stderr
    assert ": RuntimeError: the antenna fell off" in done.stderr
    assert "do=die, seed 2: failed after" in done.stderr
    assert "6 runs: 0 done before, 2 finished, 4 failed\n" in done.stdout
    assert "without the 4 missing:\n" in done.stdout
    assert "do=nothing      2 " in done.stdout, "a table of those that are there, labels as listed"
    assert done.stderr.splitlines()[-1] == (
        "cosim: 4 of 6 runs are missing; the same command tries them again and leaves the others "
        "as they are"
    )
    listed = cosim("sweep", "lab.yaml", "--dry-run")
    assert listed.stdout.splitlines()[1:] == [
        "  do=fail     unfinished: seed 1 2",
        "  do=die      unfinished: seed 1 2",
        "  do=nothing  done: seed 1 2",
    ]
    again = cosim("sweep", "lab.yaml")
    assert again.returncode == 1
    assert "6 runs: 2 done before, 0 finished, 4 failed\n" in again.stdout


def test_ctrl_c_stops_it_and_the_same_command_goes_on(lab, begun):
    os.mkfifo("begun")
    words = ("sweep", str(lab("nothing", "wait")), "sweep.seeds=2")
    process = begun(*words, "--jobs", "1")
    Path("begun").read_text(encoding="utf-8")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert "do=nothing, seed 1: finished" in err
    assert "do=wait, seed 1: interrupted" in err
    assert "cosim: interrupted; the same command goes on with what is left" in err
    assert "4 runs: 0 done before, 1 finished, 3 left\n" in out
    assert sorted(outcomes()) == ["finished", "interrupted"]
    Path("begun").unlink()
    again = cosim(*words)
    assert again.returncode == 0, again.stderr
    assert "4 runs: 1 done before, 3 finished\n" in again.stdout
    assert outcomes() == ["finished"] * 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_stop_it_too(lab, begun, number):
    os.mkfifo("begun")
    process = begun("sweep", str(lab("wait")), "--quiet")
    Path("begun").read_text(encoding="utf-8")
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.splitlines() == [
        "cosim: interrupted; the same command goes on with what is left",
    ]
    assert out.startswith("runs/lab-sweep-")
    assert outcomes() == ["interrupted"]


def test_a_second_ctrl_c_kills_what_does_not_stop(lab, begun):
    os.mkfifo("begun")
    process = begun("sweep", str(lab("deaf")))
    Path("begun").read_text(encoding="utf-8")
    process.send_signal(signal.SIGINT)
    while "stopping" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "[1/1] lab, seed 1: interrupted after" in err
    assert outcomes() == ["running"], "it could not write down that it was killed"


def test_runs_stop_when_the_sweep_is_killed(lab, begun):
    os.mkfifo("begun")
    process = begun("sweep", str(lab("wait")))
    worker = int(Path("begun").read_text(encoding="utf-8"))
    process.kill()
    process.communicate(timeout=120)
    ended = subprocess.run(
        ["tail", "--pid", str(worker), "-s", "0.05", "-f", "/dev/null"], timeout=60, check=False
    )
    assert ended.returncode == 0
    assert outcomes() == ["interrupted"]


TABLES = """\
name: small
duration: 2 rounds
devices: [{count: 2}]
learning:
  local: {steps: 2, batch: 2}
  method: {kind: sparse_orthogonal, warmup_steps: 1}
link: {error: {kind: fixed, rate: 0.1}}
evaluate: {examples: 2}
record: {packets: true}
sweep: {grid: {learning.method.density: [0.1, 0.3], spectrum.bandwidth: [1 MHz]}}
"""


def test_tables_are_those_of_the_run_alone(tmp_path, monkeypatch):
    """Bit for bit, all of them; whatever the shell says of threads."""
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(TABLES, encoding="utf-8")
    swept = cosim("sweep", "small.yaml", "--jobs", "2")
    assert swept.returncode == 0, swept.stderr
    words = ["learning.method.density=0.3", "spectrum.bandwidth=1000 kHz"]
    alone = cosim("run", "small.yaml", *words, "-q", "--out", "alone", OMP_NUM_THREADS="2")
    assert alone.returncode == 0, alone.stderr
    folder = Path(alone.stdout.splitlines()[-1])
    twin = Path("runs") / folder.name
    names = sorted(path.name for path in folder.glob("*.parquet"))
    assert names == sorted(path.name for path in twin.glob("*.parquet"))
    assert {"packets.parquet", "trainings.parquet", "evaluations.parquet"} < set(names)
    for name in (*names, "scenario.yaml", "adapters/device-0/adapter_model.safetensors"):
        assert (folder / name).read_bytes() == (twin / name).read_bytes(), name
