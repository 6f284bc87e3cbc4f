"""Movements: updates that say how far a training has moved a device, and not where it ended.

    sent:   d_k = x_k - (what k had when its training began)
    merged: x <- x + sum_k w_k d_k

As buffered aggregation asks for them (FedBuff), where an update may be of an old version of what it
is merged into. Methods whose merges add up differences coordinate by coordinate know of nothing:
the one who merges moves its own coordinates by d_k, and the method merges the outcome as an adapter
like any other. Methods whose clients send movements in any case are left as they are.
"""

from dataclasses import replace

from cosim.learning.adapter import Vector
from cosim.learning.errors import LearningError
from cosim.learning.methods.base import Arrival, Method, Update
from cosim.plugin import kind_of


class Movements:
    """Where devices' last trainings began, if they send movements.

    Args:
        method: what updates are of.
        asked: whether the protocol asks for movements.

    Raises:
        LearningError: the protocol does, and the method cannot merge them.
    """

    def __init__(self, method: Method, asked: bool) -> None:
        if asked and method.movements == "neither":
            raise LearningError(
                "expected a method whose server adds up how far clients have moved, which is what "
                f"protocol.rule: fedbuff has them send, got {kind_of(method)!r} with these keys; "
                "use lora, ffa_lora, soft or another that averages coordinate by coordinate, or "
                "rule: fedasync"
            )
        self._are_made = asked and method.movements == "adds"
        self._starts: dict[int, Vector] = {}

    def begin(self, device: int, vector: Vector) -> None:
        """Note what a training that has ended moved away from."""
        if self._are_made:
            self._starts[device] = vector

    def sent(self, device: int, update: Update) -> Update:
        """Return an update as it is sent."""
        return _plus(update, -self._starts[device]) if self._are_made else update

    def merged(self, arrivals: list[Arrival], own: Vector) -> list[Arrival]:
        """Return arrivals as adapters, for whoever merges them into the vector `own`."""
        if not self._are_made:
            return arrivals
        return [replace(each, update=_plus(each.update, own)) for each in arrivals]


def _plus(update: Update, vector: Vector) -> Update:
    return replace(update, values=update.values + vector[update.coordinates])
