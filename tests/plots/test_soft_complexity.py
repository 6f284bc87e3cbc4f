"""SOFT's complexity: the table, and that every way does what its line says; no times are tested."""

import numpy as np
import pytest
from plot_helpers import drawn
from pydantic import ValidationError

from cosim.learning.adapter import Layout, Site
from cosim.learning.methods import _products, soft
from plots import soft_complexity
from plots.soft_complexity import SoftComplexity, by_factors, by_soft, by_svd, exponent

SMALL = {"widths": (8, 16, 32, 64), "ranks": (2, 4, 8), "width": 32, "rank": 4, "repeats": 2}
LAYOUT = Layout((Site("q", 24, 16), Site("v", 10, 30)), 4)


def vector_of(seed, *, orthogonal=False):
    """Random factors; if orthogonal, U S and V^T of a decomposed product, each of a sign."""
    rng = np.random.default_rng(seed)
    vector = rng.standard_normal(LAYOUT.size).astype(np.float32)
    for number in range(len(LAYOUT.sites)) if orthogonal else ():
        a, b = LAYOUT.a(vector, number), LAYOUT.b(vector, number)
        a[:] = np.linalg.qr(a.T)[0].T
        b[:] = np.linalg.qr(b)[0] * [-7.0, 4.0, 2.0, -0.5]
    return vector


@pytest.fixture(scope="module")
def drawing():
    return drawn("soft_complexity", [], **SMALL)


def test_a_row_for_every_way_at_every_width_and_rank(drawing):
    data = drawing.data
    cases = data.groupby(["along", "method"])[["width", "rank"]].agg(list)
    for way in ("SOFT", "SVD of the product", "SVD by the factors"):
        assert cases.loc[("width", way)].tolist() == [[8, 16, 32, 64], [4] * 4]
        assert cases.loc[("rank", way)].tolist() == [[32] * 3, [2, 4, 8]]
    assert len(data) == 3 * (4 + 3)
    assert (data["chosen"] == data["rank"] * data["width"]).all()  # half of r 2 d
    assert (data["repeats"] >= 2).all()
    assert (data["low_s"] <= data["median_s"]).all()
    assert (data["median_s"] <= data["high_s"]).all()
    assert (data["low_s"] > 0).all()
    assert len(drawing.canvas.axes) == 4


def test_operations_are_counted_by_hand(drawing):
    rows = drawing.data[drawing.data["along"] == "rank"].set_index(["method", "rank"])["operations"]
    choice = 4 * 64 * (2 + 4)  # of each of 4 x 64 entries: square and add, four comparisons
    assert rows["SOFT", 4] == choice
    assert rows["SVD of the product", 4] == 2 * 4 * 32**2 + 14 * 32**3 + 8 * 32**3 + choice
    qr = 2 * 16 * (32 - 4 / 3) * 2  # R, and as much again for Q
    assert rows["SVD by the factors", 4] == pytest.approx(
        2 * qr + 2 * 4**3 + 22 * 4**3 + 2 * (2 * 32 * 4**2) + choice
    )


def test_powers_are_of_the_last_three_points(drawing):
    x = np.array([1, 3, 8, 16, 32])
    assert exponent(x, 5.0 * x**2.5 + 1000 * (x < 8)) == pytest.approx(2.5)
    rows = drawing.data[drawing.data["along"] == "width"]
    for _, line in rows.groupby("method"):
        for measure in ("median_s", "operations"):
            slope = exponent(line["width"].to_numpy(), line[measure].to_numpy())
            assert line[f"{measure}_exponent"].unique().tolist() == [slope]


def test_soft_is_what_runs_send(monkeypatch):
    for seed in range(3):
        vector = vector_of(seed)
        assert np.array_equal(by_soft(LAYOUT, vector, 0.7), soft.strongest(LAYOUT, vector, 0.7))
    asked = []
    monkeypatch.setattr(soft_complexity, "strongest", lambda *given: asked.append(given))
    for way in (by_soft, by_svd, by_factors):
        way(LAYOUT, vector_of(0), 0.7)
    assert [given[2] for given in asked] == [0.7] * 3
    assert np.array_equal(asked[0][1], vector_of(0))
    for _, components, _ in asked[1:]:
        assert components.shape == (LAYOUT.size,)


@pytest.mark.parametrize("way", [by_svd, by_factors])
def test_the_others_choose_among_the_components_of_the_decomposed_product(way, monkeypatch):
    seen = []
    monkeypatch.setattr(soft_complexity, "strongest", lambda _, given, drop: seen.append(given))
    vector = vector_of(5)
    way(LAYOUT, vector, 0.5)
    for number in range(len(LAYOUT.sites)):
        product = LAYOUT.b(vector, number) @ LAYOUT.a(vector, number)
        a, b = LAYOUT.a(seen[0], number), LAYOUT.b(seen[0], number)
        sigma = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=0)
        singular = np.linalg.svd(product.astype(np.float64), compute_uv=False)[:4]
        np.testing.assert_allclose(sigma, singular, rtol=1e-4)
        np.testing.assert_allclose(b @ a, product, atol=1e-4)


@pytest.mark.parametrize("drop", [0.0, 0.3, 0.8, 0.97])
def test_of_orthogonal_factors_all_choose_the_same(drop):
    vector = vector_of(7, orthogonal=True)
    chosen = by_soft(LAYOUT, vector, drop)
    assert np.array_equal(by_svd(LAYOUT, vector, drop), chosen)
    assert np.array_equal(by_factors(LAYOUT, vector, drop), chosen)
    oblique = vector_of(7)
    if drop:
        assert not np.array_equal(by_svd(LAYOUT, oblique, drop), by_soft(LAYOUT, oblique, drop))


def test_the_decomposition_by_factors_is_that_of_methods():
    assert soft_complexity.truncated is _products.truncated


def test_what_does_not_fit_is_a_message():
    with pytest.raises(ValidationError, match="expected a rank of at most the width, 32, got 64"):
        SoftComplexity(**SMALL | {"ranks": (2, 8, 64)})
    with pytest.raises(ValidationError, match="expected a rank of at most the width, 8, got 16"):
        SoftComplexity(**SMALL | {"rank": 16})


def test_legends_name_the_powers(drawing):
    for axes, symbol in zip(drawing.canvas.axes, "drdr", strict=True):
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        assert len(texts) == 3
        assert all(f"\\sim {symbol}^" in text for text in texts)
