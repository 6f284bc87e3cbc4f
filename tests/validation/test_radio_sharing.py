"""Sharing rules, multi-user diversity and traffic against closed forms.

Bounds on means are 5 standard errors (false alarm 6e-7 over seeds); p-values are to be above 1e-3
(one seed in a thousand would fail); n is stated at each test. Seeds are fixed.
"""

import math
from itertools import islice, takewhile

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from cosim.radio.rate.shannon import Shannon
from cosim.radio.sharing.base import Demand
from cosim.radio.sharing.delay_equalising import DelayEqualising
from cosim.radio.sharing.equal import Equal
from cosim.radio.sharing.max_min import MaxMin
from cosim.radio.sharing.max_rate import MaxRate
from cosim.radio.sharing.proportional_fair import ProportionalFair
from cosim.radio.traffic.constant_rate import ConstantRate
from cosim.radio.traffic.on_off import OnOff
from cosim.radio.traffic.poisson import Poisson
from cosim.rng import Draws

BANDWIDTH_HZ = 10e6
FALSE_ALARM = 1e-3
MANY_SLOTS = 40_000


def demand(snr: np.ndarray, remaining_bits: np.ndarray | None = None, linear=False) -> Demand:
    """Return flows of SNR [F, K] with Shannon's rate, or with a rate that is the SNR's multiple."""

    def rate_bps(shares: np.ndarray) -> np.ndarray:
        share = shares[:, :, 0]
        if linear:
            return BANDWIDTH_HZ * snr * share
        inside = np.divide(snr, share, out=np.zeros(snr.shape), where=share > 0)
        return Shannon().bps(inside, BANDWIDTH_HZ * share, share)

    num_flows = len(snr)
    return Demand(
        num_flows=num_flows,
        num_slots=snr.shape[1],
        weight=np.ones(num_flows),
        snr=lambda: snr[:, :, np.newaxis],
        rate_bps=rate_bps,
        remaining_bits=lambda: np.asarray(remaining_bits),
        memory=np.full(num_flows, np.nan),
    )


def shannon_bps(snr: float, share: float) -> float:
    return share * BANDWIDTH_HZ * math.log2(1 + snr / share)


def rayleigh(num_flows: int, num_slots: int = MANY_SLOTS, seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).exponential(size=(num_flows, num_slots))


def harmonic(num: int) -> float:
    return sum(1 / k for k in range(1, num + 1))


# --- shares by hand


def test_equal_shares_give_each_flow_shannon_s_rate_on_its_part():
    asked = demand(np.array([[1.0], [7.0]]))
    rates = asked.rate_bps(Equal().divide(asked).shares)[:, 0]
    np.testing.assert_allclose(rates, [5e6 * math.log2(3), 5e6 * math.log2(15)], rtol=1e-14)


def test_max_min_of_two_flows_in_closed_form(measured):
    """Shares 1/5 and 4/5 have equal rates if (1 + 5 a) = (1 + 5 b / 4)^4: for b = 4, a = 259."""
    asked = demand(np.array([[259.0], [4.0]]))
    assert 1 + 5 * 259 == (1 + 5) ** 4
    shares = MaxMin().divide(asked).shares[:, 0, 0]
    assert measured(np.abs(shares / [0.2, 0.8] - 1.0).max()) < 1e-11


@pytest.mark.parametrize("snr", [(1.0, 100.0), (0.003, 0.5), (1e-4, 1e5)])
def test_max_min_of_two_flows_by_root_finding(measured, snr):
    expected = brentq(
        lambda s: shannon_bps(snr[0], s) - shannon_bps(snr[1], 1 - s), 1e-12, 1 - 1e-12, xtol=1e-15
    )
    share = MaxMin().divide(demand(np.array(snr)[:, np.newaxis])).shares[0, 0, 0]
    assert measured(abs(share / expected - 1.0)) < 1e-9


