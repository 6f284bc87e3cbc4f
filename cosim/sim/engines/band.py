"""Who is on the air: in each domain, and within reach of each other's receivers.

All that starts and ends at one instant is taken in once, at the end of that instant: bands are
divided again where flows have started or ended, and with co-channel interference the flows that
hear those are looked at again too.

A device radiates no more than it can: where the flows that it sends at once want more than its
greatest power together, all of them have the same fraction of what they want.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.sim.check import Invariants
from cosim.sim.engines.air import Air
from cosim.sim.engines.base import Engine
from cosim.sim.engines.flow import Flow

Ints = NDArray[np.int64]
Distance = Callable[[np.int64, Ints, float], NDArray[np.float64]]

_ROUNDING = 1e-9  # of a power: planned parts of it may sum to a little more


class Band:
    """The bands of all domains.

    Args:
        env: the event loop.
        engine: told of changes.
        air: what the flows of a domain may radiate at once, and how often.
        max_power_w: greatest transmit power of each device.
        reach_m: a flow disturbs the receivers of other domains that are at most this far from its
            transmitter when the later of the two goes on the air; None without interference.
        distance_m: distances from one device to others, by (from, to, time).
        invariants: what to check, or None.
    """

    def __init__(
        self,
        env: simpy.Environment,
        engine: Engine,
        air: Air,
        max_power_w: Sequence[float],
        *,
        reach_m: float | None = None,
        distance_m: Distance | None = None,
        invariants: Invariants | None = None,
    ) -> None:
        self._env = env
        self._engine = engine
        self._air = air
        self._max_power_w = max_power_w
        self._reach_m = reach_m
        self._distance_m = distance_m
        self._invariants = invariants
        self._flows: dict[int, dict[Flow, None]] = {}  # by domain, in the order of starts
        self._everyone = np.arange(len(max_power_w))
        self._sent_by: dict[int, dict[Flow, None]] = {}  # by device
        self._received_by: dict[int, dict[Flow, None]] = {}  # likewise, where flows disturb
        self._heard_by: dict[Flow, dict[Flow, None]] = {}  # who has it as an interferer
        self._senders: dict[int, None] = {}  # devices that send more or fewer flows
        self._changed: dict[int, None] = {}  # domains to divide again, in order
        self._disturbed: dict[int, None] = {}  # domains whose interference has changed
        self._is_refresh_due = False

    def join(self, flow: Flow) -> None:
        """Put a flow on the air; it has its share by the end of this instant."""
        self._engine.begin(flow)
        if self._reach_m is not None:
            self._meet(flow)
            for receiver in flow.receivers:
                self._received_by.setdefault(receiver.device, {})[flow] = None
        flows = self._flows.setdefault(flow.domain, {})
        flows[flow] = None
        self._sent_by.setdefault(flow.src, {})[flow] = None
        self._change(flow)

    def leave(self, flow: Flow) -> None:
        """Give a flow's share back to the others."""
        flows = self._flows[flow.domain]
        del flows[flow]
        sent = self._sent_by[flow.src]
        del sent[flow]
        if not sent:
            del self._sent_by[flow.src]
        self._change(flow)
        for other in self._heard_by.pop(flow, {}):
            other.interferers.pop(flow, None)
        for other in flow.interferers:
            self._heard_by[other].pop(flow, None)
        if self._reach_m is not None:
            for receiver in flow.receivers:
                del self._received_by[receiver.device][flow]
        if not flows:
            del self._flows[flow.domain]

    def look_again(self, flow: Flow) -> None:
        """Let a flow whose progress was asked for go on."""
        self._disturbed[flow.domain] = None
        self._refresh_soon()

    def _meet(self, flow: Flow) -> None:
        """Find whom a new flow disturbs, and who disturbs it."""
        self._heard_by[flow] = {}
        for device in self._near(flow.src):
            for listener in self._received_by.get(device, ()):
                self._note(flow, listener, device)
        for receiver in flow.receivers:
            for device in self._near(receiver.device):
                for source in self._sent_by.get(device, ()):
                    self._note(source, flow, receiver.device)

    def _note(self, source: Flow, listener: Flow, receiver: int) -> None:
        """Note that a source's power gets to a listener's receiver, if it disturbs it there."""
        # A transmitter's own links do not collide, and what a device sends it cancels itself.
        if source.domain != listener.domain and source.src not in (listener.src, receiver):
            listener.interferers[source] = None
            self._heard_by[source][listener] = None

    def _near(self, device: int) -> list[int]:
        """Return the devices that are in reach of one."""
        assert self._reach_m is not None
        assert self._distance_m is not None
        distance_m = self._distance_m(np.int64(device), self._everyone, self._env.now)
        return np.flatnonzero(distance_m <= self._reach_m).tolist()

    def _change(self, flow: Flow) -> None:
        self._changed[flow.domain] = None
        self._senders[flow.src] = None
        self._disturb((flow,))
        self._refresh_soon()

    def _disturb(self, sources: Iterable[Flow]) -> None:
        """Note that flows are heard otherwise than before."""
        for source in sources:
            for other in self._heard_by.get(source, ()):
                self._disturbed[other.domain] = None

    def _divide_power(self, src: int) -> None:
        """Divide a device's power among the flows that it sends."""
        flows = self._sent_by.get(src, {})
        by_domain: dict[int, list[float]] = {}
        for flow in flows:
            by_domain.setdefault(flow.domain, []).append(flow.wanted_power_w)
        at_once = max if self._air.one_at_a_time else sum
        wanted_w = sum(at_once(powers_w) for powers_w in by_domain.values())
        most_w = self._max_power_w[src]
        scale = 1.0 if wanted_w <= most_w * (1.0 + _ROUNDING) else most_w / wanted_w
        for flow in flows:
            if flow.power_scale != scale:
                flow.power_scale = scale
                self._disturbed[flow.domain] = None
                self._disturb((flow,))
        if self._invariants is not None:
            self._invariants.power(src, wanted_w * scale, most_w)

    def _refresh_soon(self) -> None:
        if not self._is_refresh_due:
            self._is_refresh_due = True
            soon = self._env.timeout(0.0)
            soon.callbacks = [self._refresh]

    def _refresh(self, _: simpy.Event) -> None:
        self._is_refresh_due = False
        if self._invariants is not None:
            self._invariants.time(self._env.now)
        senders, self._senders = self._senders, {}
        for src in senders:
            self._divide_power(src)
        changed, self._changed = self._changed, {}
        for domain in changed:
            self._divide_band(domain)
        # All who hear what has changed by now.
        disturbed, self._disturbed = self._disturbed, {}
        for domain in {**changed, **disturbed}:
            flows = tuple(self._flows.get(domain, ()))
            if flows:
                self._engine.refresh(domain, flows)

    def _divide_band(self, domain: int) -> None:
        """Divide a domain's band anew, and tell who hears its flows if their turns change."""
        flows = tuple(self._flows.get(domain, ()))
        if not flows:
            return
        before = [flow.duty for flow in flows]
        if self._air.rule.slot_s is not None:
            duty = self._air.duty(len(flows))
            for flow in flows:
                flow.duty = duty
        self._engine.divide(domain, flows)
        for flow, duty in zip(flows, before, strict=True):
            if flow.duty != duty:
                self._disturb((flow,))
