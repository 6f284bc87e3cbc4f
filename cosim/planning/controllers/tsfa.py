"""TSFA: P3's two-stage controller, the rank before learning begins and then the densities.

Offline, at the mean channel, a rank r is to be sent with the density 1 - O*(r) at which a round
takes tau_bar:

    O*(r) = clip(1 - tau_bar W / (q r D sum x), O_min, O_max)
    r* = argmin Psi(r, O*(r)),    Psi = a_R max(R - r, 0) + a_C Delta r + a_S r phi(O)

phi(O) = O / (1 - O)^2. Psi is P3's bound as far as it depends on the two: a small rank cannot hold
what is learned, a large one makes the mean of products differ more from the product of means and
has to be sent more sparsely. Online it is OSFA.
"""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from cosim.planning.airtime import RoundTime
from cosim.planning.controllers._lyapunov import LyapunovController, sparsification_error
from cosim.planning.controllers.base import OfflineView, RankChoice, as_weight

Rank = Annotated[int, Field(ge=1, le=1024)]


class Tsfa(LyapunovController):
    """Offline the rank, online the densities and shares; keys of OSFA, and those of the rank.

    With the defaults of `a_...`, which P3 leaves open, the rank that is best has twice the values
    that fit into `mean_delay`, as far as `ranks` and `max_density` let it.

    Attributes:
        ranks: to choose from.
        full_rank: R, from which on rank is enough.
        a_rank: a_R.
        a_covariance: a_C Delta.
    """

    chooses_rank: ClassVar[bool] = True

    ranks: Annotated[tuple[Rank, ...], Field(min_length=1)] = (1, 2, 4, 8, 16, 32, 64)
    full_rank: Rank = 64
    a_rank: Annotated[float, Field(ge=0)] = 1.0
    a_covariance: Annotated[float, Field(ge=0)] = 0.1

    def rank(self, view: OfflineView) -> RankChoice:
        """Return the rank whose bound is least; of equal ones the smallest."""
        found = []
        for rank in sorted(set(self.ranks)):
            round_time = RoundTime(view.links, view.bits.of_rank(rank), self.noise)
            density = round_time.greatest_density(
                self.mean_delay_s, self.min_density, self.max_density
            )
            found.append((self.bound(rank, density), rank, density, round_time))
        bound, rank, density, round_time = min(found, key=lambda each: each[0])
        at = np.array([density])
        others = ", ".join(f"{other[1]}: {other[0]:.4g}" for other in found)
        return RankChoice(
            rank=rank,
            density=density,
            weight=as_weight(round_time.shares(at)[0]),
            reasons=(
                f"rank {rank} at density {density:.4g} has the least bound, {bound:.4g} (by "
                f"rank, {others}); at the mean channel a round takes {round_time.s(at)[0]:.4g} s",
            ),
        )

    def bound(self, rank: int, density: float) -> float:
        """Return Psi."""
        error = float(sparsification_error(np.array(density)))
        missing = max(self.full_rank - rank, 0)
        return self.a_rank * missing + rank * (self.a_covariance + self.a_sparsity * error)
