"""Gauss-Markov: the shape of its paths; their laws are checked in tests/validation."""

from itertools import islice

import numpy as np
import pytest
from world_helpers import member

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.area.rectangle import Rectangle
from cosim.world.mobility.gauss_markov import GaussMarkov

WIDE = Rectangle(width_m=1e6, height_m=1e6)


def knots(mobility: GaussMarkov, area, device: int, stretches: int = 6):
    path = list(islice(mobility.path(Draws(5), member(area, device)), stretches))
    return np.concatenate([k.t_s for k in path]), np.concatenate([k.xy_m for k in path])


def test_a_velocity_is_kept_for_a_step():
    t_s, xy_m = knots(GaussMarkov(step_s=0.5), WIDE, 0)
    assert np.diff(t_s) == pytest.approx(0.5)
    assert (np.hypot(*np.diff(xy_m, axis=0).T) > 0.0).all()


def test_with_memory_one_there_is_no_randomness_after_the_start():
    t_s, xy_m = knots(GaussMarkov(memory=1.0), WIDE, 0)
    velocity_mps = np.diff(xy_m, axis=0) / np.diff(t_s)[:, np.newaxis]
    assert velocity_mps == pytest.approx(np.broadcast_to(velocity_mps[0], velocity_mps.shape))
    other_mps = np.diff(knots(GaussMarkov(memory=1.0), WIDE, 1)[1], axis=0)[0]
    assert np.hypot(*other_mps) != pytest.approx(np.hypot(*velocity_mps[0]))


def test_the_recurrence_step_by_step():
    # The same draws, one step at a time: v' = a v + (1 - a) mu + sqrt(1 - a^2) sigma N.
    a, mu, sigma = 0.9, np.array([2.0, 0.0]), 0.3
    mobility = GaussMarkov(mean_speed_mps=2.0, deviation_mps=sigma, memory=a)
    _, xy_m = knots(mobility, WIDE, 4, stretches=4)  # a point, 8, 16 and 32 steps
    generator = Draws(5).generator("gauss_markov", 4)
    angle = 2 * np.pi * generator.random(3)[2]
    frame = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    v = mu + sigma * generator.standard_normal(2)
    expected = []
    for _ in range(56):
        expected.append(frame @ v)
        v = a * v + (1 - a) * mu + np.sqrt(1 - a * a) * sigma * generator.standard_normal(2)
    assert np.diff(xy_m, axis=0) == pytest.approx(np.array(expected), abs=1e-8)


def test_no_step_is_faster_than_the_bound_and_some_are_shortened_to_it():
    # 1.5e5 steps, of which exp(-8) = 3.4e-4 are beyond the bound without a mean speed.
    mobility = GaussMarkov(mean_speed_mps=0.0, deviation_mps=2.0, memory=0.0)
    most_mps = mobility.max_speed_mps(member(WIDE))
    assert most_mps == 8.0
    t_s, xy_m = knots(mobility, WIDE, 0, stretches=300)
    speed_mps = np.hypot(*np.diff(xy_m, axis=0).T) / np.diff(t_s)
    assert speed_mps.max() <= most_mps * (1 + 1e-9)
    shortened = np.count_nonzero(speed_mps > most_mps * (1 - 1e-9))
    assert abs(shortened - speed_mps.size * np.exp(-8)) < 4 * np.sqrt(speed_mps.size * np.exp(-8))


def test_a_border_turns_the_velocity_over_and_keeps_its_length():
    mobility = GaussMarkov(mean_speed_mps=20.0, deviation_mps=0.0, memory=0.5)
    area = Disc(radius_m=30.0)
    t_s, xy_m = knots(mobility, area, 0)
    assert np.hypot(*np.diff(xy_m, axis=0).T) == pytest.approx(20.0 * np.diff(t_s))
    assert area.contains(xy_m).all()


def test_devices_that_never_move_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"above 0 m/s, got 0 m/s for both.*kind: static"):
        GaussMarkov.model_validate({"mean_speed": "0 m/s", "deviation": "0 m/s"})


@pytest.mark.parametrize(
    "bad", [{"memory": 1.1}, {"memory": -0.1}, {"step": "0 s"}, {"deviation": "-1 m/s"}]
)
def test_other_mistakes_are_refused(bad):
    with pytest.raises(ValueError, match="validation error"):
        GaussMarkov.model_validate(bad)
