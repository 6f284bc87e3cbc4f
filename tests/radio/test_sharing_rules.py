"""Every rule: what it gives by hand, and that slots can be divided at once or one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.optimize import brentq

from cosim.plugin import find, kinds
from cosim.radio.rate.shannon import Shannon
from cosim.radio.sharing.base import Demand
from cosim.radio.sharing.delay_equalising import DelayEqualising
from cosim.radio.sharing.equal import Equal
from cosim.radio.sharing.max_min import MaxMin
from cosim.radio.sharing.max_rate import MaxRate
from cosim.radio.sharing.proportional_fair import ProportionalFair
from cosim.radio.sharing.weighted import Weighted

BANDWIDTH_HZ = 10e6
NUM_BLOCKS = 5
RULES = kinds("rule")


def unasked(*_):
    raise AssertionError("the rule asked for what it does not need")


def shannon_bps(snr):
    """Return the rate function of flows whose SNR with all of the band is [F, K, C]."""

    def rate_bps(shares):
        total = shares.mean(axis=2, keepdims=True)
        inside = np.divide(snr, total, out=np.zeros(snr.shape), where=total > 0)
        has = np.broadcast_to(shares > 0, snr.shape)
        per_block = np.where(has, Shannon().bps(inside, BANDWIDTH_HZ, 1.0), 0.0)
        return (per_block * shares).mean(axis=2)

    return rate_bps


def table_bps(snr):
    """Return the rate function of a table of two efficiencies, which jumps."""

    def rate_bps(shares):
        share = shares[:, :, 0]
        inside = np.divide(snr[:, :, 0], share, out=np.zeros(share.shape), where=share > 0)
        return BANDWIDTH_HZ * share * np.select([inside > 30.0, inside > 1.0], [4.0, 1.0], 0.0)

    return rate_bps


def demand(snr, *, weight=None, remaining=None, memory=None, rates=shannon_bps):
    num_flows, num_slots, _ = snr.shape
    return Demand(
        num_flows=num_flows,
        num_slots=num_slots,
        weight=np.ones(num_flows) if weight is None else np.asarray(weight, float),
        snr=lambda: snr,
        rate_bps=rates(snr),
        remaining_bits=unasked if remaining is None else lambda: np.asarray(remaining, float),
        memory=np.full(num_flows, np.nan) if memory is None else np.asarray(memory, float),
    )


def flat(*snr):
    """Return SNRs of flows [F, K, 1] from rows."""
    return np.array(snr, float).reshape(len(snr), -1, 1)


def fading(seed, num_flows, num_slots, num_blocks=1):
    rng = np.random.default_rng(seed)
    mean = 10 ** rng.uniform(-1, 3, (num_flows, 1, 1))
    return mean * rng.exponential(size=(num_flows, num_slots, num_blocks))


# --- all rules


@st.composite
def cases(draw):
    """Random flows, some without gain or in ties, and a way to cut their slots."""
    num_flows, num_slots = draw(st.integers(1, 9)), draw(st.integers(1, 23))
    num_blocks = draw(st.sampled_from([1, 1, NUM_BLOCKS]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    snr = 10 ** rng.uniform(-2, 4, (num_flows, num_slots, num_blocks))
    if draw(st.booleans()):
        snr = np.round(np.log10(snr))  # ties
        snr[snr < 0] = 0.0
    snr[rng.random(num_flows) < 0.2] = 0.0
    memory = np.where(rng.random(num_flows) < 0.5, np.nan, rng.uniform(1e5, 1e7, num_flows))
    cuts = sorted(draw(st.sets(st.integers(1, num_slots))) | {num_slots})
    return snr, rng.uniform(0.1, 5, num_flows), rng.uniform(0, 1e7, num_flows), memory, cuts


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("rates", [shannon_bps, table_bps])
@given(case=cases())
def test_slots_at_once_are_slots_one_by_one_to_the_last_bit(kind, rates, case):
    snr, weight, remaining, memory, cuts = case
    rule = find("rule", kind).model_validate({})
    known = {"weight": weight, "remaining": remaining, "rates": rates}
    whole = rule.divide(demand(snr, memory=memory, **known))
    shares, memories, start = [], [], 0
    for end in cuts:
        # A slice of the same array, as an engine that looks ahead may have, or a new one.
        part = snr[:, start:end] if end % 2 else snr[:, start:end].copy()
        division = rule.divide(demand(part, memory=memory, **known))
        shares.append(division.shares)
        if division.memory is not None:
            memories.append(division.memory)
            memory = division.memory[:, -1]
        start = end
    np.testing.assert_array_equal(np.concatenate(shares, axis=1), whole.shares)
    assert (whole.memory is None) == (not memories)
    if memories:
        np.testing.assert_array_equal(np.concatenate(memories, axis=1), whole.memory)


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("rates", [shannon_bps, table_bps])
@given(case=cases())
def test_shares_are_shares(kind, rates, case):
    snr, weight, remaining, memory, _ = case
    rule = find("rule", kind).model_validate({})
    known = {"weight": weight, "remaining": remaining, "memory": memory, "rates": rates}
    division = rule.divide(demand(snr, **known))
    num_flows, num_slots, _ = snr.shape
    assert division.shares.shape in {(num_flows, num_slots, 1), snr.shape}
    assert np.isfinite(division.shares).all()
    assert division.shares.min() >= 0
    assert division.shares.sum(axis=0).max() <= 1 + 1e-12
    if rule.exclusive:
        assert np.isin(division.shares, (0.0, 1.0)).all()
        assert (division.shares[snr == 0] == 0).all()
        if kind == "max_rate" or rates is shannon_bps:
            np.testing.assert_array_equal(division.shares.sum(axis=0), snr.any(axis=0))
    if division.memory is not None:
        assert division.memory.shape == (num_flows, num_slots)
        assert (division.memory > 0).all()


@pytest.mark.parametrize("kind", RULES)
def test_slots(kind):
    cls = find("rule", kind)
    expected = {"equal": None, "weighted": None, "proportional_fair": 1e-3}.get(kind, 10e-3)
    assert cls().slot_s == expected
    if expected is None:
        with pytest.raises(ValidationError):
            cls.model_validate({"slot": "1 ms"})
        return
    assert cls.model_validate({"slot": "2 ms"}).slot_s == 2e-3
    with pytest.raises(ValidationError, match="greater than 0"):
        cls.model_validate({"slot": "0 ms"})
    if kind in ("max_min", "delay_equalising"):
        assert cls.model_validate({"slot": None}).slot_s is None
    else:  # whoever does not win the first slot would wait for ever
        with pytest.raises(ValidationError):
            cls.model_validate({"slot": None})


# --- equal, weighted


@pytest.mark.parametrize("num_flows", [1, 2, 3, 7])
def test_equal_shares_fill_the_band_and_look_at_nothing(num_flows):
    nan = np.full(num_flows, np.nan)
    shares = Equal().divide(Demand(num_flows, 4, nan, unasked, unasked, unasked, nan)).shares
    np.testing.assert_array_equal(shares, np.full((num_flows, 4, 1), 1 / num_flows))


def test_weighted_shares_look_at_weights_alone():
    weight = np.array([1.0, 2.0, 5.0])
    shares = Weighted().divide(Demand(3, 2, weight, unasked, unasked, unasked, weight)).shares
    np.testing.assert_array_equal(shares[:, :, 0], np.repeat([[0.125], [0.25], [0.625]], 2, axis=1))


# --- max_rate


def test_max_rate_by_hand():
    snr = np.array([[[1.0, 9.0]], [[2.0, 3.0]]])
    shares = MaxRate().divide(demand(snr, rates=lambda _: unasked)).shares
    np.testing.assert_array_equal(shares, [[[0, 1]], [[1, 0]]])


def test_max_rate_ties_go_to_the_first_and_silence_to_nobody():
    shares = MaxRate().divide(demand(flat([0, 5, 0], [2, 5, 0], [2, 5, 0]))).shares
    np.testing.assert_array_equal(shares[:, :, 0], [[0, 1, 0], [1, 0, 0], [0, 0, 0]])


# --- max_min, delay_equalising


@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from([1, NUM_BLOCKS]))
def test_max_min_rates_are_equal(seed, num_flows, num_blocks):
    rng = np.random.default_rng(seed)
    snr = 10 ** rng.uniform(-6, 6, (num_flows, 6, num_blocks))
    asked = demand(snr)
    shares = MaxMin().divide(asked).shares
    rates = asked.rate_bps(shares)
    np.testing.assert_allclose(rates, np.broadcast_to(rates[:1], rates.shape), rtol=2e-12)
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, rtol=1e-12)


def test_max_min_over_twelve_decades_of_snr():
    """Weak flows' rates hardly depend on their shares: the rates are the harder to equalise."""
    asked = demand(10 ** np.random.default_rng(5).uniform(-6, 6, (8, 3000, 1)))
    rates = asked.rate_bps(MaxMin().divide(asked).shares)
    np.testing.assert_allclose(rates, np.broadcast_to(rates[:1], rates.shape), rtol=2e-12)


