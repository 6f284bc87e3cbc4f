"""Local trainings of many devices in lockstep: one forward and backward for all their rows."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cosim.learning.adapter import Layout
from cosim.learning.errors import LearningError
from cosim.learning.model_pool import TrainingJob, TrainingResult
from cosim.learning.penalties import Penalty
from cosim.learning.pool._blocks import Part, cut
from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.pool._lora import Stack, stacked, views
from cosim.learning.pool._optimiser import StackedOptimiser
from cosim.learning.ranks import pack, unpack
from cosim.learning.pool._tokens import Text


def train(
    model: FrozenModel,
    jobs: Sequence[TrainingJob],
    optimizer: Literal["adamw", "sgd"],
    max_tokens: int,
) -> list[TrainingResult]:
    """Run jobs of one optimiser together; they are best sorted by falling number of steps.

    Args:
        model: the base model.
        jobs: at least one, with falling numbers of steps.
        optimizer: the optimiser of all jobs.
        max_tokens: most tokens, padding counted, in one forward and backward.

    Returns:
        One result for each job, in their order.
    """
    return _Trainings(model, jobs, optimizer, max_tokens).run()


class _Trainings:
    def __init__(
        self,
        model: FrozenModel,
        jobs: Sequence[TrainingJob],
        optimizer: Literal["adamw", "sgd"],
        max_tokens: int,
    ) -> None:
        self.model, self.jobs, self.max_tokens = model, jobs, max_tokens
        rank = max(job.adapter.layout.rank for job in jobs)
        self.layout = Layout(model.sites, rank)
        size, size_a = self.layout.size, self.layout.size_a
        values = np.zeros((len(jobs), size + 1), dtype=np.float32)
        trainable = np.zeros((len(jobs), size), dtype=np.bool_)
        for row, job in enumerate(jobs):
            pack(job.adapter.layout, job.adapter.vector, self.layout, values[row])
            pack(job.adapter.layout, job.trainable, self.layout, trainable[row])
        self.trains_a = bool(trainable[:, :size_a].any())
        self.trains_b = bool(trainable[:, size_a:].any())
        device = model.device
        self.values = torch.from_numpy(values).to(device)
        self.grads = torch.zeros_like(self.values)
        self.scale = torch.tensor(
            [job.adapter.scale for job in jobs], dtype=torch.float32, device=device
        ).view(-1, 1, 1)
        self.optimiser = StackedOptimiser(
            optimizer,
            [job.optimisation for job in jobs],
            self.values,
            self.grads,
            torch.from_numpy(trainable).to(device),
        )
        # What gradients are cleared of: nobody trains A in most methods, and A is half of all.
        start, stop = 0 if self.trains_a else size_a, size if self.trains_b else size_a
        self.moving = slice(start, stop)
        self.anchor = torch.zeros((), device=device, requires_grad=True)
        self.penalised: dict[Penalty, list[int]] = {}  # rows of the devices of each penalty
        for row, job in enumerate(jobs):
            if job.penalty is not None:
                self.penalised.setdefault(job.penalty, []).append(row)

    def run(self) -> list[TrainingResult]:
        losses: list[Tensor] = []
        steps = [len(job.batches) for job in self.jobs]
        for step in range(steps[0]):
            active = sum(count > step for count in steps)
            batches = [self._texts(job, step) for job in self.jobs[:active]]
            self.grads[:active, self.moving].zero_()
            losses.append(self._gradients(batches))
            for penalty, rows in self.penalised.items():
                self._penalise(penalty, [row for row in rows if row < active])
            self.optimiser.step(active)
        by_step = [loss.tolist() for loss in losses]
        final = self.values.cpu().numpy()
        return [
            TrainingResult(
                unpack(self.layout, final[row], job.adapter.layout),
                tuple(by_step[step][row] for step in range(steps[row])),
            )
            for row, job in enumerate(self.jobs)
        ]

    def _texts(self, job: TrainingJob, step: int) -> list[Text]:
        if not job.batches[step]:
            raise LearningError(
                f"device {job.device}: expected at least one example in every batch, got none "
                f"in step {step}"
            )
        return self.model.tokens.answers(job.batches[step])

    def _gradients(self, batches: Sequence[Sequence[Text]]) -> Tensor:
        """Add every device's gradient to its buffer; return their losses, [active]."""
        losses = torch.zeros(len(batches), device=self.model.device)
        num_targets = [sum(len(text.ids) - text.start for text in batch) for batch in batches]
        # The last token of a row is predicted, never read.
        lengths = [[len(text.ids) - 1 for text in batch] for batch in batches]
        for block in cut(lengths, self.max_tokens):
            rows = [[batches[part.device][row] for row in part.rows] for part in block]
            weights = [1.0 / num_targets[part.device] for part in block]
            self._run(block, rows, weights, losses)
        return losses

    def _run(
        self,
        block: Sequence[Part],
        rows: Sequence[Sequence[Text]],
        weights: Sequence[float],
        losses: Tensor,
    ) -> None:
        """Forward and backward of one block of g devices, b rows each, T tokens."""
        device = self.model.device
        b, length = max(len(texts) for texts in rows), max(part.length for part in block)
        ids = np.full((len(block), b, length), self.model.tokens.pad_id, dtype=np.int64)
        positions: list[int] = []
        targets: list[int] = []
        owners: list[int] = []
        for i, texts in enumerate(rows):
            for j, text in enumerate(texts):
                read = len(text.ids) - 1
                ids[i, j, :read] = text.ids[:-1]
                first = (i * b + j) * length
                positions.extend(range(first + text.start - 1, first + read))
                targets.extend(text.ids[text.start :].tolist())
                owners.extend([i] * (read - text.start + 1))
        place = torch.tensor([positions, targets, owners], device=device)
        weight = torch.tensor(weights, dtype=torch.float32, device=device)
        flat_ids = torch.from_numpy(ids.reshape(-1, length)).to(device)
        who = [part.device for part in block]
        stack, grads = self._stack(who)
        with stacked(self.model.linears, stack), torch.enable_grad():
            logits = self.model.logits(flat_ids, place[0])
            nats = functional.cross_entropy(logits, place[1], reduction="none")
            nats = nats * weight[place[2]]
            nats.sum().backward()  # type: ignore[no-untyped-call]
        if grads is not None:
            self.grads.index_add_(0, torch.tensor(who, device=device), grads)
        # Summed in a fixed order on any device, and one device's nan stays its own.
        owner = torch.arange(len(block), device=device)[:, None]
        shares = torch.where(place[2] == owner, nats.detach(), 0.0).sum(dim=1)
        losses.index_add_(0, torch.tensor(who, device=device), shares)

    def _penalise(self, penalty: Penalty, rows: Sequence[int]) -> None:
        """Add the gradients of a penalty on these devices' factors."""
        if not rows:
            return
        index = torch.tensor(rows, device=self.model.device)
        values = self.values[index].requires_grad_()
        factors = zip(*views(self.layout, values), strict=True)
        scale = self.scale[index].view(-1)
        with torch.enable_grad():
            sites = torch.stack([penalty.of_site(a, b, scale).sum() for a, b in factors])
            (grads,) = torch.autograd.grad(sites.sum(), values)
        self.grads.index_add_(0, index, grads)

    def _stack(self, who: Sequence[int]) -> tuple[Stack, Tensor | None]:
        """Return these devices' adapters, and their gradients where these are not views."""
        if list(who) == list(range(who[0], who[0] + len(who))):
            chosen = slice(who[0], who[0] + len(who))
            values, grads, scale = self.values[chosen], self.grads[chosen], self.scale[chosen]
            extra = None
        else:
            index = torch.tensor(who, device=self.model.device)
            values, scale = self.values[index], self.scale[index]
            grads = extra = torch.zeros_like(values)
        a, b = views(self.layout, values.to(self.model.dtype))
        grad_a, grad_b = views(self.layout, grads)
        return (
            Stack(
                a,
                b,
                scale,
                grad_a if self.trains_a else None,
                grad_b if self.trains_b else None,
                self.anchor,
            ),
            extra,
        )
