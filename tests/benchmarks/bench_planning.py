"""How long planning takes: seconds per plan by number of devices and pairs in range.

    python tests/benchmarks/bench_planning.py [repetitions]

Devices lie uniformly in a square at ten in-range neighbours each (30 at `dense`), gains fall with
distance to the power 2.7. A line is the best of the repetitions, the view made before: `seconds`
by the clock, `cpu` what the process had of them, which other work on the machine does not change.
`size` is that of the largest cluster, `alone` the number of devices alone.
"""

import sys
import time
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from cosim.planning.planners.agnes import Agnes
from cosim.planning.planners.base import Planner
from cosim.planning.planners.full import Full
from cosim.planning.planners.random import Random
from cosim.planning.view import PlanView
from cosim.radio.rate.shannon import Shannon
from cosim.rng import Draws

RANGE_M = 100.0


def build(num_devices: int, neighbours: float, unequal: bool = False) -> PlanView:
    """Return a view of devices that have so many neighbours on average."""
    rng = np.random.default_rng(1)
    side_m = RANGE_M * np.sqrt(np.pi * num_devices / neighbours)
    points = rng.uniform(0, side_m, (num_devices, 2))
    pairs = cKDTree(points).query_pairs(RANGE_M, output_type="ndarray")
    low, high = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].astype(np.int64).T
    distance_m = np.maximum(np.linalg.norm(points[low] - points[high], axis=1), 1.0)
    ones = np.ones(num_devices)
    return PlanView(
        t_s=0.0,
        round=1,
        index=0,
        alive=np.ones(num_devices, dtype=bool),
        low=low,
        high=high,
        mean_gain=10**-4.33 * distance_m**-2.7,
        max_power_w=0.2 * ones,
        noise_w_per_hz=10**-19.5 * ones,
        bandwidth_hz=10e6,
        shared_by="per_transmitter",
        rate=Shannon(),
        payload_bits=rng.uniform(1e8, 2e8, num_devices) if unequal else 1.5e8 * ones,
        density=rng.uniform(0.02, 0.2, num_devices) if unequal else 0.1 * ones,
        compute_s=ones,
        draws=Draws(1),
    )


def report(name: str, planner: Planner, view: PlanView, repetitions: int) -> None:
    """Print a line of the table."""
    wall_s, cpu_s = [], []
    for _ in range(repetitions):
        wall, cpu = time.perf_counter(), time.process_time()
        plan = planner.plan(view)
        wall_s.append(time.perf_counter() - wall)
        cpu_s.append(time.process_time() - cpu)
    sizes = np.bincount(plan.cluster[plan.cluster >= 0])
    print(
        f"{name:28s} {view.num_devices:7d} {len(view.low):7d} {plan.num_clusters:8d} "
        f"{sizes.max():5d} {(sizes == 1).sum():6d} {min(wall_s):8.3f} {min(cpu_s):7.3f}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(f"{'':28s} devices   pairs clusters  size  alone  seconds     cpu")
    limits = {"max_delay_s": 30.0}
    for num_devices in (1_000, 10_000, 30_000):
        view = build(num_devices, 10)
        report("agnes", _with(Agnes, **limits), view, repetitions)
    view = build(10_000, 10)
    unequal = build(10_000, 10, unequal=True)
    report("agnes, unequal densities", _with(Agnes, **limits), unequal, repetitions)
    report("agnes, least power", _with(Agnes, power="least", **limits), view, repetitions)
    tight = replace(view, payload_bits=view.payload_bits * 10)
    report("agnes, tight delay", _with(Agnes, **limits), tight, repetitions)
    shared = replace(view, shared_by="per_cluster")
    report("agnes, band per cluster", _with(Agnes, **limits), shared, repetitions)
    anything = _with(Agnes, max_collision=1.0)
    report("agnes, no limits", anything, view, repetitions)
    report("agnes, no limits, dense", anything, build(10_000, 30), repetitions)
    report("random", _with(Random, **limits), view, repetitions)
    report("full", Full(), view, repetitions)


def _with(kind: type[Planner], **fields: object) -> Planner:
    return kind().model_copy(update=fields)


if __name__ == "__main__":
    main()
