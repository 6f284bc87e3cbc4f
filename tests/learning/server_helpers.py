"""A server and its clients: device 0 is the server, 2 and 3 are its clients, 1 joins later."""

from dataclasses import replace

import numpy as np
from method_helpers import arrays_of, arrival, read_only, trained
from method_table import row_of

WEIGHTS = (0.3, 0.7)
"""Of the clients' updates, in a round."""


def served(name, cohort):
    """A row, its method, its devices, and the server and two clients before their first update."""
    row, method, cohort = row_of(name, replace(cohort, servers=frozenset({0})))
    server, _, *clients = (read_only(method.start(cohort, device)) for device in range(4))
    for seed in range(row.trainings - 1):
        clients = [trained(method, client, 50 + seed, cohort) for client in clients]
    return row, method, cohort, server, clients


def gathered(method, cohort, server, clients, round=1, weights=WEIGHTS):
    """The server after it has merged the clients' updates."""
    updates = [method.update(cohort, client, round) for client in clients]
    arrivals = [arrival(u, w) for u, w in zip(updates, weights, strict=True)]
    return read_only(method.merge(cohort, server, arrivals))


def adopted(method, cohort, server, client, round=2, lost=()):
    """A client after a broadcast, less the coordinates in `lost`."""
    sent = method.broadcast(cohort, server, round)
    return read_only(method.adopt(cohort, client, [arrival(each, 0.0, lost) for each in sent]))


def movement(cohort, client, seed):
    """What `trained` moves of a client's adapter, [layout.size]."""
    moves = np.random.default_rng([seed, client.device]).standard_normal(cohort.layout.size) / 4
    return np.where(client.trainable, moves, 0)


def same(one, other):
    for x, y in zip(arrays_of(one), arrays_of(other), strict=True):
        np.testing.assert_array_equal(x, y)
    assert one.known.keys() == other.known.keys()
    assert one.members == other.members


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-6)


def after_a_round(name, cohort):
    """As `served`, after one round, and the clients as they stood before they sent."""
    _, method, cohort, server, clients = served(name, cohort)
    clients = [trained(method, client, 3, cohort) for client in clients]
    return method, cohort, gathered(method, cohort, server, clients), clients
