"""What sparse_orthogonal and lori share: A frozen, B trained on a mask that is fixed early.

A device's first training is a dense warm-up of B. Then its mask is the largest |B|, of all layers
together or layer by layer; B is pruned to it, and only B on the mask is trained and sent from then
on. A is drawn from an address that every device knows, so it is never sent. The head of a model
that has one is outside the mask: it is always trained and sent, and averaged, as a tenth of a
classifier is none.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from cosim.learning.adapter import Adapter, Layout, Mask, Vector, concatenate
from cosim.learning.errors import LearningError
from cosim.learning.methods._apportion import apportion, budget_of, largest
from cosim.learning.methods.base import (
    Arrival,
    Cohort,
    Coordinates,
    DeviceState,
    Expert,
    Members,
    Method,
    Parts,
    Update,
    forget,
    in_order,
    merged_members,
    remember,
    with_mean_head,
)

Aggregation = Literal["count", "mean", "sum", "none"]


def top_mask(values: NDArray[np.floating], density: float) -> Mask:
    """Return the mask of exactly ceil(density n) entries of greatest |value|; ties: lowest index.

    P1 (13) prints the indicator on signed B and by ">= threshold"; the one would prune large
    negative entries, the other keep every tie.

    Args:
        values: [n].
        density: above 0 and at most 1; its decimal digits are taken as exact.
    """
    return largest(np.abs(values), budget_of(density, values.size))


def aggregate(how: Aggregation, own: Vector, mask: Mask, arrivals: Sequence[Arrival]) -> Vector:
    """Return the aggregated B of a device and its arrivals (P1 (8)/(9), resolved sign).

    mean: B_i + sum_j w_ij (B_j - B_i), with B_j zero outside its mask: a coordinate that one of
    |M| devices trained shrinks by |M|. count: the weighted mean over the devices whose mask holds
    the coordinate. sum: the plain sum, without weights; where masks collide it grows with every
    merge, as each starts from the last one's sum; of weight 0 an arrival counts for nothing. none:
    the device's own stays as it is.

    A coordinate that was sent but lost counts as the device's own value (adds nothing to a sum).
    A device of which nothing arrived does not take part.

    Args:
        how: count, mean, sum or none.
        own: the device's flat vector, zero outside `mask`.
        mask: the device's mask.
        arrivals: what arrived.
    """
    arrivals = in_order(arrivals)
    if how == "none":
        return own.copy()
    if how == "sum":
        total = own.astype(np.float64)
        for arrival in (each for each in arrivals if each.weight > 0):
            total[arrival.update.coordinates] += arrival.update.values
        return total.astype(np.float32)
    own_weight = 1.0 - sum(arrival.weight for arrival in arrivals)
    weighted = own_weight * own.astype(np.float64)
    share = own_weight * mask
    for arrival in arrivals:
        arrived = arrival.update.coordinates
        lost = np.setdiff1d(arrival.sent, arrived, assume_unique=True)
        weighted[arrived] += arrival.weight * arrival.update.values
        weighted[lost] += arrival.weight * own[lost]
        share[arrived] += arrival.weight
        share[lost] += arrival.weight * mask[lost]
    if how == "mean":
        return weighted.astype(np.float32)
    counted: Vector = own.copy()
    held = share > 0
    counted[held] = weighted[held] / share[held]
    return counted


class Masked(Method):
    """Frozen A, masked B.

    `density` is the fraction of B that the mask keeps (the paper's "sparsity rate"), of greatest
    magnitude, or greatest value with its sign (`keep: signed`, as P1 (13) is printed). The budget
    of all layers together is met to the entry. `mask_scope: global` takes the largest of all
    layers; `layer_wise` gives layer l a share of the budget in proportion to n_l I_l^g, at most its
    n_l entries of B, what is above going to the other layers (P2). I_l is the effective rank of the
    covariance of the layer's inputs, measured once in the base model on the first eight training
    examples of every task, which all devices are taken to have [resolved]; or `importance: d_in`,
    its upper bound, which needs no measurement; g is `exponent`.

    `agg` is how B is aggregated, see `aggregate`; `none` keeps each device's own B, as the parts of
    LoRI's merges are trained apart, and needs `combine: concat`.
    `combine: concat` keeps each device's own B_j and answers with sum_j alpha_j A_j B_j; `linear`
    is the literal (15)/(18): a cluster's aggregated B meets the sum of its members' alpha_j A_j.
    `alpha` weighs the devices in that sum: `one`, or `normalised` to sum 1 over all known devices.
    The paper leaves it open. Each product is trained at full strength, so normalised alphas divide
    what every device has learned by their number.

    A server [own choice, the papers know none] aggregates B over all masks, and remembers who has
    which mask. With `combine: concat` it sends each B_j, aggregated, on j's mask: client i goes on
    from its own and answers with sum_j alpha_j A_j B_j, as in a cluster of all. A broadcast grows
    with their number. With `linear` it sends the aggregated B once. No A is ever sent.
    """

    settles_density: ClassVar[bool] = True

    density: Annotated[float, Field(gt=0, le=1)] = 0.1
    keep: Literal["magnitude", "signed"] = "magnitude"
    mask_scope: Literal["global", "layer_wise"] = "global"
    importance: Literal["effective_rank", "d_in"] = "effective_rank"
    exponent: Annotated[float, Field(ge=0, le=10)] = 1.0
    warmup_steps: Annotated[int, Field(ge=1)] = 30
    agg: Aggregation = "count"
    combine: Literal["concat", "linear"] = "concat"
    alpha: Literal["one", "normalised"] = "one"

    @model_validator(mode="after")
    def _parts_are_apart(self) -> Self:
        if self.agg == "none" and self.combine == "linear":
            raise ValueError(
                "expected agg: count, mean or sum with combine: linear, which answers with an "
                "aggregated B, got none; use combine: concat"
            )
        return self

    def _keys_at(self, density: float) -> dict[str, float]:
        """The density at which a mask is fixed, after the first training, is for good."""
        return {"density": density}

    @abstractmethod
    def frozen_a(self, cohort: Cohort, device: int) -> Vector:
        """Return A of any device, flat [size_a], from its address."""

    def restarts(self) -> bool:
        """Return whether B starts again from 0 when its mask is fixed."""
        return False

    def starts_anew(self, state: DeviceState) -> bool:
        """The training after the warm-up, if B starts again from 0."""
        return self.restarts() and state.trainings == 1

    @property
    def asks_for_ranks(self) -> bool:
        return self.mask_scope == "layer_wise" and self.importance == "effective_rank"

    @property
    def has_drawn_a(self) -> bool:
        return self.combine == "concat"

    def scope(self, layout: Layout) -> slice:
        return layout.part_b

    def start(self, cohort: Cohort, device: int) -> DeviceState:
        layout = cohort.layout
        vector = np.zeros(layout.size, dtype=np.float32)
        vector[: layout.size_a] = self.frozen_a(cohort, device)
        trainable = np.zeros(layout.size, dtype=np.bool_)
        trainable[layout.size_a :] = True
        return DeviceState(device, vector, trainable, (device,))

    def steps(self, state: DeviceState, local_steps: int) -> int:
        return local_steps if state.trainings else self.warmup_steps

    def trained(self, cohort: Cohort, state: DeviceState, vector: Vector) -> DeviceState:
        """Fix the mask after the first training, and prune B to it."""
        state = super().trained(cohort, state, vector)
        if state.trainings > 1:
            return state
        layout = cohort.layout
        trainable = self._mask(cohort, vector[layout.part_b])
        kept = trainable.copy()
        if self.restarts():
            kept[layout.part_b] = False
        return replace(state, vector=_pruned(cohort, vector, kept), trainable=trainable)

    def _mask(self, cohort: Cohort, b: NDArray[np.floating]) -> Mask:
        """Return the mask of a B after its warm-up, [size_b], and the head, [layout.size]."""
        layout = cohort.layout
        score = np.abs(b) if self.keep == "magnitude" else b
        budget = budget_of(self.density, layout.size_b)
        mask = np.ones(layout.size, dtype=np.bool_)
        mask[layout.part_a] = False
        if self.mask_scope == "global":
            mask[layout.part_b] = largest(score, budget)
            return mask
        sizes = np.array([layout.rank * site.d_out for site in layout.sites])
        counts = apportion(budget, sizes * self._importance(cohort) ** self.exponent, sizes)
        for where, count in zip(layout.slices_b, counts.tolist(), strict=True):
            mask[where] = largest(
                score[where.start - layout.size_a :][: where.stop - where.start], count
            )
        return mask

    def _importance(self, cohort: Cohort) -> NDArray[np.float64]:
        """Return I_l of every layer, [num sites]."""
        if self.importance == "d_in":
            return np.array([float(site.d_in) for site in cohort.layout.sites])
        if cohort.effective_ranks is None:
            raise LearningError(
                "learning.method.mask_scope: layer_wise needs the effective rank of each layer's "
                "inputs, which this pool does not measure; use importance: d_in, or "
                "mask_scope: global"
            )
        return np.array(cohort.effective_ranks)

    def update(self, cohort: Cohort, state: DeviceState, round: int) -> Update | None:
        if not self._has_trained(state):
            return None
        return _update((state.device,), round, state.vector, state.trainable)

    def expected(self, cohort: Cohort, state: DeviceState) -> Coordinates:
        if state.trainings:
            return np.flatnonzero(state.trainable)
        rng = cohort.draws.generator("expected_mask", state.device)
        return np.flatnonzero(self._mask(cohort, rng.random(cohort.layout.size_b)))

    def merge(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Aggregate on the device's own mask; keep what else arrived as `combine` says.

        A device that has no mask yet aggregates nothing; it keeps what arrives as it is.
        """
        if state.device in cohort.servers:
            return self._gathered(cohort, state, arrivals)
        if not state.trainings:
            return self.store(state, arrivals)
        members = merged_members(state, arrivals)
        merged = self._aggregated(cohort, state, state.trainable, arrivals)
        if self.combine == "linear":
            known = forget(state.known, members)
            return replace(state, vector=merged, members=members, known=known)
        known = dict(state.known)
        for arrival in in_order(arrivals):
            known = remember(known, arrival)
        vector = _pruned(cohort, merged, state.trainable)
        return replace(state, vector=vector, members=members, known=known)

    def _aggregated(
        self, cohort: Cohort, state: DeviceState, mask: Mask, arrivals: Sequence[Arrival]
    ) -> Vector:
        """Return the state's vector with B aggregated, and the mean head."""
        layout = cohort.layout
        own = np.where(mask, state.vector, np.float32(0))
        merged = aggregate(self.agg, own, mask, arrivals)
        merged[layout.part_a] = state.vector[layout.part_a]
        if self.agg == "sum":
            merged[layout.part_head] = aggregate("mean", own, mask, arrivals)[layout.part_head]
        return merged

    def _gathered(
        self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]
    ) -> DeviceState:
        """Return a server's state: B aggregated over all masks, and what each client sent last."""
        known = dict(state.known)
        for arrival in in_order(arrivals):
            known = remember(known, arrival)
        merged = self._aggregated(cohort, state, _held(cohort, state.known), arrivals)
        if self.agg == "sum":  # of what each sent last, and not of earlier sums
            part = cohort.layout.part_b
            merged[part] = sum(update.dense(cohort.layout)[part] for update in known.values())
        members = merged_members(state, arrivals)
        return replace(state, vector=merged, members=members, known=known)

    def broadcast(self, cohort: Cohort, state: DeviceState, round: int) -> tuple[Update, ...]:
        """Send the aggregated B on each client's mask (concat), or on all of them once (linear)."""
        sent = [update for _, update in sorted(state.known.items())]
        if self.agg == "none" or not sent:
            return tuple(sent)
        if self.combine == "linear":
            members = tuple(sorted(member for each in sent for member in each.members))
            return (_update(members, round, state.vector, _held(cohort, state.known)),)
        return tuple(replace(each, values=state.vector[each.coordinates]) for each in sent)

    def adopt(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Take over what there is of the own B, or the one B (linear); remember the others'.

        A device that has no mask yet, or whose B is its own (agg: none), remembers alone.
        """
        stored = self.store(state, arrivals)
        if not state.trainings or not in_order(arrivals):
            return stored
        members, linear = merged_members(state, arrivals), self.combine == "linear"
        if self.agg == "none":
            return replace(stored, members=members)
        vector = state.vector.copy()
        for update in (arrival.update for arrival in in_order(arrivals)):
            if linear or update.members == (state.device,):
                vector[update.coordinates] = update.values
        known = forget(state.known, members) if linear else stored.known
        return replace(state, vector=vector, members=members, known=known)

    def own_adapter(self, cohort: Cohort, state: DeviceState) -> Adapter:
        """Return the device's B read through its own A (concat), or all its members' (linear)."""
        return self._expert(cohort, self.answers_for(state), state.vector).adapter

    def parts(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> Parts:
        """Return each one's B with its own A, by mixing weights, or once each where B is summed.

        So what is lost is what of the others' knowledge the device's own A does not carry. With
        `combine: linear` each counts once, as (15)/(18) add up what each A makes of the one B.
        """
        if self.agg == "none" or not state.trainings:
            return ()
        counted = [arrival for arrival in in_order(arrivals) if arrival.weight > 0]
        once = self.agg == "sum" or self.combine == "linear"
        own = np.where(state.trainable, state.vector, np.float32(0))
        own_weight = 1.0 if once else max(0.0, 1.0 - sum(each.weight for each in counted))
        parts = [(self._expert(cohort, (state.device,), own).adapter, own_weight)]
        for each in counted:
            b = each.update.dense(cohort.layout)
            lost = np.setdiff1d(each.sent, each.update.coordinates, assume_unique=True)
            if self.agg != "sum":
                b[lost] = own[lost]
            adapter = self._expert(cohort, each.update.members, b).adapter
            parts.append((adapter, 1.0 if once else each.weight))
        return tuple(parts)

    def exchange(self, cohort: Cohort, state: DeviceState, round: int) -> tuple[Update, ...]:
        """Send each known B_j of the cluster (concat), or the cluster's aggregated B (linear)."""
        sent = []
        if self._has_trained(state):
            nonzero = state.vector != 0
            nonzero[: cohort.layout.size_a] = False
            members = self.answers_for(state)
            sent.append(_update(members, round, state.vector, state.trainable | nonzero))
        if self.combine == "concat":
            others = ((member,) for member in state.members if member != state.device)
            sent.extend(state.known[key] for key in others if key in state.known)
        return tuple(sorted(sent, key=lambda update: update.members))

    def answers_for(self, state: DeviceState) -> Members:
        return (state.device,) if self.combine == "concat" else state.members

    def inference(self, cohort: Cohort, state: DeviceState) -> Adapter:
        """Return sum over what is known of (sum_{j in members} alpha_j A_j) B, P1 (15)/(18).

        The head is the mean of those that are known, by their numbers of members.
        """
        experts = self.experts(cohort, state)
        num_known = sum(len(expert.members) for expert in experts)
        alpha = 1.0 if self.alpha == "one" else 1.0 / num_known
        answer = concatenate([(expert.adapter, alpha) for expert in experts])
        return with_mean_head(answer, experts)

    def experts(self, cohort: Cohort, state: DeviceState) -> tuple[Expert, ...]:
        """Return (sum_{j in members} A_j) B of each that is known."""
        layout, known = cohort.layout, state.known
        if state.device in cohort.servers:
            known = {update.members: update for update in self.broadcast(cohort, state, 0)}
        entries = {members: update.dense(layout) for members, update in known.items()}
        if self._has_trained(state) or not entries:
            entries[self.answers_for(state)] = state.vector
        ordered = sorted(entries.items(), key=lambda entry: entry[0])
        return tuple(self._expert(cohort, members, b) for members, b in ordered)

    def _expert(self, cohort: Cohort, members: Members, b: Vector) -> Expert:
        """Return (sum_{j in members} A_j) B; of the flat vector `b` A is not looked at."""
        vector = b.copy()
        vector[cohort.layout.part_a] = sum(self.frozen_a(cohort, member) for member in members)
        return Expert(members, Adapter(cohort.layout, vector, self.scale))

    def _has_trained(self, state: DeviceState) -> bool:
        """Whether its B holds a training (a restart throws the warm-up's away)."""
        return state.trainings > (1 if self.restarts() else 0)


def _held(cohort: Cohort, known: Mapping[Members, Update]) -> Mask:
    """Return the coordinates that any of these updates holds, [layout.size]."""
    held = np.zeros(cohort.layout.size, dtype=np.bool_)
    for update in known.values():
        held[update.coordinates] = True
    return held


def _update(members: Members, round: int, vector: Vector, mask: Mask) -> Update:
    coordinates = np.flatnonzero(mask)
    return Update(members, round, coordinates, vector[coordinates])


def _pruned(cohort: Cohort, vector: Vector, mask: Mask) -> Vector:
    """Return the vector with A as it is, and B zero outside the mask."""
    pruned = np.where(mask, vector, np.float32(0))
    pruned[: cohort.layout.size_a] = vector[: cohort.layout.size_a]
    return pruned
