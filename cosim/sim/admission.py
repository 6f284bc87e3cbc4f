"""Admission: which sendings may be on the air at once; the others wait in their device's queue.

A device with a half-duplex radio does not receive while it sends, nor send while it receives. A
device may also send to so many at a time only. What may not go on the air yet waits; when a device
comes free, those that wait for it are looked at in the order in which they asked. One that may not
go yet does not hold up those behind it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Request:
    """What asks for the air.

    Attributes:
        src: who sends.
        receivers: who receives.
        num_bytes: that wait while it waits.
        go: called when it may go on the air.
        is_waiting: whether it waits.
    """

    src: int
    receivers: Sequence[int]
    num_bytes: int
    go: Callable[[], None] = field(repr=False)
    is_waiting: bool = False


class Admission:
    """Queues in front of the air.

    Args:
        num_devices: how many devices there are.
        half_duplex: whether sending and receiving exclude each other.
        parallel: sendings that a device may have on the air at once; None for any number.
        limit_bytes: what may wait at a device; None for any amount.
    """

    def __init__(
        self,
        num_devices: int,
        *,
        half_duplex: bool = False,
        parallel: int | None = None,
        limit_bytes: float | None = None,
    ) -> None:
        self._half_duplex = half_duplex
        self._parallel = parallel
        self._limit_bytes = limit_bytes
        self.is_open = not half_duplex and parallel is None  # nothing ever waits
        self._sending = [0] * num_devices
        self._receiving = [0] * num_devices
        self._waiting_bytes = [0] * num_devices
        self._waiting: dict[int, dict[Request, int]] = {}  # by device: in which turn
        self._num_waited = 0

    def has_room(self, request: Request) -> bool:
        """Return whether it may go on the air, or else there is room in its device's queue."""
        if self._limit_bytes is None or self._may_go(request):
            return True
        return self._waiting_bytes[request.src] + request.num_bytes <= self._limit_bytes

    def ask(self, request: Request) -> None:
        """Let a request go on the air, now or when it may."""
        if self._may_go(request):
            self._count(request, 1)
            request.go()
            return
        request.is_waiting = True
        for device in self._devices(request):
            self._waiting.setdefault(device, {})[request] = self._num_waited
        self._num_waited += 1
        self._waiting_bytes[request.src] += request.num_bytes

    def withdraw(self, request: Request) -> None:
        """Forget a request that waits."""
        request.is_waiting = False
        for device in self._devices(request):
            self._waiting[device].pop(request)
            if not self._waiting[device]:
                del self._waiting[device]
        self._waiting_bytes[request.src] -= request.num_bytes

    def release(self, request: Request) -> None:
        """Take a request off the air, and let those go that may now."""
        self._count(request, -1)
        waiting = {
            other: turn
            for device in self._devices(request)
            for other, turn in self._waiting.get(device, {}).items()
        }
        admitted = []
        for other in sorted(waiting, key=waiting.__getitem__):
            if self._may_go(other):
                self.withdraw(other)
                self._count(other, 1)
                admitted.append(other)
        for other in admitted:
            other.go()

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
