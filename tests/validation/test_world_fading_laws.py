"""Rician and Nakagami fading, capacity and outage against their laws in closed form.

What belongs to Rayleigh fading alone is in test_world_fading.py. Sample sizes are stated at each
test. False-alarm rates over seeds: 1e-3 for each Kolmogorov-Smirnov test, 1e-4 for each 4 sigma
bound.
"""

from typing import ClassVar

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import erf, exp1, ive, j0
from world_helpers import world_of

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.fading.base import FadingInstant
from cosim.world.fading.nakagami import Nakagami
from cosim.world.fading.rayleigh import Rayleigh
from cosim.world.fading.rayleigh_jakes import RayleighJakes
from cosim.world.fading.rician import Rician
from cosim.world.mobility.random_waypoint import RandomWaypoint
from cosim.world.path_loss.base import PathLoss

FALSE_ALARM = 1e-3
LINKS = np.triu_indices(300, 1)  # 44,850 links
DRAWS = Draws(47)
SCATTERS = [RayleighJakes(), Rayleigh(coherence_time_s=1.0)]


def at(low, high, cycles, **options) -> FadingInstant:
    """Links whose Doppler phase in cycles is also the time in seconds."""
    cycles = np.asarray(cycles, dtype=float)
    return FadingInstant(np.asarray(low), np.asarray(high), cycles, lambda: cycles, **options)


def rice(k: float):
    """Law of |h|^2: (1 / (2 (K + 1))) times a noncentral chi-square of 2 degrees, 2 K."""
    return stats.ncx2(2, 2 * k, scale=1 / (2 * (k + 1)))


def check_moments(measured, power: np.ndarray, variance: float, excess: float) -> None:
    """Mean 1 and the given variance, 4 sigma; `excess` is E(x - 1)^4 of the law."""
    off = abs(power.mean() - 1.0)
    assert measured(off, power.size) < 4 * np.sqrt(variance / power.size)
    sigma = np.sqrt((excess - variance**2) / power.size)
    off = abs(np.mean((power - 1.0) ** 2) - variance)
    assert measured(off, power.size) < 4 * sigma


@pytest.mark.parametrize("scatter", SCATTERS, ids=["jakes", "blocks"])
@pytest.mark.parametrize("k_db", [-3.0, 3.0, 9.0, 15.0])
def test_rice_power(measured, scatter, k_db):
    # n = 44,850 links at one instant; and one link, n = 20,000 samples 3.1 cycles apart.
    fading, k = Rician(k_db=k_db, scatter=scatter), 10 ** (k_db / 10)
    power = fading.power(DRAWS, at(*LINKS, 77.0))
    assert measured(stats.kstest(power, rice(k).cdf), power.size).pvalue > FALSE_ALARM
    variance = (2 * k + 1) / (k + 1) ** 2
    assert rice(k).var() == pytest.approx(variance)
    excess = float(rice(k).expect(lambda x: (x - 1) ** 4))
    check_moments(measured, power, variance, excess)
    over_time = fading.power(DRAWS, at(3, 8, 3.1 * np.arange(20_000)))
    assert measured(stats.kstest(over_time, rice(k).cdf), over_time.size).pvalue > FALSE_ALARM


@pytest.mark.parametrize("m", [0.5, 1.0, 1.7, 4.0])
def test_nakagami_power(measured, m):
    # n = 44,850 links in one block; and one link, n = 20,000 blocks. Amplitude: Nakagami's law.
    fading = Nakagami(m=m, coherence_time_s=1.0)
    power = fading.power(DRAWS, at(*LINKS, 77.0))
    law = stats.gamma(m, scale=1 / m)
    assert measured(stats.kstest(power, law.cdf), power.size).pvalue > FALSE_ALARM
    assert stats.kstest(np.sqrt(power), stats.nakagami(m).cdf).pvalue > FALSE_ALARM
    check_moments(measured, power, 1 / m, float(law.stats(moments="k")) / m**2 + 3 / m**2)
    series = fading.power(DRAWS, at(3, 8, np.arange(20_001.0)))
    assert measured(stats.kstest(series, law.cdf), series.size).pvalue > FALSE_ALARM
    assert abs(np.corrcoef(series[1:], series[:-1])[0, 1]) < 4 / np.sqrt(20_000)


