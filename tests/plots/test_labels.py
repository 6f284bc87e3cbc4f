import numpy as np
import pytest

from plots._labels import BESIDE_PT, DIGIT_PT, LINE_PT, place_labels

SIZE_PT = (110.0, 110.0)
NO_LINES = np.empty((0, 2))


def boxes(texts, middles):
    half = 0.5 * np.array([[DIGIT_PT * len(text), LINE_PT] for text in texts])
    return middles - half, middles + half


def clashes(texts, middles):
    low, high = boxes(texts, middles)
    meet = ((low[:, None] < high[None]) & (high[:, None] > low[None])).all(axis=-1)
    return int(np.triu(meet, 1).sum())


@pytest.mark.parametrize("num", [3, 24])
def test_numbers_never_cover_each_other(num):
    # A map of 1.5 in with points at random, some of them almost in one place.
    points = np.random.default_rng(num).uniform(5.0, 105.0, (num, 2))
    points[1:3] = points[0] + ((1.0, 0.5), (0.0, -1.5))
    texts = [str(number) for number in range(num)]
    middles = place_labels(points, texts, SIZE_PT, NO_LINES)
    beside = points + np.array([5.0, 4.0])  # what a fixed place would give
    assert clashes(texts, beside) > 0
    assert clashes(texts, middles) == 0


def test_numbers_stay_inside():
    corners = np.array([(1.0, 1.0), (109.0, 1.0), (1.0, 109.0), (109.0, 109.0)])
    texts = ["100"] * 4
    low, high = boxes(texts, place_labels(corners, texts, SIZE_PT, NO_LINES))
    assert (low >= 0.0).all()
    assert (high <= 110.0).all()


def test_numbers_keep_off_points_and_lines():
    point = np.array([[50.0, 50.0]])
    free = place_labels(point, ["7"], SIZE_PT, NO_LINES)[0] - point[0]
    assert np.hypot(*free) < BESIDE_PT
    line = point + np.linspace(0.0, 30.0, 20)[:, None] * np.sign(free)  # where the number was
    avoided = place_labels(point, ["7"], SIZE_PT, line)[0] - point[0]
    assert np.abs(avoided - free).max() > 1.0


def test_a_crowd_is_told_apart_by_lines():
    points = np.full((6, 2), 50.0) + np.linspace(0.0, 1.0, 6)[:, None]
    texts = list("012345")
    middles = place_labels(points, texts, SIZE_PT, NO_LINES)
    assert clashes(texts, middles) == 0
    assert (np.hypot(*(middles - points).T) > 3.0).all()
