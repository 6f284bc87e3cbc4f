"""Background traffic: what devices send beside the updates of learning, over the same air.

A burst goes to the base station that its device hears best, or, where there is none, to the
nearest device that takes part. It is sent at the device's full power, competes for the band and is
recorded among the flows as `background`; sums of a round leave it out.
"""

from collections.abc import Generator, Iterator

import numpy as np
import simpy

from cosim.boundary import Payload
from cosim.radio.packets import segment_bytes
from cosim.radio.traffic.base import Burst
from cosim.sim.books import BACKGROUND
from cosim.sim.simulation import Simulation
from cosim.units import dbm_to_watts


def start_background(sim: Simulation) -> None:
    """Let every device send the traffic of its group."""
    for device, group in enumerate(sim.groups):
        if group.traffic is not None:
            bursts = group.traffic.bursts(sim.draws.child("traffic"), device)
            sim.env.process(_send(sim, device, bursts))


def _send(
    sim: Simulation, device: int, bursts: Iterator[Burst]
) -> Generator[simpy.Event, object, None]:
    radio, transport = sim.groups[device].radio, sim.scenario.transport
    cut_bytes = segment_bytes(transport.mtu_bytes, transport.header_bytes)
    power_w = dbm_to_watts(radio.tx_power_dbm)
    for burst in bursts:
        yield sim.env.timeout(burst.t_s - sim.now_s)
        dst = _receiver(sim, device) if sim.alive[device] else None
        if dst is not None:
            payload = Payload(BACKGROUND, device, dst, 0, burst.num_bytes, cut_bytes)
            sim.network.send(payload, power_w)


def _receiver(sim: Simulation, device: int) -> int | None:
    """Return whom a burst is for; None if nobody else takes part."""
    others = sim.alive.copy()
    others[device] = False
    bases = np.flatnonzero(others & sim.is_base)
    if bases.size:
        return sim.world.strongest(device, bases, sim.now_s)
    candidates = np.flatnonzero(others)
    if not candidates.size:
        return None
    return int(candidates[np.argmin(sim.world.distance_m(device, candidates, sim.now_s))])
