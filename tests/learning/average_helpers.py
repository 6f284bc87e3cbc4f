"""Every method that averages, with and without a head, and devices that train without a model."""

import numpy as np

from cosim.learning.adapter import Layout, Site
from cosim.learning.methods.base import Arrival, Cohort, Update
from cosim.learning.methods.dec_lora import DecLora
from cosim.learning.methods.fedsa_lora import FedsaLora
from cosim.learning.methods.ffa_lora import FfaLora
from cosim.learning.methods.flasc import Flasc
from cosim.learning.methods.hetlora import Hetlora
from cosim.learning.methods.ilora import Ilora
from cosim.learning.methods.lora import Lora
from cosim.learning.methods.n_lora import NLora
from cosim.learning.methods.rlora import Rlora
from cosim.learning.methods.rolora import Rolora
from cosim.rng import Draws

SITES = (Site("first", 12, 10), Site("second", 8, 14))
PLAIN = Cohort(Draws(7), Layout(SITES, rank=4), num_devices=4)
HEADED = Cohort(Draws(7), Layout(SITES, rank=4, head=Site("score", 5, 3)), num_devices=4)
COHORTS = {"plain": PLAIN, "headed": HEADED}
NUM_AB = 4 * (12 + 8 + 10 + 14)

METHODS = {
    "lora": Lora(rank=4),
    "ffa_lora": FfaLora(rank=4),
    "rolora": Rolora(rank=4),
    "rolora-both": Rolora(rank=4, send="both"),
    "fedsa_lora": FedsaLora(rank=4),
    "dec_lora": DecLora(rank=4),
    "n_lora-sum": NLora(rank=4),
    "n_lora-average": NLora(rank=4, combine="average"),
    "rlora": Rlora(rank=4, density=0.3),
    "flasc": Flasc(rank=4, density=0.3),
    "flasc-download": Flasc(rank=4, density=0.3, download_density=0.6),
    "flasc-feedback": Flasc(rank=4, density=0.3, error_feedback=True),
    "ilora": Ilora(rank=4),
    "hetlora": Hetlora(ranks=(2, 4)),
    "hetlora-p3": Hetlora(sense="p3", rank=4, density=0.6),
}
MIX = [name for name in METHODS if name not in ("n_lora-sum", "hetlora", "flasc-download")]
"""Methods whose merge is the plain average of what arrived."""


def read_only(state):
    """The state with arrays that raise when a method writes into them."""
    state.vector.setflags(write=False)
    state.trainable.setflags(write=False)
    return state


def trained(method, state, seed, cohort):
    """A local training: every coordinate that may move does, by a random amount."""
    adapter, trainable = method.training(cohort, state)
    moves = np.random.default_rng([seed, state.device]).standard_normal(cohort.layout.size)
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


def clique(method, cohort, states, round):
    """Every device merges the updates of all, with equal weights."""
    updates = [method.update(cohort, state, round) for state in states]
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
    """scale B A of every site."""
    return [scale * layout.b(vector, s) @ layout.a(vector, s) for s in range(len(layout.sites))]


def assert_products(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
