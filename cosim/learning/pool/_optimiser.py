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

        self._lr = [setting.lr for setting in settings]
        self._decay = [setting.weight_decay for setting in settings]
        clips = [float("inf") if s.clip is None else s.clip for s in settings]
        self._clip = self._column(clips) if any(s.clip is not None for s in settings) else None
        momenta = [setting.momentum for setting in settings]
        self._momentum = self._column(momenta) if any(momenta) and not self._adamw else None
        shape, nothing = self._index.shape, (len(settings), 0)
        has_mean = self._adamw or self._momentum is not None
        self._mean = torch.zeros(shape if has_mean else nothing, device=values.device)
        self._square = torch.zeros(shape if self._adamw else nothing, device=values.device)
        self._num_steps = [0] * len(settings)

    def resume(self, row: int, num_steps: int, mean: Tensor, square: Tensor) -> None:
        """Let one device go on from a state.

        Args:
            row: the device.
            num_steps: steps that it has made.
            mean: AdamW's mean of gradients or SGD's momentum, [p + 1].
            square: AdamW's mean of their squares, [p + 1]; of SGD nothing.
        """
        self._num_steps[row] = num_steps
        if self._mean.numel():
            self._mean[row] = mean[self._index[row]]
        if self._square.numel():
            self._square[row] = square[self._index[row]]

    def state(self, row: int, mean: Tensor, square: Tensor) -> int:
        """Write one device's state over what `resume` takes; return its number of steps."""
        if self._mean.numel():
            mean[self._index[row]] = self._mean[row]
        if self._square.numel():
            square[self._index[row]] = self._square[row]
        return self._num_steps[row]

    def step(self, active: int, factors: Sequence[float]) -> None:
        """Update the first `active` devices from their gradients.

        Every active device has taken part in all steps before this one.

        Args:
            active: number of devices.
            factors: of their learning rates, one for each of them.
        """
        rates = [lr * factor for lr, factor in zip(self._lr, factors, strict=False)]
        index = self._index[:active]
        value = self._values[:active].gather(1, index)
        grad = self._grads[:active].gather(1, index)
        if self._clip is not None:
            norm = torch.linalg.vector_norm(grad, dim=1, keepdim=True)
            grad.mul_((self._clip[:active] / (norm + _CLIP_EPS)).clamp_(max=1.0))
        for row in range(active):
            self._num_steps[row] += 1
        if self._adamw:
            value = self._adamw_step(value, grad, rates)
        else:
            value = self._sgd_step(value, grad, rates)
        self._values[:active].scatter_(1, index, value)

    def _adamw_step(self, value: Tensor, grad: Tensor, rates: Sequence[float]) -> Tensor:
        active = len(rates)
        mean, square = self._mean[:active], self._square[:active]
        decays = [1.0 - lr * decay for lr, decay in zip(rates, self._decay, strict=False)]
        if min(decays) < 1.0:
            value.mul_(self._column(decays))
        mean.lerp_(grad, 1.0 - _BETA1)
        square.mul_(_BETA2).addcmul_(grad, grad, value=1.0 - _BETA2)
        steps = self._num_steps[:active]
        corrected = self._column([(1.0 - _BETA2**step) ** 0.5 for step in steps])
        root = square.sqrt().div_(corrected).add_(_EPS)
        rate = [lr / (1.0 - _BETA1**step) for lr, step in zip(rates, steps, strict=True)]
        return value.addcmul_(mean.div(root), self._column(rate), value=-1.0)

    def _sgd_step(self, value: Tensor, grad: Tensor, rates: Sequence[float]) -> Tensor:
        active = len(rates)
        if any(self._decay):
            grad.addcmul_(value, self._column(self._decay[:active]))
        if self._momentum is not None:
            grad = self._mean[:active].mul_(self._momentum[:active]).add_(grad)
        return value.addcmul_(grad, self._column(rates), value=-1.0)

    def _column(self, numbers: Sequence[float]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float32, device=self._values.device)[:, None]


def _places(trainable: Tensor) -> Tensor:
    """Return each device's trainable coordinates, filled up with the last column, [m, k]."""
    counts = trainable.sum(dim=1)
    nobody = trainable.shape[1]
    index = trainable.new_full((len(counts), int(counts.max())), nobody, dtype=torch.int64)
    filled = torch.arange(index.shape[1], device=index.device) < counts[:, None]
    index[filled] = trainable.nonzero()[:, 1]
    return index
