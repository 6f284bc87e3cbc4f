"""Device by device on the stock layers of PEFT and the optimisers of PyTorch.

Slow and plain: the oracle that kind `stacked` is tested against. Loss, adapters, clipping and
optimiser are the libraries' own.
"""

from typing import Annotated, Literal

from pydantic import Field

from cosim.learning.model_pool import ModelPool
from cosim.learning.models.base import ModelSource
from cosim.learning.pool.base import TrainingPool
from cosim.rng import Draws


class Sequential(TrainingPool):
    """One device after the other, one `peft.LoraConfig` each."""

    threads: Annotated[int, Field(ge=1)] = 1
    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"

    def open(self, source: ModelSource, draws: Draws = Draws(0)) -> ModelPool:  # noqa: B008
        """Load the base model and return a pool over it.

        Raises:
            cosim.learning.errors.LearningError: there is no such model or no such device.
        """
        # They load PyTorch, which reading a scenario must not.
        from cosim.learning.pool._frozen import FrozenModel  # noqa: PLC0415
        from cosim.learning.pool._sequential import SequentialModelPool  # noqa: PLC0415

        model = FrozenModel(source.load(), self.device, self.dtype, self.threads, draws)
        return SequentialModelPool(model)
