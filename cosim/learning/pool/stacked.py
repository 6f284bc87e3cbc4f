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

    With `compile` the model's blocks are compiled by torch.compile where they train: norms,
    activations and the like become fewer loops between the adapted layers, which stay as they are.
    It needs a C++ compiler, on a GPU Triton, and changes the result by rounding only. The first
    training takes some 5 to 15 s longer. On one core, random Qwen2 models of width 128 and 256 then
    took 8 to 16 % less time, and MiniLM 6 % more; a forward kept about a fifth less memory for its
    backward. On a GPU it is untried.
    """

    threads: Annotated[int, Field(ge=1)] = 1
    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    max_tokens: Annotated[int, Field(ge=1)] = 4096
    memory_bytes: Annotated[Bytes, Field(gt=0)] | None = None
    checkpointing: bool = False
    compile: bool = False

    def open(self, source: ModelSource, draws: Draws = Draws(0)) -> ModelPool:  # noqa: B008
        """Load the base model and return a pool over it.

        Raises:
            cosim.learning.errors.LearningError: there is no such model or no such device, the
                model does not fit it, or nothing can be compiled.
        """
        # They load PyTorch, which reading a scenario must not.
        from cosim.learning.pool._frozen import FrozenModel  # noqa: PLC0415
        from cosim.learning.pool._memory import Limits, explained  # noqa: PLC0415
        from cosim.learning.pool._stacked import StackedModelPool  # noqa: PLC0415

        with explained("loading the model", "choose a smaller one, or pool.dtype: bfloat16"):
            model = FrozenModel(source.load(), self.device, self.dtype, self.threads, draws)
        return StackedModelPool(
            model, Limits(self.max_tokens, self.memory_bytes, self.checkpointing), self.compile
        )
