"""The delay of a transfer from end to end against numerical integration of the model's formula.

A transmitter shares W equally among F links, each with a block Rayleigh channel of its own:
over its share a link serves in block i, of length T,

    X_i = T (W / F) log2(1 + snr |h_i|^2),    snr = F p d^-n g_0 / (N0 F_n W),  |h_i|^2 ~ Exp(1)

iid, so with S_n = X_1 + ... + X_n the delay D of Q bits that start with a block has

    E[D] = integral of P(S(t) < Q) dt = sum over n of E[ integral over 0..T of
           P(X_{n+1} u / T < Q - S_n) du ],        P(D <= n T) = P(S_n >= Q)

The law of X is known in closed form; its sums are convolutions on a grid. With packets of L bits
that are lost with probability p the bits to serve are L times a negative binomial number. Nothing
of this is simulated; the simulator runs its world, channel, sharing and engine.

Each case has n = 2,000 transfers with independent channels. False-alarm rate over seeds: 1e-5 for
each mean (normal, two-sided) and each distribution (binomial).
"""

import math

import numpy as np
import pytest
import simpy
from scipy import stats
from scipy.special import exp1
from world_helpers import world_of

from cosim.boundary import Payload
from cosim.rng import Draws
from cosim.scenario.tree import Link, Radio, Spectrum, Transport
from cosim.sim.network import Network
from cosim.world.area.disc import Disc
from cosim.world.constants import SPEED_OF_LIGHT_MPS
from cosim.world.fading.rayleigh import Rayleigh
from cosim.world.mobility.static import Static
from cosim.world.path_loss.log_distance import LogDistance

FALSE_ALARM = 1e-5
NUM = 2000  # transfers
BAND_HZ, BLOCK_S, POWER_W, PACKET_BITS = 10e6, 0.01, 0.2, 8000
DISTANCES_M = (150.0, 250.0, 400.0, 320.0)


def mean_snr(distance_m, num_links):
    """p d^-3 / (N0 F W / F): 40 dB at 1 m, noise of -174 dBm/Hz with a figure of 9 dB."""
    noise_w = 10 ** ((-174 + 9 - 30) / 10) * BAND_HZ / num_links
    return POWER_W * 10**-4.0 * distance_m**-3.0 / noise_w


def simulate(num_links, num_packets, loss, seed):
    """Return the delays of transfers on the first link, which start as a block does, and where."""
    bodies = [Static(position_m=(0.0, 0.0))]
    bodies += [Static(position_m=(distance_m, 0.0)) for distance_m in DISTANCES_M[:num_links]]
    path_loss = LogDistance(exponent=3.0, reference_loss_db=40.0)
    fading = Rayleigh(coherence_time_s=BLOCK_S)
    world = world_of(bodies, Disc(radius_m=500.0), path_loss, fading, seed=seed)
    env, flows = simpy.Environment(), []
    network = Network(
        env,
        world,
        [Radio(tx_power_dbm=40.0)] * (num_links + 1),  # enough for all links at once
        Spectrum.model_validate({"bandwidth": "10 MHz"}),
        Link.model_validate({"rate": "shannon", "error": {"kind": "fixed", "rate": loss}}),
        Transport.model_validate(
            {"mtu": "1000 B", "header": "0 B", "deadline": "1000000 s", "max_attempts": 1000}
        ),
        Draws(seed),
        on_flow=flows.append,
    )
    for other in range(2, num_links + 1):  # so much that they are always on the air
        network.send(Payload("update", 0, other, 0, 4 * 10**9, 1000), POWER_W)

    def send():
        for _ in range(NUM):
            block = math.floor(env.now / BLOCK_S) + 1
            yield env.timeout(block * BLOCK_S - env.now)
            yield network.send(Payload("update", 0, 1, 0, 1000 * num_packets, 1000), POWER_W)

    env.run(until=env.process(send()))
    assert [flow.outcome for flow in flows] == ["delivered"] * NUM  # and no other link's
    light_s = DISTANCES_M[0] / SPEED_OF_LIGHT_MPS
    return np.array([flow.end_s - flow.start_s - light_s for flow in flows])