def test_flows_without_a_gain_get_nothing_and_are_not_waited_for():
    snr = flat([3, 0, 0], [0, 0, 0], [7, 7, 0])
    shares = MaxMin().divide(demand(snr)).shares
    np.testing.assert_array_equal(shares[1], 0.0)
    np.testing.assert_array_equal(shares[:, 2], 0.0)
    np.testing.assert_array_equal(shares[:, 1, 0], [0, 0, 1])
    pair = MaxMin().divide(demand(flat([3], [7]))).shares
    np.testing.assert_array_equal(shares[[0, 2], 0], pair[:, 0])


def test_linear_rates_have_shares_in_inverse_proportion():
    def linear(snr):
        return lambda shares: shares[:, :, 0] * snr[:, :, 0]

    shares = MaxMin().divide(demand(flat([1], [3]), rates=linear)).shares
    np.testing.assert_allclose(shares[:, 0, 0], [0.75, 0.25], rtol=1e-12)


def test_rates_with_a_kink_are_equal_too():
    """Rates of min(4 s, 1 + s): the kink is at s = 1/3."""

    def kinked(snr):
        return lambda shares: (snr * np.minimum(4 * shares, 1 + shares))[:, :, 0]

    asked = demand(flat([1], [3], [1.5]), rates=kinked)
    shares = MaxMin().divide(asked).shares
    rates = asked.rate_bps(shares)[:, 0]
    np.testing.assert_allclose(rates, rates[0], rtol=1e-11)
    np.testing.assert_allclose(shares.sum(), 1.0, rtol=1e-12)