OUTAGE = {
    "rayleigh_jakes": (RayleighJakes(), lambda x: -np.expm1(-x)),
    "rayleigh": (Rayleigh(coherence_time_s=1.0), lambda x: -np.expm1(-x)),
    "rician": (Rician(k_db=6.0), rice(10**0.6).cdf),
    "nakagami": (Nakagami(m=2.0, coherence_time_s=1.0), stats.gamma(2.0, scale=0.5).cdf),
}


@pytest.mark.parametrize("name", OUTAGE)
@pytest.mark.parametrize("margin_db", [5.0, 10.0, 20.0])
def test_outage(measured, name, margin_db):
    # P(SNR < threshold), the threshold `margin_db` below the mean SNR; n = 44,850 links x 20
    # instants 3.1 cycles apart, neighbouring ones of which are nearly independent: 4.5 sigma.
    fading, law = OUTAGE[name]
    times = 3.1 * np.arange(20)
    power = fading.power(DRAWS, at(LINKS[0][:, None], LINKS[1][:, None], times))
    expected = law(10 ** (-margin_db / 10))
    sigma = np.sqrt(expected * (1 - expected) / power.size)
    share = np.mean(power < 10 ** (-margin_db / 10))
    assert measured(abs(share - expected), power.size) < 4.5 * sigma


def capacity(density, snr: float) -> float:
    """E log2(1 + snr x), bit/s/Hz, by quadrature over the law's density."""
    return quad(lambda x: np.log2(1 + snr * x) * density(x), 0, np.inf, limit=200)[0]


CAPACITY = {
    "rayleigh_jakes": (RayleighJakes(), lambda g: np.exp(1 / g) * exp1(1 / g) / np.log(2)),
    "rayleigh": (Rayleigh(), lambda g: np.exp(1 / g) * exp1(1 / g) / np.log(2)),
    "rician": (Rician(k_db=6.0), lambda g: capacity(rice(10**0.6).pdf, g)),
    "nakagami": (Nakagami(m=2.0), lambda g: capacity(stats.gamma(2.0, scale=0.5).pdf, g)),
}


@pytest.mark.parametrize("name", CAPACITY)
@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_ergodic_capacity(measured, name, snr_db):
    # Rayleigh: e^(1/g) E1(1/g) / ln 2. n = 44,850 links at one instant, 4 sigma; sigma about 0.5 %.
    fading, expected = CAPACITY[name]
    snr = 10 ** (snr_db / 10)
    rate = np.log2(1 + snr * fading.power(DRAWS, at(*LINKS, 5.0)))
    off = abs(rate.mean() - expected(snr))
    assert measured(off, rate.size) < 4 * rate.std() / np.sqrt(rate.size)


@pytest.mark.parametrize("k", [0.0, 4.0])
@pytest.mark.parametrize("tap", [0, 5])
def test_amplitude_autocorrelation_is_j0(measured, k, tap):
    # E h(D) h*(D + lag) = J0(2 pi lag), with a line of sight too, since over links its direction
    # is uniform like a scattered wave's. n = 44,850 links, 4 sigma of real and imaginary part.
    fading = RayleighJakes()
    now = fading.amplitude(DRAWS, at(*LINKS, 50.0), tap, k)
    for lag in (0.05, 0.2, 0.3827, 0.7, 1.3):
        later = fading.amplitude(DRAWS, at(*LINKS, 50.0 + lag), tap, k)
        product = now * later.conj()
        off = abs(product.real.mean() - j0(2 * np.pi * lag))
        assert measured(off, product.size) < 4 / np.sqrt(product.size)
        assert measured(abs(product.imag.mean()), product.size) < 4 / np.sqrt(product.size)


