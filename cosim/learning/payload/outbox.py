"""The outbox: what devices have sent to whom, and what a receiver need not be told again.

A device that has sent its list of coordinates to another, which has received all of it, sends
values only from then on. If any packet of it was lost, the next payload carries the list again. The
sender is taken to learn that at no cost, as it is a few bits. A list that the receiver can draw by
itself is never sent.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cosim.boundary import Payload
from cosim.learning.adapter import Vector
from cosim.learning.methods.base import Coordinates, Update
from cosim.learning.payload.codec import is_range, list_id
from cosim.learning.payload.packing import Packing

Lists = Mapping[int, Coordinates]
"""Lists of coordinates by their names (`list_id`)."""


@dataclass(frozen=True)
class _Packed:
    """What a device packed last: the next receiver often gets the same."""

    round: int
    updates: tuple[Update, ...]
    lists: Lists
    num_bytes: int
    body: bytes

    def is_of(self, round: int, updates: Sequence[Update], lists: Lists) -> bool:
        """Return whether packing these would give the same bytes."""
        if (round, len(updates)) != (self.round, len(self.updates)):
            return False
        return lists.keys() == self.lists.keys() and all(map(_is_same, updates, self.updates))


def _is_same(one: Update, other: Update) -> bool:
    return (
        (one.members, one.round) == (other.members, other.round)
        and np.array_equal(one.coordinates, other.coordinates)
        and np.array_equal(one.values, other.values)
    )


class Outbox:
    """All devices' payloads.

    Args:
        packing: how updates become bytes.
    """

    def __init__(self, packing: Packing) -> None:
        self._packing = packing
        # By (src, dst) and kind: round of the newest payload that arrived whole, and its lists.
        self._held: dict[tuple[int, int], dict[str, tuple[int, Lists]]] = {}
        self._packed: dict[int, _Packed] = {}  # by device
        self._receivers: dict[int, tuple[int, set[int]]] = {}  # by device: of its newest round

    def payload(
        self,
        kind: str,
        src: int,
        receivers: Sequence[int],
        round: int,
        updates: Sequence[Update],
        drawn: bool = False,
    ) -> Payload | None:
        """Return what all receivers can read, made out to the first; None for nothing.

        Args:
            kind: `update` or `exchange`.
            src: who sends.
            receivers: at least one.
            round: the round that it belongs to.
            updates: what to send.
            drawn: whether all receivers can draw the updates' coordinates from sender and round.
        """
        if kind == "update":
            newest, others = self._receivers.get(src, (round, set()))
            self._receivers[src] = round, {*receivers} | (others if newest == round else set())
        lists = self._held_by(src, receivers[0])
        for other in receivers[1:]:
            also = self._held_by(src, other)
            lists = {name: each for name, each in lists.items() if name in also}
        if drawn:
            at = (each.coordinates for each in updates if not is_range(each.coordinates))
            lists = {**lists, **{list_id(each): each for each in at}}
        packed = self._packed.get(src)
        if packed is None or not packed.is_of(round, updates, lists):
            num_bytes, body = self._packing.pack(updates, src, round, lists.keys())
            packed = self._packed[src] = _Packed(round, tuple(updates), lists, num_bytes, body)
        if not packed.body:
            return None
        dst, segment_bytes = receivers[0], self._packing.segment_bytes
        return Payload(kind, src, dst, round, packed.num_bytes, segment_bytes, packed.body, lists)

    def confirm(self, payload: Payload, updates: Iterable[Update]) -> None:
        """Note that the receiver has all of a payload, and the sender knows it.

        The lists of the newest payload of its kind are kept, and no others.
        """
        by_kind = self._held.setdefault((payload.src, payload.dst), {})
        newest, _ = by_kind.get(payload.kind, (payload.round, {}))
        if payload.round >= newest:
            coordinates = [each.coordinates for each in updates if not is_range(each.coordinates)]
            by_kind[payload.kind] = payload.round, {list_id(each): each for each in coordinates}

    def expected_bits(
        self, device: int, coordinates: Coordinates, vector: Vector, drawn: bool = False
    ) -> int:
        """Return the size of the next update, the mean over the receivers of the newest one.

        Args:
            device: who sends.
            coordinates: of the update.
            vector: the device's adapter.
            drawn: whether all receivers can draw the update's coordinates.
        """
        name, (_, receivers) = list_id(coordinates), self._receivers.get(device, (0, set()))
        known = [drawn or name in self._held_by(device, dst) for dst in receivers] or [drawn]
        num_bytes = {
            each: self._packing.expected_bytes(device, coordinates, vector, {name} if each else ())
            for each in set(known)
        }
        return round(8 * math.fsum(num_bytes[each] for each in known) / len(known))

    def _held_by(self, src: int, dst: int) -> Lists:
        """Return the lists of coordinates that `dst` has from `src`."""
        by_kind = self._held.get((src, dst), {})
        return {name: each for _, lists in by_kind.values() for name, each in lists.items()}
