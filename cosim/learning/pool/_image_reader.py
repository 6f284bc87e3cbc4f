"""Reading images with a vision transformer: rows of one length, patches and the class token."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from cosim.learning.errors import LearningError
from cosim.learning.pool._objective import Inputs
from cosim.learning.pool._reader import Pooling, Reader, pool
from cosim.learning.tasks.base import Example, ImageExample


@dataclass(frozen=True)
class ImageRow:
    """One image as it is stored; the reader scales it when it is read."""

    example: ImageExample
    length: int

    @property
    def prompt(self) -> int:
        """All of its tokens."""
        return self.length


class ImageReader(Reader[ImageRow]):
    """Bytes become (x / 255 - mean) / std, resized (bilinear, antialiased) where sizes differ.

    Where the model reads three channels and the image has one, that one is read three times.
    """

    task_type: str | None = None

    def __init__(
        self,
        network: PreTrainedModel,
        mean: Sequence[float],
        std: Sequence[float],
        pooling: Pooling,
    ) -> None:
        """Take a model, and the mean and deviation of each channel that it was trained with."""
        config = network.config
        self.width = int(config.hidden_size)
        self._network, self._pooling = network, pooling
        self._channels, self._size = int(config.num_channels), _pair(config.image_size)
        patch = _pair(config.patch_size)
        self._length = 1 + (self._size[0] // patch[0]) * (self._size[1] // patch[1])
        self._mean = torch.tensor(mean).view(-1, 1, 1)
        self._std = torch.tensor(std).view(-1, 1, 1)

    def rows(self, examples: Sequence[Example]) -> list[ImageRow]:
        return [ImageRow(self._checked(example), self._length) for example in examples]

    def _checked(self, example: Example) -> ImageExample:
        if not isinstance(example, ImageExample):
            raise LearningError(
                f"expected images for a model of kind image, got the text {example.prompt[:60]!r}; "
                "choose a task of images or another model"
            )
        channels, height, width = example.shape
        if channels not in (1, self._channels) or channels * height * width != len(example.pixels):
            raise LearningError(
                f"expected images of 1 or {self._channels} channels, with as many bytes as "
                f"channels x height x width, got {example.shape} and {len(example.pixels)} bytes"
            )
        return example

    def collate(self, rows: Sequence[ImageRow], length: int) -> Inputs:
        images = torch.empty(len(rows), self._channels, *self._size)
        by_shape: dict[tuple[int, int, int], list[int]] = {}
        for i, row in enumerate(rows):
            by_shape.setdefault(row.example.shape, []).append(i)
        for shape, places in by_shape.items():
            raw = b"".join(rows[i].example.pixels for i in places)
            pixels = np.frombuffer(raw, dtype=np.uint8).reshape(len(places), *shape)
            scaled = torch.from_numpy(pixels.astype(np.float32) / 255)
            if shape[1:] != self._size:
                scaled = functional.interpolate(
                    scaled, self._size, mode="bilinear", antialias=True, align_corners=False
                )
            images[places] = ((scaled - self._mean) / self._std).expand(-1, self._channels, -1, -1)
        return {"pixel_values": images.to(self._network.dtype)}

    def pooled(self, network: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
        return pool(network(**inputs).last_hidden_state, self._pooling, None)


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
