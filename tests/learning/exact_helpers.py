"""Devices that train without a model, for methods whose adapter in training may be of any rank."""

import numpy as np
from average_helpers import COHORTS, arrival, read_only

from cosim.learning.methods.fedlodrop import Fedlodrop
from cosim.learning.methods.flexlora import Flexlora
from cosim.learning.methods.flora import Flora
from cosim.learning.methods.soft import Soft

METHODS = {
    "flora": Flora(rank=4),
    "flexlora": Flexlora(rank=4),
    "flexlora-ranks": Flexlora(ranks=(2, 4, 1)),
    "fedlodrop": Fedlodrop(rank=4, drop=0.4),
    "fedlodrop-p3": Fedlodrop(rank=4, drop=0.7, sense="p3"),
    "soft": Soft(rank=4, drop=0.7),
    "soft-weights": Soft(rank=4, drop=0.7, feedback="weights"),
}
PLAIN, HEADED = COHORTS["plain"], COHORTS["headed"]


def trained(method, state, seed, cohort):
    """A local training: every coordinate that may move does, by a random amount."""
    adapter, trainable = method.training(cohort, state)
    moves = np.random.default_rng([seed, state.device]).standard_normal(len(trainable)) / 4
    vector = adapter.vector + np.where(trainable, moves, 0).astype(np.float32)
    return read_only(method.trained(cohort, state, vector))


def devices(method, cohort, count=4, trainings=1):
    states = [read_only(method.start(cohort, device)) for device in range(count)]
    for seed in range(trainings):
        states = [trained(method, state, seed, cohort) for state in states]
    return states


def updates_of(method, cohort, states, round=1):
    return [method.update(cohort, state, round) for state in states]


def clique(method, cohort, states, round=1):
    """Every device merges the updates of all, with equal weights."""
    updates = updates_of(method, cohort, states, round)
    return [
        read_only(
            method.merge(
                cohort,
                state,
                [arrival(u, 1 / len(states)) for u in updates if u.members != (state.device,)],
            )
        )
        for state in states
    ]


def answer(method, cohort, state):
    """scale B A of every site of a device's answer, in float64."""
    adapter = method.inference(cohort, state)
    return full(adapter)


def full(adapter):
    """scale B A of every site, in float64."""
    vector = adapter.vector.astype(np.float64)
    layout = adapter.layout
    return [adapter.scale * layout.b(vector, s) @ layout.a(vector, s) for s in range(2)]


def mean_of(method, cohort, states, weights):
    """The weighted sum of the devices' answers, site by site."""
    answers = [answer(method, cohort, state) for state in states]
    return [sum(w * a[s] for w, a in zip(weights, answers, strict=True)) for s in range(2)]


def error(found, wanted):
    """Relative error of matrices, all sites together."""
    apart = sum(np.sum((one - other) ** 2) for one, other in zip(found, wanted, strict=True))
    return float(np.sqrt(apart / sum(np.sum(other**2) for other in wanted)))


def best(matrices, rank):
    """The nearest matrices of a rank, by NumPy's decomposition of the whole matrix."""
    found = []
    for matrix in matrices:
        u, s, vt = np.linalg.svd(matrix, full_matrices=False)
        found.append((u[:, :rank] * s[:rank]) @ vt[:rank])
    return found
