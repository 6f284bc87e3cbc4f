"""Where devices were, at equal intervals of simulated time.

To look at an instant costs an event and a copy of who takes part. Where they were is worked out
later, for many instants in one call: the same numbers as asked for one instant at a time, since the
world is a function of time.
"""

import itertools
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.sim.simulation import Simulation

_ROWS_AT_A_TIME = 4096


@contextmanager
def recorded_positions(sim: Simulation, interval_s: float) -> Iterator[None]:
    """Record the positions of those who take part, from now on until the block ends."""
    samples = _Samples(sim)
    sim.env.process(samples.take(interval_s))
    try:
        yield
    finally:
        samples.write()


class _Samples:
    """Instants that are not recorded yet."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._at_s: list[float] = []
        self._alive: list[NDArray[np.bool_]] = []  # [num_devices] at each instant

    def take(self, interval_s: float) -> Generator[simpy.Event, object, None]:
        """Look at every instant, for ever."""
        sim = self._sim
        for sample in itertools.count(1):
            self._at_s.append(sim.now_s)
            self._alive.append(sim.alive.copy())
            if len(self._at_s) * sim.alive.size >= _ROWS_AT_A_TIME:
                self.write()
            yield sim.env.timeout(sample * interval_s - sim.now_s)

    def write(self) -> None:
        """Record the instants looked at."""
        if not self._at_s:
            return
        instants, devices = np.nonzero(np.stack(self._alive))
        at_s = np.array(self._at_s)[instants]
        positions_m = self._sim.world.tracks_m(devices, at_s)
        self._at_s, self._alive = [], []
        self._sim.books.positions(at_s, devices, positions_m)
