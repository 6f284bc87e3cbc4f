"""Accuracy against cost: points, both intervals, and who is on the front."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plot_helpers import drawn, legend_of

from cosim.results.comparison import compare
from plots.tradeoff import pareto_front

numbers = st.integers(0, 6).map(float)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12))
def test_the_front_is_what_no_other_beats(points):
    costs, gains = zip(*points, strict=True)
    front = pareto_front(costs, gains)
    assert any(front)
    for place, (cost, gain) in enumerate(points):
        # By sorting instead: the best gain among those that cost less, and at the same cost.
        cheaper = max((g for c, g in points if c < cost), default=-math.inf)
        same = max(g for c, g in points if c == cost)
        assert front[place] == (gain > cheaper and gain == same)


def test_what_has_no_number_is_not_on_the_front():
    assert pareto_front([1.0, math.nan, 2.0], [0.5, 0.9, math.nan]) == [True, False, False]


def test_points_have_both_means_and_both_intervals(swept):
    drawing = drawn("tradeoff", swept)
    data = drawing.data
    found = compare(swept, metrics=("energy_j", "all_accuracy"))
    for axis, metric in zip("xy", found.metrics, strict=True):
        estimates = [row.estimate(metric) for row in found.rows]
        np.testing.assert_allclose(data[f"{axis}_mean"], [each.mean for each in estimates])
        halves = [each.half_width for each in estimates]
        np.testing.assert_allclose(data[f"{axis}_half_width"], halves)
    (axes,) = drawing.canvas.axes
    for container, (_, row) in zip(axes.containers, data.iterrows(), strict=True):
        x_bar, y_bar = (np.ptp(bars.get_segments()[0], axis=0) for bars in container.lines[2])
        np.testing.assert_allclose(x_bar, [2 * row["x_half_width"], 0.0], atol=1e-9)
        np.testing.assert_allclose(y_bar, [0.0, 200 * row["y_half_width"]], atol=1e-9)
    assert legend_of(drawing)[-1] == "Pareto front"
    assert axes.get_xlabel() == "Energy (J)"


def test_the_front_is_drawn_through_its_points(swept):
    drawing = drawn("tradeoff", swept, x="sent_bits")
    (axes,) = drawing.canvas.axes
    front = drawing.data[drawing.data["on_front"]].sort_values("x_mean")
    (line,) = [each for each in axes.lines if each.get_label() == "Pareto front"]
    np.testing.assert_allclose(line.get_ydata(), 100 * front["y_mean"])
    assert 1 <= len(front) < len(drawing.data)


def test_marks_by_a_key_have_the_rest_beside_them(swept):
    drawing = drawn("tradeoff", swept, by="learning.method")
    assert legend_of(drawing) == ["lora", "ffa_lora", "Pareto front"]
    beside = [f"{each} MHz" for each in (1, 10, 100)] * 2
    assert list(drawing.data["beside"]) == [f"bandwidth={each}" for each in beside]
    (axes,) = drawing.canvas.axes
    assert [text.get_text() for text in axes.texts] == beside


def test_marks_may_be_told_by_several_keys(swept):
    data = drawn("tradeoff", swept, by=("learning.method", "spectrum.bandwidth")).data
    assert list(data["series"])[2:4] == ["lora, bandwidth=100 MHz", "ffa_lora, bandwidth=1 MHz"]
    assert set(data["beside"]) == {""}


def test_one_key_stands_beside_the_points_if_asked(swept):
    data = drawn("tradeoff", swept, by="spectrum.bandwidth", beside="learning.method").data
    assert list(data["beside"]) == ["lora"] * 3 + ["ffa_lora"] * 3


def test_one_seed_is_said(swept, capsys):
    data = drawn("tradeoff", swept[:4]).data
    assert "one seed, so no interval: bandwidth=10 MHz;" in capsys.readouterr().err
    assert data["y_half_width"].isna().tolist() == [False, True]
    assert data["num_seeds"].tolist() == [3, 1]


def test_a_time_that_no_run_reaches_is_a_message(swept):
    from cosim.results.figure import FigureError

    with pytest.raises(FigureError, match="no run has both all_accuracy and time_to_accuracy_s"):
        drawn("tradeoff", swept, x="time_to_accuracy_s", target=1.0)
