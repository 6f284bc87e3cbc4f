"""Random waypoint: the shape of its paths; their laws are checked in tests/validation."""

from itertools import islice

import numpy as np
import pytest
from world_helpers import member

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.area.rectangle import Rectangle
from cosim.world.mobility.random_waypoint import RandomWaypoint

AREA = Rectangle(width_m=100.0, height_m=60.0)


def knots(mobility: RandomWaypoint, device: int, stretches: int = 12):
    path = list(islice(mobility.path(Draws(5), member(AREA, device)), stretches))
    return np.concatenate([k.t_s for k in path]), np.concatenate([k.xy_m for k in path])


def test_paths_start_at_zero_go_on_in_time_and_stay_inside():
    mobility = RandomWaypoint(speed_mps=(1.0, 3.0), pause_s=(0.0, 10.0))
    for device in range(20):
        t_s, xy_m = knots(mobility, device)
        assert t_s[0] == 0.0
        assert (np.diff(t_s) > 0).all()
        assert AREA.contains(xy_m).all()


@pytest.mark.parametrize("pause_s", [(0.0, 0.0), (2.0, 10.0)])
def test_legs_are_walked_at_speeds_of_the_range_and_pauses_last_as_long_as_given(pause_s):
    mobility = RandomWaypoint(speed_mps=(1.0, 3.0), pause_s=pause_s)
    for device in range(20):
        t_s, xy_m = knots(mobility, device)
        length_m, duration_s = np.hypot(*np.diff(xy_m, axis=0).T), np.diff(t_s)
        resting = length_m == 0.0
        speed_mps = length_m[~resting] / duration_s[~resting]
        assert speed_mps.min() >= 1.0 - 1e-9
        assert speed_mps.max() <= mobility.max_speed_mps(member(AREA)) + 1e-9
        assert np.ptp(speed_mps) > 1.0  # a new speed for each leg
        whole_pause_s = duration_s[resting][1:]  # the first may be what is left of one
        if pause_s[1]:
            assert (whole_pause_s >= 2.0 - 1e-9).all()
            assert (whole_pause_s <= 10.0 + 1e-9).all()
            assert abs(resting.mean() - 0.5) < 0.01
        else:
            assert not resting.any()


def test_waypoints_do_not_depend_on_the_speed():
    # The same addresses: a sweep over speeds sends the devices to the same points.
    slow = RandomWaypoint(speed_mps=(1.0, 1.0))
    fast = RandomWaypoint(speed_mps=(9.0, 9.0))
    assert (knots(slow, 3)[1] == knots(fast, 3)[1]).all()


def test_a_fixed_speed_is_a_range_of_one():
    mobility = RandomWaypoint.model_validate({"speed": "7.2 km/h", "pause": "5 s"})
    assert mobility.speed_mps == pytest.approx((2.0, 2.0))
    t_s, xy_m = knots(mobility, 0)
    legs = np.hypot(*np.diff(xy_m, axis=0).T) > 0
    assert (np.hypot(*np.diff(xy_m, axis=0).T) / np.diff(t_s))[legs] == pytest.approx(2.0)


def test_pause_probability_in_closed_form():
    mobility = RandomWaypoint(speed_mps=(1.0, 3.0), pause_s=(0.0, 20.0))
    travel_s = 128 * 200 / (45 * np.pi) * np.log(3) / 2  # E[L] E[1/V]
    assert mobility.pause_probability(Disc(radius_m=200.0)) == pytest.approx(10 / (10 + travel_s))


def test_a_least_speed_of_zero_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"least speed above 0 m/s.*decays.*got 0.0 m/s"):
        RandomWaypoint.model_validate({"speed": ("0 m/s", "3 m/s")})


@pytest.mark.parametrize(
    "bad",
    [
        {"speed": ("3 m/s", "1 m/s")},
        {"speed": (1.0, 3.0)},
        {"pause": ("-1 s", "3 s")},
        {"velocity": "1 m/s"},
    ],
)
def test_other_mistakes_are_refused(bad):
    with pytest.raises(ValueError, match="validation error"):
        RandomWaypoint.model_validate(bad)
