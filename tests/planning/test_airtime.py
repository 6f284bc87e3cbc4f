import math
from dataclasses import replace

import numpy as np
import pytest
from control_oracle import best_of_grid, cases, least_round_s, rate_bps, uplinks, values_only
from hypothesis import given, settings

from cosim.planning.airtime import RoundTime
from cosim.radio.rate.cqi import Cqi
from cosim.radio.rate.fixed import Fixed

NOISES = ["share", "band"]
GAINS = [1e-12, 3e-11, 2e-10]


def all_bits(bits, *densities):
    return bits.at(np.array(densities)[:, np.newaxis])


@pytest.mark.parametrize("noise", NOISES)
def test_rates_are_shannons_over_the_noise_of_the_convention(noise):
    links, share = uplinks(GAINS), np.array([0.2, 0.5, 0.0])
    written = [rate_bps(links, k, share[k], noise) for k in range(2)] + [0.0]
    np.testing.assert_allclose(links.rate_bps(share, noise), written, rtol=1e-12)


def test_delay_is_bits_over_rate_in_seconds():
    links = uplinks([1e-10], rate=Fixed(rate_bps=10e6))
    np.testing.assert_allclose(links.delay_s(np.array([5e6]), np.array([0.5]), "share"), [1.0])


def test_lemma_2():
    """With noise over the band beta_k = x_k / sum x, and tau = q n sum x / W."""
    links = uplinks(GAINS)
    bits = np.full((1, 3), 1e6)
    x = np.array([1 / math.log2(1 + 0.2 * g / (4e-21 * 1e6)) for g in GAINS])
    shares = links.best_shares(bits, "band")
    np.testing.assert_allclose(shares[0], x / x.sum(), rtol=1e-10)
    np.testing.assert_allclose(links.round_s(bits, shares, "band"), 1e6 * x.sum() / 1e6, rtol=1e-10)


@pytest.mark.parametrize("noise", NOISES)
@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_best_shares_are_those_of_an_independent_search(noise, case):
    links, bits = case
    sizes = all_bits(bits, 0.3)
    shares = links.best_shares(sizes, noise)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-12)
    delay_s = links.delay_s(sizes, shares, noise)
    np.testing.assert_allclose(delay_s, delay_s.max(), rtol=1e-9)
    np.testing.assert_allclose(delay_s.max(), least_round_s(links, sizes[0], noise), rtol=1e-9)


@pytest.mark.parametrize("noise", NOISES)
def test_no_shares_of_a_grid_are_better(noise):
    links, sizes = uplinks(GAINS), np.array([1e6, 2e6, 4e6])
    best_s = links.round_s(sizes, links.best_shares(sizes[np.newaxis], noise)[0], noise)
    grid_s = best_of_grid(links, sizes, noise, steps=200)
    assert best_s <= grid_s
    assert grid_s <= 1.02 * best_s  # the grid comes near


@pytest.mark.parametrize("noise", NOISES)
def test_equal_channels_have_equal_shares_and_one_link_all(noise):
    shares = uplinks([1e-11] * 4).best_shares(np.full((1, 4), 1e6), noise)
    np.testing.assert_allclose(shares, 0.25, rtol=1e-12)
    np.testing.assert_allclose(uplinks([1e-11]).best_shares(np.ones((1, 1)), noise), 1.0)


@pytest.mark.parametrize("noise", NOISES)
def test_a_worse_channel_has_a_larger_share(noise):
    gains = np.geomspace(1e-13, 1e-9, 7)
    shares = uplinks(gains).best_shares(np.full((1, 7), 1e6), noise)[0]
    assert np.all(np.diff(shares) < 0)


def test_noise_over_the_share_is_less_noise():
    links, bits = uplinks(GAINS), values_only([1e5] * 3)
    density = np.array([0.5])
    assert RoundTime(links, bits, "share").s(density) < RoundTime(links, bits, "band").s(density)


def test_bands_do_not_share():
    """Two bands at once are each as if it were alone; the round lasts as long as the slower."""
    together = uplinks(GAINS + GAINS[:2], band=np.array([7, 7, 7, 2, 2]))
    sizes = np.full((1, 5), 1e6)
    shares = together.best_shares(sizes, "share")[0]
    first = uplinks(GAINS).best_shares(sizes[:, :3], "share")[0]
    second = uplinks(GAINS[:2]).best_shares(sizes[:, :2], "share")[0]
    np.testing.assert_array_equal(shares, [*first, *second])
    delay_s = together.delay_s(sizes[0], shares, "share")
    assert delay_s[0] > delay_s[3]
    assert together.round_s(sizes[0], shares, "share") == delay_s.max()
    np.testing.assert_allclose(together.equal_shares(), [1 / 3] * 3 + [0.5] * 2)


