"""How large adapters' updates are at any density, and the rank that is chosen by that."""

from dataclasses import replace

import numpy as np

from cosim.learning.adapter import Layout
from cosim.learning.learner import LearningSetting
from cosim.learning.methods.base import Cohort, Coordinates, DeviceState, Method
from cosim.learning.model_pool import ModelPool
from cosim.learning.payload._chunk import HEADER_BYTES
from cosim.learning.payload._values import VALUE_BYTES
from cosim.learning.payload.codec import CHECKSUM_BYTES
from cosim.learning.payload.packing import Packing
from cosim.learning.sizing import UnitSize


def with_chosen_rank(setting: LearningSetting, pool: ModelPool) -> LearningSetting:
    """Return the setting with the rank that a controller chooses for its method, if one does.

    Until the controller sets densities in the first round, the method has the density that goes
    with the rank.

    Raises:
        LearningError: as `Packing.of`.
    """
    if setting.choose_rank is None:
        return setting
    learning, layout = setting.learning, Layout(pool.sites, 1, pool.head)
    method: Method = learning.method
    packing = Packing.of(setting, layout, pool)
    rank, density = setting.choose_rank(
        UnitSize(
            num_values=num_values(method, packing),
            fixed_bits=fixed_bits(packing),
            value_bits=value_bits(packing),
            knows_positions=method.draws_coordinates,
            framing_bytes=CHECKSUM_BYTES + HEADER_BYTES,
        )
    )
    chosen = method.model_copy(update={"rank": rank}).at_density(density)
    return replace(setting, learning=learning.model_copy(update={"method": chosen}))


def value_bits(packing: Packing) -> float:
    """Return the bits of one value."""
    return 8.0 * VALUE_BYTES[packing.coding.dtype]


def num_values(method: Method, packing: Packing) -> float:
    """Return how many values densities are fractions of, as they go on the air."""
    return packing.num_trained(packing.layout, _scope(method, packing.layout))


def fixed_bits(packing: Packing) -> float:
    """Return the bits of the head, which is sent at any density."""
    part = packing.layout.part_head
    num = packing.num_trained(packing.layout, np.arange(part.start, part.stop))
    return num * value_bits(packing)


def density_of(method: Method, cohort: Cohort, state: DeviceState) -> float:
    """Return the density of a device's next update, as `Method.at_density` has it."""
    scope = _scope(method, cohort.layout)
    expected = method.expected(cohort, state)
    inside = np.count_nonzero((expected >= scope[0]) & (expected <= scope[-1]))
    return inside / len(scope)


def _scope(method: Method, layout: Layout) -> Coordinates:
    """Return what training may ever move of A and B, [n]."""
    scope = method.scope(layout)
    return np.arange(scope.start, min(scope.stop, layout.part_b.stop))
