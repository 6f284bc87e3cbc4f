"""`learning.local`, how a device trains, and what devices of one group do otherwise."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cosim.plugin import Section

Positive = Field(gt=0)
AtLeastOne = Field(ge=1)
NotNegative = Field(ge=0)


class Schedule(Section):
    """How the learning rate goes over the steps that a device makes in the whole run.

    It rises in equal parts over `warmup` steps, and then falls until step `steps` to the fraction
    `floor` of `lr`, where it stays: `linear`, or along half a `cosine` (Loshchilov and Hutter, ICLR
    2017). The steps of a method's own warm-up, before it has a mask, count too.
    """

    fall: Literal["none", "linear", "cosine"] = "none"
    warmup: Annotated[int, NotNegative] = 0
    steps: Annotated[int, AtLeastOne] | None = None
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.fall != "none" and self.steps is None:
            raise ValueError(f"expected the key 'steps', where the {self.fall} fall ends, got none")
        if self.fall == "none" and self.steps is not None:
            raise ValueError(
                f"expected no key 'steps' without a fall, got {self.steps}; say fall: linear or "
                "cosine"
            )
        if self.steps is not None and self.steps <= self.warmup:
            raise ValueError(
                f"expected a fall that ends after the {self.warmup} steps of the warm-up, got "
                f"steps: {self.steps}"
            )
        return self

    def factors(self, first: int, count: int) -> tuple[float, ...]:
        """Return what the learning rate is multiplied by in `count` steps from number `first`.

        The first step of a run has number 0.
        """
        return tuple(self._factor(step) for step in range(first, first + count))

    def _factor(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.steps is None:
            return 1.0
        gone = min((step - self.warmup) / (self.steps - self.warmup), 1.0)
        left = 1.0 - gone if self.fall == "linear" else 0.5 * (1.0 + math.cos(math.pi * gone))
        return self.floor + (1.0 - self.floor) * left


class Local(Section):
    """One device's local training in one round.

    With `optimizer_state: keep` the optimiser's moments go on from round to round, though what
    they are of has been merged meanwhile; with `reset` each round starts anew. A method whose
    trainings start from new factors resets in any case. Of the layers that `freeze` names the
    adapters do not train (of a trained output layer: `head`); what is sent and merged is for the
    method to say, and has them in it. `momentum` is SGD's.
    """

    steps: Annotated[int, AtLeastOne] = 10
    batch: Annotated[int, AtLeastOne] = 8
    optimizer: Literal["adamw", "sgd"] = "adamw"
    optimizer_state: Literal["reset", "keep"] = "reset"
    lr: Annotated[float, Positive] = 2e-3
    schedule: Schedule = Schedule()
    weight_decay: Annotated[float, NotNegative] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip: Annotated[float, Positive] | None = 1.0
    freeze: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _momentum_is_of_sgd(self) -> Self:
        self.check()
        return self

    def check(self) -> None:
        """Raise ValueError if keys contradict each other."""
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(
                f"expected no momentum with optimizer: {self.optimizer}, got {self.momentum:g}; "
                "say optimizer: sgd"
            )


class OwnLocal(Section):
    """What the devices of a group do otherwise than `learning.local` says; the rest is as there.

    `clip: null` is no clipping; `inherit` is as in `learning.local`.
    """

    steps: Annotated[int, AtLeastOne] | None = None
    batch: Annotated[int, AtLeastOne] | None = None
    optimizer: Literal["adamw", "sgd"] | None = None
    optimizer_state: Literal["reset", "keep"] | None = None
    lr: Annotated[float, Positive] | None = None
    schedule: Schedule | None = None
    weight_decay: Annotated[float, NotNegative] | None = None
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    clip: Annotated[float, Positive] | Literal["inherit"] | None = "inherit"
    freeze: tuple[str, ...] | None = None

    def over(self, local: Local) -> Local:
        """Return the settings of the group's devices.

        Raises:
            ValueError: they contradict each other.
        """
        own = {name: getattr(self, name) for name in type(self).model_fields}
        given = {name: value for name, value in own.items() if value is not None}
        if given.get("clip") == "inherit":
            del given["clip"]
        else:
            given["clip"] = self.clip
        both = local.model_copy(update=given)
        both.check()
        return both
