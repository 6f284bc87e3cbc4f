"""Root-mean-square norms with their backward written out, against the models' own."""

import pytest
import torch
from torch import nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from cosim.learning.pool._lora import forwards
from cosim.learning.pool._norms import norms_of


def frozen(norm):
    generator = torch.Generator().manual_seed(0)
    norm.weight.data.copy_(torch.randn(norm.weight.shape, generator=generator))
    return norm.requires_grad_(False)


@pytest.mark.parametrize("kind", [Qwen2RMSNorm, LlamaRMSNorm])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_the_models_own(kind, dtype):
    norm = frozen(kind(24, eps=1e-5)).to(dtype)
    generator = torch.Generator().manual_seed(1)
    x = (3 * torch.randn(2, 5, 24, generator=generator)).to(dtype)
    g = torch.randn(2, 5, 24, generator=generator).to(dtype)
    modules, fast = norms_of(nn.Sequential(norm))
    assert modules == [norm]

    def both():
        leaf = x.clone().requires_grad_(True)
        y = norm(leaf)
        y.backward(g)
        return y.detach(), leaf.grad

    expected = both()
    with forwards(modules, fast):
        found = both()
    atol = 2e-6 if dtype == torch.float32 else 0.05
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one, other, rtol=0, atol=atol)
    assert not torch.equal(found[1], torch.zeros_like(x))
    assert "forward" not in vars(norm)


class Shifted(Qwen2RMSNorm):
    """As of Gemma: the weight is how far from 1 it is."""

    def forward(self, hidden_states):
        return super().forward(hidden_states) + hidden_states * 0.01


def test_what_is_no_such_norm_stays():
    trained = Qwen2RMSNorm(8)
    others = nn.Sequential(frozen(Shifted(8)), nn.LayerNorm(8).requires_grad_(False), trained)
    assert norms_of(others) == ([], [])
