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
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
# Settings of PEFT that do not change what the weights mean once they are trained, or that are read
# here. All others must be as PEFT has them by default, or empty.
_FREE = {
    "auto_mapping", "base_model_name_or_path", "exclude_modules", "inference_mode",
    "init_lora_weights", "layers_pattern", "layers_to_transform", "lora_alpha", "lora_dropout",
    "peft_version", "r", "revision", "runtime_config", "target_modules", "task_type", "use_rslora",
    "eva_config", "megatron_core", "qalora_group_size",
}  # fmt: skip
# Ways to initialise that leave the base model as it is; others move a part of it into the adapter.
_PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")


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
    _check_plain(config, folder / _CONFIG)
    rank = _number(config, "r", folder / _CONFIG)
    alpha = _number(config, "lora_alpha", folder / _CONFIG)
    if rank != int(rank):
        raise LearningError(f"{folder / _CONFIG}: expected a whole number as r, got {rank:g}")
    layout = Layout(tuple(sites), int(rank), head)
    vector = np.zeros(layout.size, dtype=np.float32)
    _read(folder / _WEIGHTS, layout, vector)
    if (folder / _HEAD).is_file():
        if head is None or head_start is None:
            raise LearningError(
                f"{folder / _HEAD}: the model has no trained head for it; choose the kind of model "
                "and the head that the adapter was trained with"
            )
        vector[layout.part_head] = _read_head(folder / _HEAD, head) - head_start
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return Adapter(layout, vector, scale)


def _check_plain(config: Mapping[str, Any], path: Path) -> None:
    """Refuse settings by which the weights are more, or other, than a product B A for each layer.

    Raises:
        LearningError: there is such a setting.
    """
    if not isinstance(config, Mapping):
        raise LearningError(f"{path}: expected a mapping of settings, got {type(config).__name__}")
    plain = vars(LoraConfig()) | {"peft_type": "LORA"}
    for key, value in config.items():
        if key not in _FREE and value not in (plain.get(key), None, False, [], {}):
            raise LearningError(
                f"{path}: expected {key} {plain.get(key)!r}, got {value!r}; only plain LoRA of one "
                f"rank can be read"
            )
    start = config.get("init_lora_weights")
    if start not in _PLAIN_STARTS:
        raise LearningError(
            f"{path}: expected init_lora_weights of {_PLAIN_STARTS[1:]}, got {start!r}, by which a "
            f"part of the base model moves into the adapter; convert it to plain LoRA by PEFT's "
            f"save_pretrained(..., path_initial_model_for_weight_conversion=...)"
        )


def _number(config: Mapping[str, Any], key: str, path: Path) -> float:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise LearningError(f"{path}: expected a number above 0 as {key}, got {value!r}")
    return value


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
            if name not in tensors:
                there = [each.split(".lora_")[0].removeprefix(_PREFIX) for each in tensors]
                raise LearningError(
                    f"{path}: expected the tensor {name}, which is missing; besides what has been "
                    f"found there are adapters of {_named(there)}; let learning.model.targets and "
                    f"blocks name the layers that the adapter has"
                )
            _take(tensors, name, place, path)
    if tensors:
        raise LearningError(
            f"{path}: the model has no layer for the tensor {min(tensors)}; expected adapters of "
            f"{_named([site.name for site in layout.sites])}, as learning.model.targets and blocks "
            f"say"
        )


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


def _named(layers: Iterable[str]) -> str:
    """Return the last parts of layers' names, for a message."""
    last = sorted({name.rpartition(".")[2] for name in layers})
    return ", ".join(last) if last else "no layers"


def _names(site: Site) -> tuple[str, str]:
    return f"{_PREFIX}{site.name}.lora_A.weight", f"{_PREFIX}{site.name}.lora_B.weight"
