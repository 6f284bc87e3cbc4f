"""Adapters in PEFT's format: a folder that `PeftModel.from_pretrained(model, folder)` reads.

A trained head is a file of its own beside the adapter, `head.safetensors`. PEFT can save whole
modules (`modules_to_save`), but only those that the model has, and a bare encoder or vision
transformer has no output layer. It holds

    weight [classes, d], bias [classes]    scores = pooled @ weight.T + bias
    start.weight, start.bias               where training began, of the same shapes

in float32, and which vector is pooled (`mean` or `cls` of the last hidden states) is the model's
setting. The adapter's own coordinates are `weight - start.weight` and `bias - start.bias`.

Importing this module loads PEFT and PyTorch.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.numpy import save_file
from safetensors.torch import load_file
from torch import Tensor

from cosim.learning.adapter import Adapter, Layout, Site, Vector
from cosim.learning.errors import LearningError

_PREFIX = "base_model.model."
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_HEAD = "head.safetensors"
# Settings of PEFT that change what the weights mean, and the values by which they do not.
_PLAIN = {
    "peft_type": "LORA",
    "use_rslora": False,
    "use_dora": False,
    "bias": "none",
    "fan_in_fan_out": False,
    "modules_to_save": None,
    "rank_pattern": {},
    "alpha_pattern": {},
}


def save(
    adapter: Adapter,
    folder: Path,
    base_model: str,
    *,
    task_type: str | None = "CAUSAL_LM",
    head_start: Vector | None = None,
) -> None:
    """Write an adapter as PEFT does, and its head.

    Args:
        adapter: what to write.
        folder: where to; made if it is not there.
        base_model: the name of the model that it is for, as other programs shall read it.
        task_type: PEFT's name of what the model is for; None for a model as it is.
        head_start: where the head started, in the order of `Layout.part_head`; of an adapter that
            has a head.
    """
    layout = adapter.layout
    folder.mkdir(parents=True, exist_ok=True)
    config = LoraConfig(
        base_model_name_or_path=base_model,
        task_type=task_type,
        inference_mode=True,
        r=layout.rank,
        lora_alpha=adapter.scale * layout.rank,  # type: ignore[arg-type]  # PEFT takes any number
        lora_dropout=0.0,
        target_modules=[site.name for site in layout.sites],
    )
    config.save_pretrained(str(folder))
    tensors = {}
    for number, site in enumerate(layout.sites):
        name_a, name_b = _names(site)
        tensors[name_a] = np.ascontiguousarray(layout.a(adapter.vector, number))
        tensors[name_b] = np.ascontiguousarray(layout.b(adapter.vector, number))
    save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})
    if layout.head is not None:
        _write_head(adapter, layout.head, head_start, folder / _HEAD)


def _write_head(adapter: Adapter, head: Site, start: Vector | None, path: Path) -> None:
    if start is None:
        raise ValueError("expected head_start for an adapter with a head, got none")
    moved = start + adapter.vector[adapter.layout.part_head]
    parts = {"": moved, "start.": start}
    size = head.d_out * head.d_in
    tensors = {}
    for prefix, values in parts.items():
        weight = values[:size].reshape(head.d_out, head.d_in)
        tensors[f"{prefix}weight"] = np.ascontiguousarray(weight)
        tensors[f"{prefix}bias"] = np.ascontiguousarray(values[size:])
    save_file(tensors, path, metadata={"format": "pt"})


def load(
    folder: Path,
    sites: Sequence[Site],
    head: Site | None = None,
    head_start: Vector | None = None,
) -> Adapter:
    """Read an adapter that `save` or PEFT wrote.

    Args:
        folder: what holds adapter_config.json and adapter_model.safetensors.
        sites: the adapted layers of the model, all of which the adapter must have.
        head: the trained head of the model; None where it has none.
        head_start: where the head starts in the run that reads it: the adapter's head has moved
            from there to what the file says. A folder without a head's file has not moved.

    Raises:
        LearningError: a file is missing, the adapter is no plain LoRA of one rank, it is not for
            these layers or this head, or a number in it is not finite.
    """
    for name in (_CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            raise LearningError(f"expected an adapter in PEFT format in {folder}, found no {name}")
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise LearningError(f"cannot read {folder / _CONFIG}: {error}") from None
    for key, plain in _PLAIN.items():
        if config.get(key, plain) not in (plain, None):
            raise LearningError(
                f"{folder / _CONFIG}: expected {key} {plain!r}, got {config[key]!r}; only plain "
                f"LoRA of one rank can be read"
            )
    layout = Layout(tuple(sites), int(config["r"]), head)
    vector = np.zeros(layout.size, dtype=np.float32)
    _read(folder / _WEIGHTS, layout, vector)
    if (folder / _HEAD).is_file():
        if head is None or head_start is None:
            raise LearningError(
                f"{folder / _HEAD}: the model has no trained head for it; choose the kind of model "
                "and the head that the adapter was trained with"
            )
        vector[layout.part_head] = _read_head(folder / _HEAD, head) - head_start
    return Adapter(layout, vector, config["lora_alpha"] / layout.rank)


def _read_head(path: Path, head: Site) -> Vector:
    """Return weight and bias in the order of `Layout.part_head`."""
    tensors = _tensors(path)
    weight = np.empty((head.d_out, head.d_in), dtype=np.float32)
    bias = np.empty(head.d_out, dtype=np.float32)
    _take(tensors, "weight", weight, path)
    _take(tensors, "bias", bias, path)
    return np.concatenate([weight.ravel(), bias])


def _read(path: Path, layout: Layout, vector: Vector) -> None:
    """Fill in A and B of all sites."""
    tensors = _tensors(path)
    for number, site in enumerate(layout.sites):
        places = layout.a(vector, number), layout.b(vector, number)
        for name, place in zip(_names(site), places, strict=True):
            _take(tensors, name, place, path)
    if tensors:
        raise LearningError(f"{path}: the model has no layer for the tensor {min(tensors)}")


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise LearningError(f"cannot read {path}: {error}") from None
    return tensors


def _take(tensors: dict[str, Tensor], name: str, place: Vector, path: Path) -> None:
    """Move a tensor out of what was read to its place, in its shape."""
    if name not in tensors:
        raise LearningError(f"{path}: expected the tensor {name}, which is missing")
    tensor = tensors.pop(name).float().numpy()
    if tensor.shape != place.shape:
        raise LearningError(f"{path}: expected {name} of shape {place.shape}, got {tensor.shape}")
    if not np.isfinite(tensor).all():
        raise LearningError(f"{path}: expected finite numbers, got NaN or infinity in {name}")
    place[...] = tensor


def _names(site: Site) -> tuple[str, str]:
    return f"{_PREFIX}{site.name}.lora_A.weight", f"{_PREFIX}{site.name}.lora_B.weight"