def rice_crossings(rho: float, k: float, shift: float) -> float:
    """Upward crossings of rho times the rms level in one cycle of the Doppler shift.

    Isotropic scattered waves beside a line of sight at `shift` times the Doppler shift: Paetzold,
    "Mobile fading channels", Wiley, 2002, chapter 3. Without a shift it is
    sqrt(2 pi (K + 1)) rho e^(-K - (K + 1) rho^2) I0(2 rho sqrt(K (K + 1))).
    """
    # psi_0, variance of a quadrature component, and beta, that of its derivative.
    variance = 1 / (2 * (k + 1))
    beta = 2 * np.pi**2 * variance
    direct = np.sqrt(k / (k + 1))
    alpha = 2 * np.pi * shift / np.sqrt(2 * beta)

    def density(angle: float) -> float:
        turn = alpha * direct * np.sin(angle)
        # cosh(x) e^(-(rho - direct)^2 / 2 psi_0 ...), put together so that nothing overflows.
        along = rho * direct * np.cos(angle) / variance
        level = (rho**2 + direct**2) / (2 * variance)
        weight = (np.exp(along - level) + np.exp(-along - level)) / 2
        return weight * (np.exp(-(turn**2)) + np.sqrt(np.pi) * turn * erf(turn))

    return np.sqrt(2 * beta) * rho / (np.pi**1.5 * variance) * quad(density, 0, np.pi / 2)[0]


def test_the_formula_for_crossings_without_a_shift_is_the_closed_form():
    for k in (0.0, 2.0, 8.0):
        for rho in (0.3, 0.7, 1.2):
            x = 2 * rho * np.sqrt(k * (k + 1))
            closed = np.sqrt(2 * np.pi * (k + 1)) * rho * ive(0, x)
            closed *= np.exp(x - k - (k + 1) * rho**2)
            assert rice_crossings(rho, k, 0.0) == pytest.approx(closed)


@pytest.mark.parametrize("k_db", [0.0, 6.0])
@pytest.mark.parametrize("rho", [0.5, 1.0])
def test_rice_level_crossing_rate_and_average_fade_duration(measured, k_db, rho):
    # 60 links over 500 cycles, 100 samples in each; every link has its own shift, which is read
    # off its line of sight alone. Sigma from the links' deviations from their own formula, 4.3 of
    # them (t of 59 degrees); sampling misses up to 0.5 % of the crossings.
    k, high = 10 ** (k_db / 10), np.arange(1, 61)[:, None]
    cycles = np.arange(0.0, 500.0, 1 / 100)
    low = np.zeros_like(high)
    sight = RayleighJakes().amplitude(DRAWS, at(low, high, [0.0, 0.01]), 0, 1e14)
    shifts = np.angle(sight[:, 1] / sight[:, 0]) / (2 * np.pi) / 0.01
    below = Rician(k_db=k_db).power(DRAWS, at(low, high, cycles)) < rho**2
    fades = np.count_nonzero(below[:, :-1] & ~below[:, 1:], axis=1)
    expected = np.array([rice_crossings(rho, k, shift) for shift in shifts])
    off = fades / 500.0 - expected
    slack = 4.3 * off.std(ddof=1) / np.sqrt(off.size) + 0.005 * expected.mean()
    assert measured(abs(off.mean()), off.size) < slack < 0.06 * expected.mean()
    assert expected.std() > 0.02 * expected.mean()  # the shift matters, and is seen
    off_s = below.sum(axis=1) / 100.0 / fades - rice(k).cdf(rho**2) / expected
    mean_s = np.mean(rice(k).cdf(rho**2) / expected)
    slack = 4.3 * off_s.std(ddof=1) / np.sqrt(off_s.size) + 0.01 * mean_s
    assert measured(abs(off_s.mean()), off_s.size) < slack < 0.08 * mean_s


def test_k_of_the_path_loss_model_is_normal_in_db_over_links():
    # n = 44,850 links of 3GPP 38.901's N(9, 5) dB, standard deviation to 4 sigma, 1.3 %; and it
    # does not change with time.
    k = Rician()._k(DRAWS, at(*LINKS, 0.0, rician_k_db=(9.0, 5.0)))
    k_db = 10 * np.log10(k)
    assert stats.kstest(k_db, stats.norm(9, 5).cdf).pvalue > FALSE_ALARM
    assert abs(k_db.std() - 5.0) < 4 * 5.0 / np.sqrt(2 * k_db.size)
    assert (Rician()._k(DRAWS, at(*LINKS, 99.0, rician_k_db=(9.0, 5.0))) == k).all()


