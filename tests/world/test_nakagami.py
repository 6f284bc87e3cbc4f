"""Block Nakagami: its inverse law, and what it is addressed by; moments are in tests/validation."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import gammaincinv

from cosim.rng import Draws
from cosim.world.fading import nakagami
from cosim.world.fading.base import FadingInstant
from cosim.world.fading.nakagami import Nakagami


def no_doppler():
    raise AssertionError("block fading needs no Doppler phase")


def power(fading, low, high, t_s, seed=2):
    instant = FadingInstant(np.asarray(low), np.asarray(high), np.asarray(t_s, float), no_doppler)
    return fading.power(Draws(seed), instant)


@pytest.mark.parametrize("m", [0.5, 0.77, 1.0, 1.5, 3.0, 20.0, 1000.0])
def test_the_inverse_law_is_scipys(m):
    # Bulk, both tails down to 1e-15, and the least and greatest numbers that are ever drawn.
    tail = np.logspace(-15, -1, 500)
    u = np.concatenate([tail, np.linspace(0.1, 0.9, 1001), 1.0 - tail[::-1]])
    u = np.append(u, [2.0**-53, 1.0 - 2.0**-53])
    assert nakagami._inverse(m, u) == pytest.approx(gammaincinv(m, u), rel=2e-7)
    assert (np.diff(nakagami._inverse(m, np.sort(u))) >= 0.0).all()
    assert 0.0 <= nakagami._inverse(m, np.zeros(1))[0] <= gammaincinv(m, 2.0**-53)


def test_with_m_one_it_is_the_exponential_law_of_rayleigh_fading():
    u = Draws(2).uniform("nakagami", 3, 8, np.arange(1000))
    fading = Nakagami(m=1.0, coherence_time_s=1.0)
    assert power(fading, 3, 8, np.arange(1000.0)) == pytest.approx(-np.log1p(-u), rel=2e-7)


def test_it_is_constant_in_a_block_and_the_same_in_every_shape():
    fading = Nakagami(m=2.0, coherence_time_s=0.5)
    low, high = np.array([[0], [0], [4]]), np.array([[1], [2], [9]])
    t_s = np.array([0.0, 0.4, 1.5, 1.9, 1e6])
    table = power(fading, low, high, t_s)
    assert (table[:, [0, 2]] == table[:, [1, 3]]).all()
    assert np.unique(table).size == 9
    for row in range(3):
        assert (power(fading, low[row], high[row], t_s) == table[row]).all()
        dense = power(fading, low[row, 0], high[row, 0], np.arange(0.0, 5.0, 0.05))
        assert (dense[[0, 30]] == table[row, [0, 2]]).all()
    for column in range(5):
        assert (power(fading, low, high, t_s[column])[:, 0] == table[:, column]).all()
    assert power(fading, 0, 1, 3.0).shape == ()
    assert fading.sample_interval_s(10.0) == 0.5


def test_keys():
    assert Nakagami.model_validate({"m": 0.5, "coherence_time": "20 ms"}).coherence_time_s == 0.02
    with pytest.raises(ValidationError, match=r"greater than or equal to 0\.5"):
        Nakagami.model_validate({"m": 0.4})
