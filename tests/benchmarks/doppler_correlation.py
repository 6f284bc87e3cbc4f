"""How well Rayleigh channels keep to Clarke's model, measured alike for cosim and its peers.

    E|h|^2 = 1,  var |h|^2 = 1,  r(h) = J0(2 pi D),  r(|h|^2) = J0(2 pi D)^2

over a Doppler phase of D cycles. Used by compare_ns3.py and compare_sionna.py.
"""

import numpy as np
from scipy.special import j0

from cosim.rng import Draws
from cosim.world.fading.base import FadingInstant
from cosim.world.fading.rayleigh_jakes import RayleighJakes

SAMPLES_PER_CYCLE = 20
NUM_SAMPLES = 400
MAX_LAG_CYCLES = 3.0
# All links of one seed read the same tables of 49,000 cycles: with few seeds they overlap.
_LINKS_PER_SEED = 50


def cosim_gains(doppler_hz, num_links=20_000):
    """Return h of cosim's `rayleigh_jakes` [num_links, NUM_SAMPLES] at a constant Doppler shift."""
    t_s = np.arange(NUM_SAMPLES) / (SAMPLES_PER_CYCLE * doppler_hz)
    high = np.arange(1, _LINKS_PER_SEED + 1)[:, np.newaxis]
    cycles = np.broadcast_to(t_s * doppler_hz, (high.size, t_s.size))
    instant = FadingInstant(np.zeros_like(high), high, t_s[np.newaxis], lambda: cycles)
    seeds = range(-(-num_links // _LINKS_PER_SEED))
    return np.concatenate([RayleighJakes().amplitude(Draws(seed), instant, 0) for seed in seeds])


def _worst(values, expected):
    """Return the largest error of a mean over links [links, lags], its standard error and lag."""
    error = np.abs(values.mean(axis=0) - expected)
    worst = int(np.argmax(error))
    standard_error = values[:, worst].std() / np.sqrt(len(values))
    return error[worst], standard_error, worst / SAMPLES_PER_CYCLE


def print_head():
    """Print the head of the table that `print_line` fills."""
    laws = f"{'r(h) - J0, largest':<26}  r(|h|^2) - J0^2, largest"
    print(f"{'':<34}{'':>7}{'':>8}{'variance':>10}  {laws}")
    print(f"{'model':<34}{'links':>7}{'E|h|^2':>8}{'of |h|^2':>10}  {'error':>7} {'std.err':>8}"
          f" {'at lag':>8}  {'error':>7} {'std.err':>8} {'at lag':>8}")  # fmt: skip


def print_line(name, gains):
    """Print how gains [links, samples] differ from Clarke's model, for lags of up to 3 cycles."""
    power = np.abs(gains) ** 2
    mean = power.mean()
    lags = np.arange(round(MAX_LAG_CYCLES * SAMPLES_PER_CYCLE) + 1)
    expected = j0(2.0 * np.pi * lags / SAMPLES_PER_CYCLE)
    count = gains.shape[1]
    field = np.stack([
        np.mean((gains[:, lag:] * gains[:, : count - lag].conj()).real, axis=1) for lag in lags
    ], axis=1)  # fmt: skip
    deviation = power - mean
    squares = np.stack([
        np.mean(deviation[:, lag:] * deviation[:, : count - lag], axis=1) for lag in lags
    ], axis=1)  # fmt: skip
    print(f"{name:<34}{len(gains):>7}{mean:>8.4f}{power.var() / mean**2:>10.4f}", end="")
    for values, law in ((field / mean, expected), (squares / mean**2, expected**2)):
        error, standard_error, at = _worst(values, law)
        print(f"  {error:>7.4f} {standard_error:>8.4f} {at:>8.2f}", end="")
    print()
