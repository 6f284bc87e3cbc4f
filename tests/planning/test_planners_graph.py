"""Planners of a given shape against networkx, brute force, and what a person would draw."""

import math
from dataclasses import replace
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_oracle import clusters_of, delay_s, gain_of, make_view, views

from cosim.planning.neighbours import Rows
from cosim.planning.planners._graph import loss_db
from cosim.planning.planners.exponential import Exponential
from cosim.planning.planners.full import Full
from cosim.planning.planners.k_nearest import KNearest
from cosim.planning.planners.minimum_spanning_tree import MinimumSpanningTree
from cosim.planning.planners.ring import Ring, _tour
from cosim.planning.planners.star import Star
from cosim.radio.rate.cqi import Cqi
from cosim.world.errors import WorldError

PLANNERS = [
    Star(),
    Star(centre=1),
    Ring(),
    Ring(order="tour"),
    KNearest(k=1),
    KNearest(k=3),
    MinimumSpanningTree(),
    Exponential(),
]


def graph_of(view):
    """Return the pairs of a view as a graph of the alive devices, weighed by loss in dB."""
    graph = nx.Graph()
    graph.add_nodes_from(np.flatnonzero(view.alive).tolist())
    for (i, j), gain in gain_of(view).items():
        graph.add_edge(i, j, loss=-10 * math.log10(gain))
    return graph


def linked(plan):
    """Return a plan's links as a graph; every alive device is in it."""
    graph = nx.Graph()
    graph.add_nodes_from(np.flatnonzero(plan.cluster >= 0).tolist())
    graph.add_edges_from(zip(plan.links.src.tolist(), plan.links.dst.tolist(), strict=True))
    return graph


def edges(plan):
    return {(i, j) for i, j in zip(plan.links.src, plan.links.dst, strict=True) if i < j}


def some_view(n, rng, in_range=1.0):
    gains = {p: 10 ** rng.uniform(-11, -9) for p in combinations(range(n), 2)}
    return make_view(n, {p: g for p, g in gains.items() if rng.random() < in_range})


def loss(view, i, j):
    gain = gain_of(view).get((i, j))
    return 1e6 if gain is None else -10 * math.log10(gain)


