"""All devices' adapters in one batch over the one frozen base model (S-LoRA style stacking)."""

from typing import Annotated, Literal

from pydantic import Field

from cosim.learning.model_pool import ModelPool
from cosim.learning.models.base import ModelSource
from cosim.learning.pool.base import TrainingPool
from cosim.rng import Draws
from cosim.units import Bytes


class Stacked(TrainingPool):
    """One forward and backward for the rows of all devices.

    The base layers see all rows at once; the low-rank products are batched over the devices, and
    so are clipping and the optimiser. The loss is the mean over each device's own answer tokens,
    summed over the devices, so that no device's gradient has a part of another's.

    Three keys bound memory, and change the result by rounding only. `max_tokens`: larger batches
    are cut. `memory` is for everything but the base model; batches are cut, and if need be some
    devices train after others, by what one token is found to take. With `checkpointing` the model's
    blocks keep their inputs alone and run forward a second time: about a third more computing.
    """

    threads: Annotated[int, Field(ge=1)] = 1
    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    max_tokens: Annotated[int, Field(ge=1)] = 4096
    memory_bytes: Annotated[Bytes, Field(gt=0)] | None = None
    checkpointing: bool = False

    def open(self, source: ModelSource, draws: Draws = Draws(0)) -> ModelPool:  # noqa: B008
        """Load the base model and return a pool over it.

        Raises:
            cosim.learning.errors.LearningError: there is no such model or no such device, or the
                model does not fit it.
        """
        # They load PyTorch, which reading a scenario must not.
        from cosim.learning.pool._frozen import FrozenModel  # noqa: PLC0415
        from cosim.learning.pool._memory import Limits, explained  # noqa: PLC0415
        from cosim.learning.pool._stacked import StackedModelPool  # noqa: PLC0415

        with explained("loading the model", "choose a smaller one, or pool.dtype: bfloat16"):
            model = FrozenModel(source.load(), self.device, self.dtype, self.threads, draws)
        return StackedModelPool(
            model, Limits(self.max_tokens, self.memory_bytes, self.checkpointing)
        )
