"""What a learner's updates are on the air: their bytes, and how many are sent for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cosim.learning.adapter import Layout, Vector
from cosim.learning.learner import LearningSetting
from cosim.learning.methods.base import Coordinates, Update
from cosim.learning.model_pool import ModelPool
from cosim.learning.payload._values import VALUE_BYTES
from cosim.learning.payload.codec import Rounding, encode
from cosim.learning.payload.scale import Scale, scale_as
from cosim.learning.payload.spread import encode_spread, large
from cosim.rng import Draws

if TYPE_CHECKING:
    from cosim.scenario.tree import PayloadCoding


@dataclass(frozen=True)
class Packing:
    """How updates become payloads.

    Attributes:
        segment_bytes: application bytes of a packet.
        coding: the scenario's section.
        draws: the learning half's random numbers.
        layout: what coordinates are of.
        scale: the architecture whose bits are sent; None for those of the model that trains.
    """

    segment_bytes: int
    coding: "PayloadCoding"
    draws: Draws
    layout: Layout
    scale: Scale | None

    @staticmethod
    def of(setting: LearningSetting, layout: Layout, pool: ModelPool) -> "Packing":
        """Return what the scenario asks for.

        Raises:
            cosim.learning.errors.LearningError: the named architecture lacks layers that the
                scenario adapts, or a packet is too small for one value.
        """
        coding, scale = setting.learning.payload, None
        if coding.scale_as is not None:
            targets = getattr(setting.learning.model, "targets", "all_linear")
            scale = scale_as(coding.scale_as, pool.sites, pool.head, targets)
        packing = Packing(setting.segment_bytes, coding, setting.draws, layout, scale)
        last = np.array([layout.size - 1])
        packing.expected_bytes(0, last, np.zeros(layout.size, dtype=np.float32), ())
        return packing

    def pack(
        self, updates: Sequence[Update], src: int, round: int, held: Collection[int]
    ) -> tuple[int, bytes]:
        """Return how many bytes to send, and the body; 0 and nothing where there is nothing.

        Args:
            updates: what to send.
            src: who sends.
            round: the payload's round.
            held: lists of coordinates that the receiver holds, by `list_id`.

        Raises:
            cosim.learning.errors.LearningError: a value is not finite, a packet cannot hold even
                one value, or the named architecture's update has no room for the real one.
        """
        rounding = Rounding(self.draws, src, round)
        if self.scale is None:
            body = encode(updates, self.segment_bytes, self.coding, rounding, held)
            return len(body), body
        each = [self.scale.count(self.layout, update.coordinates) for update in updates]
        return encode_spread(
            updates, sum(each), self.segment_bytes, self.coding, rounding, held, each
        )

    def expected_bytes(
        self, src: int, coordinates: Coordinates, vector: Vector, held: Collection[int]
    ) -> int:
        """Return how many bytes an update of these coordinates takes.

        Values that are still zero count as random ones, since training will move them.
        """
        values = vector[coordinates]
        untrained = values == 0
        draws = self.draws.generator("expected_values", src)
        values[untrained] = draws.standard_normal(np.count_nonzero(untrained), dtype=np.float32)
        update, rounding = Update((src,), 0, coordinates, values), Rounding(self.draws, src, 0)
        body = encode((update,), self.segment_bytes, self.coding, rounding, held)
        if self.scale is None or not body:
            return len(body)
        num_values = self.scale.count(self.layout, coordinates)
        _, num_bytes = large(body, self.segment_bytes, num_values)
        return num_bytes

    def code_bits(self, length: int) -> int:
        """Return the bits of the values of a device's code, of so many numbers."""
        if self.scale is not None:
            length = round(length * self.scale.layers)
        return 8 * length * VALUE_BYTES[self.coding.dtype]

    def num_trained(self, layout: Layout, coordinates: Coordinates) -> int:
        """Return how many coordinates are trained where the own model trains these.

        Args:
            layout: of the adapter that is trained, of any rank.
            coordinates: ascending.
        """
        return len(coordinates) if self.scale is None else self.scale.count(layout, coordinates)

    def num_frozen(self, pool: ModelPool) -> int:
        """Return the frozen parameters that multiply every token."""
        return pool.num_parameters if self.scale is None else self.scale.num_parameters
