"""Admission: which sendings may be on the air at once; the others wait in their device's queue.

A device with a half-duplex radio does not receive while it sends, nor send while it receives. A
device may also send to so many at a time only. What may not go on the air yet waits, or is dropped
if its device's queue is full; when a device comes free, those that wait for it are looked at in the
order in which they asked. One that may not go yet does not hold up those behind it.

All that asks and comes free at one instant is taken in before anything is decided, and those that
ask at one instant are in the order of their devices, and of each device's sendings: what goes next
does not hang on the order of events, nor on the last digit of a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import simpy

from cosim.radio.sampling import tolerance_s

_SETTLED = 4.0  # tolerances after an instant; all that happens at it has happened by then


@dataclass(slots=True, eq=False)
class Request:
    """What asks for the air.

    Attributes:
        number: of the sending; a device's sendings are numbered in the order of their starts.
        src: who sends.
        receivers: who receives.
        num_bytes: that wait while it waits.
        go: called when it may go on the air.
        drop: called if it would have to wait and its device's queue is full; None for what waits
            in any case.
        is_waiting: whether it has asked and neither gone nor been dropped.
    """

    number: int
    src: int
    receivers: Sequence[int]
    num_bytes: int
    go: Callable[[], None] = field(repr=False)
    drop: Callable[[], None] | None = field(default=None, repr=False)
    is_waiting: bool = False


class Admission:
    """Queues in front of the air.

    Args:
        env: the event loop.
        num_devices: how many devices there are.
        half_duplex: whether sending and receiving exclude each other.
        parallel: sendings that a device may have on the air at once; None for any number.
        limit_bytes: what may wait at a device; None for any amount.
    """

    def __init__(
        self,
        env: simpy.Environment,
        num_devices: int,
        *,
        half_duplex: bool = False,
        parallel: int | None = None,
        limit_bytes: float | None = None,
    ) -> None:
        self._env = env
        self._half_duplex = half_duplex
        self._parallel = parallel
        self._limit_bytes = limit_bytes
        self.is_open = not half_duplex and parallel is None  # nothing ever waits
        self._sending = [0] * num_devices
        self._receiving = [0] * num_devices
        self._asked: dict[Request, None] = {}  # at this instant
        self._freed: dict[int, None] = {}  # devices, at this instant
        self._is_decision_due = False
        self._waiting_bytes = [0] * num_devices
        self._waiting: dict[int, dict[Request, int]] = {}  # by device: in which turn
        self._num_waited = 0

    def ask(self, request: Request) -> None:
        """Let a request go on the air when it may, at the end of this instant at the earliest."""
        request.is_waiting = True
        self._asked[request] = None
        self._decide_soon()

    def withdraw(self, request: Request) -> None:
        """Forget a request that waits."""
        request.is_waiting = False
        if request in self._asked:
            del self._asked[request]
            return
        for device in self._devices(request):
            self._waiting[device].pop(request)
            if not self._waiting[device]:
                del self._waiting[device]
        self._waiting_bytes[request.src] -= request.num_bytes

    def release(self, request: Request) -> None:
        """Take a request off the air, so that others may go."""
        self._count(request, -1)
        self._freed |= self._devices(request)
        self._decide_soon()

    def _decide_soon(self) -> None:
        if not self._is_decision_due:
            self._is_decision_due = True
            soon = self._env.timeout(_SETTLED * tolerance_s(self._env.now))
            soon.callbacks = [self._decide]

    def _decide(self, _: simpy.Event) -> None:
        """Let those go that may, in the order in which they asked; the others wait or drop."""
        self._is_decision_due = False
        freed, self._freed = self._freed, {}
        waiting = {
            request: turn
            for device in freed
            for request, turn in self._waiting.get(device, {}).items()
        }
        decided: list[Callable[[], None]] = []
        for request in sorted(waiting, key=waiting.__getitem__):
            if self._may_go(request):
                self.withdraw(request)
                self._count(request, 1)
                decided.append(request.go)
        asked, self._asked = self._asked, {}
        for request in sorted(asked, key=lambda each: (each.src, each.number)):
            if self._may_go(request):
                request.is_waiting = False
                self._count(request, 1)
                decided.append(request.go)
            elif request.drop is not None and not self._has_room(request):
                request.is_waiting = False
                decided.append(request.drop)
            else:
                self._wait(request)
        for tell in decided:
            tell()

    def _wait(self, request: Request) -> None:
        for device in self._devices(request):
            self._waiting.setdefault(device, {})[request] = self._num_waited
        self._num_waited += 1
        self._waiting_bytes[request.src] += request.num_bytes

    def _has_room(self, request: Request) -> bool:
        if self._limit_bytes is None:
            return True
        return self._waiting_bytes[request.src] + request.num_bytes <= self._limit_bytes

    def _devices(self, request: Request) -> dict[int, None]:
        return dict.fromkeys((request.src, *request.receivers))

    def _may_go(self, request: Request) -> bool:
        if self._parallel is not None and self._sending[request.src] >= self._parallel:
            return False
        if not self._half_duplex:
            return True
        busy = any(self._sending[receiver] for receiver in request.receivers)
        return not busy and not self._receiving[request.src]

    def _count(self, request: Request, change: int) -> None:
        self._sending[request.src] += change
        for receiver in request.receivers:
            self._receiving[receiver] += change
