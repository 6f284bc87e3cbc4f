"""What clients make of a server's broadcast, or of the lack of one; and that nothing leaks."""

import numpy as np
import pytest
from method_helpers import (
    COHORTS,
    HEADED,
    PLAIN,
    answer,
    arrays_of,
    arrival,
    error,
    full,
    products,
    read_only,
    total,
    trained,
)
from method_table import TABLE, kind, where
from server_helpers import WEIGHTS, adopted, after_a_round, close, gathered, movement, same, served

from cosim.learning.adapter import Adapter

EVERY = pytest.mark.parametrize("name", TABLE)
BOTH = pytest.mark.parametrize("cohort", COHORTS.values(), ids=COHORTS)
MOVING = where(server="movements")


# What clients make of it


@EVERY
@BOTH
def test_before_the_first_merge_there_is_nothing_to_send(name, cohort):
    _, method, cohort, server, clients = served(name, cohort)
    assert method.broadcast(cohort, server, 1) == ()
    assert method.update(cohort, server, 1) is None
    same(method.adopt(cohort, clients[0], []), clients[0])


@EVERY
@BOTH
def test_a_client_that_has_not_trained_answers_as_the_server(name, cohort):
    """Over two rounds, of which it hears only the last broadcast."""
    _, method, cohort, server, clients = served(name, cohort)
    for round in (1, 2):
        clients = [trained(method, client, round + 3, cohort) for client in clients]
        server = gathered(method, cohort, server, clients, round)
        clients = [adopted(method, cohort, server, client, round + 1) for client in clients]
    fresh = adopted(method, cohort, server, method.start(cohort, 1), 3)
    one, other = method.inference(cohort, fresh), method.inference(cohort, server)
    if name == "flasc download":  # the server is dense
        vector, size = server.vector, cohort.layout.part_head.start
        least = np.sort(np.abs(vector[:size]))[-106]  # ceil(0.6 x 176)
        large = np.r_[np.abs(vector[:size]) >= least, np.ones(vector.size - size, bool)]
        np.testing.assert_array_equal(one.vector, np.where(large, vector, 0))
        return
    if kind(name) == "fedsa_lora":  # B is the clients' own: neither has one
        assert not any(np.any(each) for each in (*full(one), *full(other)))
    else:
        assert error(full(one), full(other)) < 1e-5
    close(one.vector[one.layout.part_head], other.vector[other.layout.part_head])


@EVERY
@BOTH
def test_to_adopt_a_broadcast_again_changes_nothing(name, cohort):
    method, cohort, server, clients = after_a_round(name, cohort)
    for client in (*clients, read_only(method.start(cohort, 1))):
        once = adopted(method, cohort, server, client)
        same(adopted(method, cohort, server, once), once)
        again = trained(method, once, 8, cohort)
        twice = trained(method, adopted(method, cohort, server, once), 8, cohort)
        same(again, twice)


@EVERY
@BOTH
def test_what_is_lost_of_a_broadcast_stays_the_clients_own(name, cohort):
    method, cohort, server, clients = after_a_round(name, cohort)
    client, rng = clients[1], np.random.default_rng(2)
    lost = np.flatnonzero(rng.random(cohort.layout.size) < 0.3)
    every = np.arange(cohort.layout.size)
    np.testing.assert_array_equal(
        adopted(method, cohort, server, client, lost=every).vector, client.vector
    )
    whole = adopted(method, cohort, server, client)
    same(adopted(method, cohort, server, whole, 3, every), whole)
    part = adopted(method, cohort, server, client, lost=lost)
    if kind(name) == "flora":
        return  # its residual is tested below
    there = np.ones(cohort.layout.size, bool)
    there[lost] = False
    sent = np.concatenate([update.coordinates for update in method.broadcast(cohort, server, 2)])
    gone = np.intersect1d(lost, sent)
    np.testing.assert_array_equal(part.vector[there], whole.vector[there])
    np.testing.assert_array_equal(part.vector[gone], client.vector[gone])
    for members, update in whole.known.items():
        kept = ~np.isin(update.coordinates, lost)
        np.testing.assert_array_equal(part.known[members].coordinates, update.coordinates[kept])
        np.testing.assert_array_equal(part.known[members].values, update.values[kept])


