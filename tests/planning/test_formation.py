import numpy as np
import pytest
from planning_oracle import collision_rate, make_view

from cosim.planning.constraints import Constraints
from cosim.planning.formation import Formation
from cosim.planning.planners.agnes import Agnes


def clique(n, gain=1e-8):
    return {(i, j): gain for i in range(n) for j in range(i + 1, n)}


def form(view, **fields):
    limits = Agnes().model_copy(update={"max_collision": 1.0} | fields)
    return Formation(view, Constraints(limits, view))


def merge(formation, pool, *devices):
    """Merge the two clusters that together hold these devices; return what becomes possible."""
    for candidate in pool:
        both = [formation.members.get(number) for number in (candidate.a, candidate.b)]
        if None not in both and sorted(both[0] + both[1]) == sorted(devices):
            found = formation.try_merge(candidate)
            pool.extend(found)
            return found
    raise AssertionError(f"nothing to merge into {devices}")


def test_first_candidates_are_the_pairs_in_range():
    view = make_view(3, {(0, 1): 1e-8, (1, 2): 1e-9}, density=np.array([0.1, 0.2, 0.3]))
    found = form(view).candidates()
    assert [(c.first, c.second, -c.less_gain) for c in found] == [(0, 1, 1e-8), (1, 2, 1e-9)]
    assert found[0] < found[1]  # S .02 against .06


@pytest.mark.parametrize("density", [0.03, 0.05, 0.07, 0.1, 0.15, 0.3])
def test_the_way_a_cluster_came_about_does_not_change_its_rank(density):
    ways = [
        [(0, 1), (2, 3), (4, 5), (0, 1, 2, 3), (0, 1, 2, 3, 4, 5)],
        [(0, 1), (0, 1, 2), (0, 1, 2, 3), (0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5)],
        [(0, 1), (0, 1, 2), (3, 4), (3, 4, 5), (0, 1, 2, 3, 4, 5)],
    ]
    ranks = set()
    for way in ways:
        formation = form(make_view(7, clique(7), density=np.full(7, density)))
        pool = formation.candidates()
        for devices in way:
            last = merge(formation, pool, *devices)
        ranks |= {candidate.overlap for candidate in last}
        assert formation.merges[-1].collision_rate == pytest.approx(collision_rate([density] * 6))
    assert len(ranks) == 1


def test_near_to_a_union_is_near_to_both_parts():
    gains = {(0, 1): 5e-8, (0, 2): 1e-8, (1, 2): 2e-8, (1, 3): 3e-8}
    formation = form(make_view(4, gains))
    found = merge(formation, formation.candidates(), 0, 1)
    assert [(c.first, c.second, -c.less_gain) for c in found] == [(0, 2, 2e-8)]


def test_a_cluster_that_is_gone_merges_no_more():
    formation = form(make_view(3, clique(3)))
    first, second, third = formation.candidates()
    assert len(formation.try_merge(first)) == 1
    assert formation.try_merge(second) == []
    assert formation.try_merge(third) == []
    assert sorted(formation.members.values()) == [(0, 1), (2,)]


def test_obstacles_are_named():
    view = make_view(3, clique(3))
    delay_s = 1e6 / (1e6 * np.log2(1 + 0.2 * 1e-8 / 1e-13))
    assert form(view).obstacle(0, 1) is None
    assert form(view, max_cluster_size=1).obstacle(0, 1) == "size"
    assert form(view, max_collision=0.009).obstacle(0, 1) == "collision"
    assert form(view, max_delay_s=0.99 * delay_s).obstacle(0, 1) == "delay"
    assert form(view, max_delay_s=0.99 * delay_s, power="least").obstacle(0, 1) == "power"


def test_clusters_are_numbered_by_lowest_device():
    alive = np.array([True, False, True, True])
    formation = form(make_view(4, {(2, 3): 1e-8}, alive=alive))
    merge(formation, formation.candidates(), 2, 3)
    assert formation.clusters().tolist() == [0, -1, 1, 1]
