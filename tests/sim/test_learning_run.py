"""Whole runs with real training: shipped scenarios, sameness, lost coordinates, failures."""

import os
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest

from cosim.learning.errors import LearningError
from cosim.plugin import kind_of, scenarios_dir
from cosim.results.run import Run
from cosim.results.tables import SCHEMAS
from cosim.scenario.load import load
from cosim.sim.run import simulate

QUICKSTART = scenarios_dir() / "quickstart.yaml"
SHORT = {
    "duration": "3 rounds",
    "learning.local.steps": 2,
    "learning.local.batch": 2,
    "evaluate.examples": 2,
    "plots": [],
}
IN_A_FRESH_PROCESS = """
import sys
from pathlib import Path
from cosim.scenario.load import load
from cosim.sim.run import simulate
simulate(load(sys.argv[1], sys.argv[3:]).scenario, Path(sys.argv[2]))
"""


def short(path=QUICKSTART, **changes):
    whole = load(path).scenario
    warms_up = "warmup_steps" in type(whole.learning.method).model_fields
    exchanges = "inner_rounds" in type(whole.protocol).model_fields
    shorter = {"learning.method.warmup_steps": 2} if warms_up else {}
    shorter |= {"protocol.inner_rounds": 2} if exchanges else {}
    return load(path, SHORT | shorter | changes).scenario


def assert_same_tables(one, other):
    for table in SCHEMAS:
        pd.testing.assert_frame_equal(one.table(table), other.table(table), check_exact=True)


def learns(path):
    """Whether a scenario trains, on a model and data that are shipped."""
    learning = load(path).scenario.learning
    trains = kind_of(learning.pool) not in ("none", "surrogate")
    return trains and getattr(learning.model, "source", "") == "builtin:tiny"


SHIPPED = sorted(scenarios_dir().rglob("*.yaml"))


@pytest.mark.parametrize("path", list(filter(learns, SHIPPED)), ids=lambda path: path.stem)
def test_every_shipped_scenario_that_learns_runs(path, tmp_path):
    run = simulate(short(path), tmp_path, check=True)
    assert run.manifest.outcome == "finished"
    assert len(run.rounds) == 3
    assert np.isfinite(run.trainings.loss).all()
    assert set(run.evaluations["round"]) >= {0, 3}
    use = run.scenario.learning.tasks.use
    num_tasks = 8 if use == "builtin" else len(use)
    assert run.evaluations.groupby(["round", "device"]).task.nunique().eq(num_tasks).all()
    assert (run.flows.outcome == "delivered").any()
    adapters = run.path / "adapters"
    assert len(list(adapters.glob("*/adapter_model.safetensors"))) == run.scenario.num_devices


NETWORK_ALONE = {"duration": "2 rounds", "plots": [], "protocol.round_interval": "1 s"}
FEW = {"devices.0.count": 50, "channel.range": "500 m"}
SMALL = {"scale_1k": FEW, "scale_10k": FEW, "sumo_trace": {"duration": "30 s"}}


def sends_only(path):
    """Whether a scenario has no model behind its network."""
    return kind_of(load(path).scenario.learning.pool) in ("none", "surrogate")


@pytest.mark.parametrize("path", list(filter(sends_only, SHIPPED)), ids=lambda path: path.stem)
def test_every_shipped_scenario_of_the_network_alone_runs(path, tmp_path):
    scenario = load(path, NETWORK_ALONE | SMALL.get(path.stem, {})).scenario
    run = simulate(scenario, tmp_path, check=True)
    assert len(run.rounds) >= 2
    assert (run.flows.outcome == "delivered").any()
    assert run.flows.num_attempts.sum() >= run.flows.num_packets.sum()


