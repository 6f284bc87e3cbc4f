"""A model: where the frozen base comes from, and which of its linear layers get adapters."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cosim.plugin import Plugin

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class BaseModel:
    """A loaded model, in evaluation mode and frozen, with its tokenizer (padding token set)."""

    network: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    targets: tuple[str, ...]  # module paths of the linear layers to adapt, in the model's order


class ModelSource(Plugin):
    """Contract of family `model`."""

    @abstractmethod
    def load(self) -> BaseModel:
        """Load the model.

        Raises:
            cosim.learning.errors.LearningError: there is no such model, or no layer matches; the
                message says what there is.
        """
