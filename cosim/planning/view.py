"""What a planner sees, and what it returns: frozen records of arrays.

A planner never holds a tensor or the event loop. Devices are numbered 0 to N - 1; links are
directed.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.radio.rate.base import Rate
from cosim.rng import Draws

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class PlanView:
    """The state of the network at the instant of planning.

    Attributes:
        t_s: simulated time.
        round: round that the plan is for, from 1.
        index: how many plans were made before this one.
        alive: whether each device takes part, [N].
        low, high: pairs of alive devices within radio range, low < high, sorted, [E].
        mean_gain: linear power gain of each pair, averaged over fading, [E].
        max_power_w: transmit power limit of each device, [N].
        noise_w_per_hz: noise density at each device as a receiver, N0 F, [N].
        bandwidth_hz: the band that a domain shares, guard bands left out. It is taken as one that
            can be cut anywhere, also where it has resource blocks.
        shared_by: `per_transmitter` (a device's outgoing links share the band), `per_cluster` or
            `per_cell` (all links of a cluster do; of a cell no more is known before it is planned).
        rate: the rate model of the links.
        payload_bits: size of each device's update on the air, headers included, [N].
        density: fraction of its adapter that each device trains and sends, [N].
        compute_s: modelled time of each device's local training, [N].
        draws: random numbers, for planners that draw; address with `index`.
        data_root: the folder that files are looked up in.
        servers: devices that aggregate for others and never train, ascending.
        previous: the newest plan before this one; None for the first.
    """

    t_s: float
    round: int
    index: int
    alive: Bools
    low: Ints
    high: Ints
    mean_gain: Floats
    max_power_w: Floats
    noise_w_per_hz: Floats
    bandwidth_hz: float
    shared_by: str
    rate: Rate
    payload_bits: Floats
    density: Floats
    compute_s: Floats
    draws: Draws = field(repr=False)
    data_root: Path = Path()
    servers: tuple[int, ...] = ()
    previous: "Plan | None" = field(default=None, repr=False)

    @property
    def num_devices(self) -> int:
        """Number of devices, alive or not."""
        return len(self.alive)


@dataclass(frozen=True)
class Links:
    """Directed links, [L] each.

    Attributes:
        src, dst: transmitter and receiver.
        power_w: transmit power on this link.
        mean_gain: linear gain averaged over fading, when planned.
        predicted_delay_s: delay of one update by equation (10) of P1 at the mean gain.
    """

    src: Ints
    dst: Ints
    power_w: Floats
    mean_gain: Floats
    predicted_delay_s: Floats

    @cached_property
    def _by_src(self) -> tuple[Ints, Ints]:
        order = np.argsort(self.src, kind="stable")
        return order, self.src[order]

    def outgoing(self, device: int) -> Ints:
        """Return the positions of the links that start at `device`, in the order of the links."""
        order, src = self._by_src
        return order[np.searchsorted(src, device) : np.searchsorted(src, device, side="right")]


@dataclass(frozen=True)
class Plan:
    """Who talks to whom, until the next plan.

    Attributes:
        index: number of the plan, from 0.
        t_s, round: when it was made.
        cluster: cluster number of each device, 0 to num_clusters - 1; -1 for a device that takes
            no part, [N].
        links: links inside clusters, which carry updates.
        multicast: whether each device sends its update over its links in one transmission, at the
            power of any of them, [N].
        gateways: links between clusters, which carry the inter-cluster exchange, both ways.
        density: density that each device is to use, [N].
        collision_rate: predicted collision rate of each cluster, equation (16), [num_clusters].
        reasons: why the plan is as it is, one sentence each, for a person to read.
    """

    index: int
    t_s: float
    round: int
    cluster: Ints
    links: Links
    multicast: Bools
    gateways: Links
    density: Floats
    collision_rate: Floats
    reasons: tuple[str, ...]

    @property
    def num_clusters(self) -> int:
        """Number of clusters, singletons counted."""
        return len(self.collision_rate)

    def members(self, cluster: int) -> Ints:
        """Return the devices of a cluster, ascending."""
        return np.flatnonzero(self.cluster == cluster)