def test_the_same_seed_gives_the_same_tables_in_any_process(tmp_path):
    here = simulate(short(), tmp_path / "here")
    again = simulate(short(), tmp_path / "again")
    assert_same_tables(here, again)
    overrides = [f"{key}={value}" for key, value in SHORT.items()]
    subprocess.run(
        [
            *(sys.executable, "-c", IN_A_FRESH_PROCESS),
            *(str(QUICKSTART), str(tmp_path / "elsewhere")),
            *(*overrides, "learning.method.warmup_steps=2", "protocol.inner_rounds=2"),
        ],
        env=os.environ | {"PYTHONHASHSEED": "12345"},
        check=True,
        capture_output=True,
        timeout=300,
    )
    (folder,) = (tmp_path / "elsewhere").iterdir()
    assert_same_tables(here, Run(folder))


def test_another_seed_gives_other_tables(tmp_path):
    one, other = (simulate(short(seed=seed), tmp_path) for seed in (1, 2))
    assert not one.positions.equals(other.positions)
    assert not one.trainings.loss.equals(other.trainings.loss)


def test_two_methods_on_one_seed_see_the_same_world(tmp_path):
    runs = [
        simulate(short(scenarios_dir() / "methods" / f"{name}.yaml"), tmp_path)
        for name in ("lora", "sparse_orthogonal")
    ]
    together = runs[0].positions.merge(runs[1].positions, on=["t_s", "device"])
    assert len(together) >= 8
    assert (together.x_m_x == together.x_m_y).all()
    assert (together.y_m_x == together.y_m_y).all()
    t_s = np.linspace(0.0, 100.0, 1000)
    gains = [run.world.gain(2, 5, t_s) for run in runs]
    assert np.array_equal(gains[0], gains[1])


def test_lost_packets_change_what_is_learned(tmp_path):
    best_effort = {
        "transport": {"reliability": "best_effort", "mtu": "256 B", "header": "16 B"},
        "evaluate.every": "1 round",
    }
    runs = [
        simulate(short(**best_effort, **{"link.error": error}, name=name), tmp_path)
        for name, error in {
            "clean": {"kind": "none"},
            "lossy": {"kind": "fixed", "rate": 0.5},
        }.items()
    ]
    clean, lossy = runs
    assert clean.rounds.num_lost_packets.sum() == 0
    assert lossy.rounds.num_lost_packets.sum() > 0
    assert (lossy.flows.outcome == "partial").any()
    first = [run.trainings[run.trainings["round"] == 1].loss.tolist() for run in runs]
    assert first[0] == first[1]
    assert not clean.evaluations.loss.equals(lossy.evaluations.loss)


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_a_readable_folder(tmp_path):
    scenario = short(**{"learning.local.lr": 1e30, "learning.local.optimizer": "sgd"})
    with pytest.raises(LearningError, match=r"device \d, round 1: .*last finite loss|no finite"):
        simulate(scenario, tmp_path)
    (folder,) = tmp_path.iterdir()
    run = Run(folder)
    assert run.manifest.outcome == "failed"
    assert "round 1" in run.manifest.error
    assert len(run.evaluations) == 64


def cosim(*arguments, **options):
    command = [
        sys.executable,
        "-c",
        "import sys; from cosim.cli import main; sys.exit(main())",
        *map(str, arguments),
    ]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts its background jobs deaf to Ctrl-C, and children inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def test_ctrl_c_ends_cleanly_with_a_readable_folder(tmp_path):
    process = cosim("run", QUICKSTART, "--out", tmp_path, "duration=1000 rounds", "plots=[]")
    assert "plan 0" in process.stderr.readline()  # the loop has begun
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    (folder,) = tmp_path.iterdir()
    assert Run(folder).manifest.outcome == "interrupted"
    assert len(Run(folder).plans) >= 8


def test_a_failed_run_says_so_in_one_message(tmp_path):
    process = cosim(
        *("run", QUICKSTART, "--out", tmp_path, "duration=1 round", "plots=[]"),
        *("learning.local.lr=1e30", "learning.local.optimizer=sgd"),
    )
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert "round 1" in errors
