import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from synthetic import scenario

import cosim
from cosim.results.identity import folder_name
from cosim.results.run_folder import Manifest, RunExists, RunFolder
from cosim.scenario.load import load


def begin(out_dir, force=False, **keys):
    return RunFolder.create(out_dir, scenario(**keys), command="cosim run a.yaml", force=force)


def dead_process():
    """Return the number of a process that has just ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_new_folder_holds_the_scenario_and_says_that_it_runs(tmp_path):
    folder = begin(tmp_path)
    manifest = folder.manifest
    assert folder.path.name == f"synthetic-{manifest.hash}-s1"
    assert (manifest.outcome, manifest.ended, manifest.seed) == ("running", "", 1)
    assert manifest.command == "cosim run a.yaml"
    assert manifest.versions["cosim"].startswith(f"{cosim.__version__}+")
    assert manifest.versions["python"] == sys.version.split()[0]
    assert {"numpy", "torch", "simpy"} <= manifest.versions.keys()
    assert load(folder.path / "scenario.yaml").scenario == scenario()
    assert {path.name for path in folder.path.iterdir()} == {
        *("scenario.yaml", "manifest.json", "figures", "adapters")
    }
    assert [path.name for path in tmp_path.iterdir()] == [folder.path.name]


def test_how_a_run_ended_is_written_into_the_manifest(tmp_path):
    with begin(tmp_path) as folder:
        pass
    assert folder.manifest.outcome == "finished"
    assert 0.0 <= folder.manifest.wall_s < 60.0

    with pytest.raises(RuntimeError), begin(tmp_path, seed=2) as folder:
        raise RuntimeError("device 3 diverged")
    assert folder.manifest.outcome == "failed"
    assert folder.manifest.error == "RuntimeError: device 3 diverged"

    with pytest.raises(KeyboardInterrupt), begin(tmp_path, seed=3) as folder:
        raise KeyboardInterrupt
    assert (folder.manifest.outcome, folder.manifest.error) == ("interrupted", "")


def test_a_finished_run_is_replaced_by_force_only(tmp_path):
    with begin(tmp_path) as folder:
        (folder.path / "rounds.parquet").write_text("numbers")
    with pytest.raises(RunExists, match="this run is finished") as caught:
        begin(tmp_path)
    assert caught.value.path == folder.path
    assert (folder.path / "rounds.parquet").read_text() == "numbers"
    again = begin(tmp_path, force=True)
    assert again.replaced == "finished"
    assert not (again.path / "rounds.parquet").exists()


@pytest.mark.parametrize("outcome", ["failed", "interrupted"])
def test_an_unfinished_run_is_replaced(tmp_path, outcome):
    folder = begin(tmp_path)
    folder.finish(outcome)
    again = begin(tmp_path)
    assert (again.path, again.replaced) == (folder.path, outcome)
    assert again.manifest.outcome == "running"
    assert [path.name for path in tmp_path.iterdir()] == [folder.path.name]


def test_a_killed_run_is_replaced_and_one_going_on_is_not(tmp_path):
    folder = begin(tmp_path)
    replace(folder.manifest, pid=dead_process()).write(folder.path)
    assert begin(tmp_path).replaced == "running"
    replace(folder.manifest, pid=os.getppid()).write(folder.path)
    with pytest.raises(RunExists, match=f"going on, in process {os.getppid()}"):
        begin(tmp_path, force=True)


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    stranger = tmp_path / folder_name(scenario())
    stranger.mkdir()
    (stranger / "thesis.tex").write_text("all of it")
    with pytest.raises(RunExists, match="no manifest"):
        begin(tmp_path, force=True)
    assert (stranger / "thesis.tex").exists()


def test_a_damaged_manifest_is_told(tmp_path):
    folder = begin(tmp_path)
    path = folder.path / "manifest.json"
    for text in ("{", "[1]", json.dumps({"name": "a"})):
        path.write_text(text)
        with pytest.raises(ValueError, match="is no manifest of a run"):
            Manifest.read(folder.path)
