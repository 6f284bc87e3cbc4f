"""Devices that train without a model, with a trained head and without; and products written out."""

from dataclasses import fields

import numpy as np

from cosim.learning.adapter import Adapter, Layout, Site
from cosim.learning.methods.base import Arrival, Cohort, Update
from cosim.rng import Draws

SITES = (Site("first", 12, 10), Site("second", 8, 14))
RANKS = (2.5, 4.0)  # effective, of the layers' inputs
PLAIN = Cohort(Draws(7), Layout(SITES, rank=4), 4, RANKS)
HEADED = Cohort(Draws(7), Layout(SITES, rank=4, head=Site("score", 5, 3)), 4, RANKS)
COHORTS = {"plain": PLAIN, "headed": HEADED}
NUM_AB, NUM_B, NUM_HEAD = 4 * (12 + 8 + 10 + 14), 4 * (10 + 14), 5 * 3 + 3


def read_only(state):
    """The state with arrays that raise when a method writes into them."""
    for array in arrays_of(state):
        array.setflags(write=False)
    return state


def arrays_of(value):
    """All arrays in a state, an adapter, an update, or a mapping of such."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, Layout):
        return []
    if isinstance(value, dict):
        return [array for each in value.values() for array in arrays_of(each)]
    names = [each.name for each in fields(value)] if hasattr(value, "__dataclass_fields__") else []
    return [array for name in names for array in arrays_of(getattr(value, name))]


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


def arrival(update, weight=0.0, lost=()):
    """The arrival of an update, less the coordinates in `lost`."""
    keep = ~np.isin(update.coordinates, lost)
    part = Update(update.members, update.round, update.coordinates[keep], update.values[keep])
    return Arrival(part, update.coordinates, weight)


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


def products(layout, vector, scale=1.0):
    """scale B A of every site, in float64."""
    vector = vector.astype(np.float64)
    return [scale * layout.b(vector, s) @ layout.a(vector, s) for s in range(len(layout.sites))]


def full(adapter):
    """scale B A of every site of an adapter, in float64."""
    return products(adapter.layout, adapter.vector, adapter.scale)


def answer(method, cohort, state):
    """scale B A of every site of what a device answers with, in float64."""
    return full(method.inference(cohort, state))


def total(weighted):
    """The sum of weighted lists of matrices, site by site."""
    return [sum(w * m[site] for w, m in weighted) for site in range(len(weighted[0][1]))]


def mean_of(method, cohort, states, weights):
    """The weighted sum of the devices' answers, site by site."""
    answers = [answer(method, cohort, state) for state in states]
    return total(list(zip(weights, answers, strict=True)))


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


def own_b(cohort, state, states):
    """The mean of what the others' A make of a device's own B, with the method's scale left out."""
    layout, found = cohort.layout, []
    for other in states:
        vector = state.vector.copy()
        vector[layout.part_a] = other.vector[layout.part_a]
        found.append((1 / len(states), Adapter(layout, vector, 1.0)))
    return total([(w, full(adapter)) for w, adapter in found])