def test_max_min_of_three_flows_by_nested_root_finding(measured):
    snr = (0.5, 4.0, 300.0)

    def share_for(rate_bps: float, each: float) -> float:
        return brentq(lambda s: shannon_bps(each, s) - rate_bps, 1e-12, 1.0, xtol=1e-15)

    highest = shannon_bps(snr[0], 1.0)
    rate = brentq(lambda r: sum(share_for(r, g) for g in snr) - 1, 1e-3, highest * (1 - 1e-12))
    asked = demand(np.array(snr)[:, np.newaxis])
    shares = MaxMin().divide(asked).shares
    assert measured(np.abs(asked.rate_bps(shares)[:, 0] / rate - 1.0).max()) < 1e-9
    np.testing.assert_allclose(shares[:, 0, 0], [share_for(rate, g) for g in snr], rtol=1e-9)


@pytest.mark.parametrize("bits", [(8e6, 8e6), (1e6, 30e6), (24e6, 2e6)])
def test_delay_equalising_of_two_flows_by_root_finding(measured, bits):
    snr = (2.0, 50.0)

    def lead_s(s: float) -> float:
        return bits[0] / shannon_bps(snr[0], s) - bits[1] / shannon_bps(snr[1], 1 - s)

    expected = brentq(lead_s, 1e-9, 1 - 1e-9, xtol=1e-15)
    asked = demand(np.array(snr)[:, np.newaxis], np.array(bits))
    shares = DelayEqualising().divide(asked).shares
    assert measured(abs(shares[0, 0, 0] / expected - 1.0)) < 1e-9


def test_delay_equalising_stays_so_as_bits_are_served():
    """Served for some time on these shares, what is left asks for the same shares."""
    snr, bits = np.array([[2.0], [9.0], [50.0]]), np.array([4e6, 9e6, 1e6])
    asked = demand(snr, bits)
    shares = DelayEqualising().divide(asked).shares
    left = bits - 0.1 * asked.rate_bps(shares)[:, 0]
    assert (left > 0).all()
    again = DelayEqualising().divide(demand(snr, left)).shares
    np.testing.assert_allclose(again, shares, rtol=1e-11)


# --- multi-user diversity


@pytest.mark.parametrize("num_flows", [1, 2, 4, 16])
def test_the_best_of_f_rayleigh_flows_has_h_f_times_the_mean_snr(measured, num_flows):
    """The maximum of F Exp(1) has mean H_F and variance sum 1/k^2. n = 40,000 slots."""
    snr = rayleigh(num_flows)
    shares = MaxRate().divide(demand(snr)).shares[:, :, 0]
    served = (snr * shares).sum(axis=0)
    sigma = math.sqrt(sum(1 / k**2 for k in range(1, num_flows + 1)) / MANY_SLOTS)
    assert measured(abs(served.mean() - harmonic(num_flows)), MANY_SLOTS) < 5 * sigma


@pytest.mark.parametrize("num_flows", [2, 4, 16])
def test_max_rate_serves_alike_flows_alike(measured, num_flows):
    """Winners are independent and uniform: chi-square over flows. n = 40,000 slots."""
    shares = MaxRate().divide(demand(rayleigh(num_flows))).shares[:, :, 0]
    assert measured(stats.chisquare(shares.sum(axis=1)), MANY_SLOTS).pvalue > FALSE_ALARM


@pytest.mark.parametrize("num_flows", [2, 8])
def test_proportional_fair_gives_each_flow_its_fraction_of_the_slots(measured, num_flows):
    """n = 40,000 slots, means of SNR over 20 dB, rate proportional to SNR.

    R / T has one law for all flows, so that each wins 1/F of the slots. Whoever has just won is
    less likely to win again, so the count varies less than a binomial: 5 of its standard
    deviations are a false-alarm rate below 6e-7. The first 500 slots (10 windows) are left out.
    """
    snr = rayleigh(num_flows) * np.logspace(0, 2, num_flows)[:, np.newaxis]
    shares = ProportionalFair().divide(demand(snr, linear=True)).shares[:, 500:, 0]
    num = shares.shape[1]
    sigma = math.sqrt(num / num_flows * (1 - 1 / num_flows))
    assert measured(np.abs(shares.sum(axis=1) - num / num_flows).max(), num) < 5 * sigma


