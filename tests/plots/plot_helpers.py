"""Drawing a figure in a test, and reading what was drawn."""

import numpy as np
from safetensors.numpy import save_file

from cosim.plugin import find
from cosim.results.draw import draw

RANK = 4  # of the adapters that runs are given


def drawn(kind, runs, **keys):
    return draw(find("figure", kind).model_validate(keys), runs)


def legend_of(drawing):
    (legend,) = [
        *drawing.canvas.legends,
        *(axes.get_legend() for axes in drawing.canvas.axes if axes.get_legend()),
    ]
    return [text.get_text() for text in legend.get_texts()]


def with_adapter(run, tilt, device=0):
    """Give a run an adapter of two layers: orthonormal A, and B whose columns lean together."""
    folder = run.path / "adapters" / f"device-{device}"
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for layer, scale in (("q_proj", 1.0), ("v_proj", 3.0)):
        name = f"base_model.model.layers.0.{layer}"
        tensors[f"{name}.lora_A.weight"] = np.eye(RANK, 6, dtype=np.float32) * scale
        b = np.eye(5, RANK, dtype=np.float32)
        b[4] = tilt * scale
        tensors[f"{name}.lora_B.weight"] = b
    save_file(tensors, folder / "adapter_model.safetensors")
    return run
