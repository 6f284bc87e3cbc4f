"""What a sweep asks for, and what it finds done."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import cosim
from cosim.results.identity import folder_name
from cosim.results.run_folder import RunFolder
from cosim.results.sweep_folder import read_sweep
from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import load, loads
from cosim.sweep import plan as planning
from cosim.sweep.job import run_job
from cosim.sweep.plan import plan_sweep

TEXT = """\
name: net
duration: 1 round
learning: {pool: none}
sweep:
  grid: {spectrum.bandwidth: [1 MHz, 5 MHz]}
  seeds: [3, 1]
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("net.yaml")
    path.write_text(TEXT, encoding="utf-8")
    return path


def plan(file, *overrides):
    return plan_sweep(file, overrides, Path("runs"))


def test_runs_are_those_of_the_scenario_with_these_values(file):
    found = plan(file)
    assert found.labels == ("bandwidth=1 MHz", "bandwidth=5 MHz")
    assert [run.scenario.seed for run in found.runs] == [3, 1, 3, 1]
    for run in found.runs:
        words = [f"seed={run.scenario.seed}", f"spectrum.bandwidth={run.label.partition('=')[2]}"]
        assert run.folder == folder_name(load(file, words).scenario)
    assert len({run.folder for run in found.runs}) == 4


def test_a_jobs_text_is_its_scenario(file):
    for job, run in zip(plan(file).jobs(""), plan(file).to_run(), strict=True):
        assert folder_name(loads(job.text).scenario) == job.folder == run.folder


def test_one_seed_of_every_point_comes_first(file):
    ordered = [(run.label[-5:], run.scenario.seed) for run in plan(file).to_run()]
    assert ordered == [("1 MHz", 3), ("5 MHz", 3), ("1 MHz", 1), ("5 MHz", 1)]


def test_what_cosim_run_has_done_is_done(file):
    cosim.run(file, ["spectrum.bandwidth=5 MHz", "seed=1"])
    states = {(run.label, run.scenario.seed): run.state for run in plan(file).runs}
    assert states.pop(("bandwidth=5 MHz", 1)) == "done"
    assert set(states.values()) == {"missing"}


def test_other_content_seeds_or_versions_are_not_done(file, monkeypatch):
    cosim.run(file, ["spectrum.bandwidth=5 MHz", "seed=1"])
    assert {run.state for run in plan(file, "transport.mtu=1 kB").runs} == {"missing"}
    assert {run.state for run in plan(file, "sweep.seeds=[2]").runs} == {"missing"}
    monkeypatch.setattr("cosim.results.identity.code_version", lambda: "0.0.0")
    assert {run.state for run in plan(file).runs} == {"missing"}


def test_figures_and_where_data_lie_are_no_other_content(file):
    cosim.run(file, ["spectrum.bandwidth=5 MHz", "seed=1"])
    changed = plan(file, "plots=[topology_map]", "data_root=..")
    assert [run.state for run in changed.runs].count("done") == 1


@pytest.mark.parametrize("outcome", ["failed", "interrupted", "running"])
def test_what_did_not_finish_is_to_be_run_again(file, outcome):
    run = plan(file).runs[0]
    folder = RunFolder.create(Path("runs"), run.scenario)
    replace(folder.manifest, outcome=outcome, pid=2**22 + 1).write(folder.path)
    assert plan(file).runs[0].state == "unfinished"
    assert len(plan(file).to_run()) == 4


def test_what_another_process_runs_is_left_to_it(file):
    run = plan(file).runs[0]
    folder = RunFolder.create(Path("runs"), run.scenario)
    replace(folder.manifest, pid=os.getppid()).write(folder.path)
    assert plan(file).runs[0].state == "going on"
    assert len(plan(file).to_run()) == 3


def test_points_that_come_out_the_same_are_one(file):
    for same in ("spectrum.bandwidth=2 MHz", "sweep.grid={spectrum.bandwidth: [1 MHz, 0.001 GHz]}"):
        found = plan(file, same)
        assert len(found.runs) == found.num_same == 2
    assert plan(file).num_same == 0


def test_runs_at_a_time_fill_the_cores(file, monkeypatch):
    monkeypatch.setattr(planning, "num_cores", lambda: 8)
    assert plan(file).slots() == 4, "no more than there are runs"
    threads = "learning.pool={kind: stacked, threads: 3}"
    assert plan(file, threads).slots() == 2
    assert plan(file, "learning.pool={kind: stacked, threads: 30}").slots() == 1
    assert plan(file, threads).trains()
    assert not plan(file).trains()


