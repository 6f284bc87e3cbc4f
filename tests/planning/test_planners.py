"""What every planner owes, and what the constrained ones owe beyond that."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_oracle import (
    clusters_of,
    collision_rate,
    feasible,
    feasible_merges,
    gain_of,
    limits,
    make_view,
    views,
)

from cosim.planning.planners.agnes import Agnes
from cosim.planning.planners.full import Full
from cosim.planning.planners.random import Random
from cosim.plugin import find, kinds

CONSTRAINED = st.sampled_from([Agnes, Random])


def ends(links):
    return list(zip(links.src.tolist(), links.dst.tolist(), strict=True))


def clique(n, gain=1e-8):
    return {(i, j): gain for i in range(n) for j in range(i + 1, n)}


def test_kinds_are_found_by_name():
    for kind in ("agnes", "full", "random"):
        assert kind in kinds("planner")
    assert find("planner", "agnes") is Agnes
    assert find("planner", "random") is Random
    assert find("planner", "full") is Full


@pytest.mark.parametrize("kind", [kind for kind in kinds("planner") if kind != "from_file"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(view=views())
def test_every_planner_meets_its_contract(kind, view):
    plan = find("planner", kind)().plan(view)
    n = view.num_devices
    assert (plan.index, plan.t_s, plan.round) == (view.index, view.t_s, view.round)
    assert plan.cluster.shape == plan.density.shape == (n,)
    assert ((plan.cluster >= 0) == view.alive).all()
    assert set(plan.cluster[view.alive]) == set(range(plan.num_clusters))
    gain = gain_of(view)
    for links, inside in ((plan.links, True), (plan.gateways, False)):
        pairs = ends(links)
        assert pairs == sorted(set(pairs))
        assert set(pairs) == {(j, i) for i, j in pairs}
        for (i, j), mean_gain in zip(pairs, links.mean_gain, strict=True):
            assert i != j
            assert (plan.cluster[i] == plan.cluster[j]) == inside
            assert mean_gain == gain[i, j]
        assert (links.power_w > 0).all()
        assert (links.predicted_delay_s > 0).all()
    power_w = np.bincount(plan.links.src, weights=plan.links.power_w, minlength=n)
    assert (power_w <= view.max_power_w * (1 + 1e-9)).all()
    for k in range(plan.num_clusters):
        densities = view.density[plan.members(k)]
        assert plan.collision_rate[k] == pytest.approx(collision_rate(densities), abs=1e-12)
    assert all(plan.reasons)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(views(), limits(), CONSTRAINED)
def test_constraints_hold_and_no_merge_is_left(view, fields, kind):
    planner = kind().model_copy(update=fields)
    plan = planner.plan(view)
    clusters = sorted(map(sorted, clusters_of(plan)))
    for members in clusters:
        if len(members) > 1:
            assert feasible(view, planner, members)
    assert not feasible_merges(view, planner, clusters)
    # The plan's own numbers say the same as the literal formulas.
    margin = 10 ** (planner.fade_margin_db / 10)
    if margin == 1.0:
        assert (plan.links.predicted_delay_s <= planner.max_delay_s * (1 + 1e-9)).all()
    inside = {pair for members in clusters for pair in combinations(members, 2)}
    assert set(ends(plan.links)) == inside | {(j, i) for i, j in inside}


@settings(max_examples=30, deadline=None, derandomize=True)
@given(views(), limits(), CONSTRAINED)
def test_planning_again_gives_the_same_plan(view, fields, kind):
    planner = kind().model_copy(update=fields)
    one, two = planner.plan(view), planner.plan(view)
    assert one.reasons == two.reasons
    assert one.cluster.tolist() == two.cluster.tolist()
    assert one.links.power_w.tolist() == two.links.power_w.tolist()


def test_random_draws_anew_for_every_plan_and_seed():
    view = make_view(12, clique(12))
    plans = {
        tuple(Random().plan(replace(view, index=index)).cluster.tolist()) for index in range(20)
    }
    assert len(plans) > 10


def test_random_draws_pairs_uniformly():
    # A path of four: each of three pairs is drawn first with probability 1/3. The middle one
    # leaves the outer devices alone. n = 1000, false alarm 1e-6 (4.9 standard deviations).
    view = make_view(4, {(0, 1): 1e-8, (1, 2): 1e-7, (2, 3): 1e-9})
    n, planner = 1000, Random(max_cluster_size=2)
    middle = sum(planner.plan(replace(view, index=index)).num_clusters == 3 for index in range(n))
    assert abs(middle - n / 3) < 4.9 * np.sqrt(n * (1 / 3) * (2 / 3))


def test_full_is_one_cluster_of_all_that_are_alive():
    alive = np.array([True, False, True, True])
    plan = Full().plan(make_view(4, {(0, 2): 1e-9}, alive=alive))
    assert plan.cluster.tolist() == [0, -1, 0, 0]
    assert ends(plan.links) == [(0, 2), (2, 0)]
    assert len(plan.gateways.src) == 0
    assert plan.reasons == ("all 3 devices in one cluster; 2 of 3 pairs out of range",)


@pytest.mark.parametrize("kind", [Agnes, Random, Full])
def test_nobody_alive_is_an_empty_plan(kind):
    for n in (0, 3):
        plan = kind().plan(make_view(n, {}, alive=np.zeros(n, dtype=bool)))
        assert plan.num_clusters == 0
        assert plan.cluster.tolist() == [-1] * n
        assert len(plan.links.src) == len(plan.gateways.src) == 0
        assert plan.reasons == ()


@pytest.mark.parametrize("kind", [Agnes, Random, Full])
def test_one_device_is_a_cluster_without_links(kind):
    plan = kind().plan(make_view(1, {}))
    assert plan.cluster.tolist() == [0]
    assert plan.collision_rate.tolist() == [0.0]
    assert len(plan.links.src) == 0


@pytest.mark.parametrize("kind", [Agnes, Random])
def test_a_device_without_neighbour_is_alone(kind):
    plan = kind().plan(make_view(3, {(0, 2): 1e-8}))
    assert clusters_of(plan) == {frozenset({0, 2}), frozenset({1})}
    assert "device 1 is alone: no neighbour in range" in plan.reasons


def test_density_of_the_plan_is_a_copy_of_what_was_seen():
    view = make_view(2, clique(2), density=np.array([0.1, 0.3]))
    plan = Agnes().plan(view)
    assert plan.density.tolist() == [0.1, 0.3]
    assert plan.density is not view.density
