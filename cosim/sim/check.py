"""Invariants of a run, checked while it runs (`--check`; on in tests).

Time never goes back; the shares of a band sum to at most the band; a device radiates no more than
it can; bits served are bits delivered, lost and in flight; every send ends in exactly one outcome.
That energy used never falls is checked where it is summed, in `energy`.
"""

import math
from itertools import pairwise
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from cosim.boundary import Outcome
from cosim.radio.sampling import tolerance_s

_RELATIVE = 1e-9  # what float64 sums over a whole transfer may differ by, with room
_LEAST_J = 1e-12


class InvariantError(AssertionError):
    """The simulator contradicts itself: a bug of the program, never of the user."""


class Invariants:
    """The state that the checks need: what was last seen, and which transfers are open."""

    def __init__(self) -> None:
        self._now_s = -math.inf
        self._open: set[int] = set()
        self._newest = -1

    def time(self, now_s: float) -> None:
        """Time never goes back."""
        if not now_s >= self._now_s:
            raise InvariantError(f"time went back from {self._now_s!r} s to {now_s!r} s")
        self._now_s = now_s

    def ordered(self, *times_s: float) -> None:
        """The instants of one transfer come in order."""
        if any(later < earlier - tolerance_s(earlier) for earlier, later in pairwise(times_s)):
            raise InvariantError(f"expected times in order, got {times_s} s")

    def shares(self, shares: NDArray[np.float64], num_flows: int) -> None:
        """Each active flow has a share >= 0, and together at most each block in each slot.

        Args:
            shares: [F, K, C].
            num_flows: F.
        """
        if shares.ndim != 3 or len(shares) != num_flows:
            raise InvariantError(f"expected shares of {num_flows} flows, got {shares.shape}")
        if not ((shares >= 0.0).all() and (shares.sum(axis=0) <= 1.0 + _RELATIVE).all()):
            raise InvariantError(f"shares must be >= 0 and sum to at most 1, got {shares}")

    def bits(self, served: float, delivered: float, lost: float, in_flight: float) -> None:
        """Bits served are bits delivered, lost and in flight."""
        slack = _RELATIVE * max(served, 1.0) + 1.0
        if abs(served - delivered - lost - in_flight) > slack or in_flight < -slack:
            raise InvariantError(
                f"{served!r} bits served, but {delivered!r} delivered, {lost!r} lost and "
                f"{in_flight!r} in flight"
            )

    def energy(self, radiated_j: float, most_j: float) -> None:
        """What a flow radiated is at least 0 and at most its power for as long as it lasted."""
        if not 0.0 <= radiated_j <= most_j * (1.0 + _RELATIVE) + _LEAST_J:
            raise InvariantError(f"expected 0 to {most_j!r} J to be radiated, got {radiated_j!r}")

    def power(self, device: int, power_w: float, most_w: float) -> None:
        """A device radiates at most its greatest power."""
        if power_w > most_w * (1.0 + _RELATIVE):
            raise InvariantError(f"device {device} radiates {power_w!r} W of {most_w!r} W")

    def opened(self, transfer: int) -> None:
        """Every send is new; transfers are numbered upwards."""
        if transfer <= self._newest:
            raise InvariantError(f"transfer {transfer} was sent after {self._newest}")
        self._newest = transfer
        self._open.add(transfer)

    def closed(self, transfer: int, outcome: Outcome) -> None:
        """Every send ends once, in a known outcome."""
        if outcome not in get_args(Outcome):
            raise InvariantError(f"transfer {transfer} ended as {outcome!r}")
        if transfer not in self._open:
            raise InvariantError(f"transfer {transfer} ended as {outcome!r}, but is not open")
        self._open.remove(transfer)

    def finished(self) -> None:
        """No send is left without an outcome."""
        if self._open:
            raise InvariantError(f"transfers {sorted(self._open)} have no outcome")
