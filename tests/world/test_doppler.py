"""Doppler phase: closed forms, and numerical integration of the relative motion."""

import numpy as np
import pytest
from world_helpers import paths_of

from cosim.world.area.disc import Disc
from cosim.world.doppler import DopplerPhases
from cosim.world.mobility.random_waypoint import RandomWaypoint
from cosim.world.mobility.static import Static
from cosim.world.paths import Paths

AREA = Disc(radius_m=60.0)
WAVELENGTH_M = 0.1
WALKER = RandomWaypoint(speed_mps=(1.0, 3.0), pause_s=(0.0, 10.0))


def phases(*mobilities) -> tuple[Paths, DopplerPhases]:
    paths = paths_of(mobilities, AREA, seed=11)
    return paths, DopplerPhases(paths, WAVELENGTH_M)


def test_against_numerical_integration():
    paths, links = phases(*[WALKER] * 4)
    t_s, step_s = np.linspace(0.0, 600.0, 600_001, retstep=True)
    for low, high in [(0, 1), (1, 3), (0, 2)]:
        relative_m = (paths.at(low, t_s) - paths.at(high, t_s))[:, :2]
        moved_m = np.hypot(*np.diff(relative_m, axis=0).T)
        summed = np.concatenate([[0.0], np.cumsum(moved_m)]) / WAVELENGTH_M
        # The sum of chords cuts each corner of the relative path, by at most a step's length.
        num_corners = sum(paths.legs(end, 600.0).start_s.size for end in (low, high))
        slack = num_corners * 6.0 * step_s / WAVELENGTH_M
        exact = links.cycles(low, high, t_s)
        assert np.abs(exact - summed).max() < slack < 1e-3 * exact[-1]


def test_towards_a_fixed_device_it_is_the_path_length():
    _, links = phases(RandomWaypoint(speed_mps=(2.0, 2.0)), Static())
    t_s = np.array([0.0, 1.0, 100.0, 3600.0])
    assert links.cycles(0, 1, t_s) == pytest.approx(2.0 * t_s / WAVELENGTH_M)


def test_two_fixed_devices_and_a_device_with_itself_have_none():
    _, links = phases(Static(), Static(), WALKER)
    assert (links.cycles(0, 1, [0.0, 1e6]) == 0.0).all()
    assert (links.cycles(2, 2, [0.0, 1e3]) == 0.0).all()


def test_it_is_the_same_however_far_it_is_carried_at_a_time():
    t_s = np.linspace(0.0, 2000.0, 501)
    _, at_once = phases(WALKER, WALKER)
    expected = at_once.cycles(0, 1, t_s)
    _, stepwise = phases(WALKER, WALKER)
    assert all(stepwise.cycles(0, 1, t) == value for t, value in zip(t_s, expected, strict=True))
    _, jumping = phases(WALKER, WALKER)
    jumping.cycles(0, 1, 50_000.0)
    assert (jumping.cycles(0, 1, t_s) == expected).all()


def test_links_may_come_one_by_one_or_together():
    _, together = phases(*[WALKER] * 6)
    _, apart = phases(*[WALKER] * 6)
    low, high = np.triu_indices(6)
    table = together.cycles(low[:, None], high[:, None], [3.0, 70.0, 900.0])
    for k in reversed(range(low.size)):
        assert (apart.cycles(low[k], high[k], [3.0, 70.0, 900.0]) == table[k]).all()
    assert (apart.cycles([0, 0], [1, 1], 70.0) == table[1, 1]).all()  # a link given twice


def test_links_that_are_forgotten_come_back_the_same():
    paths, links = phases(*[WALKER] * 8)
    few = DopplerPhases(paths, WAVELENGTH_M, kept=3)
    low, high = np.triu_indices(8, 1)
    for t_s in (5.0, 400.0, 100.0):
        for ends in zip(low, high, strict=True):
            assert (
                few.cycles(*ends, [t_s, t_s + 60.0]) == links.cycles(*ends, [t_s, t_s + 60.0])
            ).all()
    assert len(few) <= 8  # two generations of kept + 1
    assert len(links) == low.size
    assert (few.cycles(low, high, 50.0) == links.cycles(low, high, 50.0)).all()