def test_a_table_s_least_rate_is_near_the_best_on_a_grid():
    snr = flat([2.0], [11.0], [60.0])
    asked = demand(snr, rates=table_bps)
    least = asked.rate_bps(MaxMin().divide(asked).shares).min()
    grid = np.arange(1, 200) / 200
    first, second = (each.ravel() for each in np.meshgrid(grid, grid))
    tried = np.stack([first, second, 1 - first - second])[:, first + second < 1 - 1e-9]
    wide = demand(np.repeat(snr, tried.shape[1], axis=1), rates=table_bps)
    best = wide.rate_bps(tried[:, :, np.newaxis]).min(axis=0).max()
    assert least >= 0.95 * best


def test_a_flow_that_is_heard_on_a_small_share_only_is_served():
    """On a third of the band the second has an SNR below the table's, on a tenth it does not."""
    asked = demand(flat([90.0], [0.2], [90.0]), rates=table_bps)
    assert asked.rate_bps(np.full((3, 1, 1), 1 / 3))[1] == 0
    shares = MaxMin().divide(asked).shares
    assert 0 < shares[1] < 0.2
    assert asked.rate_bps(shares).min() > 0


def test_delay_equalising_finishes_all_at_once_and_earlier_than_any_other():
    snr = flat([0.4], [8.0], [50.0])
    remaining = np.array([1e6, 3e6, 20e6])
    asked = demand(snr, remaining=remaining)
    shares = DelayEqualising().divide(asked).shares
    times_s = remaining / asked.rate_bps(shares)[:, 0]
    np.testing.assert_allclose(times_s, times_s[0], rtol=2e-12)

    def needed(t_s):
        """Return the shares' sum with which each finishes at t_s, by another solver."""
        found = [
            brentq(lambda s, g=g, q=q: s * BANDWIDTH_HZ * np.log2(1 + g / s) * t_s - q, 1e-12, 1e3)
            for g, q in zip(snr[:, 0, 0], remaining, strict=True)
        ]
        return sum(found)

    assert brentq(lambda t_s: needed(t_s) - 1, 0.9 * times_s[0], 50) == pytest.approx(
        times_s[0], rel=1e-9
    )


def test_a_flow_with_nothing_left_gets_nothing():
    shares = DelayEqualising().divide(demand(flat([1], [1]), remaining=[0, 5])).shares
    np.testing.assert_array_equal(shares[:, 0, 0], [0, 1])


