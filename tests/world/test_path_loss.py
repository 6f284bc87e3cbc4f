"""Path loss against numbers worked out by hand."""

import numpy as np
import pytest

from cosim.world.path_loss.base import Geometry
from cosim.world.path_loss.free_space import FreeSpace
from cosim.world.path_loss.log_distance import LogDistance


def loss_db(model, distance_m, carrier_hz=3.5e9):
    return model.loss_db(Geometry(np.asarray(distance_m, dtype=float), carrier_hz))


@pytest.mark.parametrize("distance_m", [1.0, 37.0, 100.0, 5000.0])
@pytest.mark.parametrize("carrier_ghz", [0.7, 2.0, 28.0])
def test_free_space_is_the_engineering_formula(distance_m, carrier_ghz):
    # 32.45 is 32.4478 rounded.
    expected = 20 * np.log10(distance_m) + 20 * np.log10(carrier_ghz) + 32.45
    assert loss_db(FreeSpace(), distance_m, carrier_ghz * 1e9) == pytest.approx(expected, abs=3e-3)


def test_free_space_is_friis():
    wavelength_m = 299_792_458.0 / 2.4e9
    gain = (wavelength_m / (4 * np.pi * 120.0)) ** 2
    assert 10 ** (-loss_db(FreeSpace(), 120.0, 2.4e9) / 10) == pytest.approx(gain, rel=1e-12)


def test_log_distance_of_exponent_two_is_free_space():
    distances_m = np.geomspace(1.0, 1e4, 30)
    difference = loss_db(LogDistance(exponent=2.0), distances_m) - loss_db(FreeSpace(), distances_m)
    assert np.abs(difference).max() < 1e-10


def test_log_distance_grows_by_ten_exponents_per_decade_from_its_reference():
    model = LogDistance(exponent=3.2, reference_loss_db=40.0, reference_m=5.0)
    assert loss_db(model, [5.0, 50.0, 500.0]) == pytest.approx([40.0, 72.0, 104.0])


def test_the_papers_inverse_square_gain():
    model = LogDistance.model_validate({"exponent": 2, "reference_loss": "0 dB"})
    distances_m = np.array([1.0, 10.0, 250.0])
    assert 10 ** (-loss_db(model, distances_m) / 10) == pytest.approx(distances_m**-2.0)


@pytest.mark.parametrize("kind", [FreeSpace, LogDistance])
def test_nearer_than_the_least_distance_counts_as_that(kind):
    near, edge = loss_db(kind(), [0.0, 0.3, 1.0, 1.1])[[0, 1, 3]], loss_db(kind(), 1.0)
    assert (near[:2] == edge).all()
    assert near[2] > edge
    assert loss_db(kind(min_distance_m=10.0), 0.0) == loss_db(kind(), 10.0)


@pytest.mark.parametrize("kind", [FreeSpace, LogDistance])
def test_shapes_are_kept(kind):
    assert loss_db(kind(), np.ones((2, 1, 3))).shape == (2, 1, 3)
    assert np.shape(loss_db(kind(), 3.0)) == ()
