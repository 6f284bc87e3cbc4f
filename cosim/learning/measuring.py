"""What is measured of devices' adapters while a run goes on: how they collide, what merges lose.

The own adapter of a device (`Method.own_adapter`) is what it has trained and merged into one; what
it stores of others beside that is left out. Every number is of adapters as they are at that
instant, but for those of the last merge, which are taken when it happens: afterwards what went into
it is gone. Of each device one adapter and one list of coordinates is held for the next measurement,
and nothing if nobody measures.

What a merge is held against (`Method.parts`) is the sum of the products that came together, each by
its mixing weight, as the device can tell them:

- A and B averaged apart (lora, dec_lora, flasc, soft, ...): the gap is what that loses;
- one factor common, or products merged (ffa_lora, rolora, fedsa_lora, flora): it is 0 to rounding;
- flexlora, hetlora: what the cut to a device's rank loses;
- sparse_orthogonal, lori: B is averaged and read through the device's own A, which does not carry
  what others' B_j learned through their A_j. Two devices with disjoint masks and products of one
  size have a gap of about 1. The answer, which adds up A_j B_j, has not lost that; it is what P1's
  aggregation alone would come to. With `combine: linear` it is (15)/(18) against sum_j A_j B_j;
- n_lora's sum and `agg: none` merge nothing: NaN.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cosim.learning.adapter import Adapter, Mask
from cosim.learning.methods._measures import (
    Kept,
    MergeLoss,
    gram_ratios,
    knowledge_kept,
    layer_shares,
    merge_loss,
)
from cosim.learning.methods._product_l1 import product_collision
from cosim.learning.methods.base import Arrival, Cohort, Coordinates, DeviceState, Method

COLLISION_THRESHOLD = 0.01
"""An entry of scale B A counts as used above this magnitude [own choice]; N-LoRA counts nonzeros,
of which gradient steps leave nothing but."""

_COLLISION_ROWS = 32  # of each layer's product that are looked at, evenly spread


@dataclass(frozen=True)
class LayerDensities:
    """What part of each layer's factors a device trains and sends, 0 to 1, [num layers] each.

    Attributes:
        names: of the layers.
        trained_a, trained_b: what its next training may move.
        sent_a, sent_b: what its last update held; NaN before the first.
    """

    names: tuple[str, ...]
    trained_a: NDArray[np.float64] = field(repr=False)
    trained_b: NDArray[np.float64] = field(repr=False)
    sent_a: NDArray[np.float64] = field(repr=False)
    sent_b: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True)
class Measures:
    """One device's numbers; NaN for what does not exist.

    Attributes:
        num_merged: devices whose training its own adapter holds by its last merge, itself counted;
            0 where nothing is known of it.
        orthogonality: mean over the other devices of its cluster of ||A_i^T A_j|| / ||A_i^T A_i||.
        product_collision: fraction of the entries of scale B A that are large (above
            `COLLISION_THRESHOLD`) at more than one device of its cluster; of up to 32 rows of each
            layer, evenly spread.
        covariance_term: of its last merge, see `MergeLoss`.
        aggregation_gap: of its last merge, see `MergeLoss`.
        kept_cosine, kept_fraction: how much of the own adapter's product of the measurement before
            is in it now, see `Kept`.
        layers: None where there is no model.
    """

    num_merged: int = 0
    orthogonality: float = math.nan
    product_collision: float = math.nan
    covariance_term: float = math.nan
    aggregation_gap: float = math.nan
    kept_cosine: float = math.nan
    kept_fraction: float = math.nan
    layers: LayerDensities | None = None


class Measuring:
    """Measures the devices of one run.

    Attributes:
        watches: whether merges are measured now; None if nothing ever is.
    """

    def __init__(self, method: Method, cohort: Cohort) -> None:
        self._method, self._cohort = method, cohort
        self._losses: dict[int, MergeLoss] = {}  # of each device's last merge
        self._before: dict[int, Adapter] = {}  # own adapters at the last measurement
        self._sent: dict[int, Coordinates] = {}
        self.watches: bool | None = None

    def sent(self, device: int, coordinates: Coordinates) -> None:
        """Note what a device's update holds, if that will be asked for."""
        if self.watches is not None:
            self._sent[device] = coordinates

    def merged(self, before: DeviceState, arrivals: Sequence[Arrival], after: DeviceState) -> None:
        """Measure a merge; one to which nothing came is none."""
        if not any(each.weight > 0 and each.update.coordinates.size for each in arrivals):
            return
        parts = self._method.parts(self._cohort, before, arrivals)
        if parts:
            own = self._method.own_adapter(self._cohort, after)
            self._losses[before.device] = merge_loss(own, parts)

    def measures(
        self,
        states: Sequence[DeviceState],
        clusters: Iterable[Sequence[int]],
        next_trainings: Mapping[int, tuple[Adapter, Mask]],
    ) -> dict[int, Measures]:
        """Return the numbers of every device of some clusters.

        Args:
            states: of all devices.
            clusters: the devices of each.
            next_trainings: of each of these devices, what its next training starts from and what
                it may move.
        """
        found: dict[int, Measures] = {}
        for members in clusters:
            own = [self._method.own_adapter(self._cohort, states[device]) for device in members]
            ratios = gram_ratios(self._cohort.layout, [states[device].vector for device in members])
            collided = math.nan
            if len(members) > 1:
                collided = product_collision(own, COLLISION_THRESHOLD, _COLLISION_ROWS)
            for place, (device, adapter) in enumerate(zip(members, own, strict=True)):
                others = np.delete(ratios[place], place)
                loss = self._losses.get(device, MergeLoss(math.nan, math.nan))
                before = self._before.get(device)
                kept = Kept(math.nan, math.nan)
                if before is not None:
                    kept = knowledge_kept(before, adapter)
                self._before[device] = adapter
                found[device] = Measures(
                    num_merged=len(states[device].members),
                    orthogonality=float(others.mean()) if others.size else math.nan,
                    product_collision=collided,
                    covariance_term=loss.covariance_term,
                    aggregation_gap=loss.gap,
                    kept_cosine=kept.cosine,
                    kept_fraction=kept.fraction,
                    layers=self._layers(device, *next_trainings[device]),
                )
        return found

    def _layers(self, device: int, start: Adapter, trained: Mask) -> LayerDensities:
        whole = self._cohort.layout
        trained_a, trained_b = layer_shares(start.layout, np.flatnonzero(trained), whole)
        sent_a = sent_b = np.full(len(whole.sites), math.nan)
        if device in self._sent:
            sent_a, sent_b = layer_shares(whole, self._sent[device], whole)
        names = tuple(site.name for site in whole.sites)
        return LayerDensities(names, trained_a, trained_b, sent_a, sent_b)
