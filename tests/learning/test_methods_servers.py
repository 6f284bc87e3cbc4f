"""What each method's server comes to, of what its clients send it.

What is wanted is written out here, coordinate by coordinate or as whole matrices.
"""

from dataclasses import replace

import numpy as np
import pytest
from method_helpers import (
    COHORTS,
    PLAIN,
    answer,
    arrival,
    best,
    error,
    products,
    total,
    trained,
)
from method_table import TABLE, kind, where
from server_helpers import WEIGHTS, adopted, after_a_round, close, gathered, movement, served

from cosim.learning.methods.base import Update

EVERY = pytest.mark.parametrize("name", TABLE)
BOTH = pytest.mark.parametrize("cohort", COHORTS.values(), ids=COHORTS)
MOVING = where(server="movements")


# What the server comes to


@pytest.mark.parametrize("name", where(server="average"))
@BOTH
def test_a_server_has_the_mean_of_what_is_shared(name, cohort):
    row, method, cohort, server, clients = served(name, cohort)
    for round in (1, 2):
        clients = [trained(method, client, round, cohort) for client in clients]
        wanted = server.vector.astype(np.float64)
        answers = [answer(method, cohort, client) for client in clients]
        sent = {client.device: method.update(cohort, client, round) for client in clients}
        (at,) = {tuple(update.coordinates) for update in sent.values()}
        wanted[list(at)] = sum(
            w * client.vector.astype(np.float64)[list(at)]
            for w, client in zip(WEIGHTS, clients, strict=True)
        )
        server = gathered(method, cohort, server, clients, round)
        close(server.vector, wanted)
        if row.exact == "mean":  # of the products as well: one factor is common
            mean = total(list(zip(WEIGHTS, answers, strict=True)))
            assert error(answer(method, cohort, server), mean) < 1e-5
        (down,) = method.broadcast(cohort, server, round + 1)
        np.testing.assert_array_equal(down.coordinates, method.shared(cohort.layout))
        np.testing.assert_array_equal(down.values, server.vector[down.coordinates])
        clients = [adopted(method, cohort, server, client, round + 1) for client in clients]


@pytest.mark.parametrize("name", MOVING)
@BOTH
def test_a_server_adds_up_what_clients_send_of_their_movements(name, cohort):
    """x <- x + sum w S(v), v = movement + what was not sent before (P3), over three rounds."""
    row, method, cohort, server, clients = served(name, cohort)
    layout = cohort.layout
    memory = {client.device: np.zeros(layout.size) for client in clients}
    for round in (1, 2, 3):
        literal = name == "soft weights"
        wanted = server.vector.astype(np.float64) * (not literal)
        after = []
        for weight, client in zip(WEIGHTS, clients, strict=True):
            v = movement(cohort, client, round) + memory[client.device]
            v += client.vector * literal
            client = trained(method, client, round, cohort)
            update = method.update(cohort, client, round)
            at = update.coordinates
            close(update.values, v[at])
            if row.budget is not None:
                assert np.count_nonzero(at < layout.part_head.start) == row.budget
            if kind(name) == "flasc":
                left = np.setdiff1d(np.arange(layout.part_head.start), at)
                assert np.abs(v[at[at < layout.part_head.start]]).min() > np.abs(v[left]).max()
            wanted[at] += weight * v[at]
            if row.memory:
                v[at] = 0
                memory[client.device] = v
            after.append(client)
        server = gathered(method, cohort, server, after, round)
        close(server.vector, wanted)
        clients = [adopted(method, cohort, server, client, round + 1) for client in after]