@EVERY
@BOTH
def test_what_a_server_is_never_sent_stays_the_clients(name, cohort):
    row, method, cohort, server, clients = served(name, cohort)
    clients = [trained(method, client, 3, cohort) for client in clients]
    server = gathered(method, cohort, server, clients)
    own = np.zeros(cohort.layout.size, bool)
    if kind(name) == "fedsa_lora":
        own[cohort.layout.part_b] = True
    if kind(name) == "ffa_lora" or row.sends == "mask":
        own[cohort.layout.part_a] = True
    if name == "n_lora" or getattr(method, "agg", None) == "none":
        own[:] = True
    for client in clients:
        after = adopted(method, cohort, server, client)
        np.testing.assert_array_equal(after.vector[own], client.vector[own])
        if row.fixed_mask:
            np.testing.assert_array_equal(after.trainable, client.trainable)
        assert after.trainings == client.trainings
        assert (client.device,) not in after.known


# Broadcasts that do not come


@pytest.mark.parametrize("name", MOVING)
@BOTH
def test_nothing_counts_twice_or_is_forgotten_when_broadcasts_are_missed_or_lost_in_part(
    name, cohort
):
    """Four trainings of one client: all it has sent, and what waits, are its movements."""
    row, method, cohort, server, (client, other) = served(name, cohort)
    if name == "soft weights":
        return  # the literal form counts again what the broadcast holds
    other = trained(method, other, 9, cohort)
    wanted, moved = server.vector.astype(np.float64), np.zeros(cohort.layout.size)
    lost = np.flatnonzero(np.random.default_rng(4).random(cohort.layout.size) < 0.5)
    total_sent = np.zeros(cohort.layout.size)
    for round, heard in enumerate(("nothing", "nothing", "half", "all"), start=1):
        if heard != "nothing":
            gone = lost if heard == "half" else ()
            client = adopted(method, cohort, server, client, round, gone)
        moved += movement(cohort, client, round)
        client = trained(method, client, round, cohort)
        mine, theirs = (method.update(cohort, each, round) for each in (client, other))
        total_sent[mine.coordinates] += mine.values
        wanted[mine.coordinates] += 0.25 * mine.values
        wanted[theirs.coordinates] += 0.75 * theirs.values
        arrivals = [arrival(mine, 0.25), arrival(theirs, 0.75)]
        server = read_only(method.merge(cohort, server, arrivals))
        close(server.vector, wanted)
    client = adopted(method, cohort, server, client, 5)
    if row.memory:
        close(total_sent + getattr(client, row.memory), moved)
        assert np.count_nonzero(getattr(client, row.memory)) > 50
    elif row.sends in ("part", "ranks"):  # what is sent of a movement is all of it, or nothing
        assert np.abs(total_sent).sum() < np.abs(moved).sum()


@pytest.mark.parametrize("name", [n for n in TABLE if TABLE[n].server == "movements"])
def test_a_client_that_misses_a_broadcast_moves_on_from_what_it_has(name):
    _, method, cohort, _, (client, _) = served(name, PLAIN)
    if name == "soft weights":
        return
    first = trained(method, client, 1, cohort)
    second = trained(method, first, 2, cohort)
    held = movement(cohort, first, 2)
    waiting = np.zeros(cohort.layout.size)
    if TABLE[name].memory:
        waiting += movement(cohort, client, 1)
        waiting[method.update(cohort, first, 1).coordinates] = 0
    update = method.update(cohort, second, 2)
    close(update.values, (held + waiting)[update.coordinates])


@BOTH
def test_a_flora_client_that_misses_a_broadcast_sends_each_product_once(cohort):
    _, method, cohort, server, (client, _) = served("flora", cohort)
    for round in (1, 2, 3):
        client = trained(method, client, round, cohort)
        server = gathered(method, cohort, server, [client], round, (1.0,))
        assert error(answer(method, cohort, client), answer(method, cohort, server)) < 1e-5
    before = answer(method, cohort, server)
    client = adopted(method, cohort, server, client, 4)
    assert error(answer(method, cohort, client), before) < 1e-5
    assert not client.vector[cohort.layout.part_b].any()


@BOTH
def test_a_flora_broadcast_is_first_the_stack_of_all_modules_and_never_more_than_a_matrix(cohort):
    method, cohort, server, clients = after_a_round("flora", cohort)
    sent = method.broadcast(cohort, server, 2)
    assert len(sent) == len(clients)
    for update, client, weight in zip(sent, clients, WEIGHTS, strict=True):
        found = products(cohort.layout, update.dense(cohort.layout), method.scale)
        module = products(cohort.layout, client.vector, method.scale)
        assert error(found, [weight * each for each in module]) < 1e-6
    for round in range(2, 6):
        clients = [adopted(method, cohort, server, client, round) for client in clients]
        clients = [trained(method, client, round, cohort) for client in clients]
        server = gathered(method, cohort, server, clients, round)
    assert len(method.broadcast(cohort, server, 6)) == 3  # 10 ranks, the most there can be
    sizes = [len(u.coordinates) for u in method.broadcast(cohort, server, 6)]
    head = cohort.layout.size - cohort.layout.part_head.start
    assert sizes == [4 * 44 + head, 4 * 44, 2 * 44]


