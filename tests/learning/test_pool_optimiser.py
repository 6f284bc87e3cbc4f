"""The stacked optimiser against torch.optim and clip_grad_norm_ on the same gradients."""

import pytest
import torch

from cosim.learning.model_pool import Optimisation
from cosim.learning.pool._optimiser import StackedOptimiser

STEPS = 20


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
@pytest.mark.parametrize("density", [0.3, 1.0])
def test_equal_to_torch_to_a_millionth(kind, density):
    generator = torch.Generator().manual_seed(0)
    settings = [
        Optimisation(kind, 1e-3, 0.0, None),
        Optimisation(kind, 3e-3, 0.1, 0.5),
        Optimisation(kind, 1e-2, 0.01, 50.0),
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
    classes = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    optimisers = [
        classes[kind]([x], lr=s.lr, weight_decay=s.weight_decay)
        for x, s in zip(alone, settings, strict=True)
    ]
    for step in range(STEPS):
        active = sum(count > step for count in steps)
        noise = torch.randn(m, p, generator=generator)
        grads[:, :p] = noise
        stacked.step(active)
        for i in range(active):
            alone[i].grad = noise[i, mask[i]].clone()
            if settings[i].clip is not None:
                torch.nn.utils.clip_grad_norm_([alone[i]], settings[i].clip)
            optimisers[i].step()
    for i in range(m):
        torch.testing.assert_close(values[i, :p][mask[i]], alone[i].detach(), rtol=0, atol=1e-6)
        assert torch.equal(values[i, :p][~mask[i]], start[i][~mask[i]])
        moved = (alone[i].detach() - start[i, mask[i]]).abs().max()
        assert moved > 1e-3
    assert torch.equal(values[:, p], torch.zeros(m))


def test_no_trainable_coordinate():
    values, grads = torch.zeros(2, 4), torch.ones(2, 4)
    settings = [Optimisation("adamw", 0.1, 0.1, 1.0)] * 2
    StackedOptimiser("adamw", settings, values, grads, torch.zeros(2, 3, dtype=torch.bool)).step(2)
    assert torch.equal(values, torch.zeros(2, 4))
