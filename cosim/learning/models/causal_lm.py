"""A causal language model in Hugging Face format: shipped, from a folder, or from the hub."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from cosim.learning.builtin.locate import builtin_model_dir
from cosim.learning.models.base import BaseModel, ModelSource

Suffix = Annotated[str, Field(min_length=1)]


class CausalLm(ModelSource):
    """A causal language model, frozen, float32, with adapters on its linear layers.

    `source` is `builtin:NAME` (ships with the package), `path:DIR` (a folder in Hugging Face
    format) or the id of a model on the hub, which is looked for among the downloaded ones first.
    `targets` is `all_linear` (every linear layer of the transformer blocks, not the output head)
    or the last parts of module names, such as `[q_proj, v_proj]`.

    Weights are read from safetensors only, and no code of the model's repository runs.
    """

    source: Annotated[str, Field(min_length=1)] = "builtin:tiny"
    targets: Literal["all_linear"] | Annotated[tuple[Suffix, ...], Field(min_length=1)] = (
        "all_linear"
    )

    @field_validator("source")
    @classmethod
    def _known_builtin(cls, source: str) -> str:
        if source.startswith("builtin:"):
            try:
                builtin_model_dir(source.removeprefix("builtin:"))
            except LookupError as error:
                raise ValueError(str(error)) from None
        return source

    def load(self) -> BaseModel:
        """Load the model, its tokenizer and the names of the layers to adapt.

        Raises:
            cosim.learning.errors.LearningError: there is no such model, it is no causal language
                model, its tokenizer cannot pad, or `targets` match none of its layers; the
                message says what there is.
        """
        # It loads PyTorch, which reading a scenario must not.
        from cosim.learning.models._load import load_causal_lm  # noqa: PLC0415

        return load_causal_lm(self.source, self.targets)
