"""Random direction: the shape of its paths; their laws are checked in tests/validation."""

from itertools import islice

import numpy as np
import pytest
from world_helpers import member

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.area.rectangle import Rectangle
from cosim.world.mobility.random_direction import RandomDirection

WIDE = Rectangle(width_m=1e7, height_m=1e7)  # no border is met


def knots(mobility: RandomDirection, area, device: int, stretches: int = 7):
    path = list(islice(mobility.path(Draws(5), member(area, device)), stretches))
    return np.concatenate([k.t_s for k in path]), np.concatenate([k.xy_m for k in path])


def test_legs_have_times_and_speeds_of_their_ranges_and_pauses_between():
    mobility = RandomDirection(
        speed_mps=(1.0, 3.0), travel_time_s=(20.0, 30.0), pause_s=(2.0, 10.0)
    )
    for device in range(20):
        t_s, xy_m = knots(mobility, WIDE, device)
        duration_s, length_m = np.diff(t_s), np.hypot(*np.diff(xy_m, axis=0).T)
        travels, pauses = duration_s[2::2], duration_s[3::2]  # the first may be under way
        assert ((travels >= 20.0) & (travels <= 30.0)).all()
        assert ((pauses >= 2.0 - 1e-9) & (pauses <= 10.0 + 1e-9)).all()
        assert (length_m[3::2] == 0.0).all()
        speed_mps = length_m[2::2] / travels
        assert ((speed_mps >= 1.0 - 1e-9) & (speed_mps <= 3.0 + 1e-9)).all()
        assert np.ptp(speed_mps) > 1.0


def test_without_pauses_there_are_none():
    t_s, xy_m = knots(RandomDirection(), WIDE, 0)
    assert (np.diff(t_s) > 0.0).all()
    assert (np.hypot(*np.diff(xy_m, axis=0).T) > 0.0).all()


def test_speeds_may_be_zero_for_legs_have_times():
    t_s, xy_m = knots(RandomDirection(speed_mps=(0.0, 0.0)), WIDE, 0)
    assert xy_m == pytest.approx(np.broadcast_to(xy_m[0], xy_m.shape), abs=1e-6)
    assert t_s[-1] > 1000.0


def test_the_border_turns_a_leg_that_goes_on_at_its_speed():
    # One leg of 1e6 s at 2 m/s in a disc of 50 m: chords of one length, for ever.
    mobility = RandomDirection(speed_mps=(2.0, 2.0), travel_time_s=(1e4, 1e4))
    t_s, xy_m = knots(mobility, Disc(radius_m=50.0), 3, stretches=2)
    chords_m = np.hypot(*np.diff(xy_m, axis=0).T)
    assert chords_m / np.diff(t_s) == pytest.approx(2.0)
    touches = np.abs(np.hypot(*xy_m.T) - 50.0) < 1e-9
    assert touches.sum() > 500
    whole = touches[:-1] & touches[1:]
    leg = np.searchsorted(np.flatnonzero(~touches), np.flatnonzero(whole))
    assert max(np.ptp(chords_m[whole][leg == number]) for number in set(leg.tolist())) < 1e-6


def test_pause_probability_in_closed_form():
    mobility = RandomDirection(travel_time_s=(10.0, 30.0), pause_s=(0.0, 10.0))
    assert mobility.pause_probability() == pytest.approx(5.0 / 25.0)
    assert RandomDirection().pause_probability() == 0.0


def test_travel_times_of_zero_are_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"travel times above 0 s.*got 0.0 s"):
        RandomDirection.model_validate({"travel_time": "0 s"})


@pytest.mark.parametrize(
    "bad", [{"speed": ("3 m/s", "1 m/s")}, {"pause": ("-1 s", "3 s")}, {"leg": "3 m"}]
)
def test_other_mistakes_are_refused(bad):
    with pytest.raises(ValueError, match="validation error"):
        RandomDirection.model_validate(bad)