def test_nobody_waits_for_a_link_without_gain():
    links, sizes = uplinks([1e-11, 0.0, 1e-10]), np.full((1, 3), 1e6)
    shares = links.best_shares(sizes, "share")
    others = uplinks([1e-11, 1e-10]).best_shares(sizes[:, :2], "share")
    np.testing.assert_allclose(shares[0, [0, 2]], others[0], rtol=1e-12)
    assert shares[0, 1] == 0.0
    assert np.isinf(links.delay_s(sizes, shares, "share")[0, 1])
    assert np.isfinite(links.round_s(sizes, shares, "share"))[0]
    silent = uplinks([0.0, 0.0])
    assert np.isinf(silent.round_s(sizes[:, :2], silent.best_shares(sizes[:, :2], "band"), "band"))


def test_nobody_waits_for_a_link_with_nothing_to_send():
    links, sizes = uplinks([1e-13, 1e-11, 1e-10]), np.array([[0.0, 1e6, 1e6]])
    shares = links.best_shares(sizes, "share")
    others = uplinks([1e-11, 1e-10]).best_shares(sizes[:, 1:], "share")
    np.testing.assert_allclose(shares[0], [0.0, *others[0]], rtol=1e-12)
    assert links.delay_s(sizes, shares, "share")[0, 0] == 0.0


def test_without_links_a_round_takes_no_time():
    links = uplinks([])
    assert RoundTime(links, values_only([1e5]), "share").s(np.array([0.5, 1.0])).tolist() == [0, 0]


@pytest.mark.parametrize("noise", NOISES)
def test_taking_part_half_of_the_time_is_half_of_the_links(noise):
    """Of four equal links two are in a round: each has half of the band then."""
    four = replace(uplinks([1e-11] * 4), participation=0.5)
    half = RoundTime(four, values_only([1e5] * 4), noise)
    two = RoundTime(uplinks([1e-11] * 2), values_only([1e5] * 2), noise)
    density = np.array([0.1, 0.7])
    np.testing.assert_allclose(half.s(density), two.s(density), rtol=1e-12)


@pytest.mark.parametrize("noise", NOISES)
@settings(max_examples=30, deadline=None)
@given(case=cases())
def test_round_time_at_every_density_is_the_least(noise, case):
    """Where updates do not grow alike too; in many cases at once as in one at a time."""
    links, bits = case
    round_time, density = RoundTime(links, bits, noise), np.array([0.01, 0.2, 1.0])
    least_s = [least_round_s(links, sizes, noise) for sizes in all_bits(bits, *density)]
    np.testing.assert_allclose(round_time.s(density), least_s, rtol=1e-9)
    assert np.all(np.diff(round_time.s(np.linspace(0.01, 1, 40))) >= -1e-12 * least_s[-1])


@settings(max_examples=30, deadline=None)
@given(case=cases())
def test_greatest_density_fills_the_limit(case):
    round_time = RoundTime(*case, "share")
    low_s, high_s = round_time.s(np.array([0.05, 0.9]))
    limit_s = math.sqrt(low_s * high_s)
    density = round_time.greatest_density(limit_s, 0.05, 0.9)
    np.testing.assert_allclose(round_time.s(np.array([density])), limit_s, rtol=1e-7)
    assert round_time.greatest_density(1.01 * high_s, 0.05, 0.9) == 0.9
    assert round_time.greatest_density(0.99 * low_s, 0.05, 0.9) == 0.05


def test_rates_that_jump_have_shares_too():
    """A CQI table: delays cannot be equal, and none on a grid are better by more than a fifth."""
    links = uplinks([2e-14, 3e-13, 4e-12], rate=Cqi())
    sizes = np.array([1e6, 1e6, 2e6])
    best_s = links.round_s(sizes, links.best_shares(sizes[np.newaxis], "share")[0], "share")
    grid = [np.array([a, b, 60 - a - b]) / 60 for a in range(1, 59) for b in range(1, 60 - a)]
    grid_s = min(links.round_s(sizes, shares, "share") for shares in grid)
    assert best_s <= 1.2 * grid_s
