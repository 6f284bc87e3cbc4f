"""A vision transformer (ViT) in Hugging Face format, or a small one made here."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from cosim.learning.models._pretrained import FOLDER, AdaptedModel, Source
from cosim.learning.models._vit_config import VitConfig
from cosim.learning.models.base import BaseModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Image(AdaptedModel):
    """A vision transformer, frozen, float32, with adapters and a trained classification head.

    `source` is `path:DIR` or the id of a model on the hub, of a ViT with or without a head of its
    own, which is left out. Without a source a small ViT is made from `config`, for studies that
    download nothing: its base is random, so adapters and head learn all there is. `targets` and
    `blocks` are as of kind `causal_lm`.

    An image's vector is the class token's last hidden state (`pooling: cls`) or the mean over all
    tokens (`mean`). A linear layer from it onto `num_classes` is trained and sent with the adapter;
    an example's class is the place of its answer among its choices, which are `num_classes` in all
    tasks. Images are normalised as the model's preprocessor_config.json says, or else to [-1, 1],
    and resized where their size is not the model's.
    """

    source: Annotated[Source | None, FOLDER] = None
    config: VitConfig | None = None
    pooling: Literal["cls", "mean"] = "cls"
    num_classes: Annotated[int, Field(ge=2)] = 10

    @model_validator(mode="after")
    def _one_origin(self) -> "Image":
        if self.source is not None and self.config is not None:
            raise ValueError("expected source or config, got both; config makes a model anew")
        return self

    def load(self) -> BaseModel:
        """Load or make the model.

        Raises:
            cosim.learning.errors.LearningError: there is no such model, it is no ViT, or `targets`
                match none of its layers; the message says what there is.
        """
        # They load PyTorch, which reading a scenario must not.
        from cosim.learning.models import _load, _targets, _vit  # noqa: PLC0415
        from cosim.learning.pool._classification import ClassificationObjective  # noqa: PLC0415
        from cosim.learning.pool._image_reader import ImageReader  # noqa: PLC0415

        network: PreTrainedModel
        if self.source is None:
            network, preprocessor = _vit.made(self.config or VitConfig()), {}
        else:
            network, place = _load.network(self.source, _load.IMAGE)
            preprocessor = _load.preprocessor(place)
        mean, std = _vit.normalisation(preprocessor, int(network.config.num_channels))
        reader = ImageReader(network, mean, std, self.pooling)
        targets = _targets.choose(network, None, self.targets, self.blocks)
        objective = ClassificationObjective(network, reader, self.num_classes)
        return BaseModel(network, None, targets, objective)
