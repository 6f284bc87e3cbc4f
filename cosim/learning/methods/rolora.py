"""RoLoRA (Chen et al. 2025, arXiv 2502.01755): the factors take turns.

As published: in one round A is frozen, and B is trained, sent and averaged; in the next B is
frozen, and A is. While all hold one frozen factor, the average of the other is exact for the
product, as in FFA-LoRA, and half of the adapter is sent in a round; but A learns too. B has the
odd rounds: it starts at zero, where A has no gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from cosim.learning.adapter import Layout, Mask, Vector
from cosim.learning.methods._average import Averaged
from cosim.learning.methods.base import Arrival, Cohort, Coordinates, DeviceState, in_order


@dataclass(frozen=True)
class TurnState(DeviceState):
    """What a device holds beside its adapter.

    Attributes:
        clock: the newest round that it knows of: its own trainings count it up, and updates tell
            it. The next training is of round clock + 1.
        moved: what its last training moved, [layout.size]; None before the first.
    """

    clock: int = 0
    moved: Mask | None = None


class Rolora(Averaged):
    """Trains B in odd rounds and A in even ones, and the head in all; sends what was trained.

    Devices agree on whose turn it is by a clock (Lamport's): each training counts one round, and an
    update that arrives tells its round. A client goes by the round of its server's broadcast,
    however long it has not been sampled. A device that comes late, or has been left behind, trains
    B or A out of turn at most until the next updates arrive, and then is in step. What it sends out
    of turn is averaged with those who sent the same factor, and counts for nothing in the other.

    In a network that is no clique, neighbours' averages differ, and so do the factors that are
    frozen. `send: both` mixes the frozen factor too, at twice the bits (ADF-LoRA, arXiv
    2511.18291). A server, and a gateway to another cluster, always send both factors.
    """

    send: Literal["trained", "both"] = "trained"

    def starts_anew(self, state: DeviceState) -> bool:
        """Each turn is another factor's than the last."""
        return True

    def start(self, cohort: Cohort, device: int) -> DeviceState:
        state = TurnState(**vars(super().start(cohort, device)))
        return replace(state, trainable=_turn(cohort.layout, 0))

    def trained(self, cohort: Cohort, state: DeviceState, vector: Vector) -> DeviceState:
        """Note which factor was trained, and give the turn to the other."""
        state = cast(TurnState, state)
        clock, layout = state.clock + 1, cohort.layout
        # If the device has merged since the training began, it may be another's turn by now.
        of_a = bool(np.any(vector[layout.part_a] != state.vector[layout.part_a]))
        of_b = bool(np.any(vector[layout.part_b] != state.vector[layout.part_b]))
        moved = _factor(layout, of_a) if of_a != of_b else state.trainable
        state = replace(state, clock=clock, moved=moved, trainable=_turn(layout, clock))
        return super().trained(cohort, state, vector)

    def sent(self, cohort: Cohort, state: DeviceState, round: int) -> Coordinates:
        moved = cast(TurnState, state).moved
        if self.send == "both" or moved is None:
            return self.shared(cohort.layout)
        return np.flatnonzero(moved)

    def expected(self, cohort: Cohort, state: DeviceState) -> Coordinates:
        return (
            self.shared(cohort.layout) if self.send == "both" else np.flatnonzero(state.trainable)
        )

    def merge(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Average what was sent, and learn what round it is."""
        state = cast(TurnState, super().merge(cohort, state, arrivals))
        rounds = [each.update.round for each in arrivals if each.update.coordinates.size]
        clock = max([state.clock, *rounds])
        return replace(state, clock=clock, trainable=_turn(cohort.layout, clock))

    def adopt(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Take over both factors, and whose turn it is in the round of the broadcast."""
        state = cast(TurnState, super().adopt(cohort, state, arrivals))
        rounds = [each.update.round for each in in_order(arrivals)]
        clock = rounds[-1] - 1 if rounds else state.clock
        return replace(state, clock=clock, trainable=_turn(cohort.layout, clock))


def _turn(layout: Layout, clock: int) -> Mask:
    """Return what is trained in round clock + 1."""
    return _factor(layout, of_a=clock % 2 == 1)


def _factor(layout: Layout, of_a: bool) -> Mask:
    """Return the coordinates of A or of B, and of the head."""
    mask = np.zeros(layout.size, dtype=np.bool_)
    mask[layout.part_a if of_a else layout.part_b] = True
    mask[layout.part_head] = True
    return mask
