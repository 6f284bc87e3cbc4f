from itertools import islice, pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from cosim.radio.traffic.base import Burst
from cosim.radio.traffic.constant_rate import ConstantRate
from cosim.radio.traffic.on_off import OnOff
from cosim.radio.traffic.poisson import Poisson
from cosim.rng import Draws

SOURCES = [
    Poisson(),
    Poisson.model_validate({"size": "100 B", "size_law": "exponential"}),
    OnOff(),
    OnOff.model_validate({"on": "1 ms", "off": "10 ms"}),  # most on times are without a packet
    OnOff.model_validate({"on": "1 h", "off": "1 us"}),
    ConstantRate(),
]


@pytest.mark.parametrize("source", SOURCES)
def test_bursts_are_in_order_and_a_pure_function_of_the_device(source):
    first = list(islice(source.bursts(Draws(1), 3), 2000))
    assert first == list(islice(source.bursts(Draws(1), 3), 2000))
    assert first != list(islice(source.bursts(Draws(1), 4), 2000))
    assert first != list(islice(source.bursts(Draws(2), 3), 2000))
    assert first[0].t_s >= 0
    assert all(one.t_s <= two.t_s for one, two in pairwise(first))
    assert all(type(each) is Burst and type(each.t_s) is float for each in first)
    assert all(type(each.num_bytes) is int and each.num_bytes >= 1 for each in first)


@pytest.mark.parametrize("source", SOURCES)
def test_devices_can_be_read_side_by_side(source):
    one, two = source.bursts(Draws(1), 0), source.bursts(Draws(1), 1)
    mixed = [(next(one), next(two)) for _ in range(50)]
    assert [each for each, _ in mixed] == list(islice(source.bursts(Draws(1), 0), 50))
    assert [each for _, each in mixed] == list(islice(source.bursts(Draws(1), 1), 50))


def test_constant_rate_does_not_drift():
    bursts = list(islice(ConstantRate().bursts(Draws(5), 0), 10_000))
    times_s = np.array([each.t_s for each in bursts])
    np.testing.assert_allclose(times_s - 0.02 * np.arange(10_000), times_s[0], atol=1e-9)
    assert 0 <= times_s[0] < 0.02
    assert {each.num_bytes for each in bursts} == {160}


def test_on_off_ticks_by_the_clock_of_on_time():
    """Gaps are whole on times plus the off time between: none is shorter than the tick."""
    times_s = np.array([each.t_s for each in islice(OnOff().bursts(Draws(5), 0), 10_000)])
    gaps_s = np.diff(times_s)
    assert gaps_s.min() > 0.02 - 1e-9
    same = np.isclose(gaps_s, 0.02, atol=1e-9)
    assert 0.9 < same.mean() < 1


def test_on_off_that_is_never_off_is_a_constant_rate():
    source = OnOff.model_validate({"on": "1 h", "off": "1 us"})
    times_s = np.array([each.t_s for each in islice(source.bursts(Draws(5), 1), 100)])
    np.testing.assert_allclose(np.diff(times_s), 0.02, atol=1e-4)


def test_sizes_of_one_byte_stay_that():
    source = Poisson.model_validate({"size": "1 B", "size_law": "exponential"})
    assert {each.num_bytes for each in islice(source.bursts(Draws(1), 0), 100)} == {1}


@pytest.mark.parametrize("kind", [Poisson, OnOff, ConstantRate])
@pytest.mark.parametrize("size", ["0 B", "1.5 B", "-3 B"])
def test_sizes_are_whole_bytes(kind, size):
    with pytest.raises(ValidationError, match="expected a whole number of bytes"):
        kind.model_validate({"size": size})
    assert kind.model_validate({"size": "1.5 kB"}).size_bytes == 1500


@pytest.mark.parametrize("kind", [Poisson, OnOff, ConstantRate])
def test_a_rate_is_above_zero(kind):
    with pytest.raises(ValidationError, match="greater than 0"):
        kind.model_validate({"rate": "0 bps"})
    with pytest.raises(ValidationError, match="with its unit"):
        kind.model_validate({"rate": 1000})


@pytest.mark.parametrize("key", ["on", "off"])
def test_on_and_off_times_are_above_zero(key):
    with pytest.raises(ValidationError, match="greater than 0"):
        OnOff.model_validate({key: "0 s"})


def test_an_unknown_law_of_sizes():
    with pytest.raises(ValidationError, match="fixed"):
        Poisson.model_validate({"size_law": "pareto"})
