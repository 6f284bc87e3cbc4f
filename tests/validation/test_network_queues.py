"""Queues and shared bands through a whole network, against queueing theory and by hand.

A transmitter that sends one update at a time is a single-server queue: with Poisson arrivals of
updates of one size on a link of fixed rate it is M/D/1. A band that is divided equally among the
flows now active is a processor-sharing server: with Poisson arrivals it is M/G/1-PS, whose mean
sojourn time 1 / (mu - lambda) is the same for all laws of the size. Packets bring no bias: the
last one is as short as what is left, so a flow has left the air when its last bit has. What is
left of a bias is that sizes are whole bytes: 1e-4 of the mean here.

Means converge slowly, so it goes in two steps: the network's transfers end when a recursion of
three lines says, customer by customer, to 1e-9; and the recursion, over more customers than a
network test has time for, has the mean of the theory. Means are of 24 batches of consecutive
customers, after a first batch that is dropped. False-alarm rate over seeds: 1e-4 for each mean
(Student's t of the batches' means), 1e-4 for each chi-square and binomial test.
"""

import math

import numpy as np
import pytest
import simpy
from scipy import stats

from cosim.boundary import Payload
from cosim.radio.packets import segment_bytes
from cosim.rng import Draws
from cosim.scenario.tree import Link, Radio, Spectrum, Transport
from cosim.sim.network import Network

FALSE_ALARM = 1e-4
RATE_BPS = 8e6  # one byte per microsecond


class Open:
    """A world without a channel: a gain of 1 between all."""

    is_selective = False

    def __init__(self, num_devices):
        self.num_devices = num_devices

    def distance_m(self, src, dst, t_s):
        return np.zeros(np.broadcast(src, dst).shape)

    def sample_interval_s(self, src, dst):
        return math.inf

    def gain(self, src, dst, t_s):
        return np.ones(np.shape(t_s))


class Line:
    """A network of fixed-rate links, and the rows of its transfers."""

    def __init__(self, num_devices=4, domain="per_transmitter", error="none", **transport):
        self.env = simpy.Environment()
        self.flows, self.packets = [], []
        self.transport = Transport.model_validate(
            {"mtu": "1000 B", "header": "0 B", "deadline": "1000000 s"} | transport
        )
        self.network = Network(
            self.env,
            Open(num_devices),
            [Radio(amplifier_efficiency=0.4, tx_power_dbm=30.0)] * num_devices,
            Spectrum.model_validate({"domain": domain}),
            Link.model_validate({"rate": {"kind": "fixed", "rate": "8 Mbps"}, "error": error}),
            self.transport,
            Draws(11),
            on_flow=self.flows.append,
            on_packets=self.packets.append,
        )

    def send(self, src, dst, num_bytes, power_w=0.2):
        segment = segment_bytes(self.transport.mtu_bytes, self.transport.header_bytes)
        self.network.send(Payload("update", src, dst, 0, int(num_bytes), segment), power_w)

    def play(self, arrivals_s, *sends):
        """Send from, to, so much (at this power) at these times; return how long each took."""
        for arrival_s, *send in zip(arrivals_s, *sends, strict=True):
            self.env.timeout(arrival_s).callbacks.append(lambda _, send=send: self.send(*send))
        self.env.run()
        self.flows.sort(key=lambda flow: flow.flow)
        return np.array([flow.end_s - flow.start_s for flow in self.flows])


def assert_mean(values, expected, measured):
    """The mean of 24 batches is as expected."""
    means = values.reshape(25, -1).mean(axis=1)[1:]
    bound = stats.t.ppf(1 - FALSE_ALARM / 2, len(means) - 1) * stats.sem(means)
    assert bound < 0.06 * expected  # or it would say nothing
    assert measured(abs(means.mean() - expected), values.size) < bound


def waiting(arrivals_s, service_s):
    """Waiting times of one server, first come, first served: Lindley's recursion."""
    waits_s = np.zeros(len(arrivals_s))
    for k, gap_s in enumerate(np.diff(arrivals_s)):
        waits_s[k + 1] = max(waits_s[k] + service_s - gap_s, 0.0)
    return waits_s


@pytest.mark.parametrize("load", [0.3, 0.6])
def test_m_d_1_waiting(measured, load):
    """rho / (2 mu (1 - rho)); n = 250,000 updates of one packet of 1 ms, 2,500 on the network."""
    rng = np.random.default_rng(1)
    n, mu = 2500, 1000.0
    arrivals_s = np.cumsum(rng.exponential(1 / (load * mu), 100 * n))
    waits_s = waiting(arrivals_s, 1 / mu)
    sojourns_s = Line(parallel=1).play(arrivals_s[:n], [0] * n, rng.integers(1, 4, n), [1000] * n)
    np.testing.assert_allclose(sojourns_s, waits_s[:n] + 1 / mu, atol=1e-9)
    assert_mean(waits_s, load / (2 * mu * (1 - load)), measured)


