"""How large updates would be at other densities and another rank, for whoever controls these."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.world.compute.base import Work

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sizing:
    """The next update of each of n devices, and the training before it, at any density.

    A density is a fraction of what training may move of A and B, as `Method.at_density` has it. Of
    a device whose density is settled for good nothing can be chosen any more: all that it sends is
    fixed.

    Attributes:
        num_values: what densities are fractions of, [n].
        fixed_bits: of what is sent whatever the density is, such as a head, [n].
        value_bits: of one value.
        knows_positions: whether receivers can tell which values they get.
        density: as it is now, [n].
        update_bits: application bits of the next update at that density, [n].
        full_work, least_work: of a training at density 1, and of one of nothing, numbers [n]; the
            same where a training does not go by the density.
        rank: of the adapters.
    """

    num_values: Floats
    fixed_bits: Floats
    value_bits: float
    knows_positions: bool
    density: Floats
    update_bits: NDArray[np.int64]
    full_work: Work
    least_work: Work
    rank: int


@dataclass(frozen=True)
class UnitSize:
    """An update at rank 1 and density 1, before there are any adapters.

    Attributes:
        num_values: of A and B.
        fixed_bits: of what has no rank.
        value_bits: of one value.
        knows_positions: whether receivers can tell which values they get.
        framing_bytes: of each packet that hold neither the network's header nor values.
    """

    num_values: float
    fixed_bits: float
    value_bits: float
    knows_positions: bool
    framing_bytes: int = 0


ChooseRank = Callable[[UnitSize], tuple[int, float]]
"""Chooses the rank of all adapters before there are any, and the density that goes with it."""
