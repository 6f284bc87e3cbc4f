"""AdamW and SGD for the adapters of many devices at once, each with its own settings.

Only trainable coordinates take part, so all others keep their bits whatever weight decay and
momentum do. Where a device's trainable coordinates are one stretch of its vector, they are updated
in place; else they are gathered, updated and put back. AdamW is PyTorch's own in one pass
(Loshchilov and Hutter, ICLR 2019), clipping as in torch.nn.utils.clip_grad_norm_.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.optim.adamw import adamw

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
            values: [m, p + 1]; the last column belongs to nobody and stays as it is.
            grads: [m, p + 1]; those of trainable coordinates may be clipped in place.
            trainable: bool [m, p].
        """
        self._adamw = optimizer == "adamw"
        self._values, self._grads = values, grads
        self._settings = tuple(settings)
        self._places = [_place(row) for row in trainable]
        has_mean = [self._adamw or bool(setting.momentum) for setting in settings]
        self._mean = [self._zeros(row, has) for row, has in enumerate(has_mean)]
        self._square = [self._zeros(row, self._adamw) for row in range(len(settings))]
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
        for mine, given in ((self._mean[row], mean), (self._square[row], square)):
            if mine is not None:
                mine.copy_(given[self._places[row]])

    def state(self, row: int, mean: Tensor, square: Tensor) -> int:
        """Write one device's state over what `resume` takes; return its number of steps."""
        for mine, taken in ((self._mean[row], mean), (self._square[row], square)):
            if mine is not None:
                taken[self._places[row]] = mine
        return self._num_steps[row]

    def end(self) -> None:
        """Let go of the gradients: there are no more steps."""
        self._grads = self._grads.new_empty(0)

    def step(self, active: int, factors: Sequence[float]) -> None:
        """Update the first `active` devices from their gradients.

        Every active device has taken part in all steps before this one.

        Args:
            active: number of devices.
            factors: of their learning rates, one for each of them.
        """
        values = [self._values[row][place] for row, place in enumerate(self._places[:active])]
        grads = [self._grads[row][place] for row, place in enumerate(self._places[:active])]
        alike: dict[tuple[float, float, int], list[int]] = {}
        for row in range(active):
            setting = self._settings[row]
            if setting.clip is not None:
                norm = torch.linalg.vector_norm(grads[row])
                grads[row].mul_((setting.clip / (norm + _CLIP_EPS)).clamp_(max=1.0))
            rate = setting.lr * factors[row]
            if self._adamw:
                key = (rate, setting.weight_decay, self._num_steps[row])
                alike.setdefault(key, []).append(row)
            else:
                self._sgd(row, values[row], grads[row], rate)
            self._num_steps[row] += 1
        for (rate, decay, num_steps), rows in alike.items():
            steps = torch.full((len(rows),), float(num_steps), device=self._values.device)
            adamw(
                [values[row] for row in rows],
                [grads[row] for row in rows],
                [mean for row in rows if (mean := self._mean[row]) is not None],
                [square for row in rows if (square := self._square[row]) is not None],
                [],
                list(steps.unbind()),
                fused=True,
                amsgrad=False,
                beta1=_BETA1,
                beta2=_BETA2,
                lr=rate,
                weight_decay=decay,
                eps=_EPS,
                maximize=False,
            )
        for row, place in enumerate(self._places[:active]):
            if isinstance(place, Tensor):
                self._values[row].index_copy_(0, place, values[row])

    def _sgd(self, row: int, value: Tensor, grad: Tensor, rate: float) -> None:
        setting, mean = self._settings[row], self._mean[row]
        if setting.weight_decay:
            grad.add_(value, alpha=setting.weight_decay)
        if mean is not None:
            grad = mean.mul_(setting.momentum).add_(grad)
        value.add_(grad, alpha=-rate)

    def _zeros(self, row: int, needed: bool) -> Tensor | None:
        return torch.zeros_like(self._values[row][self._places[row]]) if needed else None


def _place(trainable: Tensor) -> slice | Tensor:
    """Return where a device's trainable coordinates are: one stretch, or their numbers, [k]."""
    count = int(trainable.sum())
    first = int(trainable.byte().argmax()) if count else 0
    if bool(trainable[first : first + count].all()):
        return slice(first, first + count)
    return trainable.nonzero()[:, 0]
