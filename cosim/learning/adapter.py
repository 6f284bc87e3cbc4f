"""LoRA adapters as flat vectors: W = W0 + s B A at every adapted linear layer.

A has shape [rank, d_in] and B [d_out, rank], as in PEFT; the papers write the transposes. One
float32 vector holds the A of all layers, then the B of all layers, then the head of a model that
has one to train, so that masks, payloads, lost packets and aggregation are plain array work, and
only the pool knows of tensors. Of the head the vector holds how far its weight and bias are from
where they start, so that zeros are the model as it was loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Site:
    """One adapted linear layer of the base model: y = W0 x, W0 of shape [d_out, d_in]."""

    name: str
    d_in: int
    d_out: int


@dataclass(frozen=True)
class Layout:
    """Where each layer's factors are in the flat vector."""

    sites: tuple[Site, ...]
    rank: int
    head: Site | None = None

    @cached_property
    def size_a(self) -> int:
        """Coordinates of all A; the coordinates of B come after them."""
        return self.rank * sum(site.d_in for site in self.sites)

    @cached_property
    def size_b(self) -> int:
        """Coordinates of all B; the coordinates of the head come after them."""
        return self.rank * sum(site.d_out for site in self.sites)

    @cached_property
    def size(self) -> int:
        """Coordinates of the whole adapter."""
        head = 0 if self.head is None else self.head.d_out * (self.head.d_in + 1)
        return self.size_a + self.size_b + head

    @property
    def part_a(self) -> slice:
        """Coordinates of all A."""
        return slice(0, self.size_a)

    @property
    def part_b(self) -> slice:
        """Coordinates of all B."""
        return slice(self.size_a, self.size_a + self.size_b)

    @property
    def part_head(self) -> slice:
        """Coordinates of the head: its weight row by row [d_out, d_in], then its bias [d_out]."""
        return slice(self.size_a + self.size_b, self.size)

    @cached_property
    def slices_a(self) -> tuple[slice, ...]:
        """Slice of each site's A, row by row [rank, d_in]."""
        return self._slices(0, [self.rank * site.d_in for site in self.sites])

    @cached_property
    def slices_b(self) -> tuple[slice, ...]:
        """Slice of each site's B, row by row [d_out, rank]."""
        return self._slices(self.size_a, [self.rank * site.d_out for site in self.sites])

    @staticmethod
    def _slices(start: int, sizes: list[int]) -> tuple[slice, ...]:
        ends = np.cumsum([start, *sizes]).tolist()
        return tuple(slice(a, b) for a, b in pairwise(ends))

    def a(self, vector: Vector, site: int) -> Vector:
        """Return a view of one site's A, [rank, d_in]."""
        return vector[self.slices_a[site]].reshape(self.rank, self.sites[site].d_in)

    def b(self, vector: Vector, site: int) -> Vector:
        """Return a view of one site's B, [d_out, rank]."""
        return vector[self.slices_b[site]].reshape(self.sites[site].d_out, self.rank)


@dataclass(frozen=True)
class Adapter:
    """One device's adapter: W = W0 + scale * B A at every site, and the head moved."""

    layout: Layout
    vector: Vector = field(repr=False)
    scale: float


def concatenate(parts: Sequence[tuple[Adapter, float]]) -> Adapter:
    """Return the adapter whose product is sum_j weight_j scale_j B_j A_j (exact; ranks add up).

    Its head has moved by the weighted sum of the movements.

    Args:
        parts: adapters over the same sites and head with their weights, at least one.

    Returns:
        An adapter of scale 1 and the sum of the parts' ranks.
    """
    first = parts[0][0].layout
    sites = first.sites
    layout = Layout(sites, sum(adapter.layout.rank for adapter, _ in parts), first.head)
    vector = np.zeros(layout.size, dtype=np.float32)
    for site in range(len(sites)):
        row = 0
        for adapter, weight in parts:
            rows = slice(row, row + adapter.layout.rank)
            layout.a(vector, site)[rows] = adapter.layout.a(adapter.vector, site)
            b = adapter.layout.b(adapter.vector, site)
            layout.b(vector, site)[:, rows] = weight * adapter.scale * b
            row = rows.stop
    for adapter, weight in parts:
        vector[layout.part_head] += weight * adapter.vector[adapter.layout.part_head]
    return Adapter(layout, vector, 1.0)
