"""Comparisons: their numbers by hand and by SciPy, and how they read."""

import io
import math
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic import make_run

from cosim.results.comparison import METRICS, Comparison, Estimate, Row, compare, estimate
from cosim.results.comparison_text import escaped, frame, latex, text
from cosim.results.run import Run, RunError
from cosim.results.sweep_folder import (
    SweepFile,
    SweptRun,
    is_sweep,
    open_runs,
    read_sweep,
    sweep_name,
    write_sweep,
)

KEYS = {"num_rounds": 4, "packets": False, "positions": False}
LORA = {"learning": {"method": {"kind": "lora"}}}
NAMES = ("own_accuracy", "energy_j", "delivered_bits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of two experiments, seeds 1 to 4 and 2 to 5; and one seed of a third."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (1, 2, 3, 4):
        make_run(folder, seed=seed, **KEYS)
    for seed in (2, 3, 4, 5):
        make_run(folder, seed=seed, gain=0.7 + 0.01 * seed**2, **LORA, **KEYS)
    make_run(folder, seed=9, gain=0.1, **KEYS, learning={"method": {"kind": "lori"}})
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    order = {"sparse_orthogonal": 0, "lora": 1, "lori": 2}
    found = open_runs([folder]).runs

    def key(run):
        method = type(run.scenario.learning.method).__module__.rpartition(".")[2]
        return order[method], run.seed

    return sorted(found, key=key)


def last_own(run: Run) -> float:
    """The last evaluation's mean over devices on their own tasks, from the table."""
    table = run.evaluations
    last = table[(table["t_s"] == table["t_s"].max()) & table["own"]]
    return float(last["accuracy"].mean())


def metric(name: str):
    return next(each for each in METRICS if each.name == name)


def test_means_and_intervals_are_scipys(runs):
    first = compare(runs).rows[0]
    samples = [last_own(run) for run in runs[:4]]
    low, high = stats.t.interval(0.95, 3, np.mean(samples), stats.sem(samples))
    found = first.estimate(metric("own_accuracy"))
    assert found.num == 4
    assert found.mean == pytest.approx((low + high) / 2, rel=1e-12)
    assert found.half_width == pytest.approx((high - low) / 2, rel=1e-9)


def test_differences_are_paired_by_the_seeds_that_both_have(runs):
    compared = compare(runs, baseline="method=sparse_orthogonal")
    lora = compared.rows[1]
    by_seed = {("base", run.seed): last_own(run) for run in runs[:4]}
    by_seed |= {("lora", run.seed): last_own(run) for run in runs[4:8]}
    mine = [by_seed["lora", seed] for seed in (2, 3, 4)]
    base = [by_seed["base", seed] for seed in (2, 3, 4)]
    interval = stats.ttest_rel(mine, base).confidence_interval(0.95)
    found = lora.difference(compared.baseline, metric("own_accuracy"))
    assert found.num == 3
    assert found.mean == pytest.approx((interval.low + interval.high) / 2, rel=1e-9)
    assert found.half_width == pytest.approx((interval.high - interval.low) / 2, rel=1e-9)
    assert found.mean < 0.0


def test_without_a_common_seed_there_is_no_difference(runs):
    compared = compare(runs, baseline="method=sparse_orthogonal")
    found = compared.rows[2].difference(compared.baseline, metric("own_accuracy"))
    assert found.num == 0
    assert math.isnan(found.mean)


def test_one_seed_has_no_interval_and_is_told(runs):
    compared = compare(runs)
    assert compared.single == ("method=lori",)
    assert math.isnan(compared.rows[2].estimate(metric("energy_j")).half_width)
    assert "one seed only, so no interval: method=lori" in text(compared, 200)
    assert "one seed only, so no interval: every row" in text(compare(runs[-1:]), 200)


def test_values_that_do_not_exist_are_left_out_of_means():
    assert estimate([1.0, math.nan, 3.0]).mean == 2.0
    assert estimate([1.0, math.nan, 3.0]).num == 2
    none = estimate([math.nan])
    assert (none.num, math.isnan(none.mean)) == (0, True)


def test_the_common_target_is_reached_by_every_run(runs):
    compared = compare(runs)
    best = []
    for run in runs:
        own = run.evaluations[run.evaluations["own"]]
        best.append(own.groupby("t_s")["accuracy"].mean().max())
    assert min(best) - 1e-3 < compared.target <= min(best)
    for row in compared.rows:
        assert row.estimate(metric("time_to_accuracy_s")).num == len(row.seeds)
    assert f"to {100 * compared.target:.4g} % own-task, which every run reached" in text(
        compared, 200
    )


def test_energy_to_accuracy_is_of_the_rounds_up_to_then(runs):
    asked = metric("energy_to_accuracy_j")
    for row, of_row in zip(compare(runs).rows, (runs[:4], runs[4:8], runs[8:]), strict=True):
        for run in of_row:
            own = run.evaluations[run.evaluations["own"]].groupby("round")["accuracy"].mean()
            reached = own.index[own >= compare(runs).target - 1e-9].min()
            wanted = sum(e for r, e in run.rounds[["round", "energy_j"]].values if r <= reached)
            assert row.values[asked.name][run.seed] == pytest.approx(wanted, rel=1e-12)
    assert math.isnan(compare(runs, target=1.0).rows[0].estimate(asked).mean)


def test_a_target_that_some_never_reach(runs):
    compared = compare(runs, target=0.6)
    assert compared.rows[0].estimate(metric("time_to_accuracy_s")).num == 4
    assert compared.rows[2].estimate(metric("time_to_accuracy_s")).num == 0
    assert "which every run reached" not in text(compared, 200)


def test_text_lines_up_and_breaks_into_blocks(runs):
    wide = text(compare(runs, metrics=NAMES), 200).splitlines()
    assert len({len(line) for line in wide[2:5]}) == 1
    assert wide[0].split("  ") != wide[1].split("  ")
    assert " % " in wide[1]
    assert " kJ" in wide[1] or " J" in wide[1]
    narrow = text(compare(runs, metrics=NAMES), 60).splitlines()
    assert max(map(len, narrow)) <= 60
    assert sum(line.startswith("method=lora") for line in narrow) > 1


def test_text_shows_two_digits_of_the_interval(runs):
    compared = compare(runs, metrics=["own_accuracy"])
    found = compared.rows[0].estimate(metric("own_accuracy"))
    line = next(line for line in text(compared, 80).splitlines() if "method=sparse" in line)
    cell = line.split(maxsplit=2)[2]
    mean, half = map(float, cell.split(" ± "))
    assert mean == pytest.approx(100 * found.mean, abs=0.06)
    assert half == pytest.approx(100 * found.half_width, rel=0.2)


def test_every_interval_shows_its_own_digits():
    values = {
        "wide": [300.0, 380.0, 340.0],
        "narrow": [98.1, 98.3, 98.2],
        "tiny": [57.2, 57.2001, 57.2002],
        "none": [12.0, 12.0, 12.0],
        "one": [21.25],
        "same": [4.11, 4.11, 4.11],
        "small": [0.3123],
    }
    rows = [Row(label, {"energy_j": dict(enumerate(numbers))}) for label, numbers in values.items()]
    half = {label: estimate(numbers).half_width for label, numbers in values.items()}
    found = Comparison(tuple(rows), (metric("energy_j"),), math.nan, False, None)
    words = [line.split(maxsplit=2) for line in text(found, 80).splitlines()][:-2]  # no notes
    shown = [(each[0], each[2]) for each in words if each and each[0] in values]
    assert shown == [
        ("wide", f"340 ± {half['wide']:.0f}"),
        ("narrow", f"98.20 ± {half['narrow']:.2f}"),
        ("tiny", f"57.2001 ± {half['tiny']:.4f}"),
        ("none", "12.0 ± 0.0"),
        ("one", "21.2"),
        ("same", "4.11 ± 0.00"),
        ("small", "0.312"),
    ]


def test_csv_has_what_the_comparison_has(runs, tmp_path):
    compared = compare(runs, baseline="method=lora", metrics=NAMES)
    frame(compared).to_csv(tmp_path / "a.csv", index=False)
    back = pd.read_csv(tmp_path / "a.csv").set_index("label")
    assert list(back.index) == [row.label for row in compared.rows]
    for row in compared.rows:
        for name in NAMES:
            found = row.estimate(metric(name))
            assert back.loc[row.label, name] == pytest.approx(found.mean)
            difference = row.difference(compared.rows[1], metric(name))
            assert back.loc[row.label, f"{name}_difference_num"] == difference.num
    assert back.loc["method=lora", "energy_j_difference"] == 0.0
    assert back.loc["method=lora", "seeds"] == "2 3 4 5"
    assert math.isnan(back.loc["method=lori", "energy_j_half_width"])


def test_latex_is_a_booktabs_table_with_escaped_words(runs):
    lines = latex(compare(runs, baseline="method=lora", metrics=NAMES)).splitlines()
    tops = [number for number, line in enumerate(lines) if line == r"\toprule"]
    assert len(tops) == 2
    assert lines[tops[0] - 1] == r"\begin{tabular}{lrrrr}"
    assert lines[tops[0] + 1].startswith(" & seeds & own-task accuracy & energy & delivered")
    assert r"(\%)" in lines[tops[0] + 2]
    row = next(line for line in lines if line.startswith(r"method=sparse\_orthogonal"))
    assert row.count("&") == 4
    assert r" \pm " in row
    assert row.endswith(r" \\")
    assert "±" not in "".join(line for line in lines if not line.startswith("%"))


def test_every_special_character_of_latex_is_escaped():
    assert escaped(r"a_b & 5 % #$^~{}\ ") == (
        r"a\_b \& 5 \% \#\$\textasciicircum{}\textasciitilde{}\{\}\textbackslash{} "
    )


def test_a_run_without_learning_has_no_accuracies(tmp_path):
    from cosim.results.run_folder import RunFolder
    from cosim.results.tables import Recorder
    from cosim.scenario.tree import Scenario

    with RunFolder.create(tmp_path, Scenario()) as made, Recorder(made.path):
        pass
    compared = compare([Run(made.path)])
    assert math.isnan(compared.target)
    assert "own_accuracy" not in {each.name for each in compared.metrics}
    assert "accuracy" not in text(compared, 100)
    kept = compare([Run(made.path)], metrics=["own_accuracy"])
    assert "none" in text(kept, 100)


def test_what_there_is_not_is_a_message(runs):
    with pytest.raises(RunError, match="expected at least one finished run, got none"):
        compare([])
    with pytest.raises(RunError, match=r"label of a row \(method=sparse_orthogonal \| .*'lroa'"):
        compare(runs, baseline="lroa")
    with pytest.raises(RunError, match="did you mean 'energy_j'"):
        compare(runs, metrics=["energy"])


def test_estimates_are_values():
    assert Estimate(1.0, 0.1, 3) == Estimate(1.0, 0.1, 3)


def test_runs_of_a_sweeps_folder_in_order(folder, runs, tmp_path):
    for run in runs[:3]:
        shutil.copytree(run.path, tmp_path / run.path.name)
    names = [run.path.name for run in runs[:4]]
    swept = [SweptRun(name, seed, "a") for seed, name in enumerate(names[::-1])]
    sweep = tmp_path / sweep_name("s", names)
    write_sweep(sweep, "s", "cosim sweep s.yaml", swept, ())
    assert is_sweep(sweep)
    assert read_sweep(sweep) == SweepFile(tuple(swept), ())
    found = open_runs([sweep])
    assert [run.path.name for run in found.runs] == names[:3][::-1]
    assert found.notes == (f"left out: {tmp_path / names[3]}: not there",)
    assert [run.path for run in open_runs([sweep, tmp_path / names[0]]).runs] == [
        run.path for run in found.runs
    ]


def test_a_sweeps_name_is_of_its_runs_in_any_order():
    assert sweep_name("a", ["x", "y"]) == sweep_name("a", ["y", "x"])
    assert sweep_name("a", ["x", "y"]) != sweep_name("a", ["x", "z"])


def test_unfinished_runs_are_left_out_and_told(tmp_path):
    made = make_run(tmp_path, seed=1, **KEYS)
    with pytest.raises(RuntimeError):
        make_run(tmp_path, seed=2, crash=True, **KEYS)
    found = open_runs([tmp_path])
    assert [run.path for run in found.runs] == [made.path]
    (line,) = found.notes
    assert line.startswith("left out: ")
    assert line.endswith("-s2: failed")
    named = open_runs(list(tmp_path.iterdir()))
    assert len(named.runs) == 2, "named one by one, they are meant"
    (line,) = named.notes
    assert line.startswith("used as far as it went: ")
    assert line.endswith("-s2: failed")


@pytest.mark.parametrize("content", ["", "[]", '{"runs": [1]}', '{"runs": [{"a": 1}]}'])
def test_a_broken_list_of_runs_is_a_message(tmp_path, content):
    (tmp_path / "sweep.json").write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match="is no list of a sweep's runs"):
        open_runs([tmp_path])


def test_a_folder_that_is_none_is_a_message(tmp_path):
    with pytest.raises(RunError, match="which does not exist"):
        open_runs([tmp_path / "none"])
    with pytest.raises(RunError, match="has no manifest"):
        open_runs([tmp_path])


def test_frame_is_written_like_any_table(runs):
    stream = io.StringIO()
    frame(compare(runs, metrics=["energy_j"])).to_csv(stream, index=False)
    assert stream.getvalue().splitlines()[0] == (
        "label,num_seeds,seeds,energy_j,energy_j_half_width,energy_j_num"
    )
