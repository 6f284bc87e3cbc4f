"""Who is on the air in each domain, and how they divide its band.

All that starts and ends at one instant is divided for once, at the end of that instant.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.radio.budget import snr
from cosim.radio.sharing.base import Demand, SharingRule
from cosim.sim.check import Invariants
from cosim.sim.engines.base import Engine, Flow

Floats = NDArray[np.float64]


class Band:
    """The band of every domain.

    Args:
        env: the event loop.
        engine: told of its flows' new shares.
        rule: how a domain's flows divide its band.
        bandwidth_hz: of one domain.
        invariants: what to check, or None.
    """

    def __init__(
        self,
        env: simpy.Environment,
        engine: Engine,
        rule: SharingRule,
        bandwidth_hz: float,
        invariants: Invariants | None,
    ) -> None:
        self._env = env
        self._engine = engine
        self._rule = rule
        self._bandwidth_hz = bandwidth_hz
        self._invariants = invariants
        self._flows: dict[int, dict[Flow, None]] = {}  # by domain, in the order of starts
        self._changed: dict[int, None] = {}  # domains to divide again, in order

    def join(self, flow: Flow) -> None:
        """Put a flow on the air; it has its share by the end of this instant."""
        self._engine.begin(flow)
        self._flows.setdefault(flow.domain, {})[flow] = None
        self._divide_soon(flow.domain)

    def leave(self, flow: Flow) -> None:
        """Give a flow's share back to the others."""
        flows = self._flows[flow.domain]
        del flows[flow]
        if flows:
            self._divide_soon(flow.domain)
        else:
            del self._flows[flow.domain]

    def _divide_soon(self, domain: int) -> None:
        if not self._changed:
            soon = self._env.timeout(0.0)
            soon.callbacks = [self._divide]
        self._changed[domain] = None

    def _divide(self, _: simpy.Event) -> None:
        domains, self._changed = self._changed, {}
        for domain in domains:
            flows = tuple(self._flows.get(domain, ()))
            if not flows:
                continue
            demand = Demand(
                num_flows=len(flows),
                gain_to_noise=partial(self._gain_to_noise, flows),
                remaining_bits=partial(self._remaining_bits, flows),
            )
            shares = self._rule.shares(demand)
            if self._invariants is not None:
                self._invariants.time(self._env.now)
                self._invariants.shares(shares, len(flows))
            for flow, share in zip(flows, shares.tolist(), strict=True):
                flow.share = share
            self._engine.refresh(domain, flows)

    def _gain_to_noise(self, flows: Sequence[Flow]) -> Floats:
        return snr(
            [flow.power_w for flow in flows],
            [self._engine.gain(flow) for flow in flows],
            [flow.noise_w_per_hz * self._bandwidth_hz for flow in flows],
        )

    def _remaining_bits(self, flows: Sequence[Flow]) -> Floats:
        return np.array([self._engine.remaining_bits(flow) for flow in flows])
