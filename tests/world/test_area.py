"""Areas: points are uniform, inside, and a mean distance apart that geometry knows."""

import numpy as np
import pytest
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