def test_what_is_lost_of_a_flora_broadcast_is_the_own_residuals():
    """A client that has the first round's residual loses half of the next broadcast."""
    method, cohort, server, clients = after_a_round("flora", HEADED)
    clients = [adopted(method, cohort, server, client) for client in clients]
    clients = [trained(method, client, 5, cohort) for client in clients]
    server = gathered(method, cohort, server, clients, 2)
    sent = method.broadcast(cohort, server, 3)
    assert len(sent) == 3
    old = clients[0].residual
    lost = np.flatnonzero(np.random.default_rng(5).random(cohort.layout.size) < 0.5)
    after = method.adopt(cohort, clients[0], [arrival(update, 0.0, lost) for update in sent])
    layout, wanted = cohort.layout, []
    for number, update in enumerate(sent):
        vector = update.dense(layout)
        mine = np.zeros(layout.size, np.float32)
        for site in range(2):
            ranks = slice(4 * number, 4 * number + 4)
            a, b = (
                old.layout.a(old.vector, site)[ranks],
                old.layout.b(old.vector, site)[:, ranks],
            )
            layout.a(mine, site)[: len(a)], layout.b(mine, site)[:, : len(a)] = a, b
        there = lost[np.isin(lost, update.coordinates)]
        vector[there] = mine[there]
        wanted.append((1.0, full(Adapter(layout, vector, method.scale))))
    assert error(full(after.residual), total(wanted)) < 1e-6
    head = np.arange(layout.size)[layout.part_head]
    from_server = np.setdiff1d(head, lost)
    np.testing.assert_array_equal(after.vector[from_server], server.vector[from_server])
    own = np.intersect1d(head, lost)
    np.testing.assert_array_equal(after.vector[own], clients[0].vector[own])


# Nothing leaks


@EVERY
@BOTH
def test_neither_end_changes_what_it_is_given(name, cohort):
    method, cohort, server, clients = after_a_round(name, cohort)
    sent = method.broadcast(cohort, server, 2)
    for update in sent:
        update.values.setflags(write=False)
        update.coordinates.setflags(write=False)
    before = [array.copy() for array in arrays_of(server)]
    client = method.adopt(cohort, clients[0], [arrival(update) for update in sent])
    for update in method.broadcast(cohort, server, 2):
        assert not np.shares_memory(update.values, server.vector)
    assert not np.shares_memory(client.vector, server.vector)
    trained(method, read_only(client), 9, cohort)
    for now, then in zip(arrays_of(server), before, strict=True):
        np.testing.assert_array_equal(now, then)


@EVERY
def test_who_is_not_heard_of_is_in_nobodys_state(name):
    """Client 3 is trained in two ways, and its update is lost; then client 2 hears the server."""
    found = []
    for seed in (1, 2):
        _, method, cohort, server, (heard, lost) = served(name, PLAIN)
        heard = trained(method, heard, 1, cohort)
        lost = trained(method, lost, seed, cohort)
        updates = [method.update(cohort, each, 1) for each in (heard, lost)]
        nothing = arrival(updates[1], 0.5, updates[1].coordinates)
        server = method.merge(cohort, server, [arrival(updates[0], 0.5), nothing])
        found.append((server, adopted(method, cohort, server, heard)))
    for one, other in zip(*found, strict=True):
        same(one, other)


# Turns


def test_rolora_clients_train_the_factor_of_the_servers_round_however_long_they_were_away():
    _, method, cohort, server, (client, away) = served("rolora", PLAIN)
    a, b = PLAIN.layout.part_a, PLAIN.layout.part_b
    for round in range(1, 6):
        if round > 1:
            client = adopted(method, cohort, server, client, round)
        turn, other = (b, a) if round % 2 else (a, b)
        assert client.trainable[turn].all()
        assert not client.trainable[other].any()
        late = adopted(method, cohort, server, away, round) if round > 1 else away
        np.testing.assert_array_equal(late.trainable, client.trainable)
        client = trained(method, client, round, cohort)
        server = gathered(method, cohort, server, [client], round, (1.0,))
