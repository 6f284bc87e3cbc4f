import numpy as np
from planning_oracle import make_view

from cosim.planning.planners.agnes import Agnes


def agnes(**fields):
    return Agnes().model_copy(update=fields)


def clique(n, gain=1e-8):
    return {(i, j): gain for i in range(n) for j in range(i + 1, n)}


def test_each_merge_says_what_decided():
    plan = agnes().plan(make_view(3, {(0, 1): 1e-8, (0, 2): 1e-9, (1, 2): 10**-8.5}))
    assert plan.reasons == (
        "merged {0} and {1}: S 0.01 <= 0.1, best gain -80.0 dB",
        "merged {0, 1} and {2}: S 0.028 <= 0.1, best gain -85.0 dB",
    )


def test_each_lone_device_says_why():
    gains = {(0, 1): 1e-8, (0, 2): 1e-9, (2, 3): 1e-30, (4, 5): 1e-8}
    density = np.array([0.1, 0.1, 0.1, 0.1, 0.9, 0.9])
    compute_s = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0])
    view = make_view(
        7,
        gains | {(5, 6): 1e-8},
        density=np.append(density, 0.1),
        compute_s=compute_s,
        payload_bits=np.full(7, 1e6),
    )
    plan = agnes(max_delay_s=10.0, max_compute_s=5.0).plan(view)
    assert plan.reasons[0].startswith("merged {0} and {1}")
    kept = "kept from its neighbours' clusters by"
    assert plan.reasons[1:] == (
        f"device 2 is alone: {kept} a member out of range, the delay limit",
        f"device 3 is alone: {kept} the delay limit",
        f"device 4 is alone: {kept} the collision limit",
        f"device 5 is alone: {kept} the collision limit, the neighbour's compute limit",
        "device 6 is alone: over the compute limit",
    )


def test_many_devices_are_counted():
    gains = {(2 * k, 2 * k + 1): 1e-8 for k in range(30)}
    plan = agnes().plan(make_view(63, gains))
    assert plan.reasons == (
        "30 merges made 30 clusters of 2 to 2 devices: S at most 0.01 <= 0.1",
        "3 devices are alone: no neighbour in range",
    )


def test_many_devices_that_are_all_alone():
    plan = agnes(max_collision=0.0).plan(make_view(60, clique(60)))
    (reason,) = plan.reasons
    assert (
        reason == "60 devices are alone: kept from its neighbours' clusters by the collision limit"
    )


def test_size_and_power_limits_are_named():
    plan = agnes(max_cluster_size=1).plan(make_view(2, clique(2)))
    assert plan.reasons[0].endswith("by the size limit")
    plan = agnes(power="least", max_delay_s=0.01).plan(make_view(2, clique(2)))
    assert plan.reasons[0].endswith("by the power limit")
