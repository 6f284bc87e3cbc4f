"""Codes on the air: what routing by codes knows of others' inputs comes with their updates.

Device j's code (`cosim.learning.inference.implicit`) rides in the payloads that hold j's training,
as an update of its own behind the adapter's coordinates, until its receiver has all of it. A
gateway passes on the codes that it knows of those whose training it passes on. Who has not received
a code cannot route to its device. The sender is taken to learn at no cost what has arrived, as for
lists of coordinates.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cosim.learning.adapter import Layout, Mask, Vector
from cosim.learning.inference.base import Codes
from cosim.learning.methods.base import Update
from cosim.learning.model_pool import ModelPool
from cosim.learning.tasks.base import Example

# Training examples of a device that its code is measured on, and of each task that all have.
_OWN_EXAMPLES, _SHARED_EXAMPLES = 200, 8


def shared_sample(tasks: Sequence[Sequence[Example]]) -> list[Example]:
    """Return the examples that everybody is taken to have: the first few of every task."""
    return [example for task in tasks for example in task[:_SHARED_EXAMPLES]]


@dataclass(frozen=True)
class _Part:
    """A code as far as it has arrived: its numbers, 0 where there are none, and which there are."""

    values: Vector = field(repr=False)
    there: Mask = field(repr=False)


class CodeBook:
    """Who knows whose code, and who has told it whom.

    Args:
        layout: of the adapters; codes are behind its coordinates.
        center: for each site mu [d_in].
        own: each device's code, [num sites, rank]; None for one that has no examples.
    """

    def __init__(
        self, layout: Layout, center: tuple[Vector, ...], own: Sequence[NDArray[np.float32] | None]
    ) -> None:
        self._first, self._center = layout.size, center
        self._shape = (len(layout.sites), layout.rank)
        self.length = len(layout.sites) * layout.rank
        whole = np.ones(self.length, dtype=np.bool_)
        self._held = [
            {} if code is None else {device: _Part(code.ravel(), whole)}
            for device, code in enumerate(own)
        ]
        self._told: set[tuple[int, int, int]] = set()  # src, dst, whose
        self._tellers: set[int] = set()  # whose code somebody has from themselves

    @classmethod
    def measured(
        cls,
        pool: ModelPool,
        layout: Layout,
        vectors: Sequence[Vector],
        examples: Sequence[Sequence[Example]],
        tasks: Sequence[Sequence[Example]],
    ) -> "CodeBook":
        """Return the book in which every device knows its own code.

        Args:
            pool: reads the examples in the model without adapters.
            layout: of the adapters.
            vectors: each device's, with the A that it has for good.
            examples: what each device trains on; nothing, for a server.
            tasks: each task's training examples, of which all have the first few.
        """
        center = tuple(pool.mean_inputs(shared_sample(tasks)))
        own: list[NDArray[np.float32] | None] = []
        for vector, each in zip(vectors, examples, strict=True):
            if not each:
                own.append(None)
                continue
            means = pool.mean_inputs(each[:_OWN_EXAMPLES])
            pairs = enumerate(zip(means, center, strict=True))
            code = [layout.a(vector, site) @ (mean - mu) for site, (mean, mu) in pairs]
            own.append(np.stack(code).astype(np.float32))
        return cls(layout, center, own)

    @property
    def end(self) -> int:
        """One more than the largest coordinate of a code."""
        return self._first + self.length

    def riding(
        self, src: int, receivers: Sequence[int], round: int, updates: Iterable[Update]
    ) -> tuple[Update, ...]:
        """Return the codes that go along with updates, less those that all receivers have.

        Args:
            src: who sends.
            receivers: who can read it.
            round: the payload's.
            updates: what is sent.
        """
        members = sorted({member for update in updates for member in update.members})
        at = np.arange(self._first, self.end)
        known = self._known(src)
        return tuple(
            Update((member,), round, at, known[member])
            for member in members
            if member in known
            and any((src, dst, member) not in self._told for dst in receivers if dst != member)
        )

    def is_code(self, update: Update) -> bool:
        """Return whether an update is a code and no part of an adapter."""
        return bool(update.coordinates[0] >= self._first)

    def take(self, src: int, dst: int, arrived: Update) -> None:
        """Note what arrived of a code."""
        (member,) = arrived.members
        at = arrived.coordinates - self._first
        if len(at) == self.length:
            self._told.add((src, dst, member))
            if src == member:
                self._tellers.add(src)
        before = self._held[dst].get(member)
        if before is not None and before.there.all():
            return
        values = np.zeros(self.length, np.float32) if before is None else before.values.copy()
        there = np.zeros(self.length, np.bool_) if before is None else before.there.copy()
        values[at], there[at] = arrived.values, True
        self._held[dst][member] = _Part(values, there)

    def known(self, device: int) -> Codes:
        """Return the codes that a device has all of, its own among them."""
        known = {whose: code.reshape(self._shape) for whose, code in self._known(device).items()}
        return Codes(self._center, known)

    def _known(self, device: int) -> Mapping[int, Vector]:
        held = self._held[device].items()
        return {member: part.values for member, part in held if part.there.all()}

    def has_told(self, src: int) -> bool:
        """Return whether anybody has the device's code from itself."""
        return src in self._tellers
