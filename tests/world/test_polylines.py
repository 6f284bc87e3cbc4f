"""Polylines: any question in any order gets the answer of the legs written out by hand."""

import numpy as np
import pytest

from cosim.world.polylines import Legs, Polylines


class Zigzag(Polylines):
    """Row r climbs at r + 1 per second on even legs of 1 s and falls on odd ones, by stretches."""

    def __init__(self, rows: int, stretch: int) -> None:
        super().__init__(1, rows)
        self.stretch = stretch
        self.asked = 0

    def _more(self, row: int, known: Legs, until_s: float) -> Legs:
        self.asked += 1
        first = int(known.end_s)
        leg = np.arange(first, int(until_s) + 1 + self.stretch)
        value = (leg % 2) * (row + 1.0)
        slope = np.where(leg % 2, -1.0, 1.0) * (row + 1.0)
        return Legs(leg.astype(float), value[:, None], slope[:, None], float(leg[-1] + 1))


def expected(rows, t_s):
    phase = np.asarray(t_s) % 2.0
    return (np.asarray(rows) + 1.0) * np.minimum(phase, 2.0 - phase)


def test_every_way_to_ask_gives_the_same():
    lines = Zigzag(rows=5, stretch=3)
    t_s = np.linspace(0.0, 40.0, 161)
    rows = np.arange(5)
    table = lines.at(rows[:, None], t_s)[..., 0]
    assert table == pytest.approx(expected(rows[:, None], t_s))
    backwards = Zigzag(rows=5, stretch=1)
    for k in reversed(range(t_s.size)):
        assert (backwards.at(rows, t_s[k])[:, 0] == table[:, k]).all()
    for row in rows:
        assert (Zigzag(rows=5, stretch=7).at(row, t_s)[:, 0] == table[row]).all()
    pairs = np.random.default_rng(1).integers(0, [5, t_s.size], (300, 2))
    mixed = Zigzag(rows=5, stretch=2).at(pairs[:, 0], t_s[pairs[:, 1]])[:, 0]
    assert (mixed == table[pairs[:, 0], pairs[:, 1]]).all()


def test_shapes_broadcast():
    lines = Zigzag(rows=4, stretch=3)
    assert lines.at(2, 1.5).shape == (1,)
    assert lines.at([[0], [3]], [0.0, 1.0, 2.0]).shape == (2, 3, 1)
    assert lines.at([0, 1], 0.0).shape == (2, 1)
    assert lines.at([0, 1], [0.0]).shape == (2, 1)
    assert lines.at(np.empty((0,), dtype=int), 1.0).shape == (0, 1)
    assert lines.at(1, np.empty((3, 0))).shape == (3, 0, 1)


def test_a_time_already_known_asks_for_nothing():
    lines = Zigzag(rows=1, stretch=3)
    lines.at(0, 9.0)
    asked = lines.asked
    lines.at(0, np.linspace(0.0, 9.0, 50))
    assert lines.asked == asked == 1


def test_of_legs_that_start_together_the_last_counts():
    start = np.array([0.0, 1.0, 1.0])
    legs = Legs(start, np.array([[0.0], [5.0], [7.0]]), np.zeros((3, 1)), 2.0)
    assert legs.at(np.array([0.5, 1.0, 1.5]))[:, 0].tolist() == [0.0, 7.0, 7.0]


def test_added_rows_start_unknown():
    lines = Zigzag(rows=1, stretch=3)
    lines.at(0, 3.5)
    lines._add(10)
    assert len(lines) == 11
    assert lines.at(np.arange(11), 3.5)[:, 0] == pytest.approx(expected(np.arange(11), 3.5))


def test_a_point_is_the_same_number():
    lines = Zigzag(rows=3, stretch=2)
    for row, t_s in [(2, 7.3), (0, 1.0), (2, 0.1), (1, 25.75)]:
        assert lines.point(row, t_s) == Zigzag(3, 5).at(row, t_s).tolist()


def test_times_on_both_sides_of_a_leg_of_some_rows():
    # Rows 0 and 1 stay within one leg, row 2 does not; each cursor stands elsewhere before.
    rows, t_s = np.array([0, 1, 2, 2, 0, 2, 1]), np.array([3.2, 8.5, 4.9, 5.1, 3.7, 4.2, 8.1])
    lines = Zigzag(rows=3, stretch=4)
    for before in (0.0, 4.5, 20.0):
        lines.at(np.arange(3), before)
        assert lines.at(rows, t_s)[:, 0] == pytest.approx(expected(rows, t_s))


def test_a_row_that_is_forgotten_is_worked_out_again():
    lines = Zigzag(rows=2, stretch=3)
    before = lines.at([0, 1], 6.5)
    lines._forget(1)
    assert (lines.at([0, 1], 6.5) == before).all()
    assert lines.asked == 3
