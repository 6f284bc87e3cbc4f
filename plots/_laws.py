"""What the channel and mobility models do, measured against what their laws say.

Each function draws samples of a model under one seed and returns points: what was measured, what
the closed form gives there, and the standard error between the two.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.radio.rate.shannon import Shannon
from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.fading.base import Fading, FadingInstant
from cosim.world.fading.nakagami import Nakagami
from cosim.world.fading.rayleigh_jakes import RayleighJakes
from cosim.world.fading.rician import Rician
from cosim.world.mobility.base import Member
from cosim.world.mobility.random_waypoint import RandomWaypoint
from cosim.world.paths import Paths

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
LEAST_COUNT = 10  # expected in a tail or bin; below it an interval says little

LOW, HIGH = np.triu_indices(300, 1)  # all links of 300 devices: 44,850
FAR_CYCLES = 137.3  # of the Doppler phase: samples this far apart are as good as independent
NUM_FADES = 20  # samples of each link for the distribution of the power

SPEED_MPS = (0.5, 5.0)
RADIUS_M = 100.0
NUM_WALKERS = 8_000
WALK_S = (0.0, 3600.0)  # the start, and 78 legs later
NUM_RINGS = 16

QAM_GAP_DB = 7.43  # of uncoded QAM at a bit error rate of 5e-5


@dataclass(frozen=True)
class Points:
    """Measured points of one curve, arrays [K].

    Attributes:
        curve: its name.
        x: where.
        measured: mean or share of the samples.
        low, high: 95 % interval for what was measured.
        expected: the closed form.
        sigma: standard error of `measured` if the closed form holds.
        n: samples in each point.
    """

    curve: str
    x: Floats
    measured: Floats
    low: Floats
    high: Floats
    expected: Floats
    sigma: Floats
    n: int


def autocorrelation(draws: Draws) -> tuple[Points, Points]:
    """E h(D) h*(D + x) and the correlation of |h|^2, over links, x in Doppler cycles.

    Clarke: J0(2 pi x), and its square (Rayleigh fading is complex Gaussian). Every lag has samples
    of its own.
    """
    from scipy.special import j0  # noqa: PLC0415  scipy is slow to load

    fading = RayleighJakes()
    lag = np.linspace(0.05, 2.5, 36)
    h, power = [], []
    for index, apart in enumerate(lag):
        begin = index * FAR_CYCLES
        now, later = (
            fading.amplitude(draws, _links_at(np.array(cycles)), 0)
            for cycles in (begin, begin + apart)
        )
        h.append((now * later.conj()).real)
        # Mean power and its variance are known, 1 and 1: a covariance is the correlation.
        power.append((np.abs(now) ** 2 - 1.0) * (np.abs(later) ** 2 - 1.0))
    expected = j0(2.0 * np.pi * lag)
    return (
        _means("amplitude", lag, np.array(h), expected),
        _means("power", lag, np.array(power), expected**2),
    )


def power_distributions() -> dict[str, Callable[[Floats], Floats]]:
    """P(|h|^2 < x) by the name of the fading.

    Rayleigh: 1 - e^-x. Rice: 2 (K + 1) |h|^2 is noncentral chi-square with 2 degrees of freedom
    and noncentrality 2 K. Nakagami: the regularised incomplete gamma function P(m, m x).
    """
    from scipy.special import chndtr, gammainc  # noqa: PLC0415  scipy is slow to load

    def rice(x: Floats, k_db: float) -> Floats:
        k = 10.0 ** (k_db / 10.0)
        return np.asarray(chndtr(2.0 * (k + 1.0) * x, 2.0, 2.0 * k))

    return {
        "Nakagami, $m$ = 0.5": lambda x: np.asarray(gammainc(0.5, 0.5 * x)),
        "Rayleigh": lambda x: -np.expm1(-x),
        "Rice, $K$ = 3 dB": lambda x: rice(x, 3.0),
        "Nakagami, $m$ = 3": lambda x: np.asarray(gammainc(3.0, 3.0 * x)),
        "Rice, $K$ = 9 dB": lambda x: rice(x, 9.0),
    }


def power_laws(draws: Draws) -> tuple[Points, ...]:
    """Share of samples of |h|^2 below a level, x in dB around the mean, for each fading."""
    models: dict[str, Fading] = {
        "Nakagami, $m$ = 0.5": Nakagami(m=0.5, coherence_time_s=1.0),
        "Rayleigh": RayleighJakes(),
        "Rice, $K$ = 3 dB": Rician(k_db=3.0),
        "Nakagami, $m$ = 3": Nakagami(m=3.0, coherence_time_s=1.0),
        "Rice, $K$ = 9 dB": Rician(k_db=9.0),
    }
    level_db = np.arange(-40.0, 7.0, 3.0)
    instant = _links_at(FAR_CYCLES * np.arange(float(NUM_FADES)))
    curves = []
    for name, law in power_distributions().items():
        power = np.sort(models[name].power(draws, instant), axis=None)
        level = 10.0 ** (level_db / 10.0)
        expected = law(level)
        seen = np.minimum(expected, 1.0 - expected) * power.size >= LEAST_COUNT
        counts = np.searchsorted(power, level[seen])
        curves.append(_shares(name, level_db[seen], counts, expected[seen], power.size))
    return tuple(curves)


def radial_density(radius: Floats) -> Floats:
    """Density of random waypoint without pauses at r / R, over that of uniform positions.

    45/32 (1 - r^2) E(r^2), E the complete elliptic integral of the second kind: the stationary law
    of Hyytia, Lassila and Virtamo, "Spatial node distribution of the random waypoint mobility
    model", IEEE TMC 2006, on the unit disc.
    """
    from scipy.special import ellipe  # noqa: PLC0415  scipy is slow to load

    return np.asarray(45.0 / 32.0 * (1.0 - radius**2) * ellipe(radius**2))


def waypoint_density(draws: Draws) -> tuple[Points, ...]:
    """Devices in rings around the middle of a disc, per area, over uniform; one curve per time."""
    model, area = RandomWaypoint(speed_mps=SPEED_MPS), Disc(radius_m=RADIUS_M)
    devices = np.arange(NUM_WALKERS)
    members = [Member(device, device, NUM_WALKERS, 0, area) for device in range(NUM_WALKERS)]
    paths = Paths(draws, [model] * NUM_WALKERS, members)
    edges = np.linspace(0.0, 1.0, NUM_RINGS + 1)
    middle, area_share = (edges[1:] + edges[:-1]) / 2.0, np.diff(edges**2)
    fine = np.linspace(0.0, 1.0, 64 * NUM_RINGS + 1)
    inside = (fine[1:] + fine[:-1]) / 2.0
    # What falls into each ring: the density times 2 r dr, summed over the ring.
    share = (radial_density(inside) * np.diff(fine**2)).reshape(NUM_RINGS, -1).sum(axis=1)
    curves = []
    for t_s in WALK_S:
        radius = np.hypot(*paths.at(devices, t_s)[:, :2].T) / RADIUS_M
        counts = np.histogram(radius, edges)[0]
        name = f"$t$ = {t_s / 3600.0:g} h" if t_s else "$t$ = 0"
        curves.append(_shares(name, middle, counts, share, NUM_WALKERS, area_share))
    return tuple(curves)


def ergodic_capacity(snr: Floats, gap: float = 1.0) -> Floats:
    """E log2(1 + g x / G) for x ~ Exp(1): e^(G/g) E1(G/g) / ln 2 (Alouini and Goldsmith, 1999)."""
    from scipy.special import exp1  # noqa: PLC0415  scipy is slow to load

    return np.asarray(np.exp(gap / snr) * exp1(gap / snr) / np.log(2.0))


def rayleigh_rate(draws: Draws) -> tuple[Points, ...]:
    """Mean rate in bit/s/Hz over mean SNR in dB, at capacity and with a gap to it."""
    snr_db = np.arange(-10.0, 31.0, 4.0)
    fading = RayleighJakes()
    curves = []
    for index, gap_db in enumerate((0.0, QAM_GAP_DB)):
        rate = Shannon(gap_db=gap_db)
        rates = []
        for step, mean_db in enumerate(snr_db):  # samples of its own for each point
            cycles = FAR_CYCLES * (1_000.0 + index * snr_db.size + step)
            power = fading.power(draws, _links_at(np.array(cycles)))
            rates.append(rate.bps(10.0 ** (mean_db / 10.0) * power, 1.0, 1.0))
        expected = ergodic_capacity(10.0 ** (snr_db / 10.0), 10.0 ** (gap_db / 10.0))
        name = f"{gap_db:g} dB short" if gap_db else "capacity"
        curves.append(_means(name, snr_db, np.array(rates), expected))
    return tuple(curves)


def _links_at(cycles: Floats) -> FadingInstant:
    """Return all links, at one Doppler phase in cycles or several [K], which is the time too."""
    low, high = (LOW, HIGH) if cycles.ndim == 0 else (LOW[:, np.newaxis], HIGH[:, np.newaxis])
    return FadingInstant(low, high, cycles, lambda: cycles)


def _means(curve: str, x: Floats, samples: Floats, expected: Floats) -> Points:
    """Return means of samples [K, n] with normal intervals."""
    from scipy.special import ndtri  # noqa: PLC0415  scipy is slow to load

    n = samples.shape[1]
    mean, sigma = samples.mean(axis=1), samples.std(axis=1, ddof=1) / np.sqrt(n)
    half = ndtri((1.0 + CONFIDENCE) / 2.0) * sigma
    return Points(curve, x, mean, mean - half, mean + half, expected, sigma, n)


def _shares(
    curve: str,
    x: Floats,
    counts: NDArray[np.int64],
    expected: Floats,
    n: int,
    unit: Floats | float = 1.0,
) -> Points:
    """Return shares of n samples in units of `unit`, with exact intervals (Clopper, Pearson)."""
    from scipy.special import betaincinv  # noqa: PLC0415  scipy is slow to load

    tail = (1.0 - CONFIDENCE) / 2.0
    low = np.where(counts > 0, betaincinv(np.maximum(counts, 1), n - counts + 1, tail), 0.0)
    high = np.where(counts < n, betaincinv(counts + 1, np.maximum(n - counts, 1), 1.0 - tail), 1.0)
    sigma = np.sqrt(expected * (1.0 - expected) / n)
    return Points(
        curve, x, counts / n / unit, low / unit, high / unit, expected / unit, sigma / unit, n
    )