@pytest.mark.parametrize("name", where(server="products"))
@BOTH
def test_a_server_has_the_mean_product(name, cohort):
    _, method, cohort, server, clients = served(name, cohort)
    before = [np.zeros((site.d_out, site.d_in)) for site in cohort.layout.sites]
    for round in (1, 2):
        clients = [trained(method, client, round, cohort) for client in clients]
        modules = [products(cohort.layout, client.vector, method.scale) for client in clients]
        mean = total(list(zip(WEIGHTS, modules, strict=True)))
        if kind(name) == "flora":  # modules are what clients learned in the round
            mean = before = [x + y for x, y in zip(before, mean, strict=True)]
        else:
            mean = best(mean, method.rank)
        server = gathered(method, cohort, server, clients, round)
        assert error(answer(method, cohort, server), mean) < 1e-5
        clients = [adopted(method, cohort, server, client, round + 1) for client in clients]
        for client in clients:
            rank = method.rank_of(client.device) if hasattr(method, "rank_of") else None
            held = mean if rank is None else best(mean, rank)
            assert error(answer(method, cohort, client), held) < 1e-5


@BOTH
def test_flexlora_of_full_rank_is_the_exact_mean_product(cohort):
    method = TABLE["flexlora"].method.model_copy(update={"rank": 8})
    cohort = replace(cohort, layout=replace(cohort.layout, rank=8), servers=frozenset({0}))
    small = [method.start(cohort, device) for device in (2, 3)]
    clients = []
    for client in small:  # each of rank 4 in a layout of 8, so the mean product has 8
        mask = np.zeros(cohort.layout.size, bool)
        for site in range(2):
            cohort.layout.a(mask, site)[:4] = cohort.layout.b(mask, site)[:, :4] = True
        client = trained(method, replace(client, trainable=mask), 1, cohort)
        clients.append(replace(client, vector=np.where(mask, client.vector, 0)))
    answers = [answer(method, cohort, client) for client in clients]
    server = gathered(method, cohort, method.start(cohort, 0), clients)
    wanted = total(list(zip(WEIGHTS, answers, strict=True)))
    assert error(answer(method, cohort, server), wanted) < 1e-5


def test_a_flexlora_server_leaves_clients_no_rank_that_cannot_learn():
    """Of a product of one rank it sends rows of A for all ranks, though number 0 would have two."""
    _, method, cohort, server, (client, _) = served("flexlora ranks", PLAIN)
    server = gathered(method, cohort, server, [trained(method, client, 1, cohort)], 1, (1.0,))
    taken = adopted(method, cohort, server, method.start(cohort, 1))
    for site in range(2):
        assert cohort.layout.a(taken.vector, site).any(axis=1).all()
        assert not cohort.layout.b(taken.vector, site)[:, 1:].any()


@BOTH
def test_a_hetlora_server_weighs_by_norms_and_clients_cut_off(cohort):
    method, cohort, server, clients = after_a_round("hetlora", cohort)
    norms = [
        np.sqrt(sum(np.sum(p**2) for p in products(cohort.layout, client.vector)))
        for client in clients
    ]
    shares = np.array(WEIGHTS) * norms / np.dot(WEIGHTS, norms)
    held = [np.where(client.trainable, client.vector, 0) for client in clients]
    wanted = np.tensordot(shares, np.array(held, np.float64), axes=1)
    close(server.vector, wanted)
    for client in clients:
        taken = adopted(method, cohort, server, client)
        close(taken.vector[client.trainable], wanted[client.trainable])
        beyond = ~client.trainable
        np.testing.assert_array_equal(taken.vector[beyond], client.vector[beyond])


