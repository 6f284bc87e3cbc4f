"""AdamW and SGD for the adapters of many devices at once, each with its own settings.

Only trainable coordinates take part: they are gathered, updated and put back, so all others keep
their bits whatever weight decay and momentum do. Formulas as in torch.optim, clipping as in
torch.nn.utils.clip_grad_norm_ (Loshchilov and Hutter, ICLR 2019, for AdamW).
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from cosim.learning.model_pool import Optimisation

_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8  # defaults of torch.optim.AdamW
_CLIP_EPS = 1e-6  # of torch.nn.utils.clip_grad_norm_


class StackedOptimiser:
    """The optimiser of m devices in lockstep; devices that are done are the last ones."""

    def __init__(
        self,
        optimizer: Literal["adamw", "sgd"],
        settings: Sequence[Optimisation],
        values: Tensor,
        grads: Tensor,
        trainable: Tensor,
    ) -> None:
        """Take the settings and the buffers to read and update.

        Args:
            optimizer: the formula, the same for all devices.
            settings: one for each device.
            values: [m, p + 1]; the last column belongs to nobody and stays zero.
            grads: [m, p + 1], zero in the last column.
            trainable: bool [m, p].
        """
        self._adamw = optimizer == "adamw"
        self._values, self._grads = values, grads
        self._index = _places(trainable)

        def column(numbers: Sequence[float]) -> Tensor:
            return torch.tensor(numbers, dtype=torch.float32, device=values.device)[:, None]

        self._lr = column([setting.lr for setting in settings])
        self._decay = column([setting.weight_decay for setting in settings])
        clips = [float("inf") if s.clip is None else s.clip for s in settings]
        self._clip = column(clips) if any(s.clip is not None for s in settings) else None
        self._decays = any(setting.weight_decay for setting in settings)
        shape = self._index.shape
        self._mean = torch.zeros(shape, device=values.device)
        self._square = torch.zeros(shape if self._adamw else (0,), device=values.device)
        self._step = 0

    def step(self, active: int) -> None:
        """Update the first `active` devices from their gradients.

        Every active device has taken part in all steps before this one.
        """
        self._step += 1
        index, lr = self._index[:active], self._lr[:active]
        value = self._values[:active].gather(1, index)
        grad = self._grads[:active].gather(1, index)
        if self._clip is not None:
            norm = torch.linalg.vector_norm(grad, dim=1, keepdim=True)
            grad.mul_((self._clip[:active] / (norm + _CLIP_EPS)).clamp_(max=1.0))
        if self._adamw:
            value = self._adamw_step(value, grad, lr, active)
        else:
            if self._decays:
                grad.addcmul_(value, self._decay[:active])
            value.addcmul_(grad, lr, value=-1.0)
        self._values[:active].scatter_(1, index, value)

    def _adamw_step(self, value: Tensor, grad: Tensor, lr: Tensor, active: int) -> Tensor:
        mean, square = self._mean[:active], self._square[:active]
        if self._decays:
            value.mul_(1.0 - lr * self._decay[:active])
        mean.lerp_(grad, 1.0 - _BETA1)
        square.mul_(_BETA2).addcmul_(grad, grad, value=1.0 - _BETA2)
        corrected = 1.0 - _BETA2**self._step
        root = square.sqrt().div_(corrected**0.5).add_(_EPS)
        return value.addcmul_(mean.div(root), lr / (1.0 - _BETA1**self._step), value=-1.0)


def _places(trainable: Tensor) -> Tensor:
    """Return each device's trainable coordinates, filled up with the last column, [m, k]."""
    counts = trainable.sum(dim=1)
    nobody = trainable.shape[1]
    index = trainable.new_full((len(counts), int(counts.max())), nobody, dtype=torch.int64)
    filled = torch.arange(index.shape[1], device=index.device) < counts[:, None]
    index[filled] = trainable.nonzero()[:, 1]
    return index
