"""The studies: all are sweeps of five seeds at least, and one command runs them all."""

import os
import subprocess
from pathlib import Path

import pytest

from cosim.plugin import scenarios_dir
from cosim.scenario.load import load
from cosim.scenario.points import load_sweep

FOLDERS = [scenarios_dir() / name for name in ("papers", "beyond")]
FILES = [path for folder in FOLDERS for path in sorted(folder.glob("*.yaml"))]
STUDIES = [path for path in FILES if load(path).sweep is not None]
REAL = [path for path in STUDIES if path.stem.endswith(("_real", "_text"))]


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_a_study_has_five_seeds_of_each_point_and_a_figure(study):
    swept = load_sweep(study)
    seeds = {scenario.seed for scenario in swept.scenarios}
    assert len(seeds) >= 5
    assert len(swept.scenarios) % len(seeds) == 0
    assert swept.plots


@pytest.mark.parametrize("words", [(), ("data", "model")])
def test_one_command_runs_all_studies(words):
    script = [*("sh", str(scenarios_dir() / "studies.sh")), *words]
    done = subprocess.run(
        script, env=os.environ | {"COSIM": "echo"}, capture_output=True, text=True, check=True
    )
    swept = [line.split() for line in done.stdout.splitlines() if line.startswith("sweep ")]
    wanted = STUDIES if words else [path for path in STUDIES if path not in REAL]
    assert [Path(line[1]).name for line in swept] == [path.name for path in wanted]
    for line in swept:
        given = ["data_root=data", "learning.model.source=path:model"]
        assert line[2:] == (given if words and Path(line[1]) in REAL else [])
    assert done.stdout.count("left out") == (0 if words else len(REAL))
    assert "plot --figure soft_complexity" in done.stdout
