"""Where devices start: from adapters in PEFT's format that the scenario names, or as drawn.

`learning.start` names a folder that holds one adapter, with which all devices start, or one folder
for each device, `device-0`, `device-1` and so on, as the `adapters/` of a run has them. That the
devices hold them costs nothing on the air. Who starts how is for the method to say:

- methods that average what they train start where the adapter ends, and train it on;
- ffa_lora freezes the adapter's A, which then must be the same on all devices;
- rlora, flasc, soft, fedlodrop, and hetlora in P3's sense tell other clusters only how far they
  have moved from a start that all know: it must be the same on all devices;
- flexlora takes the nearest adapter of a device's own rank;
- sparse_orthogonal, lori and n_lora's sum add up adapters that each device trains from nothing, and
  the first two draw every A from the seed: they take none.
"""

import math
from pathlib import Path

import numpy as np

from cosim.learning.adapter import Adapter, Layout, Vector
from cosim.learning.errors import LearningError
from cosim.learning.methods.base import Method

_CONFIG = "adapter_config.json"


def given_starts(
    folder: Path, method: Method, layout: Layout, head_start: Vector | None, num_devices: int
) -> tuple[Vector, ...]:
    """Return the vector that each device starts with, [layout.size].

    Args:
        folder: one adapter, or one folder for each device.
        method: how devices train.
        layout: of their adapters.
        head_start: where a trained head starts without an adapter.
        num_devices: number of devices.

    Raises:
        LearningError: the method takes no adapters, a folder or file is missing or damaged, or an
            adapter does not fit the model, the method's rank or scale, or the others.
    """
    misfit = method.start_misfit()
    if misfit is not None:
        raise LearningError(f"learning.start: {misfit}")
    starts = [_vector(each, method, layout, head_start) for each in _folders(folder, num_devices)]
    common = method.start_in_common(layout)
    for device, vector in enumerate(starts):
        if not np.array_equal(vector[common], starts[0][common]):
            what = "the same A" if common == layout.part_a else "the same adapter"
            raise LearningError(
                f"learning.start: expected {what} for all devices, as this method never sends it, "
                f"got another in {folder / f'device-{device}'} than in {folder / 'device-0'}; give "
                f"one adapter for all, or use a method that sends all that it trains, such as lora"
            )
    return tuple(starts) if len(starts) > 1 else (starts[0],) * num_devices


def _folders(folder: Path, num_devices: int) -> list[Path]:
    if (folder / _CONFIG).is_file():
        return [folder]
    names = {f"device-{device}" for device in range(num_devices)}
    found = {path.name for path in folder.glob("device-*")}
    if not found:
        raise LearningError(
            f"learning.start: expected an adapter in PEFT format in {folder}, or folders device-0 "
            f"to device-{num_devices - 1}, found neither; paths are relative to the current "
            f"directory"
        )
    for wrong, said in ((names - found, "found no"), (found - names, "got also")):
        if wrong:
            raise LearningError(
                f"learning.start: expected folders device-0 to device-{num_devices - 1} in "
                f"{folder}, one for each of the scenario's devices, {said} {min(wrong)}; give as "
                f"many, or one adapter for all"
            )
    return [folder / f"device-{device}" for device in range(num_devices)]


def _vector(folder: Path, method: Method, layout: Layout, head_start: Vector | None) -> Vector:
    from cosim.learning import peft_io  # noqa: PLC0415  PEFT is slow to load

    adapter: Adapter = peft_io.load(folder, layout.sites, layout.head, head_start)
    if adapter.layout.rank != layout.rank:
        raise LearningError(
            f"{folder}: expected an adapter of rank {layout.rank}, the method's, got one of rank "
            f"{adapter.layout.rank}; set learning.method.rank to {adapter.layout.rank}"
        )
    if not math.isclose(adapter.scale, method.scale, rel_tol=1e-6):
        raise LearningError(
            f"{folder}: expected an adapter of scale {method.scale:g}, the method's, got one of "
            f"scale {adapter.scale:g} (lora_alpha over r); set learning.method.scale to "
            f"{adapter.scale:.9g}"
        )
    return adapter.vector
