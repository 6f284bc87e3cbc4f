"""A bidirectional text encoder (BERT, DistilBERT, MiniLM, ...) in Hugging Face format."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cosim.learning.models._pretrained import AdaptedModel, Source
from cosim.learning.models.base import BaseModel


class Encoder(AdaptedModel):
    """A text encoder, frozen, float32, with adapters on its linear layers.

    `source`, `targets` and `blocks` are as of kind `causal_lm`; the default source is MiniLM
    (22 M parameters) from the hub. A text's vector is the mean of its
    tokens' last hidden states, padding left out (`pooling: mean`), or that of its first token
    (`pooling: cls`).

    With `head: cosine` the answer is the choice whose own vector is nearest to the prompt's: scores
    are cosines over `temperature`, and choices are read with the device's adapter too. With
    `head: classification` a linear layer onto `num_classes` is trained and sent with the adapter;
    an example's class is the place of its answer among its choices, which are `num_classes` in all
    tasks. Spaces before a choice are left out.
    """

    source: Source = "sentence-transformers/all-MiniLM-L6-v2"
    head: Literal["cosine", "classification"] = "cosine"
    pooling: Literal["mean", "cls"] = "mean"
    temperature: Annotated[float, Field(gt=0)] = 0.05
    num_classes: Annotated[int, Field(ge=2)] | None = None

    @model_validator(mode="after")
    def _classes_with_a_head(self) -> "Encoder":
        if self.head == "classification" and self.num_classes is None:
            raise ValueError("expected num_classes with head: classification, got none")
        if self.head == "cosine" and self.num_classes is not None:
            raise ValueError(
                "expected no num_classes with head: cosine, which reads the choices themselves; "
                "leave it out or set head: classification"
            )
        return self

    def load(self) -> BaseModel:
        """Load the model, its tokenizer and the names of the layers to adapt.

        Raises:
            cosim.learning.errors.LearningError: there is no such model, it is no text encoder, its
                tokenizer cannot pad, or `targets` match none of its layers; the message says what
                there is.
        """
        # They load PyTorch, which reading a scenario must not.
        from cosim.learning.models import _load, _targets  # noqa: PLC0415
        from cosim.learning.pool._classification import ClassificationObjective  # noqa: PLC0415
        from cosim.learning.pool._cosine import CosineObjective  # noqa: PLC0415
        from cosim.learning.pool._text_reader import TextReader  # noqa: PLC0415

        network, place = _load.network(self.source, _load.ENCODER)
        tokenizer = _load.tokenizer(place, network)
        reader = TextReader(network, tokenizer, self.pooling)
        targets = _targets.choose(network, None, self.targets, self.blocks)
        if self.num_classes is None:
            cosine = CosineObjective(network, reader, self.temperature)
            return BaseModel(network, tokenizer, targets, cosine)
        classes = ClassificationObjective(network, reader, self.num_classes)
        return BaseModel(network, tokenizer, targets, classes)
