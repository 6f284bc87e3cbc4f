"""A and B of an adapter in PEFT's format as arrays, as they are, without PyTorch."""

from collections import defaultdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file

from cosim.learning.adapter import Vector
from cosim.learning.errors import LearningError

WEIGHTS = "adapter_model.safetensors"


def factors(folder: Path) -> dict[str, tuple[Vector, Vector]]:
    """Return A [rank, d_in] and B [d_out, rank] of each adapted layer, by the layer's name.

    Args:
        folder: of the adapter.

    Raises:
        LearningError: there is no such file, or it holds no LoRA adapter.
    """
    path = folder / WEIGHTS
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise LearningError(f"cannot read {path}: {error}") from None
    found: defaultdict[str, dict[str, Vector]] = defaultdict(dict)
    for name, values in tensors.items():
        layer, _, rest = name.partition(".lora_")
        found[layer.removeprefix("base_model.model.")][rest.partition(".")[0]] = values
    whole = {layer: each for layer, each in found.items() if {"A", "B"} <= each.keys()}
    if not whole:
        raise LearningError(f"{path}: expected a LoRA adapter, found no pair of lora_A and lora_B")
    return {layer: (whole[layer]["A"], whole[layer]["B"]) for layer in sorted(whole)}
