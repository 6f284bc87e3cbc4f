"""Merging in bulk: the same clusters as merging one by one, and how much of it is settled so."""

import numpy as np
import pytest
from hypothesis import given, settings
from planning_oracle import clusters_of, limits, make_view, naive_agnes, views

from cosim.planning import bulk
from cosim.planning.bulk import merge_in_bulk
from cosim.planning.constraints import Constraints
from cosim.planning.formation import Formation
from cosim.planning.planners.agnes import Agnes


def agnes(**fields):
    return Agnes().model_copy(update=fields)


def plan(planner, view, few):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "_FEW", few)
        return planner.plan(view)


def field(n, neighbours, seed, **changed):
    """Return a view of devices scattered over a square, with so many neighbours on average."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, np.sqrt(np.pi * n / neighbours), (n, 2))
    distance = np.linalg.norm(points[:, np.newaxis] - points, axis=-1)
    pairs = np.argwhere(np.triu(distance <= 1.0, 1)).tolist()
    gains = {(i, j): 1e-9 * distance[i, j] ** -3.0 for i, j in pairs}
    return make_view(n, gains, **changed)


def formed_in_bulk(view, **fields):
    limits = agnes(**fields)
    formation = Formation(view, Constraints(limits, view))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "_FEW", 0)
        merge_in_bulk(formation)
    return formation


@settings(max_examples=300, deadline=None, derandomize=True)
@given(views(), limits())
def test_equals_the_literal_algorithm(view, fields):
    planner = agnes(**fields)
    assert clusters_of(plan(planner, view, few=0)) == naive_agnes(view, planner)


@pytest.mark.parametrize("power", ["equal", "least", "full"])
@pytest.mark.parametrize(
    "density",
    [
        lambda rng, n: np.full(n, 0.1),
        lambda rng, n: rng.uniform(0.02, 0.2, n),
        lambda rng, n: rng.choice([0.0, 0.1, 1.0], n),
        lambda rng, n: np.where(rng.random(n) < 0.05, 1e-4, 0.1),
        lambda rng, n: np.ones(n),
    ],
    ids=["equal", "unequal", "nothing_or_all", "few_light", "dense"],
)
@pytest.mark.parametrize(
    ("linkage", "delay_s", "size"),
    [("complete", 50.0, 5), ("complete", 0.4, None), ("single", 0.4, 8)],
)
def test_equals_merging_one_by_one(density, power, linkage, delay_s, size):
    n = 150
    limits = {"max_collision": 1.0, "max_delay_s": delay_s, "max_cluster_size": size}
    planner = agnes(linkage=linkage, power=power, **limits)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        view = field(n, 15, seed, density=density(rng, n), max_power_w=rng.uniform(0.01, 0.2, n))
        in_bulk, one_by_one = plan(planner, view, few=0), plan(planner, view, few=10**9)
        assert in_bulk.cluster.tolist() == one_by_one.cluster.tolist()
        assert in_bulk.links.power_w.tolist() == one_by_one.links.power_w.tolist()


def test_devices_of_equal_density_are_settled_whole():
    view = field(300, 10, seed=1)
    formation = formed_in_bulk(view)
    assert not len(formation.near.a)
    assert {frozenset(each) for each in formation.members.values()} == clusters_of(
        plan(agnes(), view, few=10**9)
    )


def test_a_union_that_may_overtake_leaves_a_pair_open():
    # 0-1 merges first (S 1e-5). Then {0, 1} and 2 (S 2e-3) overtake 2-3 (S .01).
    gains = {(0, 1): 1e-9, (0, 2): 1e-9, (1, 2): 1e-9, (2, 3): 1e-8}
    density = np.array([0.01, 0.001, 0.1, 0.1])
    view = make_view(4, gains, density=density)
    assert plan(agnes(), view, few=0).cluster.tolist() == [0, 0, 0, 1]


def test_where_all_collide_alike_nothing_is_certain():
    view = field(100, 10, seed=1, density=np.ones(100))
    formation = formed_in_bulk(view, max_collision=1.0)
    assert formation.merges == []
    assert len(formation.near.a) == len(view.low)
