"""Path loss against numbers worked out by hand, and what every model keeps to."""

import numpy as np
import pytest
from pydantic import ValidationError

from cosim.world.path_loss.base import Geometry
from cosim.world.path_loss.d2d import D2d
from cosim.world.path_loss.free_space import FreeSpace
from cosim.world.path_loss.inh import Inh
from cosim.world.path_loss.log_distance import LogDistance
from cosim.world.path_loss.two_ray import TwoRay
from cosim.world.path_loss.uma import Uma
from cosim.world.path_loss.umi import Umi
from cosim.world.path_loss.v2v import V2v

ALL = [
    FreeSpace(),
    LogDistance(),
    TwoRay(),
    TwoRay(permittivity=15.0),
    Umi(),
    Uma(),
    Inh(),
    Inh(office="open"),
    V2v(),
    V2v(environment="highway", blocked_by="buildings"),
    D2d(),
]
STATES = [m for m in ALL if m.line_of_sight_probability(Geometry(np.ones(1), 2e9)) is not None]


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


@pytest.mark.parametrize("model", ALL)
def test_shapes_are_kept(model):
    assert loss_db(model, np.ones((2, 1, 3))).shape == (2, 1, 3)
    assert np.shape(loss_db(model, 3.0)) == ()
    heights_m = np.array([1.5, 10.0, 3.0])
    sight = np.array([[True, False, False], [False, True, True]])
    geometry = Geometry(np.full((2, 3), 50.0), 3.5e9, heights_m, 1.5, sight)
    assert model.loss_db(geometry).shape == (2, 3)
    one = Geometry(np.array([50.0]), 3.5e9, heights_m[1:2], 1.5, sight[0, 1:2])
    assert model.loss_db(geometry)[0, 1] == model.loss_db(one)[0]


@pytest.mark.parametrize("model", ALL)
def test_a_loss_is_always_a_number(model):
    # At no distance, at no height, at heights that no table has, and very far.
    low_m, high_m = (np.ravel(m) for m in np.meshgrid([0.0, 1.0, 1.5, 30.0], [0.0, 1.5, 200.0]))
    for ground_m in (0.0, 1e-3, 10.0, 1e6):
        distance_m = np.hypot(ground_m, low_m - high_m)
        for sight in (True, False):
            found = model.loss_db(Geometry(distance_m, 5.9e9, low_m, high_m, sight))
            assert np.isfinite(found).all()
            assert (found > -10.0).all()


@pytest.mark.parametrize("model", [m for m in ALL if not isinstance(m, TwoRay)])
@pytest.mark.parametrize("sight", [True, False])
def test_farther_is_never_less_loss(model, sight):
    geometry = Geometry(np.geomspace(0.1, 1e4, 2000), 3.5e9, 1.5, 1.5, sight)
    steps = np.diff(model.loss_db(geometry))
    assert steps.min() > -1e-9


@pytest.mark.parametrize("model", STATES)
def test_models_with_states(model):
    distance_m = np.geomspace(0.1, 1e4, 2000)
    geometry = Geometry(distance_m, 3.5e9)
    probability = model.line_of_sight_probability(geometry)
    assert probability.shape == distance_m.shape
    assert ((probability >= 0.0) & (probability <= 1.0)).all()
    assert probability[0] == 1.0
    # The two parts of InH's curve meet within 0.01.
    assert np.diff(probability).max() < (0.01 if isinstance(model, Inh) else 1e-12)
    clear, blocked = (
        model.loss_db(Geometry(distance_m, 3.5e9, line_of_sight=state)) for state in (True, False)
    )
    if not isinstance(model, D2d):  # whose two formulas cross, as the standard has them
        assert (blocked >= clear).all()
    law = model.shadow(np.array([True, False]))
    assert np.shape(law.sigma_db) == np.shape(law.decorrelation_m) == (2,)


# Tables 7.4.1-1 and 7.5-6 of 38.901, Tables 6.2.1-1 and 6.2.3-1 of 37.885, 36.843 A.2.1.2.
@pytest.mark.parametrize(
    ("model", "sigma_db", "decorrelation_m", "rician_k_db", "correlation_m"),
    [
        (Umi(), (4.0, 7.82), (10.0, 13.0), (9.0, 5.0), 50.0),
        (Uma(), (4.0, 6.0), (37.0, 50.0), (9.0, 3.5), 50.0),
        (Inh(), (3.0, 8.03), (10.0, 6.0), (7.0, 4.0), 10.0),
        (V2v(), (3.0, 3.0), (10.0, 13.0), (3.48, 2.0), 50.0),
        (V2v(blocked_by="buildings"), (3.0, 4.0), (10.0, 13.0), (3.48, 2.0), 50.0),
        (D2d(), (7.0, 7.0), (10.0, 13.0), None, 50.0),
    ],
)
def test_constants_of_the_tables(model, sigma_db, decorrelation_m, rician_k_db, correlation_m):
    law = model.shadow(np.array([True, False]))
    assert tuple(law.sigma_db) == sigma_db
    assert tuple(law.decorrelation_m) == decorrelation_m
    assert model.rician_k_db == rician_k_db
    assert model.line_of_sight_correlation_m == correlation_m
    least_hz, most_hz = model.carrier_range_hz
    assert least_hz < 2e9 < most_hz


@pytest.mark.parametrize("model", [Umi(), Uma()])
def test_the_higher_end_is_the_base_station(model):
    distance_m = np.array([300.0])
    for sight in (True, False):
        there = model.loss_db(Geometry(distance_m, 3.5e9, 1.5, 25.0, sight))
        assert there == model.loss_db(Geometry(distance_m, 3.5e9, 25.0, 1.5, sight))
        # Lower antennas bring the breakpoint nearer.
        assert there <= model.loss_db(Geometry(distance_m, 3.5e9, 1.5, 1.5, sight))


def test_two_ray_swings_around_free_space():
    # Near by, where both rays are as strong as each other, between 6 dB less and far more.
    distance_m = np.linspace(50.0, 300.0, 200_000)
    gap_db = TwoRay().loss_db(Geometry(distance_m, 3.5e9, 10.0, 10.0)) - loss_db(
        FreeSpace(), distance_m
    )
    assert -6.03 < gap_db.min() < -5.9
    assert gap_db.max() > 20.0


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (TwoRay, {"permittivity": 1}),
        (TwoRay, {"polarisation": "circular"}),
        (Inh, {"office": "closed"}),
        (V2v, {"environment": "rural"}),
        (V2v, {"blocker_height": "0 m"}),
    ],
)
def test_nonsense_is_refused(kind, keys):
    with pytest.raises(ValidationError):
        kind.model_validate(keys)
