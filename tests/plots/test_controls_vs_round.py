"""Controls against rounds: what is drawn is what the tables say, times in their own round."""

import numpy as np
import pytest
from plot_helpers import drawn


def test_numbers_are_those_of_the_table(run):
    table = drawn("controls_vs_round", [run]).data
    rounds = np.arange(1, 9)
    assert table["round"].tolist() == rounds.tolist()
    np.testing.assert_allclose(table["density_min"], 0.5 / rounds)
    np.testing.assert_allclose(table["density_max"], 0.5 / rounds + 0.07)
    np.testing.assert_allclose(table["predicted_s"], 1.0 / rounds)
    np.testing.assert_allclose(table["measured_s"][:-1], 1.1 / rounds[:-1])
    assert np.isnan(table["measured_s"].iloc[-1])
    assert table["mean_s"].iloc[1] == pytest.approx(1.1 * (1 + 1 / 2) / 2)
    np.testing.assert_allclose(table["queue_s"], 0.1 * (rounds - 1))


def test_a_queue_has_a_panel(run):
    assert len(drawn("controls_vs_round", [run]).canvas.axes) == 3


def test_rounds_are_whole_numbers(run):
    axes = drawn("controls_vs_round", [run]).canvas.axes[-1]
    axes.set_xlim(1.0, 3.0)  # a short run: ticks at halves would be likely
    ticks = axes.get_xticks()
    assert (ticks == np.round(ticks)).all()
