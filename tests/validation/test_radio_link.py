"""Rates, packet errors, ARQ, HARQ and multicast against their closed forms.

Each statistical check states its n; bounds are 5 standard errors (two-sided false-alarm rate
6e-7) or a p-value of 1e-6.
"""

import math

import numpy as np
import pytest
from scipy.special import exp1, gammainc
from scipy.stats import chisquare, norm

from cosim.radio.arq import mean_attempts, packet_ends
from cosim.radio.cqi import TABLES
from cosim.radio.error.cqi_bler import CqiBler
from cosim.radio.error.finite_blocklength import FiniteBlocklength
from cosim.radio.judgement import judge
from cosim.radio.rate.cqi import Cqi
from cosim.radio.rate.shannon import Shannon


@pytest.mark.parametrize("mean_db", [-10.0, 0.0, 10.0, 30.0])
@pytest.mark.parametrize("gap", ["0 dB", "7.43 dB"])
def test_ergodic_rayleigh_capacity(measured, mean_db, gap):
    """E log2(1 + g x / G), x ~ Exp(1), is e^(G/g) E1(G/g) / ln 2. n = 200,000; 5 sigma."""
    rate, n = Shannon.model_validate({"gap": gap}), 200_000
    x = np.random.default_rng(1).exponential(size=n)
    got = rate.bps(10 ** (mean_db / 10) * x, 1.0, 1.0)
    inverse = 10 ** ((rate.gap_db - mean_db) / 10)
    expected = math.exp(inverse) * exp1(inverse) / math.log(2)
    assert measured(abs(got.mean() - expected), n) < 5 * got.std() / math.sqrt(n)


@pytest.mark.parametrize("log_term", [False, True])
def test_finite_blocklength_against_a_scalar_computation(measured, log_term):
    error = FiniteBlocklength(log_term=log_term)
    for snr in (0.01, 0.5, 1.0, 3.0, 100.0):
        for bits in (64, 500, 12_000):
            for backoff in (0.8, 0.97, 1.0, 1.03, 1.2):
                rate = backoff * math.log2(1 + snr)
                n = bits / rate
                variance = (1 - 1 / (1 + snr) ** 2) * math.log2(math.e) ** 2
                room = n * math.log2(1 + snr) - bits + (math.log2(n) / 2 if log_term else 0.0)
                expected = norm.sf(room / math.sqrt(n * variance))
                got = error.probability(np.array([snr]), float(bits), rate)[0]
                assert measured(abs(got - expected) / max(expected, 1e-292)) < 1e-8


def attempts_per_packet(judged, max_attempts):
    """Return the attempts of each whole packet, and whether each receiver lacks it, [R, P]."""
    ends = packet_ends(judged.lost, max_attempts)
    return np.diff(ends, prepend=-1), judged.missing[:, ends]


@pytest.mark.parametrize("loss", [0.1, 0.5])
def test_attempts_are_geometric(measured, loss):
    """P(k) = p^(k-1) (1 - p), k < c, and p^(c-1) for k = c; p^c stay lost.

    n = 200,000 attempts; chi-square at p = 1e-6, and 5 sigma.
    """
    cap, u = 4, np.random.default_rng(2).random((1, 200_000))
    judged = judge(u, np.ones(u.shape), lambda snr, _: np.full(snr.shape, loss), cap)
    used, missing = attempts_per_packet(judged, cap)
    expected = np.array([loss**k * (1 - loss) for k in range(cap - 1)] + [loss ** (cap - 1)])
    counted = np.bincount(used, minlength=cap + 1)[1:]
    assert measured(chisquare(counted, expected * len(used)), len(used)).pvalue > 1e-6
    residual = loss**cap
    sigma = math.sqrt(residual * (1 - residual) / len(used))
    assert measured(abs(missing.mean() - residual), len(used)) < 5 * sigma
    off = abs(used.mean() - mean_attempts(loss, cap))
    assert measured(off, len(used)) < 5 * used.std() / math.sqrt(len(used))


@pytest.mark.parametrize("num_receivers", [2, 5])
@pytest.mark.parametrize("combining", [False, True])
def test_multicast_takes_as_long_as_the_slowest_receiver(measured, num_receivers, combining):
    """Mean attempts: sum over k < c of 1 - (1 - p^k)^R; each receiver lacks p^c.

    n = 200,000 attempts; 5 sigma. The loss here is the same at any SNR, so that combining is
    all one.
    """
    loss, cap = 0.3, 5
    u = np.random.default_rng(3).random((num_receivers, 200_000))
    judged = judge(
        u, np.ones(u.shape), lambda snr, _: np.full(snr.shape, loss), cap, combining=combining
    )
    used, missing = attempts_per_packet(judged, cap)
    expected = sum(1 - (1 - loss**k) ** num_receivers for k in range(cap))
    assert measured(abs(used.mean() - expected), len(used)) < 5 * used.std() / math.sqrt(len(used))
    residual = loss**cap
    sigma = math.sqrt(residual * (1 - residual) / len(used))
    assert (np.abs(missing.mean(axis=1) - residual) < 5 * sigma).all()


