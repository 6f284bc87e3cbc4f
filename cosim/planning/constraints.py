"""What a cluster must meet: the limits that planners share, and their numbers for one view.

    (11a) the delay (10) of every link inside a cluster   <= max_delay
    (11b) the powers of a device's links together         <= its power limit
    (11c) a device's local training time                  <= max_compute
          the collision rate (16) of a cluster            <= max_collision
          how many devices a cluster has                <= max_cluster_size
          linkage complete: every member is in range of every other, so that one aggregation
          averages; single: members are connected over others, and aggregation averages in time

Each can be there or not: without max_delay, max_compute and max_cluster_size, and with
max_collision 1, there is no such limit. (11b) is met by how powers are set, but with `full`.

A rate model carries an update in time from some SNR x on, which depends on the update and on the
links that share the band. At that SNR, link i -> j over the bandwidth b needs the power x b c_ij
with c_ij = N0 F_j / g_ij. With u links of device i, M - 1 where all hear each other, every way to
set the powers comes to one comparison per device:

    equal: u max_j c_ij <= p_max / (x b)        each link gets p_max / u, and that is enough (11a)
    full:    max_j c_ij <= p_max / (x b)        each link gets p_max while it sends
    fixed:   max_j c_ij <= p / (x b)            each link gets p, and u p <= p_max (11b)
    least:   sum_j c_ij <= p_max / (x b)        each link gets what it needs, and that is at most
                                                p_max together (11b)
"""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from cosim.planning.least_snr import least_snr
from cosim.planning.links import Casting, Pairs, Power, equal_power, num_sharing
from cosim.planning.view import Bools, Floats, PlanView
from cosim.plugin import Section
from cosim.units import Dbm, Decibels, Seconds, dbm_to_watts

_ROUNDING = 1.0 + 1e-12  # so that powers that fill a limit exactly are within it


class Limits(Section):
    """The keys of a planner whose clusters are within limits; one that is left out is none.

    With `linkage: complete` the members of a cluster all hear each other; with `single` it is
    enough that they are connected, and every pair of them that is in range has a link.

    `power` is how a device sets the powers of its links: `equal` shares of its limit, the `least`
    that meet `max_delay_s`, `fixed` at `link_power_dbm` each, or its `full` power on each, for
    devices that send to one at a time. The delay limit is to hold even `fade_margin_db` below the
    mean gain. `casting` is how an update goes to the neighbours of its cluster: one `unicast`
    each, one `multicast` at full power to all of them, or for each device the `best`, which is
    what has reached the last neighbour first.
    """

    linkage: Literal["complete", "single"] = "complete"
    max_collision: Annotated[float, Field(ge=0, le=1)] = 0.1
    max_delay_s: Annotated[Seconds, Field(gt=0)] | None = None
    max_compute_s: Annotated[Seconds, Field(ge=0)] | None = None
    max_cluster_size: Annotated[int, Field(ge=1)] | None = None
    power: Literal["equal", "least", "full", "fixed"] = "equal"
    link_power_dbm: Annotated[Dbm, Field(ge=-100, le=60)] | None = None
    casting: Casting = "unicast"
    fade_margin_db: Annotated[Decibels, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _least_of_what(self) -> Self:
        if self.power == "least" and self.max_delay_s is None:
            raise PydanticCustomError(
                "least_power",
                "power 'least' is the least that meets max_delay: expected max_delay, got none",
            )
        if (self.power == "fixed") != (self.link_power_dbm is not None):
            raise PydanticCustomError(
                "fixed_power",
                "power 'fixed' and the key link_power go together: expected both or neither",
            )
        return self


class Constraints:
    """The limits of one planner in numbers, for one view.

    Args:
        limits: the planner's.
        view: what it plans for.
    """

    def __init__(self, limits: Limits, view: PlanView) -> None:
        self.limits = limits
        self.view = view
        self._budgets: dict[tuple[int, int], list[float]] = {}

    def computes_in_time(self) -> Bools:
        """Return whether each device meets (11c), [N]."""
        limit = self.limits.max_compute_s
        return self.view.compute_s <= (np.inf if limit is None else limit)

    def budget(self, size: int) -> list[float]:
        """Return the budget of each device in a cluster whose members all hear each other, [N].

        Args:
            size: number of devices in the cluster, at least 2.
        """
        return self.budget_of(size - 1, num_sharing(self.view.shared_by, size))

    def budget_of(self, links: int, sharing: int) -> list[float]:
        """Return the bound on sum_j c_ij (`least`) or max_j c_ij (others) of each device, [N].

        Args:
            links: how many outgoing links the device has, at least 1.
            sharing: how many links share the band with each of them, itself included.
        """
        if (links, sharing) not in self._budgets:
            needed = self._watts_per_cost(sharing)
            with np.errstate(divide="ignore"):
                budget = (self._link_power_w(links) / needed).tolist()
            self._budgets[links, sharing] = budget
        return self._budgets[links, sharing]

    def _link_power_w(self, links: int) -> Floats:
        """Return the power that one of so many links, or with `least` all, may have, [N]."""
        most_w = self.view.max_power_w
        if self.limits.power == "equal":
            return most_w / links
        if self.limits.link_power_dbm is None:
            return most_w
        each_w = dbm_to_watts(self.limits.link_power_dbm)
        return np.where(links * each_w <= most_w * _ROUNDING, each_w, -1.0)  # more than there is

    def power(self) -> Power:
        """Return the rule that sets the powers of the links inside clusters."""
        limits, view = self.limits, self.view
        if limits.power == "least":
            return self._least_power
        if limits.power == "full":
            return lambda pairs: view.max_power_w[pairs.src]
        if limits.link_power_dbm is not None:
            each_w = dbm_to_watts(limits.link_power_dbm)
            return lambda pairs: np.full(len(pairs.src), each_w)
        return equal_power(view)

    def _least_power(self, pairs: Pairs) -> Floats:
        needed = np.empty(len(pairs.src))
        for sharing in np.unique(pairs.sharing).tolist():
            at = np.flatnonzero(pairs.sharing == sharing)
            needed[at] = self._watts_per_cost(sharing)[pairs.src[at]]
        power_w = needed * self.view.noise_w_per_hz[pairs.dst] / pairs.mean_gain
        # No power is the least where the rate does not depend on it; yet a link has to send.
        return np.where(needed > 0, power_w, equal_power(self.view)(pairs))

    def _watts_per_cost(self, sharing: int) -> Floats:
        """Return x b, margin included, of each device when `sharing` links share the band, [N]."""
        view, limits = self.view, self.limits
        bandwidth_hz = view.bandwidth_hz / sharing
        max_delay_s = np.inf if limits.max_delay_s is None else limits.max_delay_s
        snr = least_snr(view.rate, view.payload_bits / max_delay_s, bandwidth_hz, 1.0 / sharing)
        margin: float = 10.0 ** (limits.fade_margin_db / 10.0)
        return snr * bandwidth_hz * margin
