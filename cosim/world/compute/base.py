"""Compute: how long a device takes for one local training, by formula, and what power it draws."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from cosim.plugin import Plugin
from cosim.rng import Draws
from cosim.units import Watts

Floats = float | NDArray[np.float64]


@dataclass(frozen=True)
class Work:
    """One local training, as counted before it is run.

    Attributes:
        flops: floating point operations.
        num_parameters: parameters that are sent or trained (Q of P1's equation 7).
        num_samples: training samples gone through (|D|).
        batch_size: samples per step (B).

    Numbers of one device, or arrays of one number for each of several.
    """

    flops: Floats
    num_parameters: Floats
    num_samples: Floats
    batch_size: Floats

    @staticmethod
    def of(works: Sequence["Work"]) -> "Work":
        """Return several devices' works as one, its numbers [len(works)]."""
        names = [field.name for field in fields(Work)]
        return Work(*(np.array([getattr(work, name) for work in works]) for name in names))

    def taken(self, devices: NDArray[np.int64]) -> "Work":
        """Return the works at these places, shape of `devices`."""
        numbers = (np.atleast_1d(getattr(self, field.name)) for field in fields(self))
        return Work(*(number[devices] for number in numbers))


class Compute(Plugin):
    """Contract of family `compute`. Host time never enters."""

    power_w: Annotated[Watts, Field(ge=0)] = 5.0

    @abstractmethod
    def time_s(self, draws: Draws, device: ArrayLike, work: Work) -> Floats:
        """Return the simulated time that `device` takes for `work`; arguments broadcast."""
