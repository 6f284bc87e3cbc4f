"""The inbox: what arrives, decoded; bytes that several receivers got are decoded once."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from cosim.boundary import Delivery, Payload
from cosim.learning.methods.base import Update
from cosim.learning.payload.codec import decode

_MOST_BYTES = 1 << 28  # of decoded updates that are kept for the next receiver

_Name = tuple[bytes, frozenset[int]]  # a body, and the names of the lists that it refers to
_Updates = dict[int, Update]


@dataclass
class _Newest:
    """What one device sent of one kind in its newest round, decoded."""

    round: int
    decoded: dict[_Name, _Updates] = field(default_factory=dict)

    def num_bytes(self) -> int:
        updates = (each for found in self.decoded.values() for each in found.values())
        return sum(each.coordinates.nbytes + each.values.nbytes for each in updates)


class Inbox:
    """What all devices receive.

    Of every sender and kind of payload the newest round is kept for the receivers to come.

    Args:
        layout_size: coordinates that an update may have.
        most_bytes: of decoded updates that are kept; those of the longest silent senders go first.
    """

    def __init__(self, layout_size: int, most_bytes: int = _MOST_BYTES) -> None:
        self._layout_size = layout_size
        self._most_bytes, self._num_bytes = most_bytes, 0
        self._newest: OrderedDict[tuple[int, str], _Newest] = OrderedDict()

    def sent(self, payload: Payload) -> Mapping[int, Update]:
        """Return the updates of a payload by their number, as they were sent; read-only."""
        newest = self._newest.get((payload.src, payload.kind))
        name = (payload.body, frozenset(payload.lists))
        found = None if newest is None else newest.decoded.get(name)
        if found is None:
            found = decode(payload.body, payload.part_bytes, self._layout_size, lists=payload.lists)
            self._keep(payload, name, found)
        return found

    def arrived(self, delivery: Delivery) -> Mapping[int, Update]:
        """Return the updates by their number, with the coordinates that arrived."""
        payload = delivery.payload
        if delivery.arrived.all():
            return self.sent(payload)
        body, part_bytes = payload.body, payload.part_bytes
        return decode(body, part_bytes, self._layout_size, delivery.arrived, payload.lists)

    def _keep(self, payload: Payload, name: _Name, updates: _Updates) -> None:
        for update in updates.values():
            update.coordinates.setflags(write=False)
            update.values.setflags(write=False)
        sender = payload.src, payload.kind
        newest = self._newest.pop(sender, None)
        if newest is not None:
            self._num_bytes -= newest.num_bytes()
        if newest is None or newest.round < payload.round:
            newest = _Newest(payload.round)
        if newest.round == payload.round:
            newest.decoded[name] = updates
        self._newest[sender] = newest
        self._num_bytes += newest.num_bytes()
        while self._num_bytes > self._most_bytes and len(self._newest) > 1:
            _, oldest = self._newest.popitem(last=False)
            self._num_bytes -= oldest.num_bytes()
