"""The state of sight in a world: pure, the same both ways, and consistent along a path."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import ndtri
from world_helpers import world_of

from cosim.world.area.disc import Disc
from cosim.world.fading.none import NoFading
from cosim.world.link_process import SMOOTH_RATE
from cosim.world.mobility.random_waypoint import RandomWaypoint
from cosim.world.mobility.static import Static
from cosim.world.path_loss.base import PathLoss
from cosim.world.path_loss.log_distance import LogDistance
from cosim.world.path_loss.umi import Umi
from cosim.world.shadowing.gudmundson import Gudmundson

WALKER = RandomWaypoint(speed_mps=(2.0, 2.0))


class Constant(PathLoss):
    """No loss in sight and 20 dB out of it, in sight with a probability that never changes."""

    probability: float = 0.5

    def loss_db(self, geometry):
        """0 or 20 dB."""
        return np.where(geometry.line_of_sight, 0.0, 20.0) + np.zeros(geometry.distance_m.shape)

    def line_of_sight_probability(self, geometry):
        """The same everywhere."""
        return np.full(geometry.distance_m.shape, self.probability)


def world(path_loss, num_walkers=6, num_fixed=2, radius_m=80.0, **channel):
    mobilities = [WALKER] * num_walkers + [Static()] * num_fixed
    return world_of(mobilities, Disc(radius_m=radius_m), path_loss, NoFading(), **channel)


@pytest.mark.parametrize("probability", [0.5, 0.8])
def test_runs_in_sight_are_as_long_as_the_process_says(probability):
    # 40 walkers at 2 m/s and 15 that stand, 1500 s, sampled every 1 m. Rice: runs of either kind
    # end every pi / (a e^(-u^2 / 2)) correlation distances of 50 m on average, u the level of the
    # probability, and the share of runs in sight is the probability. Sigma from the 40 walkers,
    # whose links share no path (4.6 sigma of a t of 39 degrees is below 1e-4); the grid takes 2 %.
    world_ = world(Constant(probability=probability), 40, 15, radius_m=1e4)
    src, dst = np.arange(40)[:, None, None], np.arange(40, 55)[:, None]
    clear = world_.line_of_sight(src, dst, np.arange(0.0, 1500.0, 0.5))  # [40, 15, 3000]
    length_m = clear.shape[-1] * 1.0
    ends = np.count_nonzero(clear[..., 1:] != clear[..., :-1], axis=-1).mean(axis=1) / length_m
    expected = 0.98 * SMOOTH_RATE / np.pi * np.exp(-(ndtri(probability) ** 2) / 2) / 50.0
    assert 1 / expected > 70.0  # metres: no flicker
    slack = 4.6 * ends.std(ddof=1) / np.sqrt(40) + 0.01 * expected
    assert abs(ends.mean() - expected) < slack < 0.1 * expected
    share = clear.mean(axis=(1, 2))
    slack = 4.6 * share.std(ddof=1) / np.sqrt(40)
    assert abs(share.mean() - probability) < slack < 0.05


def test_the_state_changes_with_the_distance_travelled_and_not_with_time():
    world_ = world(Constant(), num_walkers=0, num_fixed=30)
    low, high = np.triu_indices(30, 1)
    start = world_.line_of_sight(low, high, 0.0)
    assert 0 < start.sum() < start.size
    assert (world_.line_of_sight(low, high, 1e5) == start).all()


def test_the_probability_moves_the_state_and_the_process_stays():
    # A link in sight at one probability is in sight at every higher one.
    low, high = np.triu_indices(8, 1)
    states = [
        world(Constant(probability=p)).line_of_sight(low, high, 33.0) for p in (0.0, 0.3, 0.7, 1.0)
    ]
    assert not states[0].any()
    assert states[-1].all()
    assert all((less <= more).all() for less, more in pairwise(states))


@pytest.mark.parametrize("shadowing", [None, Gudmundson()])
def test_any_order_and_any_chunks_give_identical_states_and_gains(shadowing):
    channel = {} if shadowing is None else {"shadowing": shadowing}
    low, high = np.triu_indices(8, 1)
    t_s = np.linspace(0.0, 150.0, 101)
    whole = world(Umi(), **channel)
    states = whole.line_of_sight(low[:, None], high[:, None], t_s)
    gains = whole.gain(low[:, None], high[:, None], t_s)
    assert 0 < states.sum() < states.size
    other = world(Umi(), **channel)
    for k in (100, 0, 57, 3):
        assert (other.line_of_sight(high, low, t_s[k]) == states[:, k]).all()
        assert (other.gain(high, low, t_s[k]) == gains[:, k]).all()
    for link in range(low.size):
        ends = low[link], high[link]
        assert (other.line_of_sight(*ends, t_s) == states[link]).all()
        pieces = [other.gain(*ends, piece) for piece in np.split(t_s, [1, 3, 10, 77])]
        assert (np.concatenate(pieces) == gains[link]).all()
        assert other.gain(*ends, t_s[50]) == gains[link, 50]


def test_a_model_without_states_is_always_in_sight():
    assert np.all(world(LogDistance()).line_of_sight(0, np.arange(1, 8), 3.0))


@pytest.mark.parametrize("path_loss", [Umi(), LogDistance()])
def test_the_state_has_the_shape_of_the_question(path_loss):
    world = world_of([Static()] * 4, Disc(radius_m=100.0), path_loss, NoFading())
    times_s = np.linspace(0.0, 5.0, 6)
    assert world.line_of_sight(0, 1, 2.0).shape == ()
    assert world.line_of_sight(0, [1, 2, 3], 2.0).shape == (3,)
    assert world.line_of_sight(0, 1, times_s).shape == (6,)
    assert world.line_of_sight(0, [[1], [2]], times_s).shape == (2, 6)
