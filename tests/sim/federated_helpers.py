"""A server and clients on a network that can be foretold, and on a pool of arithmetic."""

import sys
from pathlib import Path

import numpy as np

from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.partitions.base import Partition, Share
from cosim.learning.pool.base import Pool
from cosim.scenario.tree import Scenario
from cosim.sim.run import simulate

sys.path.append(str(Path(__file__).parents[1] / "learning"))

from learner_helpers import FakePool, FakeTask, NoSource

SERVER = {
    "group": "server",
    "role": "base_station",
    "count": 1,
    "mobility": {"kind": "static", "position": ("0 m", "0 m")},
}
SEND_S, TRAIN_S = 0.08, 2.0  # 80 kbit at 1 Mbps; 2 GFLOP at 1 GFLOP/s


def clients(count=4, rate="1 GFLOP/s", group="clients", **keys):
    mobility = {"kind": "static"}
    compute = {"kind": "flops", "rate": rate, "power": "2 W"}
    return {"group": group, "count": count, "mobility": mobility, "compute": compute} | keys


def federated(*groups, kind="federated", server=SERVER, **protocol):
    """Return changes that make the small scenario of conftest one with a server, device 0.

    A `server` that is a name is of a group that the caller adds.
    """
    if isinstance(server, str):
        protocol, server = protocol | {"server": server}, SERVER
    return {
        "devices": (server, *(groups or (clients(),))),
        "topology": {"planner": "star", "triggers": ("on_start",)},
        "protocol": {"kind": kind, **protocol},
    }


class Unsaved(AdapterLearner):
    def save(self, folder):
        """Write nothing: to load PEFT for it takes ten seconds."""


class Arithmetic(Pool):
    """Trains with a `FakePool`; its learners are in `MADE`."""

    def learner(self, setting):
        made = Unsaved(setting, FakePool())
        MADE.append(made)
        return made


MADE = []


class Sized(Partition):
    """The k-th client holds k + 1 examples, or all the same number."""

    same: bool = False

    def shares(self, draws, tasks, num_devices):
        sizes = [4 if self.same else device + 1 for device in range(num_devices)]
        return [(Share(0, np.arange(size)),) for size in sizes]


def run_arithmetic(scenario: Scenario, folder, method, same=True):
    """Run a scenario with adapters of arithmetic; return the run and the learner."""
    tasks = scenario.learning.tasks.model_copy(
        update={"use": (FakeTask(),), "partition": Sized(same=same)}
    )
    payload = scenario.learning.payload.model_copy(update={"dtype": "float32"})
    learning = scenario.learning.model_copy(
        update={
            "model": NoSource(),
            "method": method,
            "tasks": tasks,
            "payload": payload,
            "pool": Arithmetic(),
        }
    )
    run = simulate(
        scenario.model_copy(update={"learning": learning}), folder, check=True, force=True
    )
    return run, MADE.pop()


def moves(device, round, size):
    """Return how far FakePool moves a whole adapter, [size]."""
    return np.random.default_rng([device, round]).standard_normal(size).astype(np.float32)


def vector_of(learner, device):
    return learner._states[device].vector


def start_of(learner, device=0):
    return learner._method.start(learner._cohort, device).vector
