from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from planning_oracle import (
    clusters_of,
    feasible,
    feasible_merges,
    limits,
    make_view,
    naive_agnes,
    views,
)
from pydantic import ValidationError

from cosim.planning.mixing import mixing
from cosim.planning.planners.agnes import Agnes
from cosim.radio.rate.fixed import Fixed

GOOD = 1e-8


def agnes(**fields):
    return Agnes().model_copy(update=fields)


def clique(n, gain=GOOD):
    return {(i, j): gain for i in range(n) for j in range(i + 1, n)}


@settings(max_examples=400, deadline=None, derandomize=True)
@given(views(), limits())
def test_equals_the_literal_algorithm(view, fields):
    planner = agnes(**fields)
    assert clusters_of(planner.plan(view)) == naive_agnes(view, planner)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(views(), limits())
def test_stops_only_when_nothing_can_merge(view, fields):
    planner = agnes(**fields)
    left = sorted(map(sorted, clusters_of(planner.plan(view))))
    assert not feasible_merges(view, planner, left)


def test_least_collision_goes_before_gain():
    # 0 is nearer to 1, but collides less with 2.
    gains = {(0, 1): 1e-7, (0, 2): 1e-9}
    density = np.array([0.1, 0.2, 0.1])
    plan = agnes(max_collision=0.02).plan(make_view(3, gains, density=density))
    assert plan.cluster.tolist() == [0, 1, 0]


def test_gain_decides_between_equal_collisions():
    gains = {(0, 1): 1e-9, (1, 2): 1e-8, (2, 3): 1e-9}
    plan = agnes(max_collision=0.01).plan(make_view(4, gains))
    assert clusters_of(plan) == {frozenset({0}), frozenset({1, 2}), frozenset({3})}


def test_lowest_numbers_decide_between_equals():
    gains = {(0, 1): 1e-9, (0, 2): 1e-9, (1, 2): 1e-9}
    plan = agnes(max_collision=0.01).plan(make_view(3, gains))
    assert plan.cluster.tolist() == [0, 0, 1]


def test_collision_limit_is_met_exactly():
    # S of five at density .1 is .08146 and of six .11427.
    assert agnes(max_collision=0.1).plan(make_view(5, clique(5))).num_clusters == 1
    assert agnes(max_collision=0.08146).plan(make_view(5, clique(5))).num_clusters == 1
    assert agnes(max_collision=0.0814).plan(make_view(5, clique(5))).num_clusters == 2
    assert agnes(max_collision=0.1).plan(make_view(6, clique(6))).num_clusters == 2


def test_dense_updates_merge_only_without_a_collision_limit():
    view = make_view(3, clique(3), density=np.ones(3))
    assert agnes(max_collision=0.99).plan(view).num_clusters == 3
    assert agnes(max_collision=1.0).plan(view).num_clusters == 1


def test_a_cluster_is_a_clique():
    gains = {(0, 1): GOOD, (1, 2): GOOD}  # 0 and 2 do not hear each other
    assert agnes().plan(make_view(3, gains)).num_clusters == 2


def test_a_cluster_of_single_linkage_need_only_be_connected():
    gains = {(0, 1): GOOD, (1, 2): GOOD}
    plan = agnes(linkage="single").plan(make_view(4, gains))
    assert plan.cluster.tolist() == [0, 0, 0, 1]
    ends = sorted(zip(plan.links.src.tolist(), plan.links.dst.tolist(), strict=True))
    assert ends == [(0, 1), (1, 0), (1, 2), (2, 1)]  # every pair in range, and no other
    # A device's power and band go by its own links: the middle one has two.
    assert plan.links.power_w.tolist() == [0.2, 0.1, 0.1, 0.2]
    weight, own = mixing(plan.links.src, plan.links.dst, 4)
    np.testing.assert_allclose(weight, 1 / 3)
    np.testing.assert_allclose(own, [2 / 3, 1 / 3, 2 / 3, 1])


def test_single_linkage_merges_by_the_best_gain_between_two_clusters():
    # {0, 1} and 2 meet over 1-2; {0, 1} and 3 over 0-3, which is better.
    gains = {(0, 1): 4e-8, (1, 2): 1e-8, (0, 3): 2e-8}
    plan = agnes(linkage="single", max_cluster_size=3).plan(make_view(4, gains))
    assert clusters_of(plan) == {frozenset({0, 1, 3}), frozenset({2})}


