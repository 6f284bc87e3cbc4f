"""Areas: points are uniform, inside, and a mean distance apart that geometry knows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from cosim.rng import Draws
from cosim.world.area.base import Area, quadrature_mean_distance_m
from cosim.world.area.disc import Disc
from cosim.world.area.rectangle import Rectangle

AREAS = [Disc(radius_m=200.0), Rectangle(width_m=300.0, height_m=80.0)]
NUM_POINTS = 20_000
FALSE_ALARM = 1e-3  # of each Kolmogorov-Smirnov test, over seeds


def points_m(area: Area) -> np.ndarray:
    return area.place(Draws(7).generator("points").random((NUM_POINTS, 2)))


def test_disc_points_are_uniform():
    x, y = points_m(AREAS[0]).T
    in_radius = stats.kstest((x**2 + y**2) / 200.0**2, "uniform")
    in_angle = stats.kstest((np.arctan2(y, x) + np.pi) / (2 * np.pi), "uniform")
    assert min(in_radius.pvalue, in_angle.pvalue) > FALSE_ALARM


def test_rectangle_points_are_uniform():
    x, y = points_m(AREAS[1]).T
    in_x = stats.kstest(x / 300.0 + 0.5, "uniform")
    in_y = stats.kstest(y / 80.0 + 0.5, "uniform")
    assert min(in_x.pvalue, in_y.pvalue) > FALSE_ALARM


@pytest.mark.parametrize("area", AREAS)
def test_points_are_inside_and_within_the_extent(area):
    points = points_m(area)
    x_min, y_min, x_max, y_max = area.extent_m()
    assert area.contains(points).all()
    assert points.min(axis=0) == pytest.approx([x_min, y_min], abs=0.01 * (x_max - x_min))
    assert points.max(axis=0) == pytest.approx([x_max, y_max], abs=0.01 * (x_max - x_min))


@pytest.mark.parametrize("area", AREAS)
def test_the_border_is_inside_and_just_beyond_it_is_not(area):
    outline = area.outline_m()
    assert outline.shape[1] == 2
    assert outline[0] == pytest.approx(outline[-1])
    assert area.contains(outline).all()
    assert not area.contains(outline * 1.0001).any()


def test_place_keeps_leading_dimensions():
    u = Draws(1).generator("u").random((3, 4, 2))
    for area in AREAS:
        assert area.place(u).shape == (3, 4, 2)
        assert area.place(u)[1, 2] == pytest.approx(area.place(u[1, 2]))
        assert area.contains(area.place(u)).shape == (3, 4)


def test_mean_distance_of_a_square_is_the_known_constant():
    # (2 + sqrt 2 + 5 asinh 1) / 15, the mean distance in a unit square
    expected = (2 + np.sqrt(2) + 5 * np.arcsinh(1)) / 15
    assert Rectangle(width_m=1.0, height_m=1.0).mean_distance_m() == pytest.approx(expected)


def test_mean_distance_of_a_rectangle_by_integration():
    # |dx| and |dy| of two uniform points have triangular densities.
    a, b = 3.0, 0.8
    expected, _ = integrate.dblquad(
        lambda y, x: np.hypot(x, y) * 2 * (a - x) / a**2 * 2 * (b - y) / b**2, 0, a, 0, b
    )
    assert Rectangle(width_m=a, height_m=b).mean_distance_m() == pytest.approx(expected, rel=1e-7)


def test_mean_distance_of_a_disc_by_integration():
    # Disc line picking: density 4 s / pi acos(s / 2) - 2 s^2 / pi sqrt(1 - s^2 / 4), R = 1.
    def density(s):
        return 4 * s / np.pi * np.arccos(s / 2) - 2 * s**2 / np.pi * np.sqrt(1 - s**2 / 4)

    expected, _ = integrate.quad(lambda s: s * density(s), 0, 2)
    assert Disc(radius_m=5.0).mean_distance_m() == pytest.approx(5 * expected, rel=1e-7)


@pytest.mark.parametrize("area", AREAS)
def test_an_area_without_a_closed_form_gets_its_mean_distance_by_quadrature(area):
    assert quadrature_mean_distance_m(area) == pytest.approx(area.mean_distance_m(), rel=5e-4)


@pytest.mark.parametrize("bad", [{"radius": "0 m"}, {"radius": "-1 m"}, {"radius": 5.0}, {}])
def test_a_disc_needs_a_length_above_zero(bad):
    with pytest.raises(ValueError, match="radius"):
        Disc.model_validate(bad)


@pytest.mark.parametrize("area", AREAS)
def test_a_disc_around_any_point_of_the_inset_is_inside(area):
    margin_m = 15.0
    inner = area.inset(margin_m)
    angle = np.linspace(0.0, 2.0 * np.pi, 64)
    around_m = margin_m * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    outline_m = inner.outline_m()
    assert area.contains(outline_m[:, np.newaxis] + around_m).all()
    # It is the largest: a little more around its border is outside.
    assert not area.contains(outline_m[:, np.newaxis] + 1.01 * around_m).all(axis=1).any()


@pytest.mark.parametrize(("area", "widest"), [(AREAS[0], 200.0), (AREAS[1], 40.0)])
def test_an_inset_of_nothing_is_refused(area, widest):
    with pytest.raises(ValueError, match=rf"border below {widest} m, got {widest} m; make the"):
        area.inset(widest)


def turned(degrees: float) -> np.ndarray:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, -sine], [sine, cosine]])


def test_a_walk_in_a_rectangle_by_hand():
    # From the middle of 300 x 80, 80 to the right and 60 up: y meets 40 at two thirds, comes back.
    walk = AREAS[1].reflect(np.zeros(2), np.eye(2), np.array([[80.0, 60.0], [0.0, 10.0]]))
    assert walk.at == pytest.approx([2 / 3, 1.0, 2.0])
    assert walk.xy_m == pytest.approx(np.array([[160 / 3, 40.0], [80.0, 20.0], [80.0, 10.0]]))
    assert walk.frame == pytest.approx(np.diag([1.0, -1.0]))


def test_a_walk_in_a_disc_along_an_inscribed_square():
    # Chords at 45 degrees to the normal turn by a right angle: corners of a square, for ever.
    radius_m = AREAS[0].radius_m
    chord_m = np.sqrt(2.0) * radius_m
    start_m = np.array([chord_m / 2, 0.0])
    walk = AREAS[0].reflect(start_m, turned(90.0), np.array([[4 * chord_m, 0.0]]))
    square_m = chord_m / 2 * np.array([(1, 1), (-1, 1), (-1, -1), (1, -1), (1, 0)])
    assert walk.at == pytest.approx([1 / 8, 3 / 8, 5 / 8, 7 / 8, 1.0])
    assert walk.xy_m == pytest.approx(square_m)


@pytest.mark.parametrize("area", AREAS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    place=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
    degrees=st.floats(0, 360),
    steps=st.lists(
        st.tuples(st.floats(-900, 900), st.floats(-900, 900)).filter(
            lambda step: np.hypot(*step) > 1e-3
        ),
        min_size=1,
        max_size=30,
    ),
)
def test_the_border_mirrors_a_walk(area, place, degrees, steps):
    start_m, steps_m = area.place(np.array(place)), np.array(steps)
    walk = area.reflect(start_m, turned(degrees), steps_m)
    assert area.contains(walk.xy_m).all()
    assert (np.diff(walk.at, prepend=0.0) >= 0.0).all()
    assert set(np.arange(1.0, len(steps) + 1)) <= set(walk.at)
    assert walk.frame @ walk.frame.T == pytest.approx(np.eye(2), abs=1e-9)
    # No length is lost: each part of a step is as long as its share of it.
    legs_m = np.diff(walk.xy_m, axis=0, prepend=start_m[np.newaxis])
    shares = np.diff(walk.at, prepend=0.0)
    step_of_leg = np.ceil(walk.at - 1e-12).astype(int) - 1
    expected_m = shares * np.hypot(*steps_m[step_of_leg].T)
    assert np.hypot(*legs_m.T) == pytest.approx(expected_m, abs=1e-6)
    # Walked backwards from its end, it comes back to where and how it began.
    back = area.reflect(walk.xy_m[-1], walk.frame, -steps_m[::-1])
    assert back.xy_m[-1] == pytest.approx(start_m, abs=1e-3)
    ends_m = np.array([start_m, walk.xy_m[-1]])
    if area.contains(ends_m * (1.0 + 1e-9)).all():  # on the border both ways over are right
        assert back.frame == pytest.approx(turned(degrees), abs=1e-5)


@pytest.mark.parametrize("area", AREAS)
def test_touches_are_on_the_border_with_equal_angles(area):
    generator = Draws(3).generator("walk")
    start_m = area.place(generator.random(2))
    walk = area.reflect(start_m, np.eye(2), generator.uniform(-900.0, 900.0, (40, 2)))
    corners_m = np.concatenate([[start_m], walk.xy_m])
    touches = np.flatnonzero(walk.at % 1.0 != 0.0) + 1
    assert touches.size > 60
    for k in touches:
        here_m = corners_m[k]
        assert not area.contains(here_m * (1.0 + 1e-9))
        if isinstance(area, Disc):
            normal = here_m / np.hypot(*here_m)
        else:
            normal = np.eye(2)[np.argmax(np.abs(here_m) / [150.0, 40.0])]
        arriving, leaving = here_m - corners_m[k - 1], corners_m[k + 1] - here_m
        arriving, leaving = arriving / np.hypot(*arriving), leaving / np.hypot(*leaving)
        assert leaving == pytest.approx(arriving - 2 * (arriving @ normal) * normal, abs=1e-6)


def test_a_walk_along_the_border_of_a_disc_ends_and_stays_inside():
    radius_m = AREAS[0].radius_m
    walk = AREAS[0].reflect(
        np.array([radius_m, 0.0]), np.eye(2), np.array([[0.0, 0.01], [0.0, 0.01]])
    )
    assert AREAS[0].contains(walk.xy_m).all()
    assert walk.xy_m[-1] == pytest.approx([radius_m, 0.02], abs=1e-5)