class Delay:
    """E[D] and P(D <= n T) of any number of bits up to `most`, on a grid.

    A sum's mass between two points of the grid is shared out to both so that its mean is kept:
    the error falls with the square of the step.
    """

    def __init__(self, num_links, most_bits, num_points=2**14):
        self.bits = np.linspace(0.0, most_bits, num_points)
        self.step = self.bits[1]
        per_snr = BLOCK_S * BAND_HZ / num_links
        snr = mean_snr(DISTANCES_M[0], num_links)

        def below(x):  # P(X < x)
            nats = np.minimum(x * math.log(2.0) / per_snr, 500.0)
            return -np.expm1(-np.expm1(nats) / snr)

        # The integral of P(X < x) over each step by Gauss and Legendre gives the mass at each
        # point: second differences of E[max(x - X, 0)].
        nodes, weights = np.polynomial.legendre.leggauss(8)
        inside = self.bits[:-1, np.newaxis] + self.step * (nodes + 1.0) / 2.0
        slope = below(inside) @ weights / 2.0  # of E[max(x - X, 0)] in each step
        self.mass = np.append(np.diff(slope, prepend=0.0), 0.0)
        # A(q) = integral over 0..T of P(X u / T < q) du.
        u, weights = np.polynomial.legendre.leggauss(400)
        u = (u + 1.0) / 2.0
        self.within_s = np.empty(num_points)
        for part in np.array_split(np.arange(num_points), 32):
            self.within_s[part] = BLOCK_S * below(self.bits[part, None] / u) @ weights / 2.0

    def sums(self):
        """Yield the masses of S_0, S_1, ... as far as they are on the grid."""
        size = 2 * len(self.bits)
        spectrum = np.fft.rfft(self.mass, size)
        mass = np.zeros(len(self.bits))
        mass[0] = 1.0
        while mass.sum() > 1e-13:
            yield mass
            mass = np.fft.irfft(np.fft.rfft(mass, size) * spectrum, size)[: len(self.bits)]
            mass = np.maximum(mass, 0.0)

    def means_s(self):
        """E[D] of each number of bits on the grid."""
        size = 2 * len(self.bits)
        renewals = np.sum(list(self.sums()), axis=0)
        both = np.fft.rfft(renewals, size) * np.fft.rfft(self.within_s, size)
        return np.fft.irfft(both, size)[: len(self.bits)]

    def within_blocks(self, bits, num_blocks):
        """P(S_n >= bits)."""
        for number, mass in enumerate(self.sums()):
            if number == num_blocks:
                return 1.0 - np.interp(bits, self.bits + self.step / 2.0, np.cumsum(mass))
        return 1.0


def attempts(num_packets, loss):
    """How many attempts a transfer takes, and how likely that is."""
    extra = stats.nbinom(num_packets, 1.0 - loss)
    numbers = np.arange(int(extra.ppf(1.0 - 1e-12)) + 1)
    return num_packets + numbers, extra.pmf(numbers)


@pytest.mark.parametrize(
    ("num_links", "num_packets", "loss"),
    [(1, 8, 0.0), (1, 40, 0.0), (3, 30, 0.0), (4, 20, 0.0), (2, 40, 0.2), (3, 10, 0.5)],
)
def test_mean_delay_of_block_rayleigh_links(measured, num_links, num_packets, loss):
    delays_s = simulate(num_links, num_packets, loss, seed=num_packets)
    number, likely = attempts(num_packets, loss)
    delay = Delay(num_links, 1.05 * PACKET_BITS * number[-1])
    means_s = np.interp(PACKET_BITS * number, delay.bits, delay.means_s())
    expected_s = float(likely @ means_s)
    error_s = stats.sem(delays_s)
    assert error_s < 0.025 * expected_s
    bound_s = stats.norm.isf(FALSE_ALARM / 2) * error_s
    assert measured(abs(delays_s.mean() - expected_s), NUM) < bound_s
    # How many are through within a whole number of blocks, about the median.
    blocks = max(round(expected_s / BLOCK_S), 1)
    through = float(likely @ [delay.within_blocks(PACKET_BITS * k, blocks) for k in number])
    found = int(np.count_nonzero(delays_s <= blocks * BLOCK_S * (1 + 1e-9)))
    assert measured(stats.binomtest(found, NUM, through), NUM).pvalue > FALSE_ALARM


def test_the_grid_is_fine_enough():
    """A grid of twice the step gives the same to 1e-4, and Wald's identity holds."""
    fine, coarse = Delay(3, 600_000.0), Delay(3, 600_000.0, 2**13)
    bits = np.array([100_000.0, 300_000.0])
    means_s = [np.interp(bits, each.bits, each.means_s()) for each in (fine, coarse)]
    np.testing.assert_allclose(*means_s, rtol=1e-4)
    mean_bits = BLOCK_S * BAND_HZ / 3 * capacity(mean_snr(DISTANCES_M[0], 3))
    np.testing.assert_allclose(np.sum(fine.mass * fine.bits), mean_bits, rtol=1e-6)
    # S stops at the first block that passes Q, so D lies within a block of Q / E[R].
    np.testing.assert_allclose(means_s[0], bits / mean_bits * BLOCK_S, atol=BLOCK_S)


def capacity(snr):
    """Ergodic capacity of a Rayleigh channel, e^(1/snr) E1(1/snr) / ln 2."""
    return math.exp(1.0 / snr) * exp1(1.0 / snr) / math.log(2.0)
