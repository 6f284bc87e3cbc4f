"""Local trainings of many devices in lockstep: one forward and backward for all their rows."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from cosim.learning.adapter import Layout
from cosim.learning.errors import LearningError
from cosim.learning.model_pool import OptimiserState, TrainingJob, TrainingResult
from cosim.learning.penalties import Penalty
from cosim.learning.pool._blocks import Part, block_cost, cut, padded_size
from cosim.learning.pool._compiled import CompiledBlocks
from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.pool._lora import Stack, stacked, views
from cosim.learning.pool._optimiser import StackedOptimiser
from cosim.learning.ranks import pack, unpack
from cosim.learning.tasks.base import Example

# On a CPU smaller blocks are faster: activations stay in a core's cache (measured: a fifth of the
# time for a model of width 128, nothing for one of 256).
_CPU_TOKENS = 1024

Rows = list[Any]  # of one objective, for one device


def train(
    model: FrozenModel,
    jobs: Sequence[TrainingJob],
    optimizer: Literal["adamw", "sgd"],
    max_tokens: int,
    checkpointing: bool = False,
    compiled: CompiledBlocks | None = None,
) -> list[TrainingResult]:
    """Run jobs of one optimiser together; they are best sorted by falling number of steps.

    Args:
        model: the base model.
        jobs: at least one, with falling numbers of steps.
        optimizer: the optimiser of all jobs.
        max_tokens: most tokens, padding counted, in one forward and backward.
        checkpointing: whether the model's blocks run forward again in the backward, and keep only
            their inputs until then.
        compiled: the model's blocks, if they are to run compiled.

    Returns:
        One result for each job, in their order.
    """
    return _Trainings(model, jobs, optimizer, max_tokens, checkpointing, compiled).run()


class _Trainings:
    def __init__(
        self,
        model: FrozenModel,
        jobs: Sequence[TrainingJob],
        optimizer: Literal["adamw", "sgd"],
        max_tokens: int,
        checkpointing: bool,
        compiled: CompiledBlocks | None,
    ) -> None:
        self.model, self.jobs, self.max_tokens = model, jobs, max_tokens
        self.compiled = compiled
        on_gpu = model.device.type == "cuda"
        self.block_tokens = max_tokens if on_gpu else min(max_tokens, _CPU_TOKENS * model.threads)
        self.recomputed = model.blocks if checkpointing else ()
        self.block_cost = block_cost(model.num_parameters, on_gpu)
        rank = max(job.adapter.layout.rank for job in jobs)
        self.layout = Layout(model.sites, rank, model.head)
        size = self.layout.size
        values = np.zeros((len(jobs), size + 1), dtype=np.float32)
        trainable = np.zeros((len(jobs), size), dtype=np.bool_)
        for row, job in enumerate(jobs):
            pack(job.adapter.layout, job.adapter.vector, self.layout, values[row])
            pack(job.adapter.layout, job.trainable, self.layout, trainable[row])
        self.trains_a = bool(trainable[:, self.layout.part_a].any())
        self.trains_b = bool(trainable[:, self.layout.part_b].any())
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
        for row, job in enumerate(jobs):
            if job.optimiser is not None:
                self._resume(row, job)
        # What gradients are cleared of: nobody trains A in most methods, and A is half of all.
        self.moving = slice(0 if self.trains_a else self.layout.size_a, size)
        self.anchor = torch.zeros((), device=device, requires_grad=True)
        self.penalised: dict[Penalty, list[int]] = {}  # rows of the devices of each penalty
        for row, job in enumerate(jobs):
            if job.penalty is not None:
                self.penalised.setdefault(job.penalty, []).append(row)

    def run(self) -> list[TrainingResult]:
        steps = [len(job.batches) for job in self.jobs]
        with self.model.fast_norms() if self.compiled is None else self.compiled.running():
            losses = [
                self._step(step, sum(count > step for count in steps)) for step in range(steps[0])
            ]
        by_step = [loss.tolist() for loss in losses]
        # The results take the place of the gradients, so that they add nothing to the peak.
        self.optimiser.end()
        del self.grads
        final = self.values.cpu().numpy()
        return [
            TrainingResult(
                unpack(self.layout, final[row], job.adapter.layout),
                tuple(by_step[step][row] for step in range(steps[row])),
                None if job.optimiser is None else self._optimiser_state(row, job),
            )
            for row, job in enumerate(self.jobs)
        ]

    def _step(self, step: int, active: int) -> Tensor:
        """Make one step of the first `active` devices; return their losses, [active]."""
        batches = [_batch(job, step) for job in self.jobs[:active]]
        self.grads[:active, self.moving].zero_()
        losses = self._gradients(batches)
        for penalty, rows in self.penalised.items():
            self._penalise(penalty, [row for row in rows if row < active])
        self.optimiser.step(active, [_lr_factor(job, step) for job in self.jobs[:active]])
        return losses

    def _resume(self, row: int, job: TrainingJob) -> None:
        assert job.optimiser is not None
        mean, square = self._placed(job, job.optimiser)
        self.optimiser.resume(row, job.optimiser.num_steps, mean, square)

    def _optimiser_state(self, row: int, job: TrainingJob) -> OptimiserState:
        assert job.optimiser is not None
        mean, square = self._placed(job, job.optimiser)
        num_steps = self.optimiser.state(row, mean, square)
        own = job.adapter.layout
        return OptimiserState(
            num_steps,
            unpack(self.layout, mean.cpu().numpy(), own),
            unpack(self.layout, square.cpu().numpy(), own) if len(square) else job.optimiser.square,
        )

    def _placed(self, job: TrainingJob, state: OptimiserState) -> tuple[Tensor, Tensor]:
        """Return the vectors of a state over the coordinates of the common layout, [p + 1]."""
        moments = []
        for vector in (state.mean, state.square):
            flat = np.zeros(self.layout.size + 1 if len(vector) else 0, dtype=np.float32)
            if len(vector):
                pack(job.adapter.layout, vector, self.layout, flat)
            moments.append(torch.from_numpy(flat).to(self.model.device))
        return moments[0], moments[1]

    def _gradients(self, batches: Sequence[Sequence[Example]]) -> Tensor:
        """Add every device's gradient to its buffer; return their losses, [active]."""
        losses = torch.zeros(len(batches), device=self.model.device)
        objective = self.model.objective
        lessons = [objective.lesson(batch) for batch in batches]
        targets = [objective.num_targets(rows) for rows in lessons]
        values = self.values.to(self.model.dtype)
        for who, rows, blocks in self._turns(range(len(batches)), batches, lessons):
            weights = [1.0 / targets[device] for device in who]
            self._learn(values, who, rows, blocks, weights, losses)
        return losses

    def _turns(
        self,
        who: Sequence[int],
        batches: Sequence[Sequence[Example]],
        lessons: Sequence[Rows],
    ) -> Iterator[tuple[Sequence[int], Sequence[Rows], Sequence[Sequence[Part]]]]:
        """Yield what takes part in one backward: devices, their rows, and the rows' blocks.

        Where outputs of a device's rows meet in its losses, all of its blocks are of one turn;
        a turn that is too large is cut by devices, or else by examples.
        """
        blocks = cut(
            [[row.length for row in rows] for rows in lessons], self.block_tokens, self.block_cost
        )
        if not self.model.objective.coupled:
            for block in blocks:
                rows = [[lessons[part.device][row] for row in part.rows] for part in block]
                parts = tuple(
                    Part(i, tuple(range(len(part.rows))), part.length)
                    for i, part in enumerate(block)
                )
                yield [who[part.device] for part in block], rows, [parts]
            return
        if sum(map(padded_size, blocks)) <= self.max_tokens or len(batches) == len(batches[0]) == 1:
            yield who, lessons, blocks
        elif len(batches) > 1:
            half = len(batches) // 2
            yield from self._turns(who[:half], batches[:half], lessons[:half])
            yield from self._turns(who[half:], batches[half:], lessons[half:])
        else:
            half = len(batches[0]) // 2
            for part in (batches[0][:half], batches[0][half:]):
                yield from self._turns(who, [part], [self.model.objective.lesson(part)])

    def _learn(
        self,
        values: Tensor,
        who: Sequence[int],
        lessons: Sequence[Rows],
        blocks: Sequence[Sequence[Part]],
        weights: Sequence[float],
        losses: Tensor,
    ) -> None:
        """Forward and backward of one turn.

        Args:
            values: the vectors of all devices in the model's dtype.
            who: the device of each lesson.
            lessons: rows.
            blocks: parts whose `device` is the number of a lesson.
            weights: of the nats of each lesson.
            losses: of all devices, to be added to.
        """
        objective, device = self.model.objective, self.model.device
        index = torch.tensor(who, device=device)
        moved = self.values[index, self.layout.part_head].requires_grad_()
        with torch.enable_grad():
            outputs, apart, stacks = [], [], []
            for block in blocks:
                rows = [lessons[part.device][row] for part in block for row in part.rows]
                inputs = objective.collate(rows, max(part.length for part in block))
                counts = [(who[part.device], len(part.rows)) for part in block]
                stack, extra = self._stack(values, counts)
                apart.extend(extra)
                stacks.append(stack)  # until the backward
                with self._with(stack):
                    outputs.append(objective.read(self.model.placed(inputs)))
            heads = self.model.heads(moved)
            nats, owners = objective.nats(lessons, self._in_order(outputs, blocks), heads)
            nats = nats * torch.tensor(weights, dtype=torch.float32, device=device)[owners]
            nats.sum().backward()  # type: ignore[no-untyped-call]
        for devices, grads in apart:
            self.grads.index_add_(0, devices, grads)
        if moved.grad is not None:
            self.grads[:, self.layout.part_head].index_add_(0, index, moved.grad)
        # Summed in a fixed order on any device, and one device's nan stays its own.
        owner = torch.arange(len(who), device=device)[:, None]
        shares = torch.where(owners == owner, nats.detach(), 0.0).sum(dim=1)
        losses.index_add_(0, index, shares)

    def _with(self, stack: Stack) -> AbstractContextManager[None]:
        """Let the model run with the adapters of a stack."""
        if self.compiled is not None:
            return self.compiled.stacked(stack, self.recomputed)
        return stacked(self.model.linears, stack, self.recomputed)

    @staticmethod
    def _in_order(outputs: Sequence[Tensor], blocks: Sequence[Sequence[Part]]) -> Tensor:
        """Return the outputs of all blocks in the order of their lessons' rows.

        More than one block is only of coupled objectives, which have one output for each row.
        """
        if len(blocks) == 1:
            return outputs[0]
        places = [(p.device, row) for block in blocks for p in block for row in p.rows]
        order = sorted(range(len(places)), key=places.__getitem__)
        both = torch.cat(list(outputs))
        return both.index_select(0, torch.tensor(order, device=both.device))

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

    def _stack(
        self, values: Tensor, rows: Sequence[tuple[int, int]]
    ) -> tuple[Stack, list[tuple[Tensor, Tensor]]]:
        """Return the adapters of a block, of (device, how many rows it has).

        And the gradients (devices, [m, p + 1]) that are still to be added to the buffer where the
        stack's own are not views of it.
        """
        grads, scale = self.grads, self.scale
        extra: list[tuple[Tensor, Tensor]] = []
        equal = len({count for _, count in rows}) == 1
        if equal:
            devices = [device for device, _ in rows]
            if devices == list(range(devices[0], devices[0] + len(devices))):
                chosen = slice(devices[0], devices[0] + len(devices))
                values, grads, scale = values[chosen], grads[chosen], scale[chosen]
            else:
                index = torch.tensor(devices, device=self.model.device)
                values, scale = values[index], scale[index]
                grads = torch.zeros_like(values, dtype=torch.float32)
                extra = [(index, grads)]
        a, b = views(self.layout, values)
        grad_a, grad_b = views(self.layout, grads)
        stack = Stack(
            a,
            b,
            scale,
            grad_a if self.trains_a else None,
            grad_b if self.trains_b else None,
            self.anchor,
            None if equal else rows,
        )
        return stack, extra


def _lr_factor(job: TrainingJob, step: int) -> float:
    return 1.0 if job.lr_factors is None else job.lr_factors[step]


def _batch(job: TrainingJob, step: int) -> tuple[Example, ...]:
    if not job.batches[step]:
        raise LearningError(
            f"device {job.device}: expected at least one example in every batch, got none "
            f"in step {step}"
        )
    return job.batches[step]
