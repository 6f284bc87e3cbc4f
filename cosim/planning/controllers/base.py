"""A controller decides how much is sent and with what part of the band; before that, the rank.

A planner says who sends to whom; a controller, round by round, how dense each device's update is
and what share of the band each link has, and once, before learning begins, how large the adapters
are.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cosim.planning.airtime import Floats, SharedLinks
from cosim.planning.update_bits import UpdateBits
from cosim.plugin import Plugin

LEAST_WEIGHT = 1e-6
"""Of a link that is given no share: it may get through after all, and should not have to wait."""


@dataclass(frozen=True)
class OfflineView:
    """What is known before learning begins.

    Attributes:
        links: all links that may carry updates, at their mean gains, with the part of them that
            is chosen for a round.
        bits: sizes of updates at rank 1.
    """

    links: SharedLinks
    bits: UpdateBits


@dataclass(frozen=True)
class RankChoice:
    """The rank of all adapters, and what goes with it.

    Attributes:
        rank: at least 1.
        density: with which a round takes the time that it should.
        weight: of each link, [L].
        reasons: why, one sentence each, for a person to read.
    """

    rank: int
    density: float
    weight: Floats
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Control:
    """What holds for one round.

    Attributes:
        density: of each device's update, as a fraction of what its training may move, [N].
        weight: of each link, for sharing rules with weights: above 0, and summing to 1 within a
            band but for `LEAST_WEIGHT`, [L].
        delay_s: predicted time of each link's update, [L].
        queue_s: what the controller remembers: the virtual queue of delay over the mean allowed.
        reasons: why, one sentence each, for a person to read.
    """

    density: Floats
    weight: Floats
    delay_s: Floats
    queue_s: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ControlView:
    """The state of the network when a round begins.

    Attributes:
        round: its number, from 1.
        links: the links that will carry updates in it.
        bits: sizes of updates.
        rank: of the adapters.
        density: that each device's update has if nobody controls it, [N].
        compute_s: modelled time of each device's local training at density 1, [N].
        least_compute_s: that of a training of nothing: passes through the frozen model, [N].
            Between the two the time is linear in the density; they are the same for a method
            that trains all and sends a part.
        delay_s: the longest that an update of the round before took to be sent, as measured; one
            that was given up counts with what it took. None where nothing was sent.
        previous: what held in the round before; None in the first.
        weight: that each device's links have if nobody controls them, [N]; None for the same.
    """

    round: int
    links: SharedLinks
    bits: UpdateBits
    rank: int
    density: Floats
    compute_s: Floats
    least_compute_s: Floats
    delay_s: float | None = None
    previous: Control | None = None
    weight: Floats | None = None


class Controller(Plugin):
    """Contract of family `controller`: pure; its state goes in and comes out.

    Attributes:
        chooses_rank: whether the rank is chosen before learning begins, by `rank`.
        follows_delay: whether densities answer to how long rounds took, so that they must be able
            to change in every round.
        is_constant: whether it says the same in every round, so that it can be asked at any time.
    """

    chooses_rank: ClassVar[bool] = False
    follows_delay: ClassVar[bool] = False
    is_constant: ClassVar[bool] = False

    @property
    def acts(self) -> bool:
        """Whether anything may be other than it is by itself."""
        return True

    @property
    def sets_density(self) -> bool:
        """Whether densities may be other than what the method has by itself."""
        return True

    @property
    def needs_weights(self) -> bool:
        """Whether links must share their band by weights for what it says to come true."""
        return False

    def rank(self, view: OfflineView) -> RankChoice | None:
        """Return the rank for the whole run; None to leave it as the method has it."""

    @abstractmethod
    def control(self, view: ControlView) -> Control:
        """Return densities and weights for the round that begins."""


def as_weight(share: Floats) -> Floats:
    """Return shares as weights, all above 0."""
    return np.maximum(share, LEAST_WEIGHT)
