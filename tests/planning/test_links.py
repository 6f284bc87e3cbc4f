import numpy as np
import pytest
from hypothesis import given, settings
from planning_oracle import make_view, views

from cosim.planning.links import assemble, equal_power, gateways, num_sharing
from cosim.planning.planners.full import Full
from cosim.radio.rate.fixed import Fixed


def some_clusters(view, numbers):
    """Any clusters at all, numbered without gaps; dead devices have none."""
    numbers = np.where(view.alive, numbers, -1)
    used = np.unique(numbers[numbers >= 0])
    return np.where(numbers >= 0, np.searchsorted(used, numbers), -1).astype(np.int64)


def test_power_is_shared_among_the_links_a_device_has():
    path = make_view(3, {(0, 1): 1e-8, (1, 2): 1e-9}, max_power_w=np.array([0.1, 0.2, 0.4]))
    links = Full().plan(path).links
    assert list(zip(links.src, links.dst, strict=True)) == [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert links.power_w.tolist() == [0.1, 0.1, 0.1, 0.4]
    assert links.mean_gain.tolist() == [1e-8, 1e-8, 1e-9, 1e-9]


@pytest.mark.parametrize(
    ("shared_by", "delay_s"),
    [("per_transmitter", [1.0, 2.0, 2.0, 1.0]), ("per_cluster", [4.0, 4.0, 4.0, 4.0])],
)
def test_delay_is_that_of_the_share_of_the_band(shared_by, delay_s):
    gains = {(0, 1): 1e-8, (1, 2): 1e-9}
    view = make_view(3, gains, shared_by=shared_by, rate=Fixed(rate_bps=1e6))
    np.testing.assert_allclose(Full().plan(view).links.predicted_delay_s, delay_s)


def test_delay_is_equation_10():
    noise = np.array([1e-19, 3e-19, 2e-19])
    bits = np.array([1e6, 2e6, 3e6])
    gains = {(0, 1): 1e-9, (0, 2): 2e-9, (1, 2): 5e-9}
    view = make_view(3, gains, noise_w_per_hz=noise, payload_bits=bits)
    links = Full().plan(view).links
    for src, dst, delay_s in zip(links.src, links.dst, links.predicted_delay_s, strict=True):
        gain = gains[min(src, dst), max(src, dst)]
        snr = 0.1 * gain / (noise[dst] * 5e5)
        assert delay_s == pytest.approx(bits[src] / (5e5 * np.log2(1 + snr)), rel=1e-12)


def test_a_link_without_gain_takes_forever():
    plan = Full().plan(make_view(2, {(0, 1): 0.0}))
    assert plan.links.predicted_delay_s.tolist() == [np.inf, np.inf]


@pytest.mark.parametrize(("shared_by", "links"), [("per_transmitter", 3), ("per_cluster", 12)])
def test_number_of_links_that_share_the_band_of_a_clique(shared_by, links):
    assert num_sharing(shared_by, 4) == links
    gains = {(i, j): 1e-8 for i in range(4) for j in range(i + 1, 4)}
    view = make_view(4, gains, shared_by=shared_by, rate=Fixed(rate_bps=1e6))
    np.testing.assert_allclose(Full().plan(view).links.predicted_delay_s, links)


def test_gateways_are_the_best_pair_of_two_clusters_both_ways():
    gains = {(0, 2): 1e-9, (1, 2): 3e-9, (1, 3): 2e-9, (3, 4): 1e-8}
    view = make_view(5, gains)
    found = gateways(view, np.array([0, 0, 1, 1, 2]))
    assert list(zip(found.src, found.dst, strict=True)) == [(1, 2), (2, 1), (3, 4), (4, 3)]
    assert found.mean_gain.tolist() == [3e-9, 3e-9, 1e-8, 1e-8]
    assert found.power_w.tolist() == [0.2] * 4
    whole_band = 1e6 / (1e6 * np.log2(1 + 0.2 * 3e-9 / 1e-13))
    assert found.predicted_delay_s[0] == pytest.approx(whole_band, rel=1e-12)


def test_equal_gateways_go_to_the_lowest_numbers():
    gains = {(0, 2): 1e-9, (0, 3): 1e-9, (1, 2): 1e-9}
    found = gateways(make_view(4, gains), np.array([0, 0, 1, 1]))
    assert list(zip(found.src, found.dst, strict=True)) == [(0, 2), (2, 0)]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(views())
def test_gateways_against_every_pair(view):
    numbers = np.random.default_rng(view.num_devices).integers(0, 3, view.num_devices)
    cluster = some_clusters(view, numbers)
    best = {}
    for i, j, gain in zip(view.low, view.high, view.mean_gain, strict=True):
        couple = tuple(sorted((cluster[i], cluster[j])))
        if couple[0] != couple[1] and gain > best.get(couple, (0, 0, 0.0))[2]:
            best[couple] = (i, j, gain)
    plan = assemble(view, cluster, equal_power(view), ())
    found = plan.gateways
    expected = {(i, j) for i, j, _ in best.values()} | {(j, i) for i, j, _ in best.values()}
    assert set(zip(found.src, found.dst, strict=True)) == expected
    assert len(found.src) == len(expected)
