"""Circular motion: a polygon that keeps to its circle, to its period and to its speed."""

from itertools import islice

import numpy as np
import pytest
from world_helpers import member, paths_of

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.area.rectangle import Rectangle
from cosim.world.mobility.circular import Circular

AREA = Rectangle(width_m=300.0, height_m=200.0)


@pytest.mark.parametrize("radius_m", [0.02, 1.0, 50.0, 90.0])
@pytest.mark.parametrize("deviation_m", [0.001, 0.01, 0.5])
def test_no_point_is_farther_from_the_circle_than_allowed(radius_m, deviation_m):
    mobility = Circular(
        radius_m=radius_m, centre_m=(40.0, -5.0), deviation_m=deviation_m, speed_mps=(2.0, 2.0)
    )
    period_s = 2 * np.pi * radius_m / 2.0
    paths = paths_of([mobility], AREA)
    t_s = np.linspace(0.0, 1.01 * period_s, 5000)
    radii_m = np.hypot(*(paths.at(np.zeros(5000, dtype=int), t_s)[:, :2] - (40.0, -5.0)).T)
    assert np.abs(radii_m - radius_m).max() <= deviation_m
    # No more sides than about needed: a tenth more chords than the bound asks for.
    if mobility.num_sides() > 20:
        assert np.abs(radii_m - radius_m).max() > 0.75 * deviation_m


def test_the_place_is_the_circle_s_at_every_time():
    # Without a drift: 100 laps on, within the same centimetre, along the circle too.
    mobility = Circular(radius_m=50.0, speed_mps=(3.0, 3.0))
    paths = paths_of([mobility], AREA)
    start = paths.at(0, 0.0)
    phase = np.arctan2(start[1], start[0])
    t_s = np.linspace(0.0, 100 * 2 * np.pi * 50.0 / 3.0, 20_011)
    here_m = paths.at(np.zeros(t_s.size, dtype=int), t_s)[:, :2]
    angle = phase + 3.0 * t_s / 50.0
    ideal_m = 50.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert np.hypot(*(here_m - ideal_m).T).max() <= 0.0101


def test_speed_is_exact_on_every_leg_and_the_device_s_own():
    mobility = Circular(radius_m=50.0, speed_mps=(1.0, 9.0))
    of_device = []
    for device in range(50):
        path = list(islice(mobility.path(Draws(2), member(AREA, device)), 7))
        t_s = np.concatenate([k.t_s for k in path])
        xy_m = np.concatenate([k.xy_m for k in path])
        speed_mps = np.hypot(*np.diff(xy_m, axis=0).T) / np.diff(t_s)
        assert speed_mps == pytest.approx(speed_mps[0], rel=1e-6)
        of_device.append(speed_mps[0])
    assert 1.0 <= min(of_device) < 2.0
    assert 8.0 < max(of_device) <= 9.0


@pytest.mark.parametrize(("clockwise", "sign"), [(False, 1.0), (True, -1.0)])
def test_which_way_round(clockwise, sign):
    mobility = Circular(radius_m=20.0, clockwise=clockwise)
    before, after = (paths_of([mobility], AREA).at(0, t_s)[:2] for t_s in (0.0, 1.0))
    assert np.sign(before[0] * after[1] - before[1] * after[0]) == sign


def test_at_speed_zero_a_device_stays():
    paths = paths_of([Circular(radius_m=20.0, speed_mps=(0.0, 0.0))], AREA)
    assert (paths.at(0, 0.0) == paths.at(0, 1e9)).all()


def test_a_circle_that_leaves_the_area_is_refused():
    path = Circular(radius_m=60.0, centre_m=(0.0, 50.0)).path(Draws(1), member(AREA))
    with pytest.raises(ValueError, match=r"circle inside the area.*radius 60.0 m about \(0.0, 50"):
        next(path)
    # Its corners are beyond it: the very border needs a circle a little smaller.
    with pytest.raises(ValueError, match=r"corners up to 0\.0041 m beyond it; make it smaller"):
        next(Circular(radius_m=50.0).path(Draws(1), member(Disc(radius_m=50.0))))


@pytest.mark.parametrize("bad", [{}, {"radius": "0 m"}, {"radius": "1 m", "deviation": "0 m"}])
def test_mistakes_are_refused(bad):
    with pytest.raises(ValueError, match="validation error"):
        Circular.model_validate(bad)