@pytest.mark.parametrize("planner", PLANNERS, ids=repr)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(view=views())
def test_links_are_pairs_in_range_and_clusters_are_what_they_connect(planner, view):
    if isinstance(planner, Star) and planner.centre is not None and view.num_devices < 2:
        return
    plan = planner.plan(view)
    links, gain = plan.links, gain_of(view)
    pairs = list(zip(links.src.tolist(), links.dst.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    assert set(pairs) == {(j, i) for i, j in pairs}
    assert all(gain[pair] == g for pair, g in zip(pairs, links.mean_gain, strict=True))
    assert clusters_of(plan) == set(map(frozenset, nx.connected_components(linked(plan))))
    assert ((plan.cluster >= 0) == view.alive).all()
    firsts = [plan.members(k)[0] for k in range(plan.num_clusters)]
    assert firsts == sorted(firsts)
    fanout = np.bincount(links.src, minlength=view.num_devices)
    np.testing.assert_allclose(links.power_w, (view.max_power_w / np.maximum(fanout, 1))[links.src])
    assert all(plan.reasons)
    assert bool(plan.reasons) == view.alive.any()


@pytest.mark.parametrize("planner", PLANNERS, ids=repr)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(view=views())
def test_gateways_are_the_best_pair_between_two_clusters(planner, view):
    if isinstance(planner, Star) and planner.centre is not None and view.num_devices < 2:
        return
    plan = planner.plan(view)
    best = {}
    for (i, j), gain in gain_of(view).items():
        a, b = plan.cluster[i], plan.cluster[j]
        if a != b:
            best[a, b] = max(best.get((a, b), 0.0), gain)
    ends = zip(plan.gateways.src, plan.gateways.dst, plan.gateways.mean_gain, strict=True)
    assert {(plan.cluster[i], plan.cluster[j]): g for i, j, g in ends} == best


@pytest.mark.parametrize("planner", PLANNERS, ids=repr)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(view=views(), seed=st.integers(0, 2**32 - 1))
def test_plans_do_not_depend_on_the_names_of_the_dead(planner, view, seed):
    """Who is not alive leaves no trace: the others are planned as if numbered without gaps."""
    if isinstance(planner, Star) and planner.centre is not None:
        return
    rng = np.random.default_rng(seed)
    n = view.num_devices
    places = np.sort(rng.choice(2 * n + 1, n, replace=False))
    fields = {}
    for name in ("max_power_w", "noise_w_per_hz", "payload_bits", "density", "compute_s"):
        fields[name] = np.ones(2 * n + 1) * 0.5
        fields[name][places] = getattr(view, name)
    alive = np.zeros(2 * n + 1, dtype=bool)
    alive[places] = view.alive
    spread = replace(view, alive=alive, low=places[view.low], high=places[view.high], **fields)
    one, two = planner.plan(view), planner.plan(spread)
    assert places[one.links.src].tolist() == two.links.src.tolist()
    assert places[one.links.dst].tolist() == two.links.dst.tolist()
    assert one.cluster.tolist() == two.cluster[places].tolist()


@pytest.mark.parametrize("planner", PLANNERS, ids=repr)
def test_who_leaves_is_planned_around_and_who_comes_back_is_back(planner):
    view = some_view(9, np.random.default_rng(4))
    before = planner.plan(view)
    alive = np.ones(9, dtype=bool)
    alive[1] = False
    left = (view.low != 1) & (view.high != 1)
    without = replace(
        view, alive=alive, low=view.low[left], high=view.high[left], mean_gain=view.mean_gain[left]
    )
    plan = planner.plan(without)
    assert plan.cluster[1] == -1
    assert 1 not in plan.links.src
    if not isinstance(planner, KNearest):  # whose graph of 8 may be in parts
        assert nx.is_connected(linked(plan))
    assert edges(planner.plan(view)) == edges(before)


# Star


def test_a_star_has_its_centre_at_the_best_mean_gain():
    gains = {(0, 1): 1e-9, (0, 2): 1e-11, (1, 2): 1e-9}  # mean loss: 0 and 2 100 dB, 1 90 dB
    plan = Star().plan(make_view(3, gains))
    assert edges(plan) == {(0, 1), (1, 2)}
    assert plan.reasons[0] == "1 star around 1"


def test_ties_of_centres_go_to_the_lowest_number_and_a_given_one_comes_first():
    view = make_view(4, dict.fromkeys(combinations(range(4), 2), 1e-9))
    assert edges(Star().plan(view)) == {(0, 1), (0, 2), (0, 3)}
    assert edges(Star(centre=2).plan(view)) == {(0, 2), (1, 2), (2, 3)}


def test_hearing_more_others_goes_before_hearing_them_better():
    path = {(0, 1): 1e-11, (1, 2): 1e-11, (2, 3): 1e-8}  # 1 hears two badly, 3 hears one well
    plan = Star().plan(make_view(4, path))
    assert edges(plan) == {(1, 2), (2, 3)}  # 2 hears two as well, and better
    assert clusters_of(plan) == {frozenset({0}), frozenset({1, 2, 3})}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(views())
def test_stars_are_chosen_greedily(view):
    free = set(np.flatnonzero(view.alive).tolist())
    heard = graph_of(view)
    expected = set()

    def rank(i):
        losses = [heard.edges[i, j]["loss"] for j in heard[i] if j in free]
        return -len(losses), round(math.fsum(losses) / max(len(losses), 1), 9), i

    while free:
        centre = min(free, key=rank)
        star = {j for j in heard[centre] if j in free}
        expected |= {(min(centre, j), max(centre, j)) for j in star}
        free -= star | {centre}
    assert edges(Star().plan(view)) == expected


def test_a_centre_that_there_is_not_is_said():
    view = make_view(3, {(0, 1): 1e-9, (1, 2): 1e-9})
    with pytest.raises(WorldError, match="expected a centre from 0 to 2, got 3"):
        Star(centre=3).plan(view)
    dead = replace(make_view(3, {(1, 2): 1e-9}), alive=np.array([False, True, True]))
    plan = Star(centre=0).plan(dead)
    assert edges(plan) == {(1, 2)}
    assert "device 0 takes no part and is no centre" in plan.reasons


# Ring


@pytest.mark.parametrize("order", ["number", "tour"])
@pytest.mark.parametrize("n", [2, 3, 4, 5, 8])
def test_a_ring_of_devices_in_range_is_one_circle(order, n):
    plan = Ring(order=order).plan(some_view(n, np.random.default_rng(n)))
    graph = linked(plan)
    assert nx.is_connected(graph)
    assert {degree for _, degree in graph.degree} == {1 if n == 2 else 2}


def test_a_ring_by_number_has_gaps_where_pairs_are_out_of_range():
    view = make_view(4, {(0, 1): 1e-9, (1, 2): 1e-9, (0, 2): 1e-9, (0, 3): 1e-9})
    plan = Ring().plan(view)
    assert edges(plan) == {(0, 1), (1, 2), (0, 3)}
    assert plan.reasons[0] == "out of reach in a ring: 2-3"


def test_a_tour_goes_around():
    # Eight on a circle, numbered so that neighbours are not near: the tour finds the circle.
    place = np.random.default_rng(1).permutation(8)
    angle = 2 * np.pi * place / 8
    xy = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    gains = {
        (i, j): float(1e-8 / np.hypot(*(xy[i] - xy[j])) ** 4) for i, j in combinations(range(8), 2)
    }
    around = np.argsort(place)
    expected = {tuple(sorted(pair)) for pair in zip(around, np.roll(around, -1), strict=True)}
    assert edges(Ring(order="tour").plan(make_view(8, gains))) == expected


@pytest.mark.parametrize("in_range", [1.0, 0.5])
@pytest.mark.parametrize("seed", range(6))
def test_no_exchange_makes_a_tour_shorter(seed, in_range):
    view = some_view(12, np.random.default_rng(seed), in_range)
    heard = Rows(12, view.low, view.high, loss_db(view)).all()
    tour = _tour(list(range(12)), heard).tolist()
    assert sorted(tour) == list(range(12))

    def length(order):
        return sum(loss(view, i, j) for i, j in zip(order, order[1:] + order[:1], strict=True))

    for i, j in combinations(range(12), 2):
        other = tour[:i] + tour[i : j + 1][::-1] + tour[j + 1 :]
        assert length(other) >= length(tour) - 1e-6


# k nearest neighbours


@settings(max_examples=100, deadline=None, derandomize=True)
@given(views(), st.integers(1, 5))
def test_k_nearest_are_the_k_of_largest_gain(view, k):
    gain = gain_of(view)
    expected = set()
    for i in range(view.num_devices):
        heard = sorted((j for a, j in gain if a == i), key=lambda j: (-gain[i, j], j))
        expected |= {(min(i, j), max(i, j)) for j in heard[:k]}
    plan = KNearest(k=k).plan(view)
    assert edges(plan) == expected
    heard = graph_of(view)
    assert all(linked(plan).degree(i) >= min(k, heard.degree(i)) for i in heard)


# Minimum spanning tree


@settings(max_examples=150, deadline=None, derandomize=True)
@given(views())
def test_the_tree_is_networkx_s(view):
    plan = MinimumSpanningTree().plan(view)
    heard, tree = graph_of(view), linked(plan)
    assert clusters_of(plan) == set(map(frozenset, nx.connected_components(heard)))
    assert not tree.edges or nx.is_forest(tree)
    least = nx.minimum_spanning_tree(heard, weight="loss").size("loss")
    assert heard.edge_subgraph(tree.edges).size("loss") == pytest.approx(least, abs=1e-6)


def test_ties_in_a_tree_go_to_the_lowest_numbers():
    view = make_view(4, dict.fromkeys(combinations(range(4), 2), 1e-9))
    assert edges(MinimumSpanningTree().plan(view)) == {(0, 1), (0, 2), (0, 3)}


def test_losses_of_nothing_are_branches_too():
    plan = MinimumSpanningTree().plan(make_view(3, {(0, 1): 1.0, (1, 2): 1.0, (0, 2): 0.5}))
    assert edges(plan) == {(0, 1), (1, 2)}


# Exponential graph


@pytest.mark.parametrize("n", [*range(2, 12), 16, 17])
def test_the_exponential_graph_is_a_circulant_of_powers_of_two(n):
    plan = Exponential().plan(some_view(n, np.random.default_rng(n)))
    hops = [2**k for k in range(math.ceil(math.log2(n)))]
    expected = nx.circulant_graph(n, hops)
    assert edges(plan) == {(min(e), max(e)) for e in expected.edges}
    degrees = {degree for _, degree in linked(plan).degree}
    assert max(degrees) <= 2 * math.ceil(math.log2(n))


def test_an_exponential_graph_of_those_in_range():
    view = make_view(5, {(0, 2): 1e-9, (2, 4): 1e-9, (1, 3): 1e-9})
    plan = Exponential().plan(view)  # circles 0 2 4 and 1 3
    assert edges(plan) == {(0, 2), (2, 4), (1, 3)}
    assert plan.reasons[0] == "out of reach in an exponential graph: 0-4"


# What cannot be carried


def test_a_pair_that_cannot_carry_an_update_in_time_is_not_chosen():
    view = make_view(3, {(0, 1): 1e-9, (0, 2): 1e-9, (1, 2): 1e-14})
    slow_s = delay_s(view, 1, 2, 0.2, 1e-14, 1)
    within = MinimumSpanningTree(max_delay_s=slow_s * 1.001)
    assert len(KNearest(max_delay_s=slow_s * 1.001).plan(view).links.src) == 6
    plan = KNearest(max_delay_s=slow_s * 0.999).plan(view)
    assert edges(plan) == {(0, 1), (0, 2)}
    assert any(
        "left out 1 pair in range that cannot carry an update within" in r for r in plan.reasons
    )
    assert edges(within.plan(view)) == {(0, 1), (0, 2)}


def test_the_slower_way_of_a_pair_decides():
    power_w = np.array([0.2, 0.2, 1e-9])  # device 2 is hardly heard, and hears well
    view = make_view(3, {(0, 1): 1e-9, (1, 2): 1e-9}, max_power_w=power_w)
    plan = Ring(max_delay_s=1.0).plan(view)
    assert edges(plan) == {(0, 1)}
    assert plan.reasons[-1] == "without a link: device 2"
    assert len(plan.gateways.src) == 0


def test_a_pair_without_any_rate_is_no_link_though_it_is_in_range():
    view = make_view(3, {(0, 1): 1e-9, (1, 2): 1e-16}, rate=Cqi())
    assert not np.isfinite(Full().plan(view).links.predicted_delay_s).all()
    plan = MinimumSpanningTree().plan(view)
    assert edges(plan) == {(0, 1)}
    assert np.isfinite(plan.links.predicted_delay_s).all()


def test_links_that_share_too_much_are_planned_and_said():
    view = make_view(4, dict.fromkeys(combinations(range(4), 2), 1e-9))
    alone_s = delay_s(view, 0, 1, 0.2, 1e-9, 1)
    plan = Star(max_delay_s=alone_s * 1.5).plan(view)
    assert len(plan.links.src) == 6
    assert any(
        reason.startswith("3 links cannot carry an update within") for reason in plan.reasons
    )


def test_power_and_casting_are_as_asked_for():
    view = make_view(4, dict.fromkeys(combinations(range(4), 2), 1e-9))
    assert Star(power="full").plan(view).links.power_w.tolist() == [0.2] * 6
    plan = Star(casting="multicast").plan(view)
    assert plan.multicast.tolist() == [True, False, False, False]


def test_many_devices_are_counted():
    n = 60
    alone = make_view(n, {})
    assert Ring().plan(alone).reasons[-1] == "without a link: 60 devices"
    plan = Ring().plan(make_view(n, {(0, j): 1e-9 for j in range(1, n)}))
    assert plan.reasons[0] == "58 pairs of a ring are out of reach"
