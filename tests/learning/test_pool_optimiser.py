"""The stacked optimiser against torch.optim and clip_grad_norm_ on the same gradients."""

import pytest
import torch

from cosim.learning.model_pool import Optimisation
from cosim.learning.pool._optimiser import StackedOptimiser

STEPS = 20


@pytest.mark.parametrize("kind", ["adamw", "sgd", "momentum"])
@pytest.mark.parametrize("density", [0.3, 1.0])
@pytest.mark.parametrize("is_scheduled", [False, True])
def test_equal_to_torch_to_a_millionth(kind, density, is_scheduled):
    momenta = (0.9, 0.0, 0.5) if kind == "momentum" else (0.0, 0.0, 0.0)
    kind = "adamw" if kind == "adamw" else "sgd"
    generator = torch.Generator().manual_seed(0)
    settings = [
        Optimisation(kind, 1e-3, 0.0, None, momenta[0]),
        Optimisation(kind, 3e-3, 0.1, 0.5, momenta[1]),
        Optimisation(kind, 1e-2, 0.01, 50.0, momenta[2]),
    ]
    m, p = len(settings), 40
    start = torch.randn(m, p, generator=generator)
    mask = torch.rand(m, p, generator=generator) < density
    values = torch.cat([start, torch.zeros(m, 1)], dim=1)
    grads = torch.zeros_like(values)
    stacked = StackedOptimiser(kind, settings, values, grads, mask)

    # Each device alone, only its trainable coordinates, for as many steps as it has.
    steps = [STEPS, STEPS - 5, 3]
    alone = [start[i, mask[i]].clone().requires_grad_(True) for i in range(m)]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW([x], lr=s.lr, weight_decay=s.weight_decay)
        if kind == "adamw"
        else torch.optim.SGD([x], lr=s.lr, weight_decay=s.weight_decay, momentum=s.momentum)
        for x, s in zip(alone, settings, strict=True)
    ]
    for step in range(STEPS):
        active = sum(count > step for count in steps)
        noise = torch.randn(m, p, generator=generator)
        grads[:, :p] = noise
        factors = [(1 + i + step % 7) / 10 if is_scheduled else 1.0 for i in range(active)]
        stacked.step(active, factors)
        for i in range(active):
            alone[i].grad = noise[i, mask[i]].clone()
            if settings[i].clip is not None:
                torch.nn.utils.clip_grad_norm_([alone[i]], settings[i].clip)
            optimisers[i].param_groups[0]["lr"] = settings[i].lr * factors[i]
            optimisers[i].step()
    for i in range(m):
        torch.testing.assert_close(values[i, :p][mask[i]], alone[i].detach(), rtol=0, atol=1e-6)
        assert torch.equal(values[i, :p][~mask[i]], start[i][~mask[i]])
        moved = (alone[i].detach() - start[i, mask[i]]).abs().max()
        assert moved > 1e-4
    assert torch.equal(values[:, p], torch.zeros(m))


def test_no_trainable_coordinate():
    values, grads = torch.zeros(2, 4), torch.ones(2, 4)
    settings = [Optimisation("adamw", 0.1, 0.1, 1.0)] * 2
    StackedOptimiser("adamw", settings, values, grads, torch.zeros(2, 3, dtype=torch.bool)).step(
        2, [1.0, 1.0]
    )
    assert torch.equal(values, torch.zeros(2, 4))


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_going_on_from_a_state_is_as_if_it_had_never_stopped(kind):
    generator = torch.Generator().manual_seed(1)
    setting = Optimisation(kind, 1e-2, 0.1, 1.0, 0.9 if kind == "sgd" else 0.0)
    start = torch.randn(2, 6, generator=generator)
    start[:, 5] = 0
    mask = torch.tensor([[True, False, True, True, True], [False, True, True, False, False]])
    gradients = torch.randn(7, 2, 6, generator=generator)
    gradients[:, :, 5] = 0

    def optimiser(values, grads):
        return StackedOptimiser(kind, [setting] * 2, values, grads, mask)

    values, grads = start.clone(), torch.zeros(2, 6)
    whole = optimiser(values, grads)
    for gradient in gradients:
        grads.copy_(gradient)
        whole.step(2, [1.0, 1.0])

    again, grads = start.clone(), torch.zeros(2, 6)
    first = optimiser(again, grads)
    for gradient in gradients[:3]:
        grads.copy_(gradient)
        first.step(2, [1.0, 1.0])
    untouched = -7.0  # in coordinates that are not trained
    moments = [[torch.full((6,), untouched) for _ in range(2)] for _ in range(2)]
    counts = [first.state(row, *moments[row]) for row in range(2)]
    assert counts == [3, 3]
    assert (moments[0][0] == untouched).tolist() == [False, True, False, False, False, True]
    second = optimiser(again, grads)
    for row in range(2):
        second.resume(row, counts[row], *moments[row])
    for gradient in gradients[3:]:
        grads.copy_(gradient)
        second.step(2, [1.0, 1.0])
    assert torch.equal(again, values)
