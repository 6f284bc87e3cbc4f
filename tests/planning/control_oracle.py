"""Links and updates to control, and what is best for them found in other ways.

Rates are Shannon's here, written out with math.log2.
"""

import math
from itertools import product

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import brentq

from cosim.planning.airtime import SharedLinks
from cosim.planning.controllers.base import ControlView
from cosim.planning.update_bits import UpdateBits
from cosim.radio.rate.shannon import Shannon

NOISE = 4e-21  # W/Hz, -174 dBm/Hz


def uplinks(gain, **changed):
    """Return links from devices 0 to n - 1 to device n, which share a band of 1 MHz."""
    n = len(gain)
    fields = {
        "src": np.arange(n),
        "dst": np.full(n, n),
        "band": np.zeros(n, dtype=np.int64),
        "power_w": np.full(n, 0.2),
        "gain": np.asarray(gain, float),
        "noise_w_per_hz": np.full(n, NOISE),
        "bandwidth_hz": 1e6,
        "rate": Shannon(),
    }
    return SharedLinks(**fields | changed)


def values_only(num_values, value_bits=32.0):
    """Return sizes in proportion to the density, as in P3: q n (1 - O)."""
    n = np.asarray(num_values, float)
    return UpdateBits(n, value_bits, np.zeros(n.shape), True, np.ones(n.shape))


def view(links, bits, **changed):
    ones = np.ones(bits.num_values.shape)
    fields = {
        "round": 1,
        "links": links,
        "bits": bits,
        "rank": 8,
        "density": 0.5 * ones,
        "compute_s": 2.0 * ones,
        "least_compute_s": ones,
    }
    return ControlView(**fields | changed)


@st.composite
def cases(draw, most=5):
    """Uplinks of unequal channels and updates, whose positions cost bits or not."""
    n = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    gain = 10.0 ** rng.uniform(-13, -9, n)
    sizes = 10.0 ** rng.uniform(3, 5, n) if draw(st.booleans()) else np.full(n, 2e4)
    fixed = rng.uniform(0, 1e5, n) if draw(st.booleans()) else np.zeros(n)
    ones = np.ones(n)
    bits = UpdateBits(
        sizes, draw(st.sampled_from([8.0, 16.0, 32.0])), fixed, draw(st.booleans()), ones
    )
    return uplinks(gain), bits


def rate_bps(links, link, share, noise):
    """(beta W) log2(1 + p g / noise)."""
    over_hz = links.bandwidth_hz * (share if noise == "share" else 1.0)
    snr = links.power_w[link] * links.gain[link] / (links.noise_w_per_hz[link] * over_hz)
    return share * links.bandwidth_hz * math.log2(1.0 + snr)


def least_round_s(links, bits, noise):
    """Return the least tau of links of one band: the time at which what all need fits the band."""

    def excess(log_tau):
        return sum(share_for(link, math.exp(log_tau)) for link in range(len(bits))) - 1.0

    def share_for(link, tau):
        if rate_bps(links, link, 1.0, noise) < bits[link] / tau:
            return 2.0
        return brentq(
            lambda s: rate_bps(links, link, s, noise) - bits[link] / tau, 1e-15, 1.0, xtol=1e-16
        )

    alone = max(bits[link] / rate_bps(links, link, 1.0, noise) for link in range(len(bits)))
    return math.exp(
        brentq(excess, math.log(alone * 0.999), math.log(alone * len(bits) * 1e3), xtol=1e-13)
    )


def best_of_grid(links, bits, noise, steps):
    """Return the least tau over all shares that are whole multiples of 1 / steps."""
    found = math.inf
    for parts in product(range(1, steps), repeat=len(bits) - 1):
        last = steps - sum(parts)
        if last >= 1:
            shares = [part / steps for part in (*parts, last)]
            found = min(
                found,
                max(q / rate_bps(links, k, shares[k], noise) for k, q in enumerate(bits)),
            )
    return found
