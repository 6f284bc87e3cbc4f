import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.planning.mixing import mixing


def matrix(pairs, n):
    src = np.array([i for i, _ in pairs] + [j for _, j in pairs], dtype=np.int64)
    dst = np.array([j for _, j in pairs] + [i for i, _ in pairs], dtype=np.int64)
    weight, own = mixing(src, dst, n)
    full = np.diag(own)
    full[dst, src] = weight
    return full


graphs = st.integers(1, 8).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.sets(
            st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] < p[1])
        ),
    )
)


@settings(derandomize=True)
@given(graphs)
def test_weights_are_symmetric_and_doubly_stochastic(graph):
    n, pairs = graph
    weights = matrix(sorted(pairs), n)
    assert np.all(weights >= -1e-15)
    np.testing.assert_allclose(weights, weights.T)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)


def test_a_clique_averages_in_one_step():
    weights = matrix([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], 4)
    np.testing.assert_allclose(weights @ [1.0, 2.0, 3.0, 6.0], 3.0)


def test_a_path_by_hand():
    third = 1 / 3
    expected = [[2 * third, third, 0], [third, third, third], [0, third, 2 * third]]
    np.testing.assert_allclose(matrix([(0, 1), (1, 2)], 3), expected)


def test_a_device_without_links_keeps_its_own():
    empty = np.array([], dtype=np.int64)
    weight, own = mixing(empty, empty, 2)
    assert weight.shape == (0,)
    assert own.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("src", "dst", "message"),
    [
        ([0, 1, 2], [1, 0, 0], "2 -> 0 without 0 -> 2"),
        ([0, 1, 1], [1, 0, 1], "1 with itself"),
        ([0, 1, 0], [1, 0, 1], "one twice"),
    ],
)
def test_links_that_are_no_graph_are_refused(src, dst, message):
    with pytest.raises(ValueError, match=message):
        mixing(np.array(src), np.array(dst), 3)
