"""Sharing: how the flows that are active in one OFDMA domain divide its band.

A band is divided again whenever a flow of the domain starts or ends. A rule that follows the
channel divides it again at the start of every slot too; slots begin at whole multiples of the
rule's slot time, and the channel of the domain's flows is sampled at just these instants.
"""

import inspect
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cosim.plugin import Plugin

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Demand:
    """The flows that are active in one domain, over slots in which none starts or ends.

    What costs something to find is a function, because not every rule needs it.

    Attributes:
        num_flows: F.
        num_slots: K; 1 for a rule without slots.
        weight: weight of each flow, above 0, [F].
        snr: returns what each flow's SNR (with interference) would be with all of the band, at
            its transmit power, in each slot and each of C resource blocks, [F, K, C]; C is 1
            where the channel is flat.
        rate_bps: returns the rate of each flow in each slot at given shares [F, K, C], [F, K].
        remaining_bits: returns the bits that each flow had still to serve, if none were lost
            from then on, when a flow of the domain last started or ended, [F].
        memory: what the rule remembered of each flow before the first slot, [F]; NaN for a flow
            that is new.
    """

    num_flows: int
    num_slots: int
    weight: Floats
    snr: Callable[[], Floats]
    rate_bps: Callable[[Floats], Floats]
    remaining_bits: Callable[[], Floats]
    memory: Floats


@dataclass(frozen=True)
class Division:
    """Who has what.

    Attributes:
        shares: fraction of each resource block that each flow has in each slot, at least 0,
            summing over flows to at most 1, [F, K, C]; or [F, K, 1], a fraction of the band, from
            which whole resource blocks are made where there are such.
        memory: what the rule remembers of each flow after each slot, [F, K]; None if it is
            a rule without memory.
    """

    shares: Floats
    memory: Floats | None = None


class SharingRule(Plugin):
    """Contract of family `rule`.

    Attributes:
        exclusive: whether a flow that transmits has a block, or all of the band, to itself for a
            slot, so that the flows of a domain take turns.
        by_number: whether the shares depend on the number of flows alone, so that they need be
            found once for each number.
    """

    exclusive: ClassVar[bool] = False
    by_number: ClassVar[bool] = False

    if TYPE_CHECKING:  # at run time a property here would hide the field of a kind that has slots

        @property
        def slot_s(self) -> float | None:
            """Length of a slot; None for a rule that divides only when flows start and end."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Give a kind without a field `slot_s` the value None."""
        if "slot_s" not in cls.model_fields and not inspect.isabstract(cls):
            cls.slot_s = None  # type: ignore[assignment, method-assign]

    @abstractmethod
    def divide(self, demand: Demand) -> Division:
        """Divide the band for each slot; dividing slot by slot, memory handed on, is the same."""
