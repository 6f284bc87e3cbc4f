"""Admission: which sendings may be on the air at once; the others wait in their device's queue.

A device with a half-duplex radio does not receive while it sends, nor send while it receives. A
device may also send to so many at a time only. What may not go on the air yet waits; when a device
comes free, those that wait for it are looked at in the order in which they came.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Request:
    """What asks for the air.

    Attributes:
        number: its place in the order of asking.
        src: who sends.
        receivers: who receives.
        num_bytes: that wait while it waits.
    """

    number: int
    src: int
    receivers: Sequence[int]
    num_bytes: int


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
        self._waiting: dict[int, dict[Request, None]] = {}  # by device, in the order of asking

    def has_room(self, request: Request) -> bool:
        """Return whether it may go on the air, or else there is room in its device's queue."""
        if self._limit_bytes is None or self._may_go(request):
            return True
        return self._waiting_bytes[request.src] + request.num_bytes <= self._limit_bytes

    def ask(self, request: Request) -> bool:
        """Return whether a request goes on the air now; if not, it waits."""
        if self._may_go(request):
            self._count(request, 1)
            return True
        for device in self._devices(request):
            self._waiting.setdefault(device, {})[request] = None
        self._waiting_bytes[request.src] += request.num_bytes
        return False

    def withdraw(self, request: Request) -> None:
        """Forget a request that waits."""
        for device in self._devices(request):
            self._waiting[device].pop(request)
            if not self._waiting[device]:
                del self._waiting[device]
        self._waiting_bytes[request.src] -= request.num_bytes

    def release(self, request: Request) -> list[Request]:
        """Take a request off the air; return those that go on the air in its place, in order."""
        self._count(request, -1)
        admitted = []
        waiting = {
            other.number: other
            for device in self._devices(request)
            for other in self._waiting.get(device, ())
        }
        for _, other in sorted(waiting.items()):
            if self._may_go(other):
                self.withdraw(other)
                self._count(other, 1)
                admitted.append(other)
        return admitted

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
