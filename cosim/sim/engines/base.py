"""What an engine is: it puts the packets of flows on the air and says what became of them.

A flow is one payload on its way over one link, or from one device to several at once (multicast).
Its attempts go out back to back; receiver r loses attempt k if the k-th number of its own stream is
below the loss probability at its SNR at the attempt's start. Two engines implement this with the
same results: `per_packet`, one event per attempt, and `packet_train`, one event per change of a
flow.

At one instant (`tolerance_s`) attempts end first; then the channel and the shares change; then
attempts begin, and see the new conditions. Where nothing can be sent, the rate being 0, no attempt
begins: it sees the conditions of when its first bit goes out.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

import simpy

from cosim.sim.engines.air import Air
from cosim.sim.engines.flow import Airing, Flow


class Timer:
    """One callback in the future; setting it again replaces the one before.

    SimPy cannot take an event back, so a replaced one stays in its queue, empty, until its time.
    """

    def __init__(self, env: simpy.Environment, callback: Callable[[float], None]) -> None:
        self._env = env
        self._callback = callback
        self._event: simpy.Event | None = None
        self._at_s = float("inf")

    @property
    def pending(self) -> bool:
        """Whether a call is to come."""
        return self._event is not None

    def set(self, at_s: float) -> None:
        """Call `callback(at_s)` at that time, or never if it is infinite."""
        if self._event is not None and at_s == self._at_s:
            return
        self.cancel()
        if at_s < float("inf"):
            self._at_s = at_s
            self._event = self._env.timeout(max(at_s - self._env.now, 0.0))
            self._event.callbacks = [partial(self._fire, at_s)]

    def cancel(self) -> None:
        """Forget what was set."""
        if self._event is not None:
            self._event.callbacks = []
            self._event = None

    def _fire(self, at_s: float, _: simpy.Event) -> None:
        self._event = None
        self._callback(at_s)


class Engine(ABC):
    """Puts flows on the air.

    Args:
        env: the event loop.
        air: what links are like, and how a domain's flows divide its band.
        aired: called with a flow and its `Airing` when its last attempt has ended.
        record: whether the times of packets will be asked for.
    """

    def __init__(
        self,
        env: simpy.Environment,
        air: Air,
        aired: Callable[[Flow, Airing], None],
        record: bool,
    ) -> None:
        self.env = env
        self.air = air
        self.aired = aired
        self.record = record

    @abstractmethod
    def begin(self, flow: Flow) -> None:
        """Take a flow of at least one packet; it has no share yet."""

    @abstractmethod
    def divide(self, domain: int, flows: Sequence[Flow]) -> None:
        """Divide a domain's band among these flows, all that are on the air in it, from now on.

        `refresh` follows for this domain, when the bands of all domains are divided.
        """

    @abstractmethod
    def refresh(self, domain: int, flows: Sequence[Flow]) -> None:
        """Go on with these flows, all that are on the air in `domain`, as things are now.

        Args:
            domain: whose band they share.
            flows: in the order of their starts.
        """

    @abstractmethod
    def progress(self, flow: Flow) -> Airing:
        """Return what cutting a flow now would come to; it goes on when `refresh` is called."""

    @abstractmethod
    def radiated_j(self, flow: Flow) -> float:
        """Return what a flow on the air has radiated until now."""

    @abstractmethod
    def cut(self, flow: Flow) -> Airing:
        """Take a flow off the air now; `aired` is not called for it."""