@pytest.mark.parametrize("name", where(sends="mask"))
@BOTH
def test_a_server_aggregates_b_and_it_is_read_through_the_clients_a(name, cohort):
    row, method, cohort, server, clients = served(name, cohort)
    layout = cohort.layout
    part = layout.part_b
    for round in (1, 2):
        clients = [trained(method, client, round + 3, cohort) for client in clients]
        masks = [client.trainable[part] for client in clients]
        values = [np.where(m, c.vector[part], 0.0) for c, m in zip(clients, masks, strict=True)]
        if method.agg == "count":
            shares = sum(w * m for w, m in zip(WEIGHTS, masks, strict=True))
            shares[shares == 0] = 1
        else:
            shares = 1.0
        ones = method.agg == "sum"
        b = sum((1 if ones else w) * v for w, v in zip(WEIGHTS, values, strict=True)) / shares
        server = gathered(method, cohort, server, clients, round)
        alpha = 0.5 if method.alpha == "normalised" else 1.0
        wanted = []
        for client, mask, own in zip(clients, masks, values, strict=True):
            read = np.zeros(layout.size)
            read[layout.part_a] = method.frozen_a(cohort, client.device)
            read[part] = b
            if method.combine == "concat":
                read[part] = own if method.agg == "none" else np.where(mask, b, 0)
            wanted.append((alpha, products(layout, read, method.scale)))
        assert error(answer(method, cohort, server), total(wanted)) < 1e-5
        sent = method.broadcast(cohort, server, round + 1)
        union = np.count_nonzero(masks[0] | masks[1])
        each = [np.count_nonzero(u.coordinates < layout.part_head.start) for u in sent]
        linear = method.combine == "linear"
        assert each == ([union] if linear else [row.budget, row.budget])
        before = clients
        clients = [adopted(method, cohort, server, client, round + 1) for client in clients]
        for client, old, mask in zip(clients, before, masks, strict=True):
            np.testing.assert_array_equal(client.trainable, old.trainable)
            close(
                client.vector[part][mask],
                old.vector[part][mask] if method.agg == "none" else b[mask],
            )
            assert error(answer(method, cohort, client), total(wanted)) < 1e-5


def test_a_server_keeps_where_masks_were_that_were_not_sampled():
    """Of count: a coordinate that nobody of the round sends is as it was."""
    _, method, cohort, server, clients = served("sparse_orthogonal linear", PLAIN)
    clients = [trained(method, client, 3, cohort) for client in clients]
    server = gathered(method, cohort, server, clients)
    again = trained(method, clients[0], 4, cohort)
    after = gathered(method, cohort, server, [again], 2, (1.0,))
    mine = again.trainable[PLAIN.layout.part_b]
    b = PLAIN.layout.part_b
    np.testing.assert_array_equal(after.vector[b][~mine], server.vector[b][~mine])
    np.testing.assert_array_equal(after.vector[b][mine], again.vector[b][mine])
    assert method.broadcast(cohort, after, 3)[0].members == (2, 3)


def test_a_server_takes_what_only_one_mask_holds_as_it_is():
    """Of count, at weight 0.4: what the server has of others' masks counts 0.6 where they meet."""
    _, method, cohort, server, clients = served("sparse_orthogonal linear", PLAIN)
    clients = [trained(method, client, 3, cohort) for client in clients]
    server = gathered(method, cohort, server, clients)
    late = trained(method, method.start(cohort, 1), 3, cohort)
    after = gathered(method, cohort, server, [late], 2, (0.4,))
    held = clients[0].trainable | clients[1].trainable
    alone, both = late.trainable & ~held, late.trainable & held
    assert alone.any()
    assert both.any()
    close(after.vector[alone], late.vector[alone])
    close(after.vector[both], 0.6 * server.vector[both] + 0.4 * late.vector[both])


def test_a_client_whose_update_was_lost_reads_the_aggregate_through_its_own_a_as_well():
    _, method, cohort, server, clients = served("sparse_orthogonal linear", PLAIN)
    clients = [trained(method, client, 3, cohort) for client in clients]
    server = gathered(method, cohort, server, clients)
    unheard = trained(method, method.start(cohort, 1), 3, cohort)
    taken = adopted(method, cohort, server, unheard)
    read = np.where(server.vector != 0, server.vector, unheard.vector).astype(np.float64)
    read[cohort.layout.part_a] = sum(method.frozen_a(cohort, device) for device in (1, 2, 3))
    assert error(answer(method, cohort, taken), products(cohort.layout, read, method.scale)) < 1e-5


@BOTH
def test_an_n_lora_server_passes_on_every_clients_newest_adapter(cohort):
    method, cohort, server, clients = after_a_round("n_lora", cohort)
    wanted = total([(1.0, answer(method, cohort, client)) for client in clients])
    assert error(answer(method, cohort, server), wanted) < 1e-6
    assert [expert.members for expert in method.experts(cohort, server)] == [(2,), (3,)]
    for client in clients:
        taken = adopted(method, cohort, server, client)
        np.testing.assert_array_equal(taken.vector, client.vector)
        assert error(answer(method, cohort, taken), wanted) < 1e-6


