"""What the kinds of models have in common: where files are found, and which layers are adapted."""

from abc import ABC
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from cosim.learning.builtin.locate import builtin_model_dir
from cosim.learning.models.base import ModelSource
from cosim.on_disk import OnDisk

Name = Annotated[str, Field(min_length=1)]
Targets = Literal["all_linear"] | Annotated[tuple[Name, ...], Field(min_length=1)]
Blocks = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


def _known_builtin(source: str) -> str:
    if source.startswith("builtin:"):
        try:
            builtin_model_dir(source.removeprefix("builtin:"))
        except LookupError as error:
            raise ValueError(str(error)) from None
    return source


FOLDER = OnDisk("path:", in_data_root=False)
Source = Annotated[str, Field(min_length=1), AfterValidator(_known_builtin), FOLDER]


class AdaptedModel(ModelSource, ABC):
    """A frozen transformer, float32, with adapters on some of its linear layers.

    `targets` is `all_linear` (every linear layer but the output layer) or a list of last parts of
    module names, such as `[q_proj, v_proj]`, and of patterns of whole names with `*`, `?` or `[`,
    such as `["*.attention.*"]`. `blocks` keeps only the layers of these transformer blocks, counted
    from 0.

    Weights are read from safetensors only, and no code of a model's repository runs.
    """

    targets: Targets = "all_linear"
    blocks: Blocks | None = None
