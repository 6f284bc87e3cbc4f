"""One adapter at a time in a PEFT model: `peft.LoraConfig`, `torch.optim`, the plain objective."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import peft
import torch
from torch import Tensor, nn

from cosim.learning.adapter import Adapter, Mask, Vector
from cosim.learning.errors import LearningError
from cosim.learning.model_pool import (
    Optimisation,
    OptimiserState,
    Score,
    TrainingJob,
    TrainingResult,
)
from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.pool._objective import Heads, answer_of
from cosim.learning.pool._writing import is_written, judge_written
from cosim.learning.tasks.base import Example


def train_one(model: FrozenModel, job: TrainingJob) -> TrainingResult:
    """Train one device's adapter."""
    with _adapted(model, job.adapter) as (network, factors):
        masks = _masks(job.adapter, job.trainable, model.device)
        pairs = [(p, mask) for p, mask in zip(factors, masks, strict=True) if mask.any()]
        for parameter in factors:
            parameter.requires_grad_(False)
        for parameter, _ in pairs:
            parameter.requires_grad_(True)
        optimizer = _optimizer([p for p, _ in pairs], job.optimisation) if pairs else None
        if optimizer is not None and job.optimiser is not None:
            _resume(optimizer, job.optimiser, job.adapter, factors)
        losses = []
        for step, batch in enumerate(job.batches):
            if not batch:
                raise LearningError(
                    f"device {job.device}: expected at least one example in every batch, got none "
                    f"in step {step}"
                )
            loss = model.objective.loss(network, batch, _heads(model, job.adapter, factors))
            losses.append(float(loss.detach()))
            if optimizer is not None:
                (loss + _penalty(job, factors)).backward()  # type: ignore[no-untyped-call]
                factor = 1.0 if job.lr_factors is None else job.lr_factors[step]
                optimizer.param_groups[0]["lr"] = job.optimisation.lr * factor
                _step(optimizer, pairs, job.optimisation)
        state = _state(optimizer, job, factors)
        return TrainingResult(_vector(factors), tuple(losses), state)


def _penalty(job: TrainingJob, factors: Sequence[nn.Parameter]) -> Tensor:
    """Return the job's penalty on the A of all sites and the B of all sites, not on a head."""
    sites = len(job.adapter.layout.sites)
    if job.penalty is None:
        return torch.zeros(())
    scale = torch.full((1,), job.adapter.scale, device=factors[0].device)
    pairs = zip(factors[:sites], factors[sites : 2 * sites], strict=True)
    return sum((job.penalty.of_site(a[None], b[None], scale).sum() for a, b in pairs), scale * 0.0)


def _step(
    optimizer: torch.optim.Optimizer,
    pairs: Sequence[tuple[nn.Parameter, Tensor]],
    setting: Optimisation,
) -> None:
    """One step that leaves the coordinates outside the masks as they were."""
    before = [parameter.detach().clone() for parameter, _ in pairs]
    for parameter, mask in pairs:
        assert parameter.grad is not None
        parameter.grad.masked_fill_(~mask, 0.0)
    if setting.clip is not None:
        nn.utils.clip_grad_norm_([parameter for parameter, _ in pairs], setting.clip)
    optimizer.step()
    with torch.no_grad():
        for (parameter, mask), old in zip(pairs, before, strict=True):
            parameter.copy_(torch.where(mask, parameter, old))
    optimizer.zero_grad()


def _optimizer(parameters: Sequence[nn.Parameter], setting: Optimisation) -> torch.optim.Optimizer:
    if setting.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=setting.lr, weight_decay=setting.weight_decay)
    return torch.optim.SGD(
        parameters, lr=setting.lr, weight_decay=setting.weight_decay, momentum=setting.momentum
    )


# What torch.optim calls the vectors of an `OptimiserState`.
_MOMENTS = {"adamw": ("exp_avg", "exp_avg_sq"), "sgd": ("momentum_buffer",)}


def _resume(
    optimizer: torch.optim.Optimizer,
    state: OptimiserState,
    adapter: Adapter,
    factors: Sequence[nn.Parameter],
) -> None:
    """Let a new optimiser go on from a state."""
    if not state.num_steps:
        return
    names = _MOMENTS["adamw" if isinstance(optimizer, torch.optim.AdamW) else "sgd"]
    own = {id(p) for p in optimizer.param_groups[0]["params"]}
    for parameter, where in zip(factors, _slices(adapter), strict=True):
        if id(parameter) not in own:
            continue
        for name, vector in zip(names, (state.mean, state.square), strict=False):
            moment = torch.from_numpy(vector[where].copy()).view(parameter.shape)
            optimizer.state[parameter][name] = moment.to(parameter.device)
        optimizer.state[parameter]["step"] = torch.tensor(float(state.num_steps))