def test_the_sweeps_folder_lists_its_runs(file):
    found = plan(file)
    found.write("cosim sweep net.yaml")
    assert found.folder.parent == Path("runs")
    assert found.folder.name.startswith("net-sweep-")
    assert [each.folder for each in read_sweep(found.folder).runs] == [r.folder for r in found.runs]
    assert plan(file).folder == found.folder
    assert plan(file, "sweep.seeds=[1, 3]").folder == found.folder, "whatever the order"
    assert plan(file, "sweep.seeds=[1, 2]").folder != found.folder


def test_a_sweep_over_names_goes_by_its_file(file):
    keys = "{name: [near, far], spectrum.bandwidth: [1 MHz, 5 MHz]}"
    found = plan(file, f"sweep={{zip: {keys}}}")
    assert found.labels == ("near", "far")
    assert found.name == "net"


def test_a_run_that_another_process_has_is_no_failure(file):
    """Two sweeps of one file, planned before either has made the run."""
    job, *_ = plan(file).jobs("")
    assert run_job(job, lambda share: None).status == "finished"
    again = run_job(job, lambda share: None)
    assert again.status == "elsewhere"
    assert list(plan(file).states()).count("done") == 1
    folder = Path("runs") / plan(file).runs[-1].folder
    folder.mkdir()
    *_, other = plan(file).jobs("")
    assert other.folder == folder.name
    assert run_job(other, lambda share: None).status == "failed", "it is no run's folder"


FIGURES = {
    "a key": (
        "{kind: metric_vs_key, x: spectrum.bandwith}",
        "sweep.plots.0: expected a key that every run's scenario has, got 'spectrum.bandwith'; "
        "did you mean 'spectrum.bandwidth'?",
    ),
    "a key with one value": (
        "{kind: metric_vs_key, x: transport.mtu}",
        "sweep.plots.0: expected runs that differ in transport.mtu, got 1.5 kB in all; "
        "they differ in spectrum.bandwidth",
    ),
    "a baseline": (
        "{kind: difference_map, x: transport.mtu, by: [spectrum.bandwidth], baseline: 2 MHz}",
        "sweep.plots.0: expected runs that differ in transport.mtu",
    ),
    "a line": (
        "{kind: metric_vs_key, by: spectrum.bandwidth, baseline: bandwidth=5 Mhz}",
        "sweep.plots.0: expected a line as baseline (bandwidth=1 MHz | bandwidth=5 MHz), got "
        "'bandwidth=5 Mhz'; did you mean 'bandwidth=5 MHz'?",
    ),
    "a cost's key": (
        "{kind: tradeoff, by: spectrum.width}",
        "sweep.plots.0: expected a key that every run's scenario has, got 'spectrum.width'",
    ),
    "no adapters": (
        "gram",
        "sweep.plots.0: expected a pool that trains and so has adapters, got none",
    ),
    "no accuracy": (
        "{kind: difference_map, x: spectrum.bandwidth, by: [spectrum.bandwidth]}",
        "sweep.plots.0: expected a pool that learns, got none, for own_accuracy",
    ),
    "nothing but seeds": (
        "{kind: metric_vs_key, x: seed}",
        "sweep.plots.0: expected a key of the scenario, got seed: seeds are what means are over",
    ),
    "no measures": (
        "measures_vs_round",
        "sweep.plots.0: expected `record: {measures: true}` for the figure 'measures_vs_round', "
        "which draws measures, got measures: false",
    ),
    "a device": (
        "{kind: delay_cdf}, {kind: channel_trace, link: [0, 99]}",
        "sweep.plots.1.link.1: expected a device, 0 to 7 ",
    ),
}


@pytest.mark.parametrize("form", FIGURES)
def test_figures_that_cannot_be_drawn_are_told_before_the_first_run(file, form):
    figures, message = FIGURES[form]
    with pytest.raises(ScenarioError) as told:
        plan(file, f"sweep.plots=[{figures}]")
    (problem,) = told.value.problems
    assert message in str(problem)


def test_figures_that_can_be_drawn_pass(file):
    metrics = "{kind: metric_vs_key, y: [time_s, sent_bits], baseline: null}"
    tradeoff = "{kind: tradeoff, by: spectrum.bandwidth}"
    figures = f"sweep.plots=[{metrics}, {tradeoff}, channel_trace]"
    assert len(plan(file, figures, "learning.pool=surrogate").plots) == 3
    with pytest.raises(ScenarioError, match="expected a pool that learns, got none"):
        plan(file, figures)
