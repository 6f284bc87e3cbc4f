"""Collision rates against devices: the closed form by counting, and what runs measured."""

from itertools import product

import numpy as np
import pytest
from plot_helpers import drawn, legend_of

from cosim.results.figure import FigureError
from cosim.results.statistics import mean_interval


def by_counting(density, count):
    """Sum the probabilities of all 2^M patterns in which at least two masks hold a coordinate."""
    return sum(
        np.prod([density if held else 1 - density for held in pattern])
        for pattern in product((0, 1), repeat=count)
        if sum(pattern) > 1
    )


def test_lines_are_equation_16():
    data = drawn("collision_vs_devices", [], densities=(0.1, 0.3), most=8).data
    assert len(data) == 16
    for row in data.itertuples():
        expected = by_counting(row.density, row.num_devices)
        assert row.collision_rate == pytest.approx(expected, abs=1e-12)


def test_without_runs_there_are_three_lines_up_to_twenty():
    drawing = drawn("collision_vs_devices", [])
    assert legend_of(drawing) == [f"P1 (16), $s$ = {s}" for s in (0.05, 0.1, 0.2)]
    assert drawing.data["num_devices"].max() == 20


def test_points_are_what_clusters_of_one_size_measured(swept, capsys):
    runs = swept[:3]
    drawing = drawn("collision_vs_devices", runs)
    capsys.readouterr()
    points = drawing.data[drawing.data["what"] == "lora"]
    # The made-up runs measure 0.011 for each device beyond the first.
    np.testing.assert_allclose(points["collision_rate"], 0.011 * (points["num_devices"] - 1))
    found = {}
    for run in runs:
        last = run.measures[run.measures["round"] == run.measures["round"].max()]
        for size in set(last["num_devices"]) - {1}:
            found.setdefault(size, []).append(0.011 * (size - 1))
    assert {row.num_devices: row.num_seeds for row in points.itertuples()} == {
        size: len(seeds) for size, seeds in found.items()
    }
    row = points[points["num_seeds"] == points["num_seeds"].max()].iloc[0]
    assert row["half_width"] == pytest.approx(mean_interval([1.0] * 2)[1] + 0.0, abs=1e-12)
    closed = [by_counting(0.1, size) for size in points["num_devices"]]
    np.testing.assert_allclose(points["closed_form"], closed)
    ratios = drawing.canvas.axes[1].containers[0].lines[0].get_ydata()
    np.testing.assert_allclose(np.asarray(ratios, float), points["collision_rate"] / closed)
    assert legend_of(drawing) == ["P1 (16), $s$ = 0.1", "measured, $s$ = 0.1"]


def test_a_run_without_masks_would_show_the_formula_itself(tmp_path, make_run):
    run = make_run(tmp_path, num_rounds=1, packets=False, learning={"pool": {"kind": "none"}})
    with pytest.raises(FigureError, match="its collision rate is the closed form itself"):
        drawn("collision_vs_devices", [run])
