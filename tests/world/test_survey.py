"""What mobility models tell of themselves before a run."""

import math
from pathlib import Path

import pytest

from cosim.world.area.disc import Disc
from cosim.world.mobility.gauss_markov import GaussMarkov
from cosim.world.mobility.group import Group
from cosim.world.mobility.manhattan import Manhattan
from cosim.world.mobility.random_direction import RandomDirection
from cosim.world.mobility.static import Static

AREA = Disc(radius_m=500.0)


def test_a_leg_takes_as_long_as_a_step_where_the_border_is_far():
    survey = GaussMarkov(step_s=0.25).survey(Disc(radius_m=1e5), 3, Path())
    assert survey.leg_s == pytest.approx(0.25)
    assert survey.max_speed_mps == 1.0 + 4.0 * 0.5


def test_a_leg_takes_as_long_as_a_block():
    walk = Manhattan(block_width_m=100.0, block_height_m=100.0, speed_mps=(20.0, 20.0))
    # The first leg begins somewhere in a block, so that the first 63 take 62 to 63 blocks' time.
    assert walk.survey(AREA, 1, Path()).leg_s == pytest.approx(5.0, rel=0.02)


def test_what_does_not_move_has_no_legs():
    survey = Static().survey(AREA, 5, Path())
    assert (survey.max_speed_mps, survey.leg_s) == (0.0, math.inf)


def test_a_group_has_the_legs_of_its_leader_and_its_own():
    leader = GaussMarkov(step_s=1.0, mean_speed_mps=1.0, deviation_mps=0.0)
    survey = Group(leader=leader, radius_m=5.0, renew_s=1.0).survey(AREA, 2, Path())
    # Two knots a second of which the times differ, and a few on the border.
    assert 0.4 < survey.leg_s <= 0.51
    assert survey.max_speed_mps == 1.0 + 2.0 * 5.0


def test_steps_that_cross_the_area_without_end_are_refused():
    there_and_back = RandomDirection(speed_mps=(1.0, 1.0), travel_time_s=(1e7, 1e7))
    with pytest.raises(ValueError, match=r"998 m wide, at most 10000 times, got .* 1e\+07 m"):
        there_and_back.survey(Disc(radius_m=499.0), 1, Path())
    assert there_and_back.survey(AREA, 1, Path()).leg_s > 0.0
