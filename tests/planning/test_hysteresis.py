"""What is kept of a plan: what still holds, where the new plan is not better by much."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_oracle import clusters_of, feasible, limits, make_view, views

from cosim.planning.hysteresis import settle
from cosim.planning.planners.agnes import Agnes
from cosim.planning.planners.full import Full
from cosim.planning.planners.k_nearest import KNearest
from cosim.planning.planners.minimum_spanning_tree import MinimumSpanningTree
from cosim.planning.planners.random import Random
from cosim.planning.planners.ring import Ring
from cosim.planning.planners.star import Star

NEAR, FAR = 1e-8, 1e-9


def agnes(**fields):
    return Agnes().model_copy(update=fields)


def pairs_agnes():
    """Clusters of two."""
    return agnes(max_cluster_size=2)


def again(planner, before, now, least):
    """Plan for one view, then for another with hysteresis."""
    view = replace(now, previous=planner.plan(before))
    return settle(planner, view, planner.plan(view), least)


def updates_per_s(view, plan):
    """Return the sum over links of 1 / (training + delay)."""
    links = zip(plan.links.src.tolist(), plan.links.predicted_delay_s.tolist(), strict=True)
    return sum(1.0 / (view.compute_s[src] + delay_s) for src, delay_s in links)


def square(a, b):
    """Four devices, of which 0-1 and 2-3 have one gain, 0-2 and 1-3 another."""
    return make_view(4, {(0, 1): a, (2, 3): a, (0, 2): b, (1, 3): b})


SMALL = ({frozenset({0, 1}), frozenset({2, 3})}, {frozenset({0, 2}), frozenset({1, 3})})


@pytest.mark.parametrize("planner", [pairs_agnes(), agnes(max_cluster_size=2, linkage="single")])
def test_a_little_better_is_not_enough_and_much_better_is(planner):
    before, after = square(2 * FAR, FAR), square(FAR, 1.01 * FAR)
    plan, why = again(planner, before, after, 0.1)
    assert clusters_of(plan) == SMALL[0]
    assert plan.index == after.index
    assert why is not None
    assert plan.reasons == (why,)
    new = planner.plan(after)
    gain = updates_per_s(after, new) / updates_per_s(after, plan) - 1
    assert why == (
        "kept all parts that would change: the new plan would bring "
        f"{100 * gain:+.3g} % updates a second there at most, and more than +10 % are asked for"
    )
    assert gain > 0
    # Exactly that much is not enough; a little less is.
    assert clusters_of(again(planner, before, after, gain * (1 + 1e-6))[0]) == SMALL[0]
    changed, nothing = again(planner, before, after, gain * (1 - 1e-6))
    assert clusters_of(changed) == SMALL[1]
    assert nothing is None
    assert changed.reasons == new.reasons


def test_what_is_kept_has_the_powers_and_delays_of_now():
    planner = agnes(max_cluster_size=2, power="least", max_delay_s=2.0)
    after = square(FAR, 1.01 * FAR)
    plan, why = again(planner, square(2 * FAR, FAR), after, 0.1)
    assert why is not None
    # 1 Mbit in 2 s over 1 MHz: p = N0 b (2^0.5 - 1) / g, at the gain that there is now.
    np.testing.assert_allclose(plan.links.power_w, 1e-13 * (2**0.5 - 1) / FAR, rtol=1e-9)
    np.testing.assert_allclose(plan.links.mean_gain, FAR)


@pytest.mark.parametrize(
    ("case", "gains", "changed"),
    [
        ("out of range", {(0, 2): FAR, (1, 3): FAR, (2, 3): FAR}, {}),
        ("no gain left", {(0, 1): 0.0, (0, 2): FAR, (1, 3): FAR, (2, 3): FAR}, {}),
        ("delay", {(0, 1): 1e-13, (0, 2): FAR, (1, 3): FAR, (2, 3): FAR}, {}),
        ("compute", None, {"compute_s": np.array([1.0, 9.0, 1.0, 1.0])}),
        ("collision", None, {"density": np.array([1.0, 1.0, 0.1, 0.1])}),
        ("left", {(0, 2): FAR, (2, 3): FAR}, {"alive": np.array([True, False, True, True])}),
    ],
)
def test_a_cluster_that_breaks_a_limit_changes_whatever_is_asked_for(case, gains, changed):
    planner = agnes(max_cluster_size=2, max_delay_s=3.0, max_compute_s=5.0)
    after = square(FAR, 0.99 * FAR) if gains is None else make_view(4, gains)
    after = replace(after, **changed)
    plan, why = again(planner, square(2 * FAR, FAR), after, 1e9)
    assert frozenset({0, 1}) not in clusters_of(plan)
    if why is None:
        assert clusters_of(plan) == clusters_of(planner.plan(after))


@pytest.mark.parametrize("linkage", ["complete", "single"])
@pytest.mark.parametrize("kind", [Agnes, Random])
def test_who_is_cut_off_may_join_what_stays(kind, linkage):
    """{3, 4} breaks: 4 now hears the three that are together, 3 nobody. 5 and 6 stay."""
    planner = kind().model_copy(update={"linkage": linkage})
    three = {(0, 1): NEAR, (0, 2): NEAR, (1, 2): NEAR, (5, 6): NEAR}
    after = make_view(7, three | {(0, 4): FAR, (1, 4): FAR, (2, 4): FAR})
    plan, _ = again(planner, make_view(7, three | {(3, 4): NEAR}), after, 1e9)
    assert plan.cluster.tolist() == [0, 0, 0, 1, 0, 2, 2]


def test_one_cluster_that_breaks_does_not_undo_its_neighbours():
    """{2, 3} breaks, and the best plan for the rest of them would change {0, 1} and {4, 5} too."""
    chain = {(0, 1): NEAR, (2, 3): NEAR, (4, 5): NEAR, (1, 2): FAR, (3, 4): FAR}
    after = chain | {(1, 2): 1.05 * NEAR, (3, 4): 1.05 * NEAR}
    del after[2, 3]
    before, after = make_view(6, chain), make_view(6, after)
    plan, why = again(pairs_agnes(), before, after, 0.1)
    assert pairs_agnes().plan(after).cluster.tolist() == [0, 1, 1, 2, 2, 3]
    assert plan.cluster.tolist() == [0, 0, 1, 2, 3, 3]
    assert why is not None


def test_who_comes_is_planned_for():
    alive = np.array([True, True, True, False])
    before = make_view(4, {(0, 1): NEAR, (0, 2): FAR, (1, 2): FAR}, alive=alive)
    after = square(2 * FAR, FAR)
    plan, why = again(pairs_agnes(), before, after, 1e9)
    assert clusters_of(plan) == SMALL[0]  # 2 was alone
    assert why is None


def test_each_part_is_decided_by_itself():
    def two(a, b, c, d):
        one, other = square(a, b), square(c, d)
        gains = {}
        for view, first in ((one, 0), (other, 4)):
            ends = zip(view.low.tolist(), view.high.tolist(), view.mean_gain, strict=True)
            gains |= {(i + first, j + first): gain for i, j, gain in ends}
        return make_view(8, gains, compute_s=np.zeros(8))

    plan, why = again(
        pairs_agnes(), two(NEAR, FAR, NEAR, FAR), two(FAR, 1.01 * FAR, FAR, 1000 * FAR), 0.1
    )
    assert plan.cluster.tolist() == [0, 0, 1, 1, 2, 3, 2, 3]
    assert why is not None
    assert why.startswith("kept 1 of 2 parts that would change: ")
    assert plan.reasons[0] == why
    assert len(plan.reasons) > 1  # and why the other part is as it is


def test_without_a_plan_before_or_a_change_nothing_is_kept():
    view = square(NEAR, FAR)
    planner = pairs_agnes()
    planned = planner.plan(view)
    assert settle(planner, view, planned, 0.5) == (planned, None)
    same, why = again(planner, view, view, 0.5)
    assert (clusters_of(same), why) == (clusters_of(planned), None)


def test_a_planner_that_cannot_keep_clusters_is_followed():
    view = square(NEAR, FAR)
    planned = Full().plan(view)
    assert settle(Full(), replace(view, previous=planned), planned, 9.0) == (planned, None)


@pytest.mark.parametrize(
    "planner", [KNearest(k=1), MinimumSpanningTree(), Ring(order="tour"), Star()]
)
def test_planners_of_a_given_shape_keep_their_links(planner):
    rng = np.random.default_rng(3)
    pairs = combinations(range(6), 2)
    gains = dict(zip(pairs, rng.uniform(1, 2, 15).tolist(), strict=True))
    before = make_view(6, {pair: 1e-9 * gain for pair, gain in gains.items()})
    other = rng.permutation(list(gains.values()))
    after = make_view(6, {pair: 1e-9 * gain for pair, gain in zip(gains, other, strict=True)})
    first, second = planner.plan(before), planner.plan(after)
    plan, why = again(planner, before, after, 1e9)
    ends = [set(zip(p.links.src, p.links.dst, strict=True)) for p in (first, second, plan)]
    assert ends[0] != ends[1]
    assert ends[2] == ends[0]
    assert why is not None
    # A link that cannot carry anything any more takes its shape with it.
    low, high = min(ends[0])
    is_lost = (after.low == low) & (after.high == high)
    broken = replace(after, mean_gain=np.where(is_lost, 1e-30, after.mean_gain))
    planner = planner.model_copy(update={"max_delay_s": 100.0})
    plan, why = again(planner, before, broken, 1e9)
    assert (low, high) not in set(zip(plan.links.src, plan.links.dst, strict=True))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.integers(0, 7).flatmap(lambda n: st.tuples(views(n, n), views(n, n))),
    limits(),
    st.sampled_from([0.0, 0.1, 1.0, 1e9]),
)
def test_nothing_infeasible_is_kept_and_nothing_better_by_so_much_is_missed(moving, fields, least):
    before, after = moving
    planner = agnes(**fields)
    plan, why = again(planner, before, after, least)
    new = planner.plan(after)
    # A plan like any other: everybody alive in one cluster, numbered by lowest device, in limits.
    assert (plan.cluster >= 0).tolist() == after.alive.tolist()
    firsts = [int(plan.members(k)[0]) for k in range(plan.num_clusters)]
    assert firsts == sorted(firsts)
    for members in clusters_of(plan):
        assert len(members) == 1 or feasible(after, planner, tuple(sorted(members)))
    # No part of it is worse by more than was asked for, so that the whole is not.
    assert updates_per_s(after, new) <= (1 + least) * updates_per_s(after, plan) * (1 + 1e-9)
    if why is None:
        assert clusters_of(plan) == clusters_of(new)