def test_proportional_fair_gains_nearly_h_f_and_each_flow_the_same(measured):
    """With a long window T is nearly constant: a flow that wins has H_F times its mean SNR.

    F = 4, window 1000, n = 40,000 slots less 10 windows. A flow's throughput is its mean times
    H_F / F. Relative standard deviation of one: 1.2 %, of its 7,500 turns and the SNR in them; of
    the mean over flows: 0.33 %. Bounds are 5 of them and 2 % for what the motion of T costs.
    """
    num_flows, mean = 4, np.logspace(0, 2, 4)
    snr = rayleigh(num_flows) * mean[:, np.newaxis]
    rule = ProportionalFair(window=1000)
    shares = rule.divide(demand(snr, linear=True)).shares[:, 10_000:, 0]
    gained = (snr[:, 10_000:] * shares).mean(axis=1) / mean
    np.testing.assert_allclose(gained, harmonic(num_flows) / num_flows, rtol=0.08)
    off = gained.mean() / (harmonic(num_flows) / num_flows) - 1.0
    assert measured(abs(off), MANY_SLOTS - 10_000) < 0.037


def test_proportional_fair_on_a_constant_channel_is_turn_by_turn():
    """Throughputs are in proportion to the rates: each flow has half of the slots, +- 1."""
    snr = np.array([[1.0], [100.0]]) * np.ones((1, 1000))
    shares = ProportionalFair().divide(demand(snr)).shares[:, :, 0]
    np.testing.assert_allclose(shares.sum(axis=1), 500, atol=1)


def test_proportional_fair_lies_between_max_rate_and_turns():
    """Sum rate and least rate of unequal Rayleigh flows. n = 40,000 slots; far from any error."""
    snr = rayleigh(4) * np.array([[1.0], [3.0], [10.0], [100.0]])
    asked = demand(snr)
    rates = asked.rate_bps(np.ones((4, MANY_SLOTS, 1)))
    best = rates * MaxRate().divide(asked).shares[:, :, 0]
    fair = rates * ProportionalFair().divide(asked).shares[:, :, 0]
    assert best.sum() > 1.1 * fair.sum() > 1.1 * 1.1 * rates.sum() / 4
    assert fair.sum(axis=1).min() > 10 * best.sum(axis=1).min()
    assert (np.log(fair.mean(axis=1)).sum()) > np.log(rates.mean(axis=1) / 4).sum()


# --- traffic


def until(source, end_s: float, device: int = 0, seed: int = 11):
    return list(takewhile(lambda each: each.t_s < end_s, source.bursts(Draws(seed), device)))


def test_poisson_gaps_are_exponential(measured):
    """KS of n = 5,000 gaps against Exp(mean 8 size / rate = 60 ms)."""
    bursts = islice(Poisson().bursts(Draws(11), 0), 5001)
    gaps_s = np.diff([each.t_s for each in bursts])
    assert (
        measured(stats.kstest(gaps_s, stats.expon(scale=0.06).cdf), gaps_s.size).pvalue
        > FALSE_ALARM
    )


def test_poisson_counts_from_time_zero(measured):
    """Counts on the first 0.3 s of n = 2,000 devices against Poisson(5), chi-square."""
    counts = np.array([len(until(Poisson(), 0.3, device)) for device in range(2000)])
    law = stats.poisson(5)
    expected = 2000 * np.array([law.cdf(1), *law.pmf(np.arange(2, 10)), law.sf(9)])
    observed = np.bincount(np.clip(counts, 1, 10), minlength=11)[1:]
    assert measured(stats.chisquare(observed, expected), 2000).pvalue > FALSE_ALARM