def test_equal_amounts_make_it_max_min():
    snr = fading(1, 4, 3)
    one = DelayEqualising().divide(demand(snr, remaining=np.full(4, 8e6))).shares
    np.testing.assert_allclose(one, MaxMin().divide(demand(snr)).shares, rtol=1e-10)


# --- proportional_fair


def by_the_book(rates, average, window):
    """Return winners and averages by plain Python, [K, C] and [F, K]; rates are [F, K, C]."""
    num_flows, num_slots, num_blocks = rates.shape
    average = list(average)
    winners, averages = [], []
    for k in range(num_slots):
        served = [0.0] * num_flows
        won = []
        for c in range(num_blocks):
            ratios = [rates[f, k, c] / average[f] for f in range(num_flows)]
            won.append(ratios.index(max(ratios)))
            served[won[-1]] += rates[won[-1], k, c]
        average = [
            (1 - 1 / window) * average[f] + (1 / window) * served[f] for f in range(num_flows)
        ]
        winners.append(won)
        averages.append(average)
    return np.array(winners), np.array(averages).T


@pytest.mark.parametrize("num_blocks", [1, NUM_BLOCKS])
@pytest.mark.parametrize("num_flows", [1, 2, 8])
def test_proportional_fair_by_the_book(num_flows, num_blocks):
    snr = fading(3, num_flows, 400, num_blocks)
    rates = BANDWIDTH_HZ / num_blocks * np.log2(1 + snr)
    average = rates[:, 0].sum(axis=1) / num_flows
    winners, averages = by_the_book(rates, average, 20)
    division = ProportionalFair(window=20).divide(demand(snr))
    np.testing.assert_array_equal(division.shares.argmax(axis=0), winners)
    np.testing.assert_allclose(division.memory, averages, rtol=1e-12)


def test_new_flows_begin_at_their_fraction_of_the_first_rate():
    """Two alike: the first wins the tie, then the other, whose average is now the lower."""
    division = ProportionalFair().divide(demand(flat([1, 1, 1], [1, 1, 1])))
    np.testing.assert_array_equal(division.shares[:, :, 0], [[1, 0, 1], [0, 1, 0]])
    first = 0.98 * BANDWIDTH_HZ / 2
    np.testing.assert_allclose(division.memory[:, 0], [first + 0.02 * BANDWIDTH_HZ, first])


def test_what_is_remembered_counts():
    division = ProportionalFair().divide(demand(flat([3], [1]), memory=[3e6, 1e6]))
    np.testing.assert_array_equal(division.shares[:, 0, 0], [0, 1])  # 2/3 against 1/1


def test_a_flow_that_was_long_without_a_rate_goes_first():
    """60,000 slots in an outage: its average is as small as numbers get, and nothing is NaN."""
    snr = np.ones((2, 60_000, 1))
    snr[0, 1:-1] = 0.0
    with np.errstate(all="raise", under="ignore"):
        division = ProportionalFair().divide(demand(snr))
    assert not np.isnan(division.memory).any()
    assert (division.memory > 0).all()
    np.testing.assert_array_equal(division.shares[0, 1:-1], 0.0)
    assert division.shares[0, -1] == 1


def test_a_new_flow_without_a_rate_has_the_first_claim_once_it_has_one():
    division = ProportionalFair().divide(demand(flat([1, 1], [0, 0.1])))
    np.testing.assert_array_equal(division.shares[:, :, 0], [[1, 0], [0, 1]])


def test_a_block_s_part_of_the_rate_is_by_capacity():
    """With a rate that is half of Shannon's the decisions are the same: parts are scaled alike."""

    def half(snr):
        return lambda shares: shannon_bps(snr)(shares) / 2

    snr = fading(4, 3, 50, NUM_BLOCKS)
    full = ProportionalFair().divide(demand(snr))
    halved = ProportionalFair().divide(demand(snr, rates=half))
    np.testing.assert_array_equal(halved.shares, full.shares)
    np.testing.assert_allclose(halved.memory, full.memory / 2, rtol=1e-12)


@pytest.mark.parametrize("window", [1, 0, 2.5])
def test_a_window_that_cannot_be(window):
    with pytest.raises(ValidationError):
        ProportionalFair.model_validate({"window": window})
