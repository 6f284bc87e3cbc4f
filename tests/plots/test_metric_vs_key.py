"""A metric against a key: the numbers of `cosim compare`, placed, with their intervals."""

import re

import numpy as np
import pytest
from plot_helpers import drawn, legend_of
from pydantic import ValidationError

from cosim.results.comparison import METRICS, compare
from cosim.results.figure import FigureError
from cosim.results.statistics import mean_interval
from plots.metric_vs_key import MetricName, MetricVsKey


def last_all(run):
    table = run.evaluations
    return table[table["t_s"] == table["t_s"].max()]["accuracy"].mean()


def test_every_metric_of_compare_can_be_drawn():
    assert set(MetricName.__args__) == {metric.name for metric in METRICS}


def test_points_are_means_with_their_intervals(swept, capsys):
    drawing = drawn("metric_vs_key", swept, x="spectrum.bandwidth")
    assert capsys.readouterr().err == ""
    data = drawing.data
    assert list(data["line"]) == ["method=lora"] * 3 + ["method=ffa_lora"] * 3
    assert list(data["x_number"]) == [1e6, 1e7, 1e8] * 2
    mean, half = mean_interval([last_all(run) for run in swept[12:15]])
    row = data.iloc[4]
    np.testing.assert_allclose([row["mean"], row["half_width"]], [mean, half], rtol=1e-12)
    (axes,) = drawing.canvas.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "Bandwidth (MHz)"
    assert axes.get_ylabel() == "All-task accuracy (%)"
    line = axes.containers[1].lines[0]
    # Beside its value, so that bars of two lines are told apart.
    np.testing.assert_allclose(np.asarray(line.get_xdata(), float), [1, 10, 100], rtol=0.03)
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), 100 * data["mean"][3:])
    bottom, top = axes.get_ylim()
    assert bottom < 100 * data["mean"].min() < 100 * data["mean"].max() < top
    segments = axes.containers[1].lines[2][0].get_segments()
    np.testing.assert_allclose(np.ptp(segments[1][:, 1]), 200 * half)
    assert legend_of(drawing) == ["method=lora", "method=ffa_lora"]
    (legend,) = drawing.canvas.legends
    assert legend.get_title().get_text() == "mean and 95 % $t$-interval over 3 seeds"


def test_a_baseline_gives_differences_seed_by_seed(swept):
    keys = {"x": "spectrum.bandwidth", "by": "learning.method", "baseline": "lora"}
    data = drawn("metric_vs_key", swept, **keys).data
    assert set(data["line"]) == {"ffa_lora"}
    for place in range(3):
        base, mine = swept[3 * place : 3 * place + 3], swept[9 + 3 * place : 12 + 3 * place]
        differences = [last_all(one) - last_all(two) for one, two in zip(mine, base, strict=True)]
        expected = mean_interval(differences)
        row = data.iloc[place]
        np.testing.assert_allclose([row["mean"], row["half_width"]], expected, atol=1e-12)
    with pytest.raises(
        FigureError, match=re.escape("(lora | ffa_lora), got 'loar'; did you mean 'lora'?")
    ):
        drawn("metric_vs_key", swept, **keys | {"baseline": "loar"})


def test_lines_may_be_told_by_several_keys(swept):
    keys = ("learning.method", "spectrum.bandwidth", "channel.carrier")  # the last is one for all
    data = drawn("metric_vs_key", swept, x="learning.method", by=keys[1:]).data
    assert list(dict.fromkeys(data["line"])) == [f"bandwidth={n} MHz" for n in (1, 10, 100)]
    data = drawn("metric_vs_key", swept, x="spectrum.bandwidth", by=keys).data
    assert list(data["line"])[:2] == ["lora, bandwidth=1 MHz", "lora, bandwidth=10 MHz"]
    expected = r"on the line 'carrier=3.5 GHz', got two, .*; name that key in `by` too, or leave"
    with pytest.raises(FigureError, match=expected):
        drawn("metric_vs_key", swept, x="spectrum.bandwidth", by=("channel.carrier",))


@pytest.mark.parametrize("by", ["", (), 3])
def test_by_is_a_key_or_several(by):
    with pytest.raises(ValidationError):
        MetricVsKey(by=by)


def test_categories_stand_in_their_order(swept):
    keys = {"x": "learning.method", "y": ("own_accuracy", "sent_bits")}
    drawing = drawn("metric_vs_key", [*swept[:3], *swept[9:12]], **keys)
    for axes, label in zip(
        drawing.canvas.axes, ("Own-task accuracy (%)", "Sent (Mbit)"), strict=True
    ):
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["lora", "ffa_lora"]
        assert axes.get_ylabel() == label
        assert axes.containers[0].lines[0].get_linestyle() == "None"
    sent = compare(swept[:3], metrics=["sent_bits"])
    (row,) = sent.rows
    first = drawing.data.query("metric == 'sent_bits'").iloc[0]
    assert first["mean"] == row.estimate(sent.metrics[0]).mean


def test_the_only_key_need_not_be_named(swept):
    drawing = drawn("metric_vs_key", swept[:9])
    assert drawing.canvas.axes[0].get_xlabel() == "Bandwidth (MHz)"
    with pytest.raises(FigureError, match=r"as `x`: .* learning.method, spectrum.bandwidth"):
        drawn("metric_vs_key", swept)


def test_one_seed_has_no_interval_and_says_so(swept, capsys):
    drawing = drawn("metric_vs_key", [swept[0], swept[3]])
    assert "one seed, so no interval: bandwidth=1 MHz; bandwidth=10 MHz" in capsys.readouterr().err
    assert drawing.data["half_width"].isna().all()
    (legend,) = drawing.canvas.legends
    assert legend.get_title().get_text() == "one seed: no intervals"


def test_what_no_run_has_is_a_message(swept):
    with pytest.raises(FigureError, match="no run has time_to_accuracy_s"):
        drawn("metric_vs_key", swept, x="spectrum.bandwidth", y=("time_to_accuracy_s",), target=1.0)


@pytest.mark.parametrize("key", ["learning.method", "learning.method.kind"])
def test_an_axis_of_kinds_is_called_by_what_they_are_kinds_of(swept, key):
    drawing = drawn("metric_vs_key", swept, x=key, by="spectrum.bandwidth")
    assert drawing.canvas.axes[0].get_xlabel() == "Method"