def test_single_linkage_has_no_link_without_gain():
    gains = {(0, 1): GOOD, (1, 2): GOOD, (0, 2): 0.0}
    plan = agnes(linkage="single").plan(make_view(3, gains))
    assert plan.num_clusters == 1
    assert len(plan.links.src) == 4


def limited_view():
    """Four devices in a row; each of the limits below keeps some of them apart."""
    gains = {(0, 1): 1e-8, (1, 2): 1e-11, (2, 3): 1e-8, (0, 2): 1e-11, (1, 3): 1e-11}
    return make_view(
        4, gains, density=np.array([0.1, 0.1, 0.5, 0.1]), compute_s=np.array([1.0, 1.0, 1.0, 9.0])
    )


NONE = {"max_collision": 1.0, "linkage": "single"}
APART = {
    "max_delay_s": {"max_delay_s": 0.2},  # (11a): 1 Mbit at 1e-11 is slower
    "power": {"power": "fixed", "link_power_dbm": 20.5},  # (11b): two links are 0.22 W
    "max_compute_s": {"max_compute_s": 5.0},  # (11c)
    "max_collision": {"max_collision": 0.14},  # of all four it is 0.15
    "max_cluster_size": {"max_cluster_size": 3},
    "linkage": {"linkage": "complete"},
}


def test_without_limits_what_is_connected_is_one_cluster():
    assert agnes(**NONE).plan(limited_view()).num_clusters == 1


@pytest.mark.parametrize("name", APART)
def test_each_limit_acts_alone(name):
    planner, view = agnes(**NONE | APART[name]), limited_view()
    found = clusters_of(planner.plan(view))
    assert len(found) > 1
    if name != "power":  # of which the oracle knows two rules
        assert found == naive_agnes(view, planner)


@pytest.mark.parametrize("names", list(combinations(sorted(APART.keys() - {"power"}), 2)))
def test_limits_act_together(names):
    view = limited_view()
    one, other = ({**APART[name]} for name in names)
    both = agnes(**NONE | one | other)
    found = clusters_of(both.plan(view))
    assert found == naive_agnes(view, both)
    for alone in (agnes(**NONE | one), agnes(**NONE | other)):
        assert all(len(each) == 1 or feasible(view, alone, tuple(each)) for each in found)


@pytest.mark.parametrize(("shared_by", "links"), [("per_transmitter", 2), ("per_cluster", 6)])
def test_delay_limit_counts_the_links_that_share_the_band(shared_by, links):
    view = make_view(3, clique(3), shared_by=shared_by)
    bandwidth_hz = 1e6 / links
    delay_s = 1e6 / (bandwidth_hz * np.log2(1 + 0.1 * GOOD / (1e-19 * bandwidth_hz)))
    whole = agnes(max_delay_s=delay_s * (1 + 1e-9)).plan(view)
    assert whole.num_clusters == 1
    np.testing.assert_allclose(whole.links.predicted_delay_s, delay_s, rtol=1e-12)
    assert agnes(max_delay_s=delay_s * (1 - 1e-9)).plan(view).num_clusters == 2


def test_the_slower_direction_counts():
    noise = np.array([1e-19, 1e-9])  # 1 hears hardly anything
    view = make_view(2, {(0, 1): GOOD}, noise_w_per_hz=noise)
    assert agnes(max_delay_s=10.0).plan(view).num_clusters == 2
    assert agnes().plan(view).num_clusters == 1


def test_links_that_are_there_already_slow_down_as_a_cluster_grows():
    # 0-1 collides least and merges first, at the worst gain; with 2 its band is halved.
    gains = {(0, 1): 1e-10, (0, 2): GOOD, (1, 2): GOOD}
    view = make_view(3, gains, density=np.array([0.1, 0.1, 0.2]))
    alone_s = 1e6 / (1e6 * np.log2(1 + 0.2 * 1e-10 / 1e-13))
    assert agnes(max_delay_s=1.99 * alone_s).plan(view).cluster.tolist() == [0, 0, 1]
    assert agnes(max_delay_s=2.01 * alone_s).plan(view).cluster.tolist() == [0, 0, 0]