class InSightHalfOfTheTime(PathLoss):
    """A distance-free loss with states of sight and a K-factor of 7 dB."""

    rician_k_db: ClassVar[tuple[float, float] | None] = (7.0, 0.0)

    def loss_db(self, geometry):
        """90 dB."""
        return np.full(np.shape(geometry.distance_m), 90.0)

    def line_of_sight_probability(self, geometry):
        """One half."""
        return np.full(np.shape(geometry.distance_m), 0.5)


def test_in_the_world_links_are_rician_in_sight_and_rayleigh_out_of_it(measured):
    # 150 walkers, n = 11,175 links at one instant, about half of them in sight.
    walkers = [RandomWaypoint(speed_mps=(1.0, 3.0))] * 150
    world = world_of(walkers, Disc(radius_m=200.0), InSightHalfOfTheTime(), Rician(), seed=3)
    low, high = np.triu_indices(150, 1)
    power = world.gain(low, high, 40.0) * 1e9
    sight = world.line_of_sight(low, high, 40.0)
    assert 0.4 < sight.mean() < 0.6
    assert measured(stats.kstest(power[sight], rice(10**0.7).cdf), sight.sum()).pvalue > FALSE_ALARM
    assert measured(stats.kstest(power[~sight], "expon"), (~sight).sum()).pvalue > FALSE_ALARM


@pytest.mark.parametrize(
    ("samples", "correlation", "one_cycle", "ten_cycles", "at_rms", "at_minus_20_db"),
    [(8, 0.925, 0.0063, 0.0017, 0.97, 0.32), (10, 0.952, 0.0033, 0.0008, 0.98, 0.38),
     (16, 0.981, 0.0011, 0.0006, 0.99, 0.57)],
)  # fmt: skip
def test_what_holding_a_sample_costs(
    samples, correlation, one_cycle, ten_cycles, at_rms, at_minus_20_db
):
    # The table of rayleigh_jakes.py. 150 links x 40 cycles of 240 points; the fading's own law
    # gives the first column, the others are measured: rms errors to 10 % (of 6000 cycles) or 25 %
    # (of 600 stretches of ten), crossings to 5 %, or 0.1 of them at the rare -20 dB (600 of them).
    step, cycles = 240 // samples, np.arange(0.0, 40.0, 1 / 240)
    links = np.zeros((150, 1), int), np.arange(1, 151)[:, None]
    power = RayleighJakes().power(DRAWS, at(*links, cycles))
    taken = power[:, step // 2 :: step]  # the middle of each interval, which it is held for
    rate, held = np.log2(1 + 10 * power), np.log2(1 + 10 * np.repeat(taken, step, axis=1))
    assert j0(np.pi / samples) ** 2 == pytest.approx(correlation, abs=0.006)
    assert abs(held.mean() / rate.mean() - 1) < 1e-3
    for length, error, room in ((1, one_cycle, 0.1), (10, ten_cycles, 0.25)):
        shape = (-1, length * 240)
        apart = held.reshape(shape).mean(axis=1) - rate.reshape(shape).mean(axis=1)
        assert np.sqrt(np.mean(apart**2)) / rate.mean() == pytest.approx(error, rel=room)
    for level, seen, room in ((1.0, at_rms, 0.05), (0.01, at_minus_20_db, 0.1)):
        counts = [
            np.count_nonzero((each[:, :-1] < level) & (each[:, 1:] >= level))
            for each in (taken, power)
        ]
        assert counts[0] / counts[1] == pytest.approx(seen, abs=room)
    # Held samples are correlated like the line between the samples' correlations.
    lag = np.arange(0.0, 3.0, 1 / 960)
    exact = j0(2 * np.pi * lag) ** 2
    every = slice(None, None, 960 // samples)
    assert np.abs(np.interp(lag, lag[every], exact[every]) - exact).max() < 5 / samples**2
