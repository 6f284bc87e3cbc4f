"""Static devices: one point for ever, given or drawn."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import cKDTree
from world_helpers import member, paths_of

from cosim.rng import Draws
from cosim.scenario.tree import Scenario
from cosim.world.area.disc import Disc
from cosim.world.area.rectangle import Rectangle
from cosim.world.mobility.base import Member
from cosim.world.mobility.static import Static

AREA = Disc(radius_m=50.0)
NARROW = Rectangle(width_m=1000.0, height_m=1.0)
TALL = Rectangle(width_m=1.0, height_m=1000.0)


def test_a_drawn_device_stays_and_each_has_its_own_point():
    paths = paths_of([Static()] * 20, AREA)
    first, later = paths.at(np.arange(20), 0.0), paths.at(np.arange(20), 1e9)
    assert (first == later).all()
    assert np.unique(first, axis=0).shape == (20, 3)
    assert AREA.contains(first).all()


def test_the_point_depends_on_the_seed_and_not_on_other_devices():
    few, many = (paths_of([Static()] * n, AREA) for n in (2, 9))
    assert (few.at(1, 0.0) == many.at(1, 0.0)).all()
    assert (paths_of([Static()] * 2, AREA, seed=4).at(1, 0.0) != few.at(1, 0.0)).any()


def test_a_given_point_is_read_with_its_unit():
    mobility = Static.model_validate({"position": ("3 m", "-0.02 km")})
    assert paths_of([mobility], AREA).at(0, 5.0).tolist() == [3.0, -20.0, 0.0]
    assert mobility.max_speed_mps(member(AREA)) == 0.0


def test_a_given_point_outside_the_area_is_refused():
    paths = paths_of([Static(position_m=(51.0, 0.0))], AREA)
    with pytest.raises(ValueError, match=r"position of device 0.*got \(51.0, 0.0\) m"):
        paths.at(0, 0.0)


def test_given_points_are_the_devices_of_the_group_in_order():
    mobility = Static.model_validate({"positions": (("3 m", "4 m"), ("0 m", "-5 m"))})
    assert mobility.num_members(Path()) == 2
    # The index in the group counts, not the number in the scenario.
    second = next(mobility.path(Draws(1), Member(17, 1, 2, 3, AREA)))
    assert second.xy_m.tolist() == [[0.0, -5.0]]
    assert Static().num_members(Path()) is None


def test_fewer_devices_than_points_take_the_first_and_more_are_refused():
    mobility = Static(positions_m=((3.0, 4.0), (0.0, -5.0)))
    assert next(mobility.path(Draws(1), member(AREA))).xy_m.tolist() == [[3.0, 4.0]]
    with pytest.raises(ValueError, match=r"of group 2: expected a point for each of its 3"):
        next(mobility.path(Draws(1), member(AREA, 0, 3, group=2)))


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"position": ("0 m", "0 m"), "positions": (("0 m", "0 m"),)}, "position and positions"),
        ({"position": ("0 m", "0 m"), "placement": "grid"}, "position and placement: grid"),
        ({"positions": (("0 m", "0 m"),), "placement": "grid"}, "positions and placement: grid"),
    ],
)
def test_contradictory_placements_are_refused(keys, found):
    with pytest.raises(ValueError, match=rf"at most one of position, positions.*got {found}"):
        Static.model_validate(keys)


def test_a_list_of_no_points_is_refused():
    with pytest.raises(ValueError, match="positions"):
        Static.model_validate({"positions": ()})


def grid_m(area, count):
    return paths_of([Static(placement="grid")] * count, area).at(np.arange(count), 0.0)[:, :2]


def test_a_grid_in_a_rectangle_by_hand():
    points_m = grid_m(Rectangle(width_m=40.0, height_m=20.0), 8)
    assert points_m.tolist() == [[x, y] for y in (-5.0, 5.0) for x in (-15.0, -5.0, 5.0, 15.0)]


@pytest.mark.parametrize(
    "area", [Disc(radius_m=100.0), Rectangle(width_m=400.0, height_m=50.0), NARROW, TALL]
)
@pytest.mark.parametrize("count", [1, 2, 5, 10, 37, 100, 1000])
def test_a_grid_is_inside_has_every_device_and_covers_the_area(area, count):
    points_m = grid_m(area, count)
    assert area.contains(points_m).all()
    assert np.unique(np.round(points_m, 9), axis=0).shape == (count, 2)
    # Cells are nearly square, so neighbours are about as far apart as the area of each asks for,
    # and no place of the area is much farther from a point. (In a narrow area, one row.)
    x_min, y_min, x_max, y_max = area.extent_m()
    apart_m = max(np.sqrt(area.size_m2() / count), max(x_max - x_min, y_max - y_min) / count)
    tree = cKDTree(points_m)
    if count > 1:
        assert tree.query(points_m, k=2)[0][:, 1].min() > 0.6 * apart_m
    places_m = area.place(Draws(1).generator("places").random((2000, 2)))
    assert tree.query(places_m)[0].max() < 1.75 * apart_m


def test_a_density_is_a_poisson_placement():
    # Over 400 seeds: the count is Poisson (mean 50 / km2 in pi 0.2^2 km2: dispersion index by
    # chi-square, mean by 4 sigma), and the number in the inner half of the area, given the count,
    # is binomial with 1/2. Two-sided, false-alarm rate 1e-3 each.
    counts, inner = [], 0
    for seed in range(400):
        scenario = Scenario.model_validate(
            {
                "seed": seed,
                "area": {"kind": "disc", "radius": "200 m"},
                "devices": ({"density": "50 /km2", "mobility": {"kind": "static"}},),
            }
        )
        (count,) = scenario.group_sizes
        counts.append(count)
        for device in range(count):
            place = member(scenario.area, device, count)
            knots = next(scenario.devices[0].mobility.path(Draws(seed), place))
            inner += int(np.hypot(*knots.xy_m[0]) < 200.0 / np.sqrt(2.0))
    mean = 50.0 * np.pi * 0.2**2
    assert abs(np.mean(counts) - mean) < 4 * np.sqrt(mean / 400)
    dispersion = np.var(counts, ddof=1) / np.mean(counts) * 399
    assert 5e-4 < stats.chi2.cdf(dispersion, 399) < 1 - 5e-4
    assert stats.binomtest(inner, sum(counts), 0.5).pvalue > 1e-3
