"""Fixed: densities and weights as the scenario gives them, or as they are."""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from cosim.planning.controllers.base import Control, Controller, ControlView

Density = Annotated[float, Field(gt=0, le=1)]
Weight = Annotated[float, Field(ge=1e-6, le=1e6)]


class Fixed(Controller):
    """The same densities and weights in every round.

    Device i has `densities[i mod len(densities)]`; without them, what its method has by itself.
    Its links have `weights[i mod len(weights)]` each, or else its radio's `sharing_weight`, which
    are divided by their sum over the links of a band. Without either key nothing is controlled.
    """

    is_constant: ClassVar[bool] = True

    densities: tuple[Density, ...] = ()
    weights: tuple[Weight, ...] = ()

    @property
    def acts(self) -> bool:
        return bool(self.densities or self.weights)

    @property
    def sets_density(self) -> bool:
        return bool(self.densities)

    @property
    def needs_weights(self) -> bool:
        return bool(self.weights)

    def control(self, view: ControlView) -> Control:
        """Return what is given."""
        links, density = view.links, view.density
        if self.densities:
            density = np.resize(np.array(self.densities), density.shape)
        each = np.ones(density.shape) if view.weight is None else view.weight
        if self.weights:
            each = np.resize(np.array(self.weights), density.shape)
        weight = each[links.src]
        share = weight / np.bincount(links.band, weight)[links.band]
        delay_s = links.delay_s(view.bits.at(density)[links.src], share, "share")
        return Control(density, share, delay_s, queue_s=0.0, reasons=())
