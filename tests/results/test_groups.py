import pytest
from synthetic import scenario

from cosim.results.groups import group
from cosim.results.run import Run
from cosim.results.run_folder import RunFolder
from cosim.results.sweep_folder import SweptRun, open_runs, write_sweep


@pytest.fixture
def open_run(tmp_path):
    def make(**keys):
        return Run(RunFolder.create(tmp_path, scenario(**keys)).path)

    return make


def labels(runs):
    return [each.label for each in group(runs)]


def test_seeds_of_one_experiment_are_one_group_in_order(open_run):
    runs = [open_run(seed=seed) for seed in (3, 1, 2)]
    (only,) = group([*runs, runs[0]])
    assert only.label == "synthetic"
    assert [run.seed for run in only.runs] == [1, 2, 3]


def test_scenarios_with_names_of_their_own_go_by_them(open_run):
    runs = [open_run(name="near"), open_run(name="far", area={"kind": "disc", "radius": "900 m"})]
    assert labels(runs) == ["near", "far"]


def test_a_number_that_differs_is_the_label(open_run):
    runs = [open_run(channel={"carrier": carrier}) for carrier in ("3.5 GHz", "28 GHz")]
    assert labels(runs) == ["carrier=3.5 GHz", "carrier=28 GHz"]


def test_a_kind_that_differs_is_told_by_its_name(open_run):
    areas = (
        {"kind": "disc", "radius": "100 m"},
        {"kind": "rectangle", "width": "100 m", "height": "50 m"},
    )
    assert labels([open_run(area=area) for area in areas]) == ["area=disc", "area=rectangle"]


def test_what_differs_in_a_list_of_groups_is_found(open_run):
    runs = [open_run(devices=({"count": count},)) for count in (4, 16)]
    assert labels(runs) == ["count=4", "count=16"]


def test_runs_of_one_sweep_keep_the_labels_that_it_lists(tmp_path):
    folders = [
        RunFolder.create(tmp_path, scenario(devices=({"count": count},))) for count in (4, 8)
    ]
    swept = [SweptRun(each.path.name, 1, f"the {n}th") for n, each in enumerate(folders)]
    write_sweep(tmp_path / "sweep", "sweep", "", swept, ())
    assert open_runs([tmp_path / "sweep"]).runs == ()
    for each in folders:
        with each:
            pass
    first, second = open_runs([tmp_path / "sweep"]).runs
    assert labels([first, second]) == ["the 0th", "the 1th"]
    assert labels([second]) == ["the 1th"], "also while the other is missing"
    both = open_runs([tmp_path / "sweep", first.path]).runs
    assert labels(both) == ["count=4", "count=8"]


def test_one_scenario_with_other_code_is_told_by_its_folders_hash(open_run, monkeypatch):
    runs = [open_run(), open_run(name="b")]
    monkeypatch.setattr("cosim.results.identity.code_version", lambda: "another")
    runs.append(open_run())
    first, last = (run.manifest.hash for run in (runs[0], runs[2]))
    assert labels(runs) == [f"synthetic ({first})", "b", f"synthetic ({last})"]
