"""Static devices: one point for ever, given or drawn."""

import numpy as np
import pytest
from world_helpers import member, paths_of

from cosim.world.area.disc import Disc
from cosim.world.mobility.static import Static

AREA = Disc(radius_m=50.0)


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
