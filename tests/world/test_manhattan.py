"""Manhattan: the streets of an area and the shape of paths; laws are in tests/validation."""

from itertools import islice

import numpy as np
import pytest
from world_helpers import member

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.area.rectangle import Rectangle
from cosim.world.mobility._streets import streets_of
from cosim.world.mobility.manhattan import Manhattan

URBAN = Rectangle(width_m=1299.0, height_m=750.0)  # TR 36.885: three blocks by three


def knots(mobility: Manhattan, area, device: int, stretches: int = 8):
    path = list(islice(mobility.path(Draws(5), member(area, device)), stretches))
    return np.concatenate([k.t_s for k in path]), np.concatenate([k.xy_m for k in path])


def test_the_streets_of_the_urban_grid():
    streets = streets_of(URBAN, (433.0, 250.0))
    assert sorted(set(streets.crossings_m[:, 0])) == [-649.5, -216.5, 216.5, 649.5]
    assert sorted(set(streets.crossings_m[:, 1])) == [-375.0, -125.0, 125.0, 375.0]
    assert len(streets.crossings_m) == 16
    arms = np.count_nonzero(streets.next >= 0, axis=1)
    assert np.bincount(arms).tolist() == [0, 0, 4, 8, 4]  # corners, border, inside
    for crossing, following in enumerate(streets.next):
        for heading, there in enumerate(following):
            if there >= 0:
                ahead_m = streets.crossings_m[there] - streets.crossings_m[crossing]
                block = [(433, 0), (0, 250), (-433, 0), (0, -250)][heading]
                assert ahead_m == pytest.approx(np.array(block))
                assert streets.next[there, (heading + 2) % 4] == crossing


def test_blocks_that_do_not_divide_the_area_leave_an_even_margin():
    streets = streets_of(Rectangle(width_m=250.0, height_m=100.0), (100.0, 100.0))
    assert sorted(set(streets.crossings_m[:, 0])) == [-100.0, 0.0, 100.0]
    assert sorted(set(streets.crossings_m[:, 1])) == [-50.0, 50.0]


def test_the_streets_of_a_disc_are_inside_with_dead_ends():
    streets = streets_of(Disc(radius_m=200.0), (100.0, 100.0))
    # Of 5 x 5 crossings those at most 200 m away: 13.
    assert len(streets.crossings_m) == 13
    top = int(np.flatnonzero((streets.crossings_m == (0.0, 200.0)).all(axis=1))[0])
    assert streets.ways[4 * top + 1] == (3,)  # who comes up turns round
    middle = int(np.flatnonzero((streets.crossings_m == 0.0).all(axis=1))[0])
    assert streets.ways[4 * middle + 1] == (1, 2, 0)  # on, left, right


def test_paths_keep_to_the_streets_at_their_speeds():
    mobility = Manhattan(speed_mps=(5.0, 15.0))
    for device in range(10):
        t_s, xy_m = knots(mobility, URBAN, device)
        assert t_s[0] == 0.0
        steps_m = np.diff(xy_m, axis=0)
        assert (np.count_nonzero(steps_m, axis=1) == 1).all()
        whole_m = np.abs(steps_m[1:]).max(axis=1)
        assert set(np.round(whole_m, 6)) <= {433.0, 250.0}
        speed_mps = np.hypot(*steps_m.T) / np.diff(t_s)
        assert ((speed_mps >= 5.0 - 1e-9) & (speed_mps <= 15.0 + 1e-9)).all()
        assert np.ptp(speed_mps) > 5.0


def test_nobody_turns_back_but_at_a_dead_end():
    mobility = Manhattan(block_width_m=100.0, block_height_m=100.0)
    for area, backwards in ((URBAN, False), (Disc(radius_m=200.0), True)):
        _, xy_m = knots(mobility, area, 0)
        steps_m = np.diff(xy_m, axis=0)[1:]
        back = (steps_m[1:] == -steps_m[:-1]).all(axis=1)
        assert back.any() == backwards
        assert (np.abs(xy_m[2:-1][back]).max(axis=1) == 200.0).all()


@pytest.mark.parametrize(
    ("left", "right", "turn"), [(0.0, 0.0, 0.0), (1.0, 0.0, 1.0), (0.0, 1.0, -1.0)]
)
def test_certain_turns(left, right, turn):
    # At full crossings; a wide area's border is met by who goes straight on.
    mobility = Manhattan(block_width_m=10.0, block_height_m=10.0, left=left, right=right)
    area = Rectangle(width_m=400.0, height_m=400.0)
    _, xy_m = knots(mobility, area, 3, stretches=5)
    steps_m = np.diff(xy_m, axis=0) / np.hypot(*np.diff(xy_m, axis=0).T)[:, np.newaxis]
    full = (np.abs(xy_m[1:-1]) < 195.0).all(axis=1)
    assert full.sum() > 10
    cross = steps_m[:-1, 0] * steps_m[1:, 1] - steps_m[:-1, 1] * steps_m[1:, 0]
    assert cross[full] == pytest.approx(turn, abs=1e-9)


def test_blocks_that_do_not_fit_are_refused_with_the_remedy():
    path = Manhattan().path(Draws(1), member(Disc(radius_m=200.0)))
    expected = r"fit into the area \(400 m x 400 m\), got 433 m x 250 m; make the blocks shorter"
    with pytest.raises(ValueError, match=expected):
        next(path)


def test_more_crossings_than_memory_holds_are_refused():
    mobility = Manhattan(block_width_m=0.1, block_height_m=0.1)
    with pytest.raises(ValueError, match=r"at most 1000000 crossings, got 12991 x 7501"):
        next(mobility.path(Draws(1), member(URBAN)))


def test_probabilities_above_one_are_refused():
    with pytest.raises(ValueError, match=r"left \+ right of at most 1.*got 0.6 \+ 0.5"):
        Manhattan.model_validate({"left": 0.6, "right": 0.5})


def test_a_least_speed_of_zero_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"least speed above 0 m/s.*decays.*got 0.0 m/s"):
        Manhattan.model_validate({"speed": ("0 m/s", "3 m/s")})


@pytest.mark.parametrize("bad", [{"block_width": "0 m"}, {"left": -0.1}, {"block": "100 m"}])
def test_other_mistakes_are_refused(bad):
    with pytest.raises(ValueError, match="validation error"):
        Manhattan.model_validate(bad)
