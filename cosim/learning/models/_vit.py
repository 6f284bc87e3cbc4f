"""Vision transformers: making a small one from addressed draws, and how images are normalised."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import ViTConfig, ViTModel

from cosim.learning.errors import LearningError
from cosim.learning.models._vit_config import VitConfig
from cosim.rng import Draws

_STD = 0.02  # initializer_range of transformers
# Mean and deviation of a channel where nothing else is said: pixels of [0, 1] go to [-1, 1].
_HALF = 0.5


def made(shape: VitConfig) -> ViTModel:
    """Return a ViT with random weights, the same on every machine; torch's own stream is kept."""
    config = ViTConfig(
        hidden_size=shape.hidden,
        intermediate_size=4 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        patch_size=shape.patch,
        image_size=shape.size,
        num_channels=shape.channels,
    )
    config._attn_implementation = "sdpa"
    with torch.device("meta"):  # nothing is drawn
        network = ViTModel(config, add_pooling_layer=False)
    network = network.to_empty(device="cpu")
    draws = Draws(shape.seed).child("vit")
    norms = {id(m.weight) for m in network.modules() if isinstance(m, nn.LayerNorm)}
    with torch.no_grad():
        for number, (name, parameter) in enumerate(network.named_parameters()):
            if id(parameter) in norms:
                parameter.fill_(1.0)
            elif name.endswith("bias"):
                parameter.zero_()
            else:
                drawn = draws.generator("weight", number).normal(0.0, _STD, tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(drawn))
    network.eval()  # type: ignore[no-untyped-call]
    network.requires_grad_(False)
    return network


def normalisation(
    preprocessor: Mapping[str, Any], channels: int
) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and deviation of each channel from what a preprocessor_config.json holds."""
    if not preprocessor.get("do_normalize", True):
        return [0.0] * channels, [1.0] * channels
    mean = preprocessor.get("image_mean") or [_HALF] * channels
    std = preprocessor.get("image_std") or [_HALF] * channels
    if not len(mean) == len(std) == channels:
        raise LearningError(
            f"preprocessor_config.json: expected image_mean and image_std of {channels} channels, "
            f"got {mean} and {std}"
        )
    return mean, std
