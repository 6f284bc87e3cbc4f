"""Gram matrices of saved adapters, by hand."""

import numpy as np
import pytest
from plot_helpers import RANK, drawn, with_adapter

from cosim.results.figure import FigureError
from cosim.results.statistics import mean_interval
from plots.gram import cosines, off_diagonal


@pytest.fixture(scope="module")
def two(tmp_path_factory, make_run):
    """With and without a penalty, three seeds each."""
    folder = tmp_path_factory.mktemp("runs")
    small = {"num_rounds": 1, "packets": False, "positions": False}
    runs = []
    for weight, tilt in ((0.01, 0.1), (0.0, 1.0)):
        for seed in (1, 2, 3):
            method = {"kind": "soft", "orthogonality": weight}
            run = make_run(folder, seed=seed, learning={"method": method}, **small)
            runs.append(with_adapter(run, tilt * (1 + 0.1 * seed)))
    return runs


def cosine_of(tilt):
    """Of two unit vectors with a common component of `tilt` beside their own."""
    return tilt**2 / (1 + tilt**2)


def test_cosines_are_those_of_pairs():
    rows = np.array([[2.0, 0.0], [-3.0, 3.0], [0.0, 0.0]])
    expected = [[1, 0.5**0.5, 0], [0.5**0.5, 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(cosines(rows), expected, atol=1e-15)
    assert off_diagonal(cosines(rows)) == pytest.approx(2 * 0.5**0.5 / 6)
    assert off_diagonal(np.ones((1, 1))) == 0.0


def test_maps_are_means_over_layers_of_the_first_seed(two):
    drawing = drawn("gram", two)
    data = drawing.data
    assert list(dict.fromkeys(data["experiment"])) == ["orthogonality=0.01", "orthogonality=0"]
    for weight, tilt in (("0.01", 0.11), ("0", 1.1)):
        some = data[data["experiment"] == f"orthogonality={weight}"]
        a, b = (some[some["factor"] == factor]["cosine"].to_numpy() for factor in "AB")
        np.testing.assert_allclose(a.reshape(RANK, RANK), np.eye(RANK), atol=1e-7)
        mean = 0.5 * (cosine_of(tilt) + cosine_of(3 * tilt))
        expected = np.where(np.eye(RANK) > 0, 1.0, mean)
        np.testing.assert_allclose(b.reshape(RANK, RANK), expected, rtol=1e-5)
    maps = [axes for axes in drawing.canvas.axes if axes.images]
    assert len(maps) == 4
    assert {image.get_clim() for axes in maps for image in axes.images} == {(0.0, 1.0)}


def test_one_layer_and_its_interval_over_seeds(two):
    data = drawn("gram", two[:3], layer="v_proj").data
    b = data[data["factor"] == "B"]
    mean, half = mean_interval([cosine_of(0.3 * (1 + 0.1 * seed)) for seed in (1, 2, 3)])
    np.testing.assert_allclose(b["off_diagonal_mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(b["off_diagonal_half_width"], half, rtol=1e-4)
    assert (b["num_seeds"] == 3).all()


def test_what_is_not_there_is_said(two, swept):
    with pytest.raises(FigureError, match=r"layer of layers.0.q_proj, layers.0.v_proj, got 'mlp'"):
        drawn("gram", two[:1], layer="mlp")
    with pytest.raises(FigureError, match="no adapter of device 5"):
        drawn("gram", two[:1], device=5)
    with pytest.raises(FigureError, match="has no adapters"):
        drawn("gram", swept[:1])
