"""Small scenarios for whole runs: the network half alone, so that they take milliseconds."""

import pytest

from cosim.scenario.tree import Scenario
from cosim.sim.run import simulate

NETWORK = {
    "name": "network",
    "duration": "4 rounds",
    "area": {"kind": "disc", "radius": "50 m"},
    "devices": (
        {
            "count": 4,
            "mobility": {"kind": "static"},
            "compute": {"kind": "flops", "rate": "1 GFLOP/s", "power": "2 W"},
        },
    ),
    "channel": {"path_loss": {"kind": "log_distance", "exponent": 2.0}, "fading": "none"},
    "link": {"rate": {"kind": "fixed", "rate": "1 Mbps"}, "error": "none"},
    "transport": {"mtu": "1000 B", "header": "0 B", "propagation": False, "deadline": "60 s"},
    "learning": {
        "pool": {"kind": "none", "payload": "80 kbit", "density": 0.1, "flops": 2e9},
    },
    "topology": {"planner": "full", "triggers": ("on_start",)},
    "protocol": {"kind": "clustered_dfl", "inner_rounds": 2},
}


def merged(base, changes):
    """Return `base` with `changes` laid over it; a kind that changes replaces the whole."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and "kind" not in value:
            value = merged(old, value)
        result[key] = value
    return result


@pytest.fixture
def network_scenario():
    """Return a function that gives the small scenario with changes laid over it."""
    return lambda **changes: Scenario.model_validate(merged(NETWORK, changes))


@pytest.fixture
def run_network(tmp_path, network_scenario):
    """Return a function that runs the small scenario, with changes and with checks on."""

    def run(**changes):
        return simulate(network_scenario(**changes), tmp_path, check=True, force=True)

    return run
