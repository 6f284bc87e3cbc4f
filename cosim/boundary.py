"""What crosses between the network and learning: frozen records, and nothing else.

Learning hands the network a `Payload` and says how long its training takes (`TrainingReport`).
The network hands learning a `Delivery`. Either half can be replaced without the other noticing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Outcome = Literal["delivered", "partial", "expired", "aborted", "dropped"]


@dataclass(frozen=True)
class Payload:
    """One model update on its way to one receiver, as the network sees it.

    The network cuts it into packets of `segment_bytes` (the last may be shorter). Packet i
    carries the bytes `body[i * part_bytes : (i + 1) * part_bytes]`, and padding if that is less
    than its size.

    Attributes:
        kind: what it is for: `update` (inside a cluster, or to a server), `broadcast` (from a
            server) or `exchange` (between clusters).
        src: the device whose learning made it.
        dst: the device it is encoded for.
        round: the round it belongs to.
        num_bytes: application bytes to send, at least 0.
        segment_bytes: application bytes per packet, at least 1.
        body: the encoded bytes: `num_bytes`, or less and evenly cut where the payload stands for a
            larger one; empty when there is no learning behind the network.
        lists: what the receiver holds and the body refers to by number; none of it is sent.
    """

    kind: str
    src: int
    dst: int
    round: int
    num_bytes: int
    segment_bytes: int
    body: bytes = field(default=b"", repr=False)
    lists: Mapping[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def num_packets(self) -> int:
        """Packets that the payload is cut into; an empty payload has none."""
        return -(-self.num_bytes // self.segment_bytes)

    @property
    def part_bytes(self) -> int:
        """Bytes of the body that one packet carries; the last may carry less."""
        whole = len(self.body) == self.num_bytes
        return self.segment_bytes if whole else len(self.body) // self.num_packets


@dataclass(frozen=True)
class Delivery:
    """What became of one payload at its receiver.

    Every send ends in exactly one outcome: `delivered` (every packet arrived), `partial` (it
    ended with packets lost for good), `expired` (its deadline passed first), `aborted` (an end of
    the link left, or the plan or the end of the run cut it) or `dropped` (its queue was full).

    Attributes:
        arrived: for each packet, whether it arrived, bool [num_packets].
    """

    payload: Payload
    start_s: float
    end_s: float
    outcome: Outcome
    arrived: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True)
class TrainingReport:
    """What one local training was, as the network and the tables see it.

    Attributes:
        loss: mean training loss over the steps, nats per answer token.
        num_tokens: tokens that went through the model.
        flops: floating point operations, 4N + 6 N_adapter per token.
        density: fraction of the adapter's coordinates that are trained, 0 to 1.
    """

    device: int
    round: int
    loss: float
    num_tokens: int
    flops: float
    density: float


@dataclass(frozen=True)
class Evaluation:
    """One device's model on one task's test examples.

    Attributes:
        own: whether the device trains on this task.
        accuracy: fraction of the examples whose likeliest choice is the answer.
        loss: mean negative log-likelihood of the answer among the choices, nats.
    """

    device: int
    task: str
    own: bool
    accuracy: float
    loss: float