def shared(arrivals_s, work_s):
    """Sojourn times under processor sharing, event by event: who is there has an equal part."""
    left, ends_s, now_s, k = {}, np.empty(len(work_s)), 0.0, 0
    while left or k < len(work_s):
        least = min(left.values(), default=math.inf)
        done_s = now_s + least * len(left) if left else math.inf
        next_s = arrivals_s[k] if k < len(work_s) else math.inf
        served = (min(done_s, next_s) - now_s) / max(len(left), 1)
        left = {customer: work - served for customer, work in left.items()}
        now_s = min(done_s, next_s)
        if done_s <= next_s:
            customer = min(left, key=left.get)
            ends_s[customer] = now_s
            del left[customer]
        else:
            left[k] = work_s[k]
            k += 1
    return ends_s - arrivals_s


@pytest.mark.parametrize("law", ["exponential", "constant"])
def test_processor_sharing_sojourn(measured, law):
    """1 / (mu - lambda) at a load of 0.5; n = 150,000 updates of 10 kB, 1,500 on the network."""
    rng = np.random.default_rng(2)
    n, mu, load = 1500, 100.0, 0.5
    arrivals_s = np.cumsum(rng.exponential(1 / (load * mu), 100 * n))
    sizes = np.full(100 * n, 10_000.0)
    if law == "exponential":
        sizes = np.maximum(np.rint(rng.exponential(10_000, 100 * n)), 1.0)
    expected_s = shared(arrivals_s, sizes / 1e6)
    src = rng.integers(0, 4, n)  # who sends does not matter: one cell, one band
    sojourns_s = Line(domain="per_cell").play(arrivals_s[:n], src, (src + 1) % 4, sizes[:n])
    last_s = arrivals_s[n]  # those still there then are shared with others that the network lacks
    is_over = arrivals_s[:n] + expected_s[:n] < last_s
    assert is_over.mean() > 0.99
    np.testing.assert_allclose(sojourns_s[is_over], expected_s[:n][is_over], rtol=1e-7, atol=1e-9)
    assert_mean(expected_s, 1 / (mu - load * mu), measured)


def test_processor_sharing_of_three_by_hand():
    """2000, 3000 and 1000 B at 0, 1 and 2 ms on one byte per microsecond.

    1 ms alone (1000 left); 1 ms of two (500 and 2500 left); three until the first is through,
    1.5 ms (2000 and 500 left); two until the third is, 1 ms (1500 left); 1.5 ms alone.
    """
    sojourns_s = Line().play([0.0, 0.001, 0.002], [0] * 3, [1, 2, 3], [2000, 3000, 1000])
    np.testing.assert_allclose(sojourns_s, [0.0035, 0.005, 0.0025], rtol=1e-9)


@pytest.mark.parametrize("ack_delay", ["0 s", "3 ms"])
@pytest.mark.parametrize(("loss", "cap"), [(0.3, 4), (0.1, 8), (0.6, 2)])
def test_arq_is_geometric(measured, loss, cap, ack_delay):
    """P(k attempts) = (1 - p) p^(k-1), k < c, and p^(c-1) for c; p^c is lost. n = 24,000."""
    line = Line(error={"kind": "fixed", "rate": loss}, max_attempts=cap, ack_delay=ack_delay)
    line.play([0.0] * 12, [0, 1, 2] * 4, [3] * 12, [2_000_000] * 12)
    attempts = np.concatenate([packets.num_attempts for packets in line.packets])
    lost = sum(flow.num_lost for flow in line.flows)
    n = attempts.size
    assert n == 24_000
    law = (1 - loss) * loss ** np.arange(cap)
    law[-1] = loss ** (cap - 1)
    counts = np.bincount(attempts, minlength=cap + 1)[1:]
    common = law * n >= 5  # Pearson's test wants no rare cells: the rest are one
    cells = [np.append(values[common], values[~common].sum()) for values in (counts, law * n)]
    counts, expected = (values if values[-1] else values[:-1] for values in cells)
    assert measured(stats.chisquare(counts, expected), n).pvalue > FALSE_ALARM
    assert measured(stats.binomtest(lost, n, loss**cap), n).pvalue > FALSE_ALARM
    assert sum(flow.num_attempts for flow in line.flows) == attempts.sum()


def test_energy_is_power_times_time_on_the_air():
    """Over 40 % efficiency; where nothing is shared the time is that of its attempts' bits."""
    rng = np.random.default_rng(3)
    n = 300
    line = Line(16, error={"kind": "fixed", "rate": 0.2}, parallel=1, ack_delay="1 ms")
    ends = rng.integers(0, 8, n), rng.integers(8, 16, n)
    powers_w = rng.uniform(0.1, 1.0, n)
    line.play(np.sort(rng.uniform(0.0, 1.0, n)), *ends, rng.integers(1, 30, n) * 1000, powers_w)
    for flow, power_w in zip(line.flows, powers_w, strict=True):
        air_s = flow.num_attempts * 8000 / RATE_BPS
        assert flow.energy_j == pytest.approx(power_w * air_s / 0.4, rel=1e-9)
        assert flow.air_bits == pytest.approx(flow.num_attempts * 8000, rel=1e-9)
    rows_j = np.zeros(16)
    for flow in line.flows:
        rows_j[flow.src] += flow.energy_j
    radiated_j = [line.network.radiated_j(device) for device in range(16)]
    np.testing.assert_allclose(rows_j, np.array(radiated_j) / 0.4, rtol=1e-9, atol=1e-12)
