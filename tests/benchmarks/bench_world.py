"""How fast the world answers: positions and gains of 10,000 devices, and one link at many times.

    python tests/benchmarks/bench_world.py [num_devices]

Each line is the best of some repetitions on one core; `each` is per device, link or sample.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.fading.base import FadingInstant
from cosim.world.fading.rayleigh import Rayleigh
from cosim.world.fading.rayleigh_jakes import RayleighJakes
from cosim.world.mobility.random_waypoint import RandomWaypoint
from cosim.world.path_loss.log_distance import LogDistance
from cosim.world.world import Body, ChannelModels, World

NUM_LINKS = 50_000
NUM_SAMPLES = 100_000
HOUR_S = 3600.0


def build(num_devices: int, fading) -> World:
    """Return a world of random waypoint devices, 1000 per square kilometre."""
    radius_m = 100.0 * (num_devices / 31.4) ** 0.5
    mobility = RandomWaypoint(speed_mps=(1.0, 3.0), pause_s=(0.0, 10.0))
    bodies = [Body(mobility)] * num_devices
    channel = ChannelModels(LogDistance(), fading)
    return World(Draws(1), Disc(radius_m=radius_m), bodies, channel)


def seconds(call: Callable[[], object], repetitions: int = 1) -> float:
    """Return the shortest wall time of some calls."""
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def report(name: str, elapsed_s: float, count: int) -> None:
    """Print one line of the table."""
    print(f"{name:<58}{1e3 * elapsed_s:>11.2f} ms{1e9 * elapsed_s / count:>11.1f} ns each")


def main(num_devices: int) -> None:
    """Print the table."""
    world = build(num_devices, RayleighJakes())
    links = np.random.default_rng(0).integers(0, num_devices, (2, NUM_LINKS))
    t_s = np.linspace(0.0, 60.0, NUM_SAMPLES)
    one = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64)
    cycles = world.doppler_cycles(*one, t_s)
    instant = FadingInstant(*one, t_s, lambda: cycles)
    report("jakes tables of one seed", seconds(lambda: world.gain(0, 1, 0.0)), 1)
    report(
        "jakes |h|^2, one link, given phases",
        seconds(lambda: RayleighJakes().power(Draws(1), instant), 20),
        NUM_SAMPLES,
    )
    report(
        "block |h|^2, one link",
        seconds(lambda: Rayleigh(coherence_time_s=1e-3).power(Draws(1), instant), 20),
        NUM_SAMPLES,
    )
    report("gain (jakes), one link", seconds(lambda: world.gain(0, 1, t_s), 20), NUM_SAMPLES)
    report("gain (jakes), one link, one time", seconds(lambda: world.gain(0, 1, 7.0), 200), 1)
    report("positions, first", seconds(lambda: world.positions_m(0.0)), num_devices)
    report("positions, same time", seconds(lambda: world.positions_m(0.0), 20), num_devices)
    grid_s = np.arange(0.0, HOUR_S, 1.0)
    report(
        "positions, 1 h by steps of 1 s",
        seconds(lambda: [world.positions_m(t) for t in grid_s]),
        grid_s.size * num_devices,
    )
    report(
        "neighbours within 100 m", seconds(lambda: world.neighbours(10.0, 100.0), 3), num_devices
    )
    report(
        "mean gain, 50,000 links, one time",
        seconds(lambda: world.mean_gain(*links, 20.0), 5),
        NUM_LINKS,
    )
    report("gain (jakes), 50,000 links, first", seconds(lambda: world.gain(*links, 0.0)), NUM_LINKS)
    report(
        "gain (jakes), 50,000 links, same time",
        seconds(lambda: world.gain(*links, 0.0), 5),
        NUM_LINKS,
    )
    minute_s = np.arange(0.0, 60.0, 1.0)
    report(
        "gain (jakes), 50,000 links, 60 s by steps of 1 s",
        seconds(lambda: [world.gain(*links, t) for t in minute_s]),
        minute_s.size * NUM_LINKS,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
