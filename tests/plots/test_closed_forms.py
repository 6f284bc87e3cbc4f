"""The figure's closed forms against independent ones, and its points against both."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

from cosim.plugin import figures_dir, find
from cosim.results.draw import draw
from plots import _laws, closed_forms


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> pd.DataFrame:
    """What the script draws without a run."""
    folder = tmp_path_factory.mktemp("here")
    command = [sys.executable, str(figures_dir() / "closed_forms.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [f"figures/closed_forms.{end}" for end in ("pdf", "png", "csv")]
    return pd.read_csv(folder / "figures" / "closed_forms.csv")


@pytest.fixture
def small(monkeypatch):
    low, high = np.triu_indices(20, 1)
    monkeypatch.setattr(_laws, "NUM_WALKERS", 50)
    monkeypatch.setattr(_laws, "LOW", low)
    monkeypatch.setattr(_laws, "HIGH", high)


def points(drawn, panel, curve) -> pd.DataFrame:
    found = drawn[(drawn["panel"] == panel) & (drawn["curve"] == curve)]
    assert len(found) >= 8
    return found


def test_no_point_is_far_from_its_closed_form(drawn):
    # 192 points; 4.5 sigma: 7e-6 each, 1.3e-3 together. About one in twenty is beyond 1.96, and
    # as many closed forms outside their point's interval; 3 to 20 of 192 in all but 4e-3 of seeds.
    deviations = drawn["deviation_sigmas"].abs()
    assert len(drawn) == 192
    assert deviations.max() < 4.5
    assert 3 <= (deviations > 1.96).sum() <= 20
    missed = (drawn["expected"] < drawn["low"]) | (drawn["expected"] > drawn["high"])
    assert 3 <= missed.sum() <= 20


def test_rates_are_integrals_over_exponential_power(drawn):
    for curve, gap_db in (("capacity", 0.0), ("7.43 dB short", 7.43)):
        for row in points(drawn, "capacity", curve).itertuples():
            snr = 10 ** ((row.x - gap_db) / 10)
            expected, _ = integrate.quad(
                lambda x, snr=snr: np.log2(1 + snr * x) * np.exp(-x), 0, np.inf
            )
            assert row.expected == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("curve", "law"),
    [
        ("Rayleigh", stats.expon()),
        ("Rice, K = 3 dB", stats.ncx2(2, 2 * 10**0.3, scale=0.5 / (10**0.3 + 1))),
        ("Rice, K = 9 dB", stats.ncx2(2, 2 * 10**0.9, scale=0.5 / (10**0.9 + 1))),
        ("Nakagami, m = 0.5", stats.gamma(0.5, scale=2.0)),
        ("Nakagami, m = 3", stats.gamma(3.0, scale=1 / 3)),
    ],
)
def test_powers_have_their_laws(drawn, curve, law):
    found = points(drawn, "power", curve)
    np.testing.assert_allclose(found["expected"], law.cdf(10 ** (found["x"] / 10)), rtol=1e-6)


def test_correlation_is_the_mean_of_a_wave_over_all_directions(drawn):
    angle = np.linspace(0.0, 2 * np.pi, 1001)[:-1]
    for row in points(drawn, "autocorrelation", "amplitude").itertuples():
        wave = np.cos(2 * np.pi * row.x * np.cos(angle))
        assert row.expected == pytest.approx(wave.mean(), abs=1e-12)
    power = points(drawn, "autocorrelation", "power")
    np.testing.assert_allclose(power["expected"], special.j0(2 * np.pi * power["x"]) ** 2)


def test_density_is_that_of_points_on_long_legs(drawn):
    # Points uniform on legs whose ends are uniform, weighted by the legs' length: n = 400,000,
    # 4.5 sigma of a weighted share, below 1.5 times that of an unweighted one.
    rng, n = np.random.default_rng(8), 400_000
    ends = np.sqrt(rng.random((2, n))) * np.exp(2j * np.pi * rng.random((2, n)))
    length = np.abs(ends[1] - ends[0])
    radius = np.abs(ends[0] + rng.random(n) * (ends[1] - ends[0]))
    edges = np.linspace(0.0, 1.0, 17)
    share = np.histogram(radius, edges, weights=length / length.sum())[0]
    found = points(drawn, "waypoint", "t = 0")["expected"] * np.diff(edges**2)
    assert found.sum() == pytest.approx(1.0, abs=1e-5)
    assert (np.abs(share - found) < 4.5 * 1.5 * np.sqrt(found / n)).all()


def test_a_run_is_drawn_under_its_own_seed(run, small):
    data = draw(find("figure", "closed_forms")(), [run]).data
    assert set(data["seed"]) == {run.seed}
    pd.testing.assert_frame_equal(data, closed_forms._draw(run.seed).data)
    asked = draw(find("figure", "closed_forms")(seed=run.seed + 1), [run]).data
    assert set(asked["seed"]) == {run.seed + 1}
    other = closed_forms._draw(run.seed + 1).data
    merged = data.merge(other, on=["panel", "curve", "x"])
    same = merged["measured_x"] == merged["measured_y"]
    assert same.mean() < 0.5  # shares of few samples may agree by chance