def test_least_power_meets_the_delay_limit_exactly():
    plan = agnes(power="least", max_delay_s=2.0).plan(make_view(3, clique(3)))
    np.testing.assert_allclose(plan.links.predicted_delay_s, 2.0, rtol=1e-9)
    # 1 Mbit in 2 s over half of 1 MHz is 1 bit/s/Hz: SNR 1, p = N0 b / g.
    np.testing.assert_allclose(plan.links.power_w, 1e-19 * 5e5 / GOOD, rtol=1e-9)


def test_least_power_stays_within_the_device():
    needed = 1e-19 * 5e5 / GOOD
    for power_w, clusters in ((2.001 * needed, 1), (1.999 * needed, 2)):
        view = make_view(3, clique(3), max_power_w=np.full(3, power_w))
        assert agnes(power="least", max_delay_s=2.0).plan(view).num_clusters == clusters


def test_least_power_listens_to_the_receiver_and_sends_the_senders_bits():
    noise = np.array([1e-19, 4e-19])
    bits = np.array([1e6, 2e6])
    view = make_view(2, {(0, 1): GOOD}, noise_w_per_hz=noise, payload_bits=bits)
    plan = agnes(power="least", max_delay_s=1.0).plan(view)
    # 0 -> 1 at 1 bit/s/Hz, SNR 1; 1 -> 0 at 2 bit/s/Hz, SNR 3.
    expected = [1 * 4e-19 * 1e6 / GOOD, 3 * 1e-19 * 1e6 / GOOD]
    np.testing.assert_allclose(plan.links.power_w, expected, rtol=1e-9)
    np.testing.assert_allclose(plan.links.predicted_delay_s, 1.0, rtol=1e-9)


def test_fade_margin_raises_the_least_power():
    view = make_view(2, clique(2))
    bare = agnes(power="least", max_delay_s=2.0).plan(view)
    sure = agnes(power="least", max_delay_s=2.0, fade_margin_db=10.0).plan(view)
    np.testing.assert_allclose(sure.links.power_w, 10 * bare.links.power_w)
    assert np.all(sure.links.predicted_delay_s < 2.0)


def test_least_power_of_a_rate_that_needs_none_is_an_equal_share():
    view = make_view(3, clique(3), rate=Fixed(rate_bps=1e6))
    plan = agnes(power="least", max_delay_s=2.001).plan(view)
    assert plan.links.power_w.tolist() == [0.1] * 6
    np.testing.assert_allclose(plan.links.predicted_delay_s, 2.0)
    assert agnes(power="least", max_delay_s=1.999).plan(view).num_clusters == 2


def test_a_slow_device_stays_alone():
    view = make_view(3, clique(3), compute_s=np.array([1.0, 9.0, 1.0]))
    plan = agnes(max_compute_s=5.0).plan(view)
    assert plan.cluster.tolist() == [0, 1, 0]


def test_a_size_limit_of_one_leaves_everybody_alone():
    plan = agnes(max_cluster_size=1).plan(make_view(3, clique(3)))
    assert plan.cluster.tolist() == [0, 1, 2]
    assert len(plan.links.src) == 0


def test_a_pair_without_gain_is_out_of_range():
    assert agnes().plan(make_view(2, {(0, 1): 0.0})).num_clusters == 2


def test_least_power_needs_a_delay_limit():
    with pytest.raises(ValidationError, match="expected max_delay"):
        Agnes.model_validate({"power": "least"})
    assert Agnes.model_validate({"power": "least", "max_delay": "30 s"}).max_delay_s == 30.0


@pytest.mark.parametrize(
    "fields",
    [
        {"max_collision": 1.5},
        {"max_collision": -0.1},
        {"max_delay": "0 s"},
        {"max_delay": 30},
        {"max_cluster_size": 0},
        {"power": "most"},
        {"fade_margin": "-3 dB"},
    ],
)
def test_keys_out_of_range_are_refused(fields):
    with pytest.raises(ValidationError):
        Agnes.model_validate(fields)
