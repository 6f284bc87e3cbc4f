"""The inbox: what arrives, decoded; bytes that several receivers got are decoded once."""

from collections import OrderedDict
from collections.abc import Mapping

from cosim.boundary import Delivery, Payload
from cosim.learning.methods.base import Update
from cosim.learning.payload.codec import decode

_MOST_BYTES = 1 << 28  # of decoded updates that are kept for the next receiver


class Inbox:
    """What all devices receive.

    Args:
        layout_size: coordinates that an update may have.
        most_bytes: of decoded updates that are kept; the oldest go first.
    """

    def __init__(self, layout_size: int, most_bytes: int = _MOST_BYTES) -> None:
        self._layout_size = layout_size
        self._most_bytes, self._num_bytes = most_bytes, 0
        # By the body and the names of the lists that it refers to.
        self._decoded: OrderedDict[tuple[bytes, frozenset[int]], dict[int, Update]] = OrderedDict()

    def sent(self, payload: Payload) -> Mapping[int, Update]:
        """Return the updates of a payload by their number, as they were sent; read-only."""
        name = (payload.body, frozenset(payload.lists))
        found = self._decoded.get(name)
        if found is None:
            found = decode(payload.body, payload.part_bytes, self._layout_size, lists=payload.lists)
            self._keep(name, found)
        return found

    def arrived(self, delivery: Delivery) -> Mapping[int, Update]:
        """Return the updates by their number, with the coordinates that arrived."""
        payload = delivery.payload
        if delivery.arrived.all():
            return self.sent(payload)
        body, part_bytes = payload.body, payload.part_bytes
        return decode(body, part_bytes, self._layout_size, delivery.arrived, payload.lists)

    def _keep(self, name: tuple[bytes, frozenset[int]], updates: dict[int, Update]) -> None:
        for update in updates.values():
            update.coordinates.setflags(write=False)
            update.values.setflags(write=False)
        self._decoded[name] = updates
        self._num_bytes += _size(updates)
        while self._num_bytes > self._most_bytes and len(self._decoded) > 1:
            _, oldest = self._decoded.popitem(last=False)
            self._num_bytes -= _size(oldest)


def _size(updates: Mapping[int, Update]) -> int:
    return sum(each.coordinates.nbytes + each.values.nbytes for each in updates.values())
