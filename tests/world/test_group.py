"""Reference point group mobility: what members share, and what is each one's own."""

import numpy as np
import pytest
from world_helpers import member

from cosim.plugin import plain
from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.area.rectangle import Rectangle
from cosim.world.mobility.base import Knots, Mobility
from cosim.world.mobility.gauss_markov import GaussMarkov
from cosim.world.mobility.group import Group
from cosim.world.mobility.random_waypoint import RandomWaypoint
from cosim.world.mobility.static import Static
from cosim.world.paths import Paths

AREA = Rectangle(width_m=300.0, height_m=200.0)
LEADER = RandomWaypoint(speed_mps=(1.0, 3.0), pause_s=(0.0, 20.0))
TIMES_S = np.arange(0.0, 3000.0, 3.7)


def at(mobility: Mobility, numbers, group=0, area=AREA, t_s=TIMES_S, seed=6):
    """Return the points [len(numbers), T, 2] of devices of one group."""
    members = [member(area, device, 99, group) for device in numbers]
    paths = Paths(Draws(seed), [mobility] * len(members), members)
    return paths.at(np.arange(len(members))[:, np.newaxis], t_s)[..., :2]


@pytest.mark.parametrize("leader", [LEADER, GaussMarkov(), Group(leader=LEADER, radius_m=20.0)])
def test_members_stay_together_and_in_the_area(leader):
    points_m = at(Group(leader=leader, radius_m=15.0), range(5))
    apart_m = np.hypot(*(points_m[0] - points_m).T)
    assert apart_m.max() <= 30.0
    assert apart_m[:, 1:].min(axis=0).max() < 15.0
    assert np.unique(points_m[:, 0], axis=0).shape == (5, 2)
    assert AREA.contains(points_m).all()


def test_the_reference_is_the_leader_s_path_of_the_group():
    # With hardly any radius members are where a single leader of the group's own draws is.
    mobility = Group(leader=LEADER, radius_m=1e-6, renew_s=7.0)
    leader_paths = Paths(
        Draws(6).child("group_leader", 3), [LEADER], [member(AREA.inset(1e-6), group=3)]
    )
    reference_m = leader_paths.at(np.zeros(TIMES_S.size, dtype=int), TIMES_S)[:, :2]
    for points_m in at(mobility, [0, 40], group=3):
        assert np.hypot(*(points_m - reference_m).T).max() <= 1.1e-6
    other_m = at(mobility, [0], group=2)[0]
    assert np.hypot(*(other_m - reference_m).T).max() > 10.0


def test_offsets_do_not_depend_on_the_leader():
    still, moving = (Group(leader=leader) for leader in (Static(position_m=(0.0, 0.0)), LEADER))
    offset_m = at(still, [1, 2])
    difference_m = at(moving, [1, 2]) - offset_m
    assert difference_m[0] == pytest.approx(difference_m[1], abs=1e-9)
    assert np.hypot(*offset_m.T).max() <= 10.0


def test_the_offset_s_corners_are_a_renewal_apart():
    mobility = Group(leader=Static(position_m=(0.0, 0.0)), renew_s=5.0)
    path = mobility.path(Draws(6), member(AREA))
    t_s = np.concatenate([next(path).t_s for _ in range(5)])
    assert t_s[0] == 0.0
    assert 0.0 < t_s[1] <= 5.0
    assert np.diff(t_s[1:]) == pytest.approx(5.0)
    assert t_s.size == 16


class Jumping(Mobility):
    """A reference that is gone from one point to another between two knots of one time."""

    def max_speed_mps(self, member):
        return 1.0

    def presence_s(self, member):
        return 2.0, 60.0

    def path(self, draws, member):
        yield Knots(np.array([0.0, 0.0]), np.array([[5.0, 0.0], [6.0, 0.0]]))
        yield Knots(np.array([12.0, 12.0, 20.0]), np.array([[18.0, 0.0], [90.0, 0.0], [90.0, 8.0]]))


def test_a_leader_s_path_may_jump_and_end():
    member_m = at(Group(leader=Jumping(), radius_m=1e-6), [0])[0]
    before, after = TIMES_S < 12.0, TIMES_S > 12.0
    line_m = np.stack([6.0 + TIMES_S, np.zeros_like(TIMES_S)], axis=1)
    assert member_m[before] == pytest.approx(line_m[before], abs=1e-5)
    end_m = np.stack([np.full_like(TIMES_S, 90.0), np.clip(TIMES_S - 12.0, 0.0, 8.0)], axis=1)
    assert member_m[after] == pytest.approx(end_m[after], abs=1e-5)


def test_the_leader_s_presence_and_speed_are_the_group_s():
    mobility = Group(leader=Jumping(), radius_m=10.0, renew_s=4.0)
    assert mobility.presence_s(member(AREA)) == (2.0, 60.0)
    assert mobility.max_speed_mps(member(AREA)) == 1.0 + 20.0 / 4.0


def test_a_leader_is_a_mobility_with_its_keys():
    mobility = Group.model_validate(
        {"leader": {"kind": "random_waypoint", "speed": "2 m/s"}, "radius": "5 m", "renew": "3 s"}
    )
    assert mobility.leader == RandomWaypoint(speed_mps=(2.0, 2.0))
    assert Group.model_validate({k: v for k, v in plain(mobility).items() if k != "kind"}) == (
        mobility
    )
    assert Group.model_validate({}).leader == RandomWaypoint()


def test_a_wrong_leader_is_refused_where_it_is():
    with pytest.raises(ValueError, match=r"leader\n.*got 'random_wapoint'; did you mean"):
        Group.model_validate({"leader": "random_wapoint"})


def test_an_area_too_narrow_for_the_radius_is_refused():
    with pytest.raises(ValueError, match=r"margin to the area's border below 8.0 m, got 10.0 m"):
        next(Group().path(Draws(1), member(Disc(radius_m=8.0))))


@pytest.mark.parametrize("bad", [{"radius": "0 m"}, {"renew": "0 s"}, {"spread": "1 m"}])
def test_other_mistakes_are_refused(bad):
    with pytest.raises(ValueError, match="validation error"):
        Group.model_validate(bad)
