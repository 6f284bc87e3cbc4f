"""Adapters in PEFT's format: a folder that `PeftModel.from_pretrained(model, folder)` reads.

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

from cosim.learning.adapter import Adapter, Layout, Site, Vector
from cosim.learning.errors import LearningError

_PREFIX = "base_model.model."
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
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


def save(adapter: Adapter, folder: Path, base_model: str) -> None:
    """Write an adapter as PEFT does.

    Args:
        adapter: what to write.
        folder: where to; made if it is not there.
        base_model: the name of the model that it is for, as other programs shall read it.
    """
    layout = adapter.layout
    folder.mkdir(parents=True, exist_ok=True)
    config = LoraConfig(
        base_model_name_or_path=base_model,
        task_type="CAUSAL_LM",
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


def load(folder: Path, sites: Sequence[Site]) -> Adapter:
    """Read an adapter that `save` or PEFT wrote.

    Args:
        folder: what holds adapter_config.json and adapter_model.safetensors.
        sites: the adapted layers of the model, all of which the adapter must have.

    Raises:
        LearningError: a file is missing, the adapter is no plain LoRA of one rank, or it is not
            for these layers.
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
    layout = Layout(tuple(sites), int(config["r"]))
    vector = _read(folder / _WEIGHTS, layout)
    return Adapter(layout, vector, config["lora_alpha"] / layout.rank)


def _read(path: Path, layout: Layout) -> Vector:
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise LearningError(f"cannot read {path}: {error}") from None
    vector = np.zeros(layout.size, dtype=np.float32)
    for number, site in enumerate(layout.sites):
        places = layout.a(vector, number), layout.b(vector, number)
        for name, place in zip(_names(site), places, strict=True):
            if name not in tensors:
                raise LearningError(f"{path}: expected the tensor {name}, which is missing")
            tensor = tensors.pop(name).float().numpy()
            if tensor.shape != place.shape:
                raise LearningError(
                    f"{path}: expected {name} of shape {place.shape}, got {tensor.shape}"
                )
            place[:] = tensor
    if tensors:
        raise LearningError(f"{path}: the model has no layer for the tensor {min(tensors)}")
    return vector


def _names(site: Site) -> tuple[str, str]:
    return f"{_PREFIX}{site.name}.lora_A.weight", f"{_PREFIX}{site.name}.lora_B.weight"
