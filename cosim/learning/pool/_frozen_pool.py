"""What running pools over one frozen model share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cosim.learning.adapter import Site, Vector
from cosim.learning.model_pool import ModelPool
from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.pool._scoring import mean_inputs_of
from cosim.learning.pool._spectra import input_spectra_of
from cosim.learning.tasks.base import Example


class FrozenModelPool(ModelPool):
    """A pool over one frozen model, but for how it trains and judges."""

    def __init__(self, model: FrozenModel) -> None:
        self._model = model

    @property
    def sites(self) -> tuple[Site, ...]:
        return self._model.sites

    @property
    def head(self) -> Site | None:
        return self._model.head

    @property
    def head_start(self) -> Vector | None:
        return self._model.head_start

    @property
    def task_type(self) -> str | None:
        return self._model.objective.task_type

    @property
    def num_parameters(self) -> int:
        return self._model.num_parameters

    def mean_inputs(self, examples: Sequence[Example]) -> list[Vector]:
        with self._model.running():
            return mean_inputs_of(self._model, examples)

    def input_spectra(self, examples: Sequence[Example]) -> list[NDArray[np.float64]]:
        with self._model.running():
            return input_spectra_of(self._model, examples)

    def num_tokens(self, batches: Sequence[Sequence[Example]]) -> int:
        return sum(map(self._model.objective.count, batches))