@pytest.mark.parametrize("size", [3, 1500])
def test_exponential_sizes_are_geometric(measured, size):
    """Mean exactly `size`, variance m (m - 1), P(size <= m) = 1 - (1 - 1/m)^m. n = 20,000."""
    source = Poisson.model_validate({"size": f"{size} B", "size_law": "exponential"})
    sizes = np.array([each.num_bytes for each in islice(source.bursts(Draws(11), 0), 20_000)])
    assert measured(abs(sizes.mean() - size), len(sizes)) < 5 * math.sqrt(
        size * (size - 1) / len(sizes)
    )
    up_to = stats.binomtest(int((sizes <= size).sum()), len(sizes), 1 - (1 - 1 / size) ** size)
    assert measured(up_to, len(sizes)).pvalue > FALSE_ALARM


def test_on_off_has_its_mean_rate_at_any_time_from_zero_on(measured):
    """Packets of n = 2,000 devices in the first 40 ms and in 40 ms after 3 s.

    Duty cycle 1.004 / 2.591, a packet each 20 ms while on: 2 x 0.3875 = 0.775 each. A device's
    count lies in [0, 3], so its standard deviation is at most 1.5: the bound is 5 of those of the
    mean, 0.168.
    """
    counts = np.array(
        [
            [
                sum(each.t_s < 0.04 for each in bursts),
                sum(3.0 <= each.t_s < 3.04 for each in bursts),
            ]
            for bursts in (until(OnOff(), 3.04, device) for device in range(2000))
        ]
    )
    duty = 1.004 / (1.004 + 1.587)
    sigma = counts.std(axis=0) / math.sqrt(len(counts))
    for mean, bound in zip(counts.mean(axis=0), 5 * sigma, strict=True):
        assert measured(abs(mean - 2 * duty), len(counts)) < bound


@pytest.mark.parametrize(("on_s", "off_s"), [(1.004, 1.587), (0.005, 0.002)])
def test_on_off_duty_cycle_in_the_long_run(measured, on_s, off_s):
    """On time of a cycle over T = 2,000 s: mean T duty, and by renewal theory of variance

        2 (on off)^2 / (on + off)^3 T

    for exponential times. Also where on times are shorter than the gap of 20 ms.
    """
    source = OnOff(on_s=on_s, off_s=off_s)
    end_s = 2000.0
    num = len(until(source, end_s))
    sigma_s = math.sqrt(2 * (on_s * off_s) ** 2 / (on_s + off_s) ** 3 * end_s)
    off = abs(num * 0.02 - end_s * on_s / (on_s + off_s))
    assert measured(off, num) < 5 * sigma_s + 0.02


def test_on_off_off_times_are_exponential(measured):
    """What gaps have beyond 20 ms where they hold one off time: KS of about n = 1,800.

    With on times of 10 s hardly any gap of 20 ms of on time has two off times (0.2 %).
    """
    source = OnOff(on_s=10.0, off_s=1.0)
    gaps_s = np.diff([each.t_s for each in until(source, 20_000.0)])
    off_s = gaps_s[gaps_s > 0.02 + 1e-6] - 0.02
    assert len(off_s) > 1500
    assert (
        measured(stats.kstest(off_s, stats.expon(scale=1.0).cdf), off_s.size).pvalue > FALSE_ALARM
    )


def test_constant_rate_phases_are_uniform_over_devices(measured):
    """KS of the first packets of n = 1,000 devices, and the rate."""
    first_s = [next(ConstantRate().bursts(Draws(11), device)).t_s for device in range(1000)]
    test = stats.kstest(np.array(first_s) / 0.02, "uniform")
    assert measured(test, 1000).pvalue > FALSE_ALARM
    assert len(until(ConstantRate(), 100.0)) == 5000
