from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim import collision

densities = st.lists(st.floats(0, 1), min_size=0, max_size=6)


def enumerated(values):
    """The probability that two or more of some independent coins come up, by all outcomes."""
    total = 0.0
    for coins in product([False, True], repeat=len(values)):
        if sum(coins) >= 2:
            total += np.prod([s if up else 1 - s for s, up in zip(values, coins, strict=True)])
    return total


@pytest.mark.parametrize(("size", "rate"), [(2, 0.01), (3, 0.028), (5, 0.08146)])
def test_known_values_at_density_one_tenth(size, rate):
    assert collision.collision_rate([0.1] * size) == pytest.approx(rate, abs=1e-12)


def test_two_dense_devices_always_collide():
    assert collision.collision_rate([1.0, 1.0]) == 1.0
    assert collision.collision_rate([1.0, 1.0, 0.3]) == 1.0


def test_one_dense_device_collides_wherever_another_has_something():
    assert collision.collision_rate([1.0, 0.25]) == pytest.approx(0.25)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.3, 1.0])
def test_a_device_alone_does_not_collide(density):
    assert collision.collision_rate([density]) == 0.0
    assert collision.rate(collision.alone(density)) <= 1e-16


def test_nobody_does_not_collide():
    assert collision.collision_rate([]) == 0.0


@settings(derandomize=True)
@given(densities)
def test_is_the_probability_of_two_or_more(values):
    assert collision.collision_rate(values) == pytest.approx(enumerated(values), abs=1e-12)


@settings(derandomize=True)
@given(densities, densities)
def test_terms_of_a_union_are_those_of_all_its_devices(a, b):
    def terms(values):
        total = collision.EMPTY
        for value in values:
            total = collision.union(total, collision.alone(value))
        return total

    assert collision.union(terms(a), terms(b)) == pytest.approx(terms(a + b), abs=1e-12)


@settings(derandomize=True)
@given(densities, st.floats(0, 1))
def test_a_further_device_never_lowers_it(values, further):
    before, after = collision.collision_rate(values), collision.collision_rate([*values, further])
    assert after >= before - 1e-12


def test_rates_by_cluster_leave_out_devices_without_one():
    density = np.array([0.1, 0.5, 0.1, 0.2, 1.0])
    rates = collision.collision_rates(density, np.array([1, 0, 1, -1, 0]))
    assert rates == pytest.approx([0.5, 0.01])
    assert collision.collision_rates(density, np.full(5, -1)).shape == (0,)


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_a_density_out_of_range_is_refused(bad):
    with pytest.raises(ValueError, match="between 0 and 1"):
        collision.collision_rate([0.1, bad])
