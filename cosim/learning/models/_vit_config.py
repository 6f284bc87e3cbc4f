"""What a vision transformer is made of that comes from no file."""

from typing import Annotated

from pydantic import Field, model_validator

from cosim.plugin import Section

Count = Annotated[int, Field(ge=1)]


class VitConfig(Section):
    """A vision transformer (Dosovitskiy et al., ICLR 2021) with weights drawn from `seed`.

    `hidden` numbers a token, `layers` blocks of `heads` attention heads, MLPs four times as wide,
    images of `size` x `size` pixels and `channels` in patches of `patch` x `patch`. Weights are
    N(0, 0.02^2), biases zero.
    """

    hidden: Count = 64
    layers: Count = 4
    heads: Count = 4
    patch: Count = 2
    size: Count = 8
    channels: Count = 1
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _divisible(self) -> "VitConfig":
        if self.hidden % self.heads:
            raise ValueError(f"expected hidden ({self.hidden}) a multiple of heads ({self.heads})")
        if self.size % self.patch:
            raise ValueError(f"expected size ({self.size}) a multiple of patch ({self.patch})")
        return self
