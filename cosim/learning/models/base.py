"""A model: where the frozen base comes from, and which of its linear layers get adapters."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cosim.plugin import Plugin

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from cosim.learning.pool._objective import Objective


@dataclass(frozen=True)
class BaseModel:
    """A loaded model, in evaluation mode and frozen.

    Attributes:
        tokenizer: with its padding token set; None where the model reads no text.
        targets: module paths of the linear layers to adapt, in the model's order.
        objective: how examples are read and choices are scored.
    """

    network: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase | None"
    targets: tuple[str, ...]
    objective: "Objective[Any]"


class ModelSource(Plugin):
    """Contract of family `model`."""

    @abstractmethod
    def load(self) -> BaseModel:
        """Load the model.

        Raises:
            cosim.learning.errors.LearningError: there is no such model, or no layer matches; the
                message says what there is.
        """
