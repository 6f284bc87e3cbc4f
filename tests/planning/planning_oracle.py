"""Views to plan for, and planning done the literal way: every formula as printed, every pair tried.

Rates are Shannon's here, written out with math.log2.
"""

import math
from itertools import combinations

import numpy as np
from hypothesis import strategies as st

from cosim.planning.view import PlanView
from cosim.radio.rate.shannon import Shannon
from cosim.rng import Draws

CLOSE = 1e-9


def make_view(num_devices, gains, **changed):
    """Return a view whose pairs in range are the keys of `gains`, {(low, high): gain}."""
    pairs = sorted(gains)
    ones = np.ones(num_devices)
    fields = {
        "t_s": 12.5,
        "round": 3,
        "index": 2,
        "alive": np.ones(num_devices, dtype=bool),
        "low": np.array([low for low, _ in pairs], dtype=np.int64),
        "high": np.array([high for _, high in pairs], dtype=np.int64),
        "mean_gain": np.array([gains[pair] for pair in pairs], dtype=np.float64),
        "max_power_w": 0.2 * ones,
        "noise_w_per_hz": 1e-19 * ones,
        "bandwidth_hz": 1e6,
        "shared_by": "per_transmitter",
        "rate": Shannon(),
        "payload_bits": 1e6 * ones,
        "density": 0.1 * ones,
        "compute_s": ones,
        "draws": Draws(7),
    }
    return PlanView(**fields | changed)


@st.composite
def views(draw, max_devices=7, min_devices=0):
    """Views of few devices: any graph, dead devices, ties in gain, equal or unequal devices."""
    n = draw(st.integers(min_devices, max_devices))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    alive = rng.random(n) < draw(st.sampled_from([1.0, 1.0, 1.0, 0.8, 0.0]))
    in_range = draw(st.sampled_from([0.4, 0.9, 1.0]))
    gains = {
        pair: float(10.0 ** rng.uniform(-11, -9))
        for pair in combinations(range(n), 2)
        if rng.random() < in_range and alive[list(pair)].all()
    }
    if draw(st.booleans()):  # gains in steps of 10 dB, so that many are the same
        gains = {pair: 10.0 ** round(math.log10(gain)) for pair, gain in gains.items()}
    if draw(st.booleans()):
        # Tenths: two different collision rates of up to 7 devices are at least 1e-7 apart.
        density = rng.choice([0.0, 0.1, 0.2, 0.5, 1.0], n)
    else:
        density = np.full(n, draw(st.sampled_from([0.1, 0.3, 1.0])))
    if draw(st.booleans()):
        unequal = {
            "max_power_w": 10 ** rng.uniform(-2, 0, n),
            "noise_w_per_hz": 1e-19 * 10 ** rng.uniform(0, 1, n),
            "payload_bits": rng.uniform(3e5, 3e6, n),
            "compute_s": rng.uniform(0.5, 1.5, n),
        }
    else:
        unequal = {}
    shared_by = draw(st.sampled_from(["per_transmitter", "per_cluster"]))
    return make_view(n, gains, alive=alive, density=density, shared_by=shared_by, **unequal)


def limits():
    """The fields of a constrained planner."""
    return st.fixed_dictionaries(
        {
            "max_collision": st.sampled_from([0.0, 0.01, 0.03, 0.1, 0.4, 1.0, 1.0]),
            "linkage": st.sampled_from(["complete", "complete", "single"]),
            "max_delay_s": st.sampled_from([0.1, 0.3, 0.5, 0.8, 1.2, 2.0, 4.0, 50.0]),
            "max_compute_s": st.sampled_from([None, None, 1.2]),
            "max_cluster_size": st.sampled_from([None, None, None, 1, 2, 4]),
            "power": st.sampled_from(["equal", "least"]),
            "fade_margin_db": st.sampled_from([0.0, 5.0]),
        }
    )


def gain_of(view):
    """Return {(i, j): gain} of all directed pairs in range."""
    pairs = zip(view.low.tolist(), view.high.tolist(), view.mean_gain.tolist(), strict=True)
    return {ends: gain for i, j, gain in pairs for ends in ((i, j), (j, i))}


