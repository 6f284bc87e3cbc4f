"""A method of given experts, a plain network, and mixtures written as loops in float64."""

from dataclasses import dataclass, field

import numpy as np
import torch
from pool_helpers import adapter
from torch import nn

from cosim.learning.adapter import Site
from cosim.learning.inference.base import Question
from cosim.learning.methods.base import Expert
from cosim.learning.mixture import Router

SITES = (Site("first", 12, 10), Site("second", 10, 14), Site("third", 14, 6))
SEED = 3


class Net(nn.Module):
    """Three linear layers with tanh between, token by token."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(SEED)
        self.linears = nn.ModuleList(nn.Linear(site.d_in, site.d_out) for site in SITES)
        for parameter in self.parameters():
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)

    def forward(self, x):
        for linear in self.linears[:-1]:
            x = linear(x).tanh()
        return self.linears[-1](x)


def plain(net, x, alphas, adapters):
    """The same in float64, one row, token and adapter at a time.

    Args:
        x: [rows, T, d_in].
        alphas: function of (site, x [rows, T, d_in]) to weights [rows, T, J].
    """
    x = x.astype(np.float64)
    for i, linear in enumerate(net.linears):
        weight, bias = (p.detach().double().numpy() for p in (linear.weight, linear.bias))
        alpha = alphas(i, x)
        y = np.zeros((*x.shape[:2], len(weight)))
        for row in range(len(x)):
            for token in range(x.shape[1]):
                here = x[row, token]
                y[row, token] = weight @ here + bias
                for j, each in enumerate(adapters):
                    a, b = each.layout.a(each.vector, i), each.layout.b(each.vector, i)
                    change = b.astype(np.float64) @ (a.astype(np.float64) @ here)
                    y[row, token] += alpha[row, token, j] * each.scale * change
        x = np.tanh(y) if i < len(net.linears) - 1 else y
    return x


def adapters(ranks=(2, 3, 4)):
    return tuple(adapter(SITES, rank, 10 + i, 1.0 + 0.5 * i) for i, rank in enumerate(ranks))


def inputs(rows=3, tokens=5, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, tokens, SITES[0].d_in))


@dataclass(frozen=True)
class Given(Router):
    """Weights that hold whatever the input, [rows, T or 1, J]."""

    alpha: np.ndarray = field(repr=False)

    def known(self, site):
        return ()

    def scores(self, known, x, is_prompt):
        return torch.from_numpy(self.alpha)

    def weights(self, scores):
        return scores


@dataclass
class GivenMethod:
    """A method that knows these experts, and answers with `answer`."""

    known: tuple[Expert, ...]
    answer: object = None

    def experts(self, cohort, state):
        return self.known

    def inference(self, cohort, state):
        return self.answer


@dataclass
class GivenState:
    device: int = 0


def experts(*members, ranks=None):
    ranks = ranks or (3,) * len(members)
    return tuple(
        Expert(each, adapter(SITES, rank, 20 + i))
        for i, (each, rank) in enumerate(zip(members, ranks, strict=True))
    )


def ask(inference, known, *, task=0, tasks_of=None, codes=None, device=0, answer=None):
    question = Question(task, tasks_of or {}, codes)
    return inference.answering(GivenMethod(known, answer), None, GivenState(device), question)
