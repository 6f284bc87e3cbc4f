"""The link process against its law: normal, correlated along the path, alike in any shape.

Sample sizes are stated at each test. False-alarm rates over seeds: 1e-3 for each
Kolmogorov-Smirnov test, 1e-4 for each 4 sigma bound.
"""

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtri

from cosim.rng import Draws
from cosim.world.link_process import SMOOTH_RATE, link_process

LINKS = np.triu_indices(200, 1)  # 19,900 links
DRAWS = Draws(11)
GRID = 1 / 32


def process(travelled, low=LINKS[0], high=LINKS[1], purpose="test", **options):
    return link_process(DRAWS, purpose, np.asarray(low), np.asarray(high), travelled, **options)


def correlation_at(distance, smooth):
    scaled = SMOOTH_RATE * distance
    return (1 + scaled) * np.exp(-scaled) if smooth else np.exp(-distance)


def test_both_correlations_fall_to_one_over_e():
    assert correlation_at(1.0, smooth=True) == pytest.approx(1 / np.e, rel=1e-12)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("travelled", [0.0, 0.37 * GRID, GRID / 2, 7.3, 12345.67])
def test_the_law_is_standard_normal_everywhere(smooth, travelled):
    # n = 19,900 links; the variance of a sample variance is 2 / n.
    z = process(travelled, smooth=smooth)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.var() - 1.0) < 4 * np.sqrt(2 / z.size)


@pytest.mark.parametrize("smooth", [False, True])
def test_one_link_is_normal_over_its_path(smooth):
    # n = 20,000 points 5 decorrelation distances apart, where the correlation is below 0.007.
    z = process(5.0 * np.arange(20_000), [3], [9], smooth=smooth)
    assert stats.kstest(z, "norm").pvalue > 1e-3


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("start", [0.0, 3.1])
@pytest.mark.parametrize("distance", [GRID / 3, GRID, 0.1, 0.5, 1.0, 1.517, 2.3, 6.0])
def test_correlation_along_the_path(smooth, start, distance):
    # n = 19,900 links; a correlation r of normals has sigma (1 - r^2) / sqrt(n). Interpolation
    # is off by at most 0.008 within two grid steps and 0.001 beyond.
    now, then = process(start, smooth=smooth), process(start + distance, smooth=smooth)
    expected = correlation_at(distance, smooth)
    slack = 0.008 if distance <= 2 * GRID else 0.001
    bound = 4 * (1 - expected**2) / np.sqrt(now.size) + slack
    assert abs(np.corrcoef(now, then)[0, 1] - expected) < bound


def test_two_short_steps_are_one_long_step():
    # Markov: what two steps of 0.4 and 0.6 leave unexplained by the middle is uncorrelated with
    # the start. n = 19,900.
    start, middle, end = (process(2.0 + d, smooth=False) for d in (0.0, 0.4, 1.0))
    rest = end - np.exp(-0.6) * middle
    assert abs(np.corrcoef(rest, start)[0, 1]) < 4 / np.sqrt(start.size)
    assert rest.var() == pytest.approx(1 - np.exp(-1.2), abs=4 * np.sqrt(2 / start.size))


def test_standing_still_keeps_the_value_and_a_small_step_changes_it_little():
    at = np.full(LINKS[0].size, 17.3)
    assert (process(at) == process(at)).all()
    assert np.abs(process(at + 1e-6) - process(at)).max() < 1e-4
    assert np.abs(process(at + 1e-6, smooth=False) - process(at, smooth=False)).max() < 1e-2


@pytest.mark.parametrize("smooth", [False, True])
def test_links_and_numbers_and_purposes_are_independent(smooth):
    # 4 sigma of n = 19,900 each. Neighbours in the list share an end.
    z = process(1.0, smooth=smooth)
    for other in (
        np.roll(z, 1),
        process(1.0, number=1, smooth=smooth),
        process(1.0, purpose="another", smooth=smooth),
        process(1.0, smooth=not smooth, purpose="a third"),
    ):
        assert abs(np.corrcoef(z, other)[0, 1]) < 4 / np.sqrt(z.size)


def test_paths_of_many_links_are_independent():
    # 100 links x 1000 points 3 apart (correlation 0.05, which widens sigma by 0.25 %): 4950
    # correlations. Pairs that enter a table within a decorrelation distance of each other share up
    # to half their variance; 2.9 are expected to, 12 or more come once in 10,000 seeds.
    low, high = np.zeros((100, 1), int), np.arange(1, 101)[:, None]
    z = process(3.0 * np.arange(1000), low, high, smooth=False)
    correlation = np.corrcoef(z)[np.triu_indices(100, 1)] * np.sqrt(1000)
    shared = np.abs(correlation) > 6.0
    assert shared.sum() < 12
    assert np.abs(correlation).max() < 0.5 * np.sqrt(1000) + 6.0
    assert abs(correlation[~shared].mean()) < 4 / np.sqrt(correlation.size)
    assert abs(correlation[~shared].std() - 1.0) < 0.06


@pytest.mark.parametrize("smooth", [False, True])
def test_any_shape_and_any_order_give_identical_values(smooth):
    low, high = np.triu_indices(6, 1)
    travelled = np.random.default_rng(0).random((low.size, 50)) * 1e4
    number = np.random.default_rng(1).integers(0, 2, travelled.shape)
    whole = process(travelled, low[:, None], high[:, None], number=number, smooth=smooth)
    for link in range(low.size):
        one = process(travelled[link], low[link], high[link], number=number[link], smooth=smooth)
        assert (one == whole[link]).all()
    for k in (49, 0, 17):
        at_once = process(travelled[:, k], low, high, number=number[:, k], smooth=smooth)
        assert (at_once == whole[:, k]).all()
        single = process(
            travelled[3, k], low[3:4], high[3:4], number=int(number[3, k]), smooth=smooth
        )
        assert single.shape == (1,)
        assert single[0] == whole[3, k]
    assert np.shape(process(0.5, 2, 4, smooth=smooth)) == ()


def test_a_seed_is_a_process():
    one, two = (link_process(Draws(s), "test", *LINKS, 3.0) for s in (1, 2))
    assert abs(np.corrcoef(one, two)[0, 1]) < 4 / np.sqrt(one.size)


@pytest.mark.parametrize("probability", [0.5, 0.2, 0.9])
def test_a_threshold_is_crossed_as_often_as_rice_says(probability):
    # 200 links x 500 decorrelation distances. Sigma from the links (4.3 sigma of a t of 199
    # degrees is below 1e-4); the interpolation takes 2 % of the crossings.
    level = ndtri(probability)
    step = GRID / 2
    low, high = np.zeros((200, 1), int), np.arange(1, 201)[:, None]
    below = process(np.arange(0.0, 500.0, step), low, high) < level
    crossings = np.count_nonzero(below[:, 1:] != below[:, :-1], axis=1) / 500.0
    expected = 0.98 * SMOOTH_RATE / np.pi * np.exp(-(level**2) / 2)
    slack = 4.3 * crossings.std(ddof=1) / np.sqrt(200) + 0.01 * expected
    assert abs(crossings.mean() - expected) < slack < 0.06 * expected
