"""Devices that walk: how often clusters change, and that what is kept is within the limits."""

from itertools import pairwise

import numpy as np
import pytest

from cosim.radio.rate.shannon import Shannon

RANGE_M, MAX_DELAY_S, PAYLOAD_BITS = 120.0, 0.6, 1e6


def walking(min_improvement, seed=1):
    return {
        "seed": seed,
        "duration": "30 rounds",
        "area": {"kind": "disc", "radius": "150 m"},
        "devices": (
            {"count": 16, "mobility": {"kind": "random_waypoint", "speed": "2 m/s", "pause": "0 s"},
             "compute": {"kind": "flops", "rate": "1 TFLOP/s"}},
        ),
        "channel": {"range": f"{RANGE_M} m"},
        "link": {"rate": "shannon"},
        "learning": {"pool": {"kind": "none", "payload": f"{PAYLOAD_BITS / 1e3} kbit",
                              "density": 0.1, "flops": 1e12}},
        "topology": {
            "planner": {"kind": "agnes", "max_delay": f"{MAX_DELAY_S} s"},
            "triggers": ({"kind": "every", "interval": "5 s"},),
            "min_improvement": min_improvement,
        },
        "protocol": {"kind": "clustered_dfl", "inner_rounds": 1000, "round_interval": "5 s"},
        "record": {"positions": True, "position_interval": "5 s"},
    }  # fmt: skip


def together(run):
    """Return the pairs that share a cluster in each plan."""
    found = []
    for _, plan in run.plans.groupby("plan"):
        cluster = plan.sort_values("device").cluster.to_numpy()
        found.append(np.triu(cluster[:, np.newaxis] == cluster, 1))
    return found


def num_changes(run):
    plans = together(run)
    return sum(int((a != b).sum()) for a, b in pairwise(plans))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fewer_pairs_change_and_none_of_what_is_kept_is_infeasible(run_network, seed):
    free, steady = run_network(**walking(None, seed)), run_network(**walking(0.2, seed))
    assert len(free.plans.plan.unique()) == len(steady.plans.plan.unique()) > 20
    assert num_changes(steady) < 0.75 * num_changes(free)
    kept = steady.events[steady.events.kind == "plan_kept"]
    assert len(kept) > 5
    why = r"every 5 s: kept (all|\d+ of \d+) parts that would change: the new plan would"
    assert kept.detail.str.match(why).all()
    assert not (free.events.kind == "plan_kept").any()
    notes = steady.events[steady.events.kind == "plan"].set_index("t_s").detail
    assert all("kept" in notes[t_s] for t_s in kept.t_s)

    # By the positions: each pair of a cluster is in range, and each link in time by (10).
    links = steady.links[steady.links.predicted_delay_s > 0]
    made_s = steady.plans.groupby("plan").t_s.first()
    for number, plan in steady.plans.groupby("plan"):
        cluster = plan.sort_values("device").cluster.to_numpy()
        place = steady.positions[np.isclose(steady.positions.t_s, made_s[number])]
        if len(place) < 16:
            continue
        points = place.sort_values("device")[["x_m", "y_m"]].to_numpy()
        distance_m = np.linalg.norm(points[:, np.newaxis] - points, axis=-1)
        same = cluster[:, np.newaxis] == cluster
        assert distance_m[same].max() <= RANGE_M
        inside = links[links.plan == number]
        inside = inside[cluster[inside.src.to_numpy()] == cluster[inside.dst.to_numpy()]]
        links_of = inside.groupby("src").size()
        bandwidth_hz = 10e6 / links_of[inside.src].to_numpy()
        noise_w = 10 ** ((-174 + 9 - 30) / 10) * bandwidth_hz
        gain = 10 ** (inside.mean_gain_db.to_numpy() / 10)
        bps = Shannon().bps(inside.power_w.to_numpy() * gain / noise_w, bandwidth_hz, 1.0)
        assert np.all(PAYLOAD_BITS / bps <= MAX_DELAY_S * (1 + 1e-9))