@EVERY
@BOTH
def test_a_merge_of_less_weight_keeps_the_rest_of_the_server(name, cohort):
    """One update of weight 0.4, as of FedAsync, into a server that has merged before."""
    row, method, cohort, server, clients = served(name, cohort)
    clients = [trained(method, client, 3, cohort) for client in clients]
    server = gathered(method, cohort, server, clients)
    client = trained(method, adopted(method, cohort, server, clients[0], 2), 4, cohort)
    update = method.update(cohort, client, 2)
    after = method.merge(cohort, server, [arrival(update, 0.4)])
    at, old = update.coordinates, server.vector.astype(np.float64)
    wanted = old.copy()
    if row.server == "average":
        wanted[at] = 0.6 * old[at] + 0.4 * update.values
        close(after.vector, wanted)
    elif row.server == "movements":
        wanted = old * (0.6 if name == "soft weights" else 1)
        wanted[at] += 0.4 * update.values
        close(after.vector, wanted)
    elif row.server == "products":
        was, new = answer(method, cohort, server), products(cohort.layout, client.vector, 2.0)
        kept = 1.0 if kind(name) == "flora" else 0.6
        mean = total([(kept, was), (0.4, new)])
        wanted = mean if kind(name) == "flora" else best(mean, method.rank)
        assert error(answer(method, cohort, after), wanted) < 1e-5
    elif row.sends == "mask" and method.agg == "count":
        held = np.any([c.trainable for c in clients], axis=0)
        both = np.intersect1d(at, np.flatnonzero(held))
        wanted[both] = 0.6 * old[both] + 0.4 * update.values[np.isin(at, both)]
        close(after.vector, wanted)


@EVERY
@BOTH
def test_what_is_lost_of_an_update_is_the_servers_own(name, cohort):
    """As if it had arrived with what the server has: no movement, where movements are sent."""
    row, method, cohort, server, clients = served(name, cohort)
    clients = [trained(method, client, 3, cohort) for client in clients]
    server = gathered(method, cohort, server, clients)
    clients = [adopted(method, cohort, server, client) for client in clients]
    clients = [trained(method, client, 4, cohort) for client in clients]
    updates = [method.update(cohort, client, 2) for client in clients]
    lost = np.flatnonzero(np.random.default_rng(6).random(cohort.layout.size) < 0.4)
    filled = []
    for update in updates:
        own = server.vector
        if row.server == "movements" and name != "soft weights":
            own = np.zeros_like(server.vector)
        gone = np.isin(update.coordinates, lost)
        values = np.where(gone, own[update.coordinates], update.values)
        filled.append(replace(update, values=values.astype(np.float32)))
    pairs = zip(updates, filled, WEIGHTS, strict=True)
    lossy, whole = zip(*[(arrival(u, w, lost), arrival(f, w)) for u, f, w in pairs], strict=True)
    one, other = (method.merge(cohort, server, each) for each in (lossy, whole))
    if row.lost == "nothing" or getattr(method, "agg", None) == "sum":
        return  # nothing is averaged: what was known stays
    close(one.vector, other.vector)
    if row.sends != "mask":
        found, wanted = (answer(method, cohort, state) for state in (one, other))
        if kind(name) != "fedsa_lora":
            assert error(found, wanted) < 1e-5


def test_a_server_does_not_gossip():
    _, method, cohort, server, clients = served("dec_lora lazy", PLAIN)
    assert method.gossip_step == 0.5
    clients = [trained(method, client, 1, cohort) for client in clients]
    found = gathered(method, cohort, server, clients).vector
    close(found, 0.3 * clients[0].vector + 0.7 * clients[1].vector)


def test_an_update_of_an_earlier_round_does_not_replace_a_newer_one_at_a_server_that_keeps_all():
    method, cohort, server, clients = after_a_round("n_lora", PLAIN)
    old = Update((2,), 0, np.arange(4), np.ones(4, np.float32))
    after = method.merge(cohort, server, [arrival(old, 0.5)])
    np.testing.assert_array_equal(after.known[(2,)].values, clients[0].vector)