def collision_rate(densities):
    """Return equation (16) as printed."""
    nobody = math.prod(1 - s for s in densities)
    one = sum(
        s * math.prod(1 - other for z, other in enumerate(densities) if z != j)
        for j, s in enumerate(densities)
    )
    return 1 - nobody - one if len(densities) > 1 else 0.0


def delay_s(view, i, j, power_w, gain, links):
    """Return equation (10) over a band that `links` links share."""
    bandwidth_hz = view.bandwidth_hz / links
    snr = power_w * gain / (view.noise_w_per_hz[j] * bandwidth_hz)
    return view.payload_bits[i] / (bandwidth_hz * math.log2(1 + snr))


def least_power_w(view, planner, i, j, gain, links):
    """Return (N0 b F / g)(2^(Q / (b T)) - 1), with the margin."""
    bandwidth_hz = view.bandwidth_hz / links
    exponent = view.payload_bits[i] / (bandwidth_hz * planner.max_delay_s)
    if exponent > 300:
        return math.inf
    snr = 2**exponent - 1
    margin = 10 ** (planner.fade_margin_db / 10)
    return view.noise_w_per_hz[j] * bandwidth_hz / gain * snr * margin


def feasible(view, planner, members):
    """Return whether a cluster of these devices, at least two, meets every limit."""
    gain = gain_of(view)
    size = len(members)
    heard = {i: [j for j in members if (i, j) in gain] for i in members}
    if planner.max_cluster_size is not None and size > planner.max_cluster_size:
        return False
    max_compute_s = math.inf if planner.max_compute_s is None else planner.max_compute_s
    if any(view.compute_s[i] > max_compute_s for i in members):
        return False
    if planner.linkage == "complete" and any(len(heard[i]) < size - 1 for i in members):
        return False
    if not connected(members, heard):
        return False
    if collision_rate([view.density[i] for i in members]) > planner.max_collision + CLOSE:
        return False
    for i in members:
        others = heard[i]
        if view.shared_by == "per_transmitter":
            links = len(others)
        else:
            links = sum(map(len, heard.values()))
        if planner.power == "least":
            powers = [least_power_w(view, planner, i, j, gain[i, j], links) for j in others]
            if sum(powers) > view.max_power_w[i]:
                return False
        else:
            power_w = view.max_power_w[i] / len(others)
            margin = 10 ** (planner.fade_margin_db / 10)
            delays = [delay_s(view, i, j, power_w, gain[i, j] / margin, links) for j in others]
            if max(delays) > (math.inf if planner.max_delay_s is None else planner.max_delay_s):
                return False
    return True


def connected(members, heard):
    """Return whether each of these can be reached from the first, over who hears whom."""
    reached, waiting = set(), [members[0]]
    while waiting:
        device = waiting.pop()
        if device not in reached:
            reached.add(device)
            waiting += heard[device]
    return len(reached) == len(members)


def feasible_merges(view, planner, clusters):
    """Return the pairs of clusters that may merge."""
    return [(a, b) for a, b in combinations(clusters, 2) if feasible(view, planner, a + b)]


def naive_agnes(view, planner):
    """Return AGNES's clusters, as a set of sets, trying every pair of clusters at every step."""
    clusters = [(i,) for i in np.flatnonzero(view.alive).tolist()]
    gain = gain_of(view)
    while merges := feasible_merges(view, planner, clusters):
        rates = [collision_rate([view.density[i] for i in a + b]) for a, b in merges]
        ties = [pair for pair, s in zip(merges, rates, strict=True) if s <= min(rates) + CLOSE]
        a, b = min(
            ties,
            key=lambda pair: (
                -max(gain.get((i, j), 0.0) for i in pair[0] for j in pair[1]),
                sorted(map(min, pair)),
            ),
        )
        clusters = [cluster for cluster in clusters if cluster not in (a, b)] + [a + b]
    return {frozenset(cluster) for cluster in clusters}


def clusters_of(plan):
    """Return a plan's clusters as a set of sets."""
    return {frozenset(plan.members(k).tolist()) for k in range(plan.num_clusters)}
