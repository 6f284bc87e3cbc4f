"""Paths: positions between knots, and mobility models that break their contract."""

from collections.abc import Iterator

import numpy as np
import pytest
from world_helpers import paths_of

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.mobility.base import Knots, Member, Mobility
from cosim.world.paths import Paths


class Scripted(Mobility):
    """Yields the knots it is given: stretches of (t, x, y)."""

    stretches: tuple[tuple[tuple[float, float, float], ...], ...]

    def max_speed_mps(self, member: Member) -> float:
        return 10.0

    def path(self, draws: Draws, member: Member) -> Iterator[Knots]:
        for stretch in self.stretches:
            rows = np.array(stretch).reshape(-1, 3)
            yield Knots(rows[:, 0], rows[:, 1:])


def paths(*stretches) -> Paths:
    return paths_of([Scripted(stretches=stretches)], Disc(radius_m=100.0))


def test_between_knots_a_device_moves_evenly():
    line = paths(((0.0, 0.0, 0.0), (2.0, 4.0, 0.0)), ((6.0, 4.0, 8.0),))
    assert line.at(0, [0.0, 1.0, 2.0, 3.0, 6.0]).tolist() == [
        [0.0, 0.0, 0.0], [2.0, 0.0, 2.0], [4.0, 0.0, 4.0], [4.0, 2.0, 6.0], [4.0, 8.0, 12.0]
    ]  # fmt: skip


def test_a_path_that_ends_stays_at_its_last_point():
    assert paths(((0.0, 1.0, 2.0),)).at(0, [0.0, 7.0])[:, :2].tolist() == [[1.0, 2.0]] * 2
    line = paths(((0.0, 0.0, 0.0), (1.0, 5.0, 0.0)))
    assert line.at(0, [0.5, 1.0, 1e12]).tolist() == [
        [2.5, 0.0, 2.5],
        [5.0, 0.0, 5.0],
        [5.0, 0.0, 5.0],
    ]


def test_knots_at_one_time_are_a_jump():
    line = paths(((0.0, 0.0, 0.0), (1.0, 1.0, 0.0), (1.0, 9.0, 0.0)), ((2.0, 9.0, 3.0),))
    assert line.at(0, [0.5, 1.0, 1.5])[:, :2].tolist() == [[0.5, 0.0], [9.0, 0.0], [9.0, 1.5]]


def test_stretches_of_one_knot_are_enough():
    whole = paths(((0.0, 0.0, 0.0), (1.0, 2.0, 0.0), (3.0, 0.0, 1.0)))
    single = paths(((0.0, 0.0, 0.0),), ((1.0, 2.0, 0.0),), ((3.0, 0.0, 1.0),))
    t_s = np.linspace(0.0, 5.0, 41)
    assert (whole.at(0, t_s) == single.at(0, t_s)).all()


@pytest.mark.parametrize(
    ("stretches", "message"),
    [
        ((), "expected a knot, got an empty path"),
        ((((1.0, 0.0, 0.0),),), "expected the first knot at 0 s, got 1.0 s"),
        ((((0.0, 0.0, 0.0), (2.0, 0.0, 0.0), (1.0, 0.0, 0.0)),), "never decrease"),
        ((((0.0, 0.0, 0.0), (2.0, 0.0, 0.0)), ((1.0, 0.0, 0.0),)), "never decrease from 2.0 s on"),
        ((((0.0, 0.0, 0.0), (2.0, float("nan"), 0.0)),), "finite"),
        (((),), r"expected times \[K\]"),
    ],
)
def test_a_model_that_breaks_its_contract_is_named(stretches, message):
    path = paths_of([Scripted.model_construct(stretches=stretches)], Disc(radius_m=1.0))
    with pytest.raises(ValueError, match=f"Scripted, device 0: .*{message}"):
        path.at(0, 50.0)
