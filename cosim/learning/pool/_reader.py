"""A reader: how a bidirectional model makes one vector of what an example shows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, Literal

from torch import Tensor, nn

from cosim.learning.pool._objective import Inputs, R
from cosim.learning.tasks.base import Example

Pooling = Literal["mean", "cls"]


class Reader(ABC, Generic[R]):
    """Contract of readers.

    Attributes:
        task_type: PEFT's name of what the model is for; None where it has none that fits.
        width: numbers in a pooled vector.
    """

    task_type: str | None
    width: int

    @abstractmethod
    def rows(self, examples: Sequence[Example]) -> list[R]:
        """Return one row for each example.

        Raises:
            LearningError: an example is none for this kind of model.
        """

    @abstractmethod
    def collate(self, rows: Sequence[R], length: int) -> Inputs:
        """Return the rows, padded to `length` tokens, as the model's arguments."""

    @abstractmethod
    def pooled(self, network: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return one vector for each row, float32 [rows, width]."""


def pool(hidden: Tensor, pooling: Pooling, attention: Tensor | None) -> Tensor:
    """Return the first token's vector (`cls`), or the mean over the tokens that are no padding.

    Args:
        hidden: [rows, T, d].
        pooling: which.
        attention: 1 for tokens, 0 for padding, [rows, T]; None if nothing is padded.

    Returns:
        float32 [rows, d].
    """
    if pooling == "cls":
        return hidden[:, 0].float()
    if attention is None:
        return hidden.float().mean(dim=1)
    weight = attention.float()
    weight = weight / weight.sum(dim=1, keepdim=True)
    return (hidden.float() * weight[:, :, None]).sum(dim=1)