@pytest.mark.parametrize("snr", [0.4, 0.9, 1.4])
def test_chase_combining_on_a_flat_channel(measured, snr):
    """Attempt k is lost with P(k SNR): mean attempts are the sum of prod P(j SNR), j <= k < c.

    n = 100,000 attempts; 5 sigma. Finite blocklength, 300 bits at 1.2 bit/s/Hz.
    """
    cap, error = 6, FiniteBlocklength()
    u = np.random.default_rng(4).random((1, 100_000))
    judged = judge(
        u,
        np.full(u.shape, snr),
        lambda total, _: error.probability(total, 300.0, 1.2),
        cap,
        combining=True,
    )
    used, _ = attempts_per_packet(judged, cap)
    each = error.probability(snr * np.arange(1, cap), 300.0, 1.2)
    expected = 1 + np.cumprod(each).sum()
    off = abs(used.mean() - expected)
    assert measured(off, len(used)) < 5 * used.std() / math.sqrt(len(used)) + 1e-9


@pytest.mark.parametrize("mean_snr", [0.3, 1.0, 4.0])
def test_chase_combining_on_rayleigh_fading(measured, mean_snr):
    """Decoded at a sum of SNRs of at least 1: after k attempts it is short with Erlang's law.

    Mean attempts: 1 + sum over 1 <= k < c of P(k, 1 / mean), the regularised incomplete gamma
    function; P(c, 1 / mean) stay lost. n = 200,000 attempts; 5 sigma.
    """
    cap, shape = 5, (1, 200_000)
    rng = np.random.default_rng(5)
    judged = judge(
        rng.random(shape),
        mean_snr * rng.exponential(size=shape),
        lambda total, _: (total < 1.0).astype(float),
        cap,
        combining=True,
    )
    used, missing = attempts_per_packet(judged, cap)
    expected = 1 + gammainc(np.arange(1, cap), 1 / mean_snr).sum()
    assert measured(abs(used.mean() - expected), len(used)) < 5 * used.std() / math.sqrt(len(used))
    residual = gammainc(cap, 1 / mean_snr)
    sigma = math.sqrt(residual * (1 - residual) / len(used))
    assert measured(abs(missing.mean() - residual), len(used)) < 5 * sigma


@pytest.mark.parametrize("snr", [0.0, 1e-3, 0.7, 12.0, 1e5])
def test_eesm_of_a_flat_channel_is_its_snr(snr):
    assert Cqi().effective_snr(np.full((1, 50), snr))[0] == snr


def test_eesm_of_a_rayleigh_channel(measured):
    """E e^(-g x / beta) = 1 / (1 + g / beta): EESM tends to beta ln(1 + g / beta).

    g = 0.5, row 3, beta 1.63; n = 20,000 blocks; 5 sigma of the mean by error propagation.
    """
    table, g, n = TABLES["64qam"], 0.5, 20_000
    x = np.random.default_rng(6).exponential(size=n)
    beta = table.beta[2]
    expected = beta * math.log1p(g / beta)
    assert table.snr[2] < expected < table.snr[3]
    got = Cqi().effective_snr(g * x[np.newaxis])[0]
    spread = np.exp(-g * x / beta).std() * beta * (1 + g / beta)
    assert measured(abs(got - expected), n) < 5 * spread / math.sqrt(n)


@pytest.mark.parametrize("target", [0.1, 0.3])
@pytest.mark.parametrize(("width", "bits"), [("0.15 dB", 6000.0), ("2 dB", 12_000.0)])
def test_outer_loop_holds_its_target(measured, target, width, bits):
    """Where it is never clipped, share lost - b = (1 - b) (change of offset) / (step n): exact.

    n = 20,000 packets on block Rayleigh fading of 15 dB, with the report of the block before,
    correlated 0.9 with this one's; the offset never leaves +-15 dB, so the share lost is within
    0.7 % of b for certain.
    """
    rate = Cqi.model_validate({"target_bler": target, "max_offset": "15 dB"})
    error, n = CqiBler.model_validate({"width": width}), 20_000
    rng = np.random.default_rng(7)
    h = rng.normal(size=(2, n))
    for k in range(1, n):
        h[:, k] = 0.9 * h[:, k - 1] + math.sqrt(1 - 0.81) * h[:, k]
    snr = 10**1.5 * (h**2).sum(axis=0) / 2
    u, offset_db, lost, sent, largest = rng.random(n), 0.0, 0, 0, 0.0
    for k in range(1, n):
        reported, actual = snr[k - 1 : k], snr[k : k + 1]
        efficiency = rate.bps(reported, 1.0, 1.0, offset_db)
        if efficiency[0] == 0.0:
            continue
        is_lost = bool(u[k] < error.probability(actual, bits, efficiency)[0])
        offset_db = rate.next_offset_db(offset_db, int(not is_lost), int(is_lost))
        lost, sent = lost + is_lost, sent + 1
        largest = max(largest, abs(offset_db))
    assert largest < 15.0
    assert sent > 0.95 * n
    drift = (1 - target) * offset_db / (rate.step_db * sent)
    assert lost / sent - target == pytest.approx(drift, abs=1e-9)
    assert measured(abs(lost / sent - target), sent) < 0.007
