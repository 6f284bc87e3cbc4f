"""Values as bytes: float32, float16, bfloat16 or int8, little-endian.

int8 has one scale a chunk, max |v| / 127, in float32 and rounded up, so that no value exceeds 127
steps. A value between two steps becomes one of them at random, the nearer the likelier, and so is
right in the mean: q = floor(v / scale + u), u uniform in [0, 1) (QSGD, Alistarh et al. 2017).
"""

import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cosim.learning.methods.base import Coordinates
from cosim.rng import Draws

Dtype = Literal["float32", "float16", "bfloat16", "int8"]
Bytes = NDArray[np.uint8]

VALUE_BYTES: dict[Dtype, int] = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
_SCALE = struct.Struct("<f")
SCALE_BYTES: dict[Dtype, int] = {"float32": 0, "float16": 0, "bfloat16": 0, "int8": _SCALE.size}

# The largest of each: what is larger is sent as this, and not as infinity.
_LARGEST_FLOAT16 = float(np.finfo(np.float16).max)
_LARGEST_BFLOAT16 = np.uint32(0x7F7F)
_STEPS = 127
_LARGEST_SCALE = np.nextafter(np.finfo(np.float32).max / np.float32(_STEPS), np.float32(0))


@dataclass(frozen=True)
class Rounding:
    """Where the random numbers of one payload's int8 rounding are.

    A value's number has the address (source, round, update, coordinate): it is the same however
    the payload is cut into packets, and whatever else is sent.
    """

    draws: Draws
    src: int
    round: int

    def uniform(self, number: int, coordinates: Coordinates) -> NDArray[np.float64]:
        """Return a number in [0, 1) for each coordinate of the payload's update `number`, [k]."""
        drawn = np.empty(len(coordinates))
        part = coordinates >> 16  # stretches that stay in a core's cache
        starts = np.flatnonzero(np.diff(part, prepend=-1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(coordinates)], strict=True):
            first, last = int(coordinates[start]), int(coordinates[end - 1])
            stretch = self.draws.stretch(
                "payload_rounding", self.src, self.round, (number << 32) + first, last - first + 1
            )
            drawn[start:end] = stretch[coordinates[start:end] - first]
        return drawn


class Values:
    """The values of one update, of which any run can be had as bytes."""

    def __init__(
        self, values: NDArray[np.float32], dtype: Dtype, uniform: NDArray[np.float64] | None
    ) -> None:
        """Keep the values, and for int8 the numbers in [0, 1) that they are rounded by."""
        self.dtype: Dtype = dtype
        self._values, self._uniform = values, uniform
        self._coded = None if uniform is not None else _coded(values, dtype)

    def run(self, start: int, count: int) -> tuple[bytes, Bytes]:
        """Return the scale (empty where there is none) and the bytes [count, bytes of a value]."""
        end = start + count
        if self._coded is not None:
            return b"", self._coded[start:end]
        assert self._uniform is not None
        scale, steps = quantise(self._values[start:end], self._uniform[start:end])
        return _SCALE.pack(scale), steps.view(np.uint8)[:, None]


def quantise(
    values: NDArray[np.float32], uniform: NDArray[np.float64]
) -> tuple[float, NDArray[np.int8]]:
    """Return a scale and whole steps of it, -127 to 127, of the mean `values`.

    Args:
        values: finite, [k], k at least 1.
        uniform: numbers in [0, 1) to round by, [k].
    """
    scale = np.nextafter(np.abs(values).max() / np.float32(_STEPS), np.float32(np.inf))
    scale = min(scale, _LARGEST_SCALE)
    steps = np.floor(values / np.float64(scale) + uniform)
    return float(scale), np.clip(steps, -_STEPS, _STEPS).astype(np.int8)


def _coded(values: NDArray[np.float32], dtype: Dtype) -> Bytes:
    """Return values as bytes [k, bytes of a value], rounded to nearest, ties to even."""
    if dtype == "float32":
        coded = values.astype("<f4")
    elif dtype == "float16":
        coded = np.clip(values, -_LARGEST_FLOAT16, _LARGEST_FLOAT16).astype("<f2")
    else:
        bits = values.astype("<f4").view("<u4")
        upper = (bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) >> 16
        upper = np.minimum(upper & 0x7FFF, _LARGEST_BFLOAT16) | (upper & 0x8000)
        coded = upper.astype("<u2")
    return coded.view(np.uint8).reshape(len(values), VALUE_BYTES[dtype])


def read(scale: bytes, coded: bytes, dtype: Dtype) -> NDArray[np.float32]:
    """Return the values of a run, float32."""
    if dtype == "float32":
        return np.frombuffer(coded, "<f4").astype(np.float32)
    if dtype == "float16":
        return np.frombuffer(coded, "<f2").astype(np.float32)
    if dtype == "bfloat16":
        upper = np.frombuffer(coded, "<u2").astype(np.uint32)
        return (upper << 16).view(np.float32)
    (step,) = _SCALE.unpack(scale)
    return np.frombuffer(coded, np.int8) * np.float32(step)