def _state(
    optimizer: torch.optim.Optimizer | None, job: TrainingJob, factors: Sequence[nn.Parameter]
) -> OptimiserState | None:
    """Return where the optimiser ended; coordinates outside the mask keep what they had."""
    if job.optimiser is None:
        return None
    names = _MOMENTS[job.optimisation.optimizer]
    vectors = [job.optimiser.mean.copy(), job.optimiser.square.copy()]
    for parameter, where in zip(factors, _slices(job.adapter), strict=True):
        moments = {} if optimizer is None else optimizer.state.get(parameter, {})
        for name, vector in zip(names, vectors, strict=False):
            moment = moments.get(name)
            if moment is not None:
                moved = moment.float().cpu().numpy().ravel()
                vector[where] = np.where(job.trainable[where], moved, vector[where])
    return OptimiserState(job.optimiser.num_steps + len(job.batches), vectors[0], vectors[1])


def judge_one(model: FrozenModel, adapter: Adapter, examples: Sequence[Example]) -> Score:
    """Judge one adapter, example by example."""
    if not examples:
        raise LearningError("expected at least one example to judge an adapter by, got none")
    written = is_written(examples)
    correct, nats = [], []
    with torch.no_grad(), _adapted(model, adapter) as (network, factors):
        if written:
            return judge_written(model, network, examples)
        heads = _heads(model, adapter, factors)
        for example in examples:
            answer = answer_of(example)
            scores = model.objective.plain_scores(network, example, heads)
            correct.append(int(scores.argmax()) == answer and bool(torch.isfinite(scores[answer])))
            nats.append(-float(torch.log_softmax(scores, dim=0)[answer]))
    return Score(float(np.mean(correct)), float(np.mean(nats)))


@contextmanager
def _adapted(
    model: FrozenModel, adapter: Adapter
) -> Iterator[tuple[nn.Module, list[nn.Parameter]]]:
    """Wrap the base model in PEFT with this adapter, and take it out again.

    Yields:
        The PEFT model, and its A of all sites, then its B of all sites, then how far the weight
        and the bias of a head have moved.
    """
    rank = adapter.layout.rank
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=adapter.scale * rank,  # type: ignore[arg-type]
        lora_dropout=0.0,
        target_modules=[site.name for site in adapter.layout.sites],
    )
    network = peft.get_peft_model(model.network, config)
    network.eval()
    layers: list[Any] = [model.network.get_submodule(site.name) for site in adapter.layout.sites]
    factors: list[nn.Parameter] = [layer.lora_A["default"].weight for layer in layers]
    factors += [layer.lora_B["default"].weight for layer in layers]
    for shape in _shapes(adapter)[len(factors) :]:
        factors.append(nn.Parameter(torch.zeros(shape, device=model.device)))
    try:
        with torch.no_grad():
            for parameter, where in zip(factors, _slices(adapter), strict=True):
                values = torch.from_numpy(adapter.vector[where]).view(parameter.shape)
                parameter.copy_(values.to(parameter.device))
        yield network, factors
    finally:
        network.unload()


def _slices(adapter: Adapter) -> tuple[slice, ...]:
    layout = adapter.layout
    if layout.head is None:
        return (*layout.slices_a, *layout.slices_b)
    start, stop = layout.part_head.start, layout.part_head.stop
    bias = stop - layout.head.d_out
    return (*layout.slices_a, *layout.slices_b, slice(start, bias), slice(bias, stop))


def _shapes(adapter: Adapter) -> list[tuple[int, ...]]:
    rank, sites, head = adapter.layout.rank, adapter.layout.sites, adapter.layout.head
    shapes: list[tuple[int, ...]] = [(rank, site.d_in) for site in sites]
    shapes += [(site.d_out, rank) for site in sites]
    return shapes if head is None else [*shapes, (head.d_out, head.d_in), (head.d_out,)]


def _heads(model: FrozenModel, adapter: Adapter, factors: Sequence[nn.Parameter]) -> Heads | None:
    """Return the one head that the last factors are the movements of."""
    moved = factors[2 * len(adapter.layout.sites) :]
    return model.heads(torch.cat([part.flatten() for part in moved])[None]) if moved else None


def _masks(adapter: Adapter, trainable: Mask, device: torch.device) -> list[Tensor]:
    """Cut the mask into the shapes of the factors."""
    return [
        torch.from_numpy(trainable[where]).view(shape).to(device)
        for where, shape in zip(_slices(adapter), _shapes(adapter), strict=True)
    ]


def _vector(factors: Sequence[nn.Parameter]) -> Vector:
    parts = [parameter.detach().float().cpu().numpy().ravel() for parameter in factors]
    return np.concatenate(parts).astype(np.float32)
