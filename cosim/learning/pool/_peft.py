"""One adapter at a time in a PEFT model: `peft.LoraConfig`, `torch.optim`, the model's own loss."""

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
    EvaluationJob,
    Optimisation,
    Score,
    TrainingJob,
    TrainingResult,
)
from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.pool._tokens import Text

_IGNORED = -100  # label of a token that carries no loss, in transformers


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
        losses = []
        for step, batch in enumerate(job.batches):
            if not batch:
                raise LearningError(
                    f"device {job.device}: expected at least one example in every batch, got none "
                    f"in step {step}"
                )
            loss = _loss(model, network, model.tokens.answers(batch))
            losses.append(float(loss.detach()))
            if optimizer is not None:
                (loss + _penalty(job, factors)).backward()  # type: ignore[no-untyped-call]
                _step(optimizer, pairs, job.optimisation)
        return TrainingResult(_vector(factors), tuple(losses))


def _penalty(job: TrainingJob, factors: Sequence[nn.Parameter]) -> Tensor:
    """Return the job's penalty on the A of all sites and the B of all sites."""
    sites = len(factors) // 2
    if job.penalty is None:
        return torch.zeros(())
    scale = torch.full((1,), job.adapter.scale, device=factors[0].device)
    pairs = zip(factors[:sites], factors[sites:], strict=True)
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
    kinds: dict[str, Any] = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    optimizer: torch.optim.Optimizer = kinds[setting.optimizer](
        parameters, lr=setting.lr, weight_decay=setting.weight_decay
    )
    return optimizer


def _loss(model: FrozenModel, network: nn.Module, texts: Sequence[Text]) -> Tensor:
    """Mean negative log-likelihood of the answer tokens, by the model's own loss."""
    ids, attention = _pad(model, texts)
    labels = torch.full_like(ids, _IGNORED)
    for row, text in enumerate(texts):
        labels[row, text.start : len(text.ids)] = ids[row, text.start : len(text.ids)]
    loss: Tensor = network(input_ids=ids, attention_mask=attention, labels=labels).loss
    return loss


def judge_one(model: FrozenModel, job: EvaluationJob) -> Score:
    """Judge one adapter, example by example."""
    if not job.examples:
        raise LearningError("expected at least one example to judge an adapter by, got none")
    correct, nats = [], []
    with torch.no_grad(), _adapted(model, job.adapter) as (network, _):
        for example in job.examples:
            if example.answer not in example.choices:
                raise LearningError(
                    f"expected the answer among the choices {example.choices}, "
                    f"got {example.answer!r}"
                )
            answer = example.choices.index(example.answer)
            scores = _scores(model, network, model.tokens.choices(example))
            correct.append(int(scores.argmax()) == answer and bool(torch.isfinite(scores[answer])))
            nats.append(-float(torch.log_softmax(scores, dim=0)[answer]))
    return Score(float(np.mean(correct)), float(np.mean(nats)))


def _scores(model: FrozenModel, network: nn.Module, texts: Sequence[Text]) -> Tensor:
    """Mean log-likelihood of each continuation's tokens, float64 [len(texts)]."""
    ids, attention = _pad(model, texts)
    logits = network(input_ids=ids, attention_mask=attention).logits
    log_likelihoods = torch.log_softmax(logits.double(), dim=-1)
    means = []
    for row, text in enumerate(texts):
        tokens = [
            log_likelihoods[row, place - 1, ids[row, place]]
            for place in range(text.start, len(text.ids))
        ]
        means.append(torch.stack(tokens).mean())
    return torch.stack(means)


def _pad(model: FrozenModel, texts: Sequence[Text]) -> tuple[Tensor, Tensor]:
    """Return token ids padded on the right, and the attention mask, both [rows, T]."""
    longest = max(len(text.ids) for text in texts)
    ids = torch.full((len(texts), longest), model.tokens.pad_id)
    attention = torch.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text.ids)] = torch.from_numpy(text.ids)
        attention[row, : len(text.ids)] = 1
    return ids.to(model.device), attention.to(model.device)


@contextmanager
def _adapted(
    model: FrozenModel, adapter: Adapter
) -> Iterator[tuple[nn.Module, list[nn.Parameter]]]:
    """Wrap the base model in PEFT with this adapter, and take it out again.

    Yields:
        The PEFT model, and its A of all sites, then its B of all sites.
    """
    rank = adapter.layout.rank
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=adapter.scale * rank,  # type: ignore[arg-type]
        lora_dropout=0.0,
        target_modules=[site.name for site in adapter.layout.sites],
        task_type="CAUSAL_LM",
    )
    network = peft.get_peft_model(model.network, config)
    network.eval()
    layers: list[Any] = [model.network.get_submodule(site.name) for site in adapter.layout.sites]
    factors: list[nn.Parameter] = [layer.lora_A["default"].weight for layer in layers]
    factors += [layer.lora_B["default"].weight for layer in layers]
    try:
        with torch.no_grad():
            for parameter, where in zip(factors, _slices(adapter), strict=True):
                values = torch.from_numpy(adapter.vector[where]).view(parameter.shape)
                parameter.copy_(values.to(parameter.device))
        yield network, factors
    finally:
        network.unload()


def _slices(adapter: Adapter) -> tuple[slice, ...]:
    return (*adapter.layout.slices_a, *adapter.layout.slices_b)


def _masks(adapter: Adapter, trainable: Mask, device: torch.device) -> list[Tensor]:
    """Cut the mask into the shapes of the factors."""
    rank, sites = adapter.layout.rank, adapter.layout.sites
    shapes = [(rank, site.d_in) for site in sites] + [(site.d_out, rank) for site in sites]
    return [
        torch.from_numpy(trainable[where]).view(shape).to(device)
        for where, shape in zip(_slices(adapter), shapes, strict=True)
    ]


def _vector(factors: Sequence[nn.Parameter]) -> Vector:
    parts = [parameter.detach().float().cpu().numpy().ravel() for parameter in factors]
    return np.concatenate(parts).astype(np.float32)
