"""Shadowing `gudmundson`: normal in dB, correlated over the distance that the ends have moved.

    E[S(x) S(x + delta)] = sigma^2 e^(-delta / d_c)

Gudmundson, "Correlation model for shadow fading in mobile radio systems", Electronics Letters
27(23), 1991; 3GPP TR 38.901, section 7.4.4. delta is the sum of what both ends have travelled, so
that a link between two that stand keeps its value. The correlation is over distance travelled and
not over displacement: a device that returns to a place does not find its old value there.

In and out of sight there are two processes, independent of each other, each with its own sigma and
decorrelation distance; a link that comes back into sight goes on where its process is by then.
Different links are independent.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.rng import Draws
from cosim.units import Decibels, Metres
from cosim.world.link_process import link_process
from cosim.world.path_loss.base import Shadow
from cosim.world.shadowing.base import Shadowing, ShadowingInstant


class Gudmundson(Shadowing):
    """Shadowing that is correlated along a link's path.

    Attributes:
        sigma_db: standard deviation; None for what the path loss says by state of sight.
        decorrelation_m: d_c, over which the correlation falls to 1/e; None likewise.
    """

    sigma_db: Annotated[Decibels, Field(ge=0)] | None = None
    decorrelation_m: Annotated[Metres, Field(gt=0)] | None = None

    def missing_keys(self, law: Shadow | None) -> tuple[str, ...]:
        """Those of `sigma` and `decorrelation` that nobody gives."""
        keys = {"sigma": self.sigma_db, "decorrelation": self.decorrelation_m}
        return tuple(key for key, value in keys.items() if value is None and law is None)

    def loss_db(self, draws: Draws, instant: ShadowingInstant) -> NDArray[np.float64]:
        """The link's process, times sigma.

        Raises:
            ValueError: neither the scenario nor the path-loss model gives the law.
        """
        if missing := self.missing_keys(instant.law):
            raise ValueError(
                f"shadowing gudmundson: expected {' and '.join(missing)}, because this path loss "
                "has no law of its own, got null; give it, or choose one that has"
            )
        law = instant.law or Shadow(0.0, 1.0)  # both are given below
        sigma_db = law.sigma_db if self.sigma_db is None else self.sigma_db
        decorrelation_m = (
            law.decorrelation_m if self.decorrelation_m is None else self.decorrelation_m
        )
        normal = link_process(
            draws,
            "shadowing",
            instant.low,
            instant.high,
            instant.travelled_m / np.asarray(decorrelation_m),
            number=np.where(instant.line_of_sight, 0, 1),
            smooth=False,
        )
        return np.asarray(normal * np.asarray(sigma_db))
