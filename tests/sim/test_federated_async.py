"""A server that merges as updates come: ages, weights, buffers, and clients that are lost."""

import numpy as np
import pytest
from federated_helpers import (
    SEND_S,
    SERVER,
    TRAIN_S,
    clients,
    federated,
    moves,
    run_arithmetic,
    start_of,
    vector_of,
)
from test_federated import LOSSY, told

from cosim.learning.errors import LearningError
from cosim.learning.methods.ffa_lora import FfaLora
from cosim.learning.methods.lora import Lora
from cosim.learning.methods.soft import Soft
from cosim.plugin import find, kinds
from cosim.sim.protocols._server import IDLE_S
from cosim.sim.protocols.federated_async import FederatedAsync

RATES = ("1 GFLOP/s", "0.83 GFLOP/s", "0.3 GFLOP/s", "0.27 GFLOP/s", "0.13 GFLOP/s")
MIXED = tuple(clients(1, rate=rate, group=f"client-{i}") for i, rate in enumerate(RATES))


def asynchronous(*groups, **protocol):
    return federated(*groups, kind="federated_async", **protocol)


def versions_behind(run):
    """Return the age of every merged update as the other tables tell it: merges while it was away.

    A client was asked when its broadcast began, or without one its training; that is its last one
    before it sent the update.
    """
    flows, merges, trainings = (run.table(name) for name in ("flows", "merges", "trainings"))
    merged_s = np.array(sorted(set(merges["t_s"])))
    down = flows[flows["kind"] == "broadcast"]
    ages = []
    for row in merges.itertuples():
        up = flows[(flows["kind"] == "update") & (flows["src"] == row.src)]
        # Of a buffer: the one that arrived last before the merge and has not been counted before.
        up = up[up["end_s"] <= row.t_s].sort_values("end_s")
        same = merges[(merges["src"] == row.src) & (merges.index <= row.Index)]
        sent = up.iloc[len(same) - 1]
        training = trainings[
            (trainings["device"] == row.src) & (trainings["end_s"] <= sent["start_s"] + 1e-9)
        ].iloc[-1]
        asked = down[(down["dst"] == row.src) & (down["end_s"] <= training["start_s"] + 1e-9)]
        asked_s = asked["start_s"].max() if len(asked) else training["start_s"]
        ages.append(int(np.sum((merged_s > asked_s + 1e-9) & (merged_s < row.t_s - 1e-9))))
    return ages


# FedAsync


@pytest.mark.parametrize(
    ("keys", "weight"),
    [
        ({"decay": "constant", "rate": 0.4}, lambda age: 0.4),
        ({}, lambda age: 0.6 / np.sqrt(1 + age)),
        ({"exponent": 1.0, "rate": 1.0}, lambda age: 1 / (1 + age)),
        (
            {"decay": "hinge", "hinge_after": 1, "hinge_slope": 3.0},
            lambda age: 0.6 if age <= 1 else 0.6 / (3 * (age - 1) + 1),
        ),
    ],
)
def test_fedasync_weighs_by_age_in_versions(run_network, keys, weight):
    run = run_network(duration="6 rounds", **asynchronous(*MIXED, **keys))
    merges = run.table("merges")
    assert len(merges) == 6 * 5  # as many merges in a round as clients are at work
    ages = versions_behind(run)
    assert merges["staleness"].tolist() == ages
    assert max(ages) >= 5
    np.testing.assert_allclose(merges["weight"], [weight(age) for age in ages], rtol=1e-12)
    assert run.table("rounds")["staleness_mean"].tolist() == pytest.approx(
        merges.groupby("round")["staleness"].mean().tolist()
    )


def test_fedasync_is_its_recursion(network_scenario, tmp_path):
    """x_{t+1} = (1 - a) x_t + a (x_{t - age} + how far the client has moved)."""
    scenario = network_scenario(duration="5 rounds", **asynchronous(*MIXED, concurrency=3))
    run, learner = run_arithmetic(scenario, tmp_path, Lora(rank=2))
    versions = [start_of(learner).astype(np.float64)]
    for row in run.table("merges").itertuples():
        came = versions[-1 - row.staleness] + moves(row.src, row.sent_round, versions[0].size)
        versions.append((1 - row.weight) * versions[-1] + row.weight * came)
    assert len(versions) == 1 + 5 * 3
    np.testing.assert_allclose(vector_of(learner, 0), versions[-1], atol=1e-5)


def test_as_many_train_as_concurrency_says(run_network):
    run = run_network(duration="5 rounds", **asynchronous(*MIXED, concurrency=2))
    trainings = run.table("trainings")
    starts, ends = trainings["start_s"].to_numpy(), trainings["end_s"].to_numpy()
    at_once = [np.sum((starts <= t + 1e-9) & (ends > t + 1e-9)) for t in starts]
    assert max(at_once) == 2
    assert run.table("rounds")["num_merged"].tolist() == [2] * 5
    assert set(trainings["device"]) <= {1, 2, 3, 4, 5}


def test_nobody_waits_for_the_slowest(run_network):
    """The quick clients go on: a round of two merges is no longer than two of their trips."""
    run = run_network(
        duration="8 rounds", **asynchronous(clients(2), clients(1, "0.01 GFLOP/s", "slow"))
    )
    trip_s = TRAIN_S + 3 * SEND_S
    assert np.diff(run.table("rounds")["t_s"]).max() < 2.01 * trip_s
    assert set(run.table("merges")["src"]) == {1, 2}


def test_choices_are_the_same_for_all_methods(run_network):
    """Equal clients return in the order in which they were asked, whatever they send."""
    keys = {"duration": "4 rounds"} | asynchronous(clients(6), concurrency=1)

    def order(**changes):
        return run_network(**(keys | changes)).table("trainings")["device"].tolist()

    pool = {"kind": "none", "payload": "160 kbit", "density": 0.1, "flops": 1e9}
    assert order() == order(learning={"pool": pool})
    assert order() != order(seed=4)


# FedBuff


def test_fedbuff_adds_up_movements_by_hand(network_scenario, tmp_path):
    """x = x_0 + sum of rate / K s(age) d_k over all merges, whatever versions these were of."""
    scenario = network_scenario(
        duration="7 rounds", **asynchronous(*MIXED, rule="fedbuff", buffer=3, rate=0.8)
    )
    run, learner = run_arithmetic(scenario, tmp_path, Lora(rank=2))
    merges = run.table("merges")
    assert merges.groupby("round").size().tolist() == [3] * 7
    assert merges["staleness"].tolist() == versions_behind(run)
    assert merges["staleness"].max() >= 2
    np.testing.assert_allclose(
        merges["weight"], 0.8 / 3 / np.sqrt(1 + merges["staleness"]), rtol=1e-12
    )
    vector = start_of(learner).astype(np.float64)
    for row in merges.itertuples():
        vector += row.weight * moves(row.src, row.sent_round, vector.size)
    np.testing.assert_allclose(vector_of(learner, 0), vector, atol=1e-5)


def test_fedbuff_of_one_factor_leaves_the_other_alone(network_scenario, tmp_path):
    scenario = network_scenario(
        duration="4 rounds", **asynchronous(*MIXED, rule="fedbuff", buffer=2)
    )
    run, learner = run_arithmetic(scenario, tmp_path, FfaLora(rank=2))
    layout, start = learner._cohort.layout, start_of(learner)
    vector = start.astype(np.float64)
    for row in run.table("merges").itertuples():
        moved = moves(row.src, row.sent_round, vector.size)
        vector[layout.part_b] += row.weight * moved[layout.part_b]
    np.testing.assert_allclose(vector_of(learner, 0), vector, atol=1e-5)
    np.testing.assert_array_equal(vector_of(learner, 0)[layout.part_a], start[layout.part_a])


def test_fedbuff_takes_methods_that_send_movements_as_they_are(network_scenario, tmp_path):
    """SOFT that drops nothing is dense: the sum of all movements."""
    scenario = network_scenario(
        duration="4 rounds", **asynchronous(*MIXED, rule="fedbuff", buffer=2)
    )
    run, learner = run_arithmetic(scenario, tmp_path, Soft(rank=2, drop=0.0))
    vector = start_of(learner).astype(np.float64)
    for row in run.table("merges").itertuples():
        vector += row.weight * moves(row.src, row.sent_round, vector.size)
    np.testing.assert_allclose(vector_of(learner, 0), vector, atol=1e-5)


# What goes wrong on the way


def test_clients_that_leave_are_replaced(run_network):
    short = clients(2, group="short", battery="5 J")  # mid-way in the second training
    run = run_network(duration="6 rounds", **asynchronous(clients(2), short))
    assert (run.table("events")["kind"] == "battery_empty").sum() == 2
    assert run.table("rounds")["num_merged"].tolist() == [4] * 6
    last = run.table("merges").query("round > 2")
    assert set(last["src"]) == {1, 2}


def test_a_server_that_leaves_does_not_stop_time(run_network):
    server = SERVER | {"radio": {"idle_power": "1 W"}, "battery": "5 J"}
    run = run_network(
        duration="30 s",
        **federated(clients(3), kind="federated_async", server=server),
    )
    rounds = run.table("rounds")
    assert run.table("merges")["t_s"].max() < 5.0
    assert rounds["t_s"].iloc[-1] == pytest.approx(30.0)
    assert len(rounds) < 40


def test_what_expires_does_not_stop_the_server(run_network):
    run = run_network(
        duration="5 rounds", transport={"deadline": "50 ms"}, **asynchronous(clients(3))
    )
    assert set(run.table("flows")["outcome"]) == {"expired"}
    assert run.table("rounds")["num_merged"].tolist() == [0] * 5
    assert run.table("merges").empty
    assert run.table("rounds")["num_late"].sum() > 0


def test_nobody_in_reach(run_network):
    far = clients(2, mobility={"kind": "static", "position": ("0 m", "45 m")})
    run = run_network(channel={"range": "20 m"}, **asynchronous(far))
    assert run.table("rounds")["t_s"].tolist() == [IDLE_S * round for round in range(1, 5)]


def test_work_that_takes_no_time_is_no_busy_loop(run_network):
    """Nothing to compute and nothing to send: each client is asked once an instant."""
    nothing = {"pool": {"kind": "none", "payload": "0 bit", "density": 0.1, "flops": 0.0}}
    run = run_network(duration="3 rounds", learning=nothing, **asynchronous(clients(3)))
    assert len(run.table("trainings")) == 3 * 3
    assert run.table("rounds")["t_s"].tolist() == [IDLE_S * round for round in (1, 2, 3)]


def test_best_effort_merges_what_arrives(network_scenario, tmp_path):
    scenario = network_scenario(
        duration="4 rounds",
        link=LOSSY,
        transport={"mtu": "200 B", "reliability": "best_effort"},
        **asynchronous(rule="fedbuff", buffer=3),
    )
    run, learner = run_arithmetic(scenario, tmp_path, Lora(rank=2))
    assert run.table("rounds")["num_merged"].tolist() == [3] * 4
    whole = start_of(learner).astype(np.float64)
    for row in run.table("merges").itertuples():
        whole += row.weight * moves(row.src, row.sent_round, whole.size)
    moved, would = vector_of(learner, 0) - start_of(learner), whole - start_of(learner)
    # What arrived has moved the server by what was sent, and what was lost by nothing.
    assert 0.5 < moved @ would / (would @ would) < 0.9


def test_engines_agree(run_network):
    def tables(engine):
        run = run_network(
            duration="5 rounds",
            link=LOSSY,
            transport={"engine": engine},
            **asynchronous(*MIXED, rule="fedbuff", buffer=2, concurrency=3),
        )
        return [run.table(name) for name in ("rounds", "merges", "flows")]

    for one, other in zip(tables("packet_train"), tables("per_packet"), strict=True):
        assert len(one) == len(other) > 0
        for column in one.select_dtypes("number"):
            np.testing.assert_allclose(one[column], other[column], rtol=1e-9, err_msg=column)


def test_two_runs_are_alike(run_network):
    keys = {"duration": "4 rounds", "link": LOSSY} | asynchronous(*MIXED, concurrency=3)
    one, other = run_network(**keys).table("flows"), run_network(**keys).table("flows")
    assert one.equals(other)


# What a user may get wrong

BASE = "devices:\n- {group: mast, role: base_station, count: 1}\n- {group: phones, count: 4}\n"
METHODS = ("flexlora", "hetlora", "{kind: soft, feedback: weights}")
NO_SUM = (
    "protocol.rule: expected fedasync, or a method whose server adds up how far clients have "
    "moved, such as lora, ffa_lora or soft, got fedbuff and '{}' with these keys"
)


@pytest.mark.parametrize("method", METHODS)
def test_fedbuff_is_for_methods_that_add_up_movements(method):
    text = (
        f"{BASE}protocol: {{kind: federated_async, rule: fedbuff}}\nlearning: {{method: {method}}}"
    )
    kind = method.removeprefix("{kind: ").partition(",")[0]
    assert told(text) == [NO_SUM.format(kind)]


def test_more_at_work_than_there_are():
    assert told(f"{BASE}protocol: {{kind: federated_async, concurrency: 9}}") == [
        "protocol.concurrency: expected at most 4, as there are no more devices beside the "
        "server, got 9; leave it out for all"
    ]


def test_a_buffer_without_the_rule_that_has_one():
    assert told(f"{BASE}protocol: {{kind: federated_async, buffer: 3}}") == [
        "protocol.buffer: expected none with rule: fedasync, which merges each update as it comes, "
        "got 3; leave it out, or use rule: fedbuff"
    ]


def test_a_rate_above_one_is_told():
    (problem,) = told(f"{BASE}protocol: {{kind: federated_async, rate: 1.5}}")
    assert problem.startswith("protocol.rate: expected")


def test_weights_of_a_full_buffer_are_at_most_one():
    protocol = FederatedAsync(rule="fedbuff", buffer=7)
    assert sum(protocol.weight(0) for _ in range(7)) == pytest.approx(1.0)


# Every method under a server


@pytest.mark.parametrize("kind", kinds("method"))
@pytest.mark.parametrize("protocol", ["federated", "fedasync", "fedbuff"])
def test_every_method_learns_with_a_server_or_says_why_not(
    kind, protocol, network_scenario, tmp_path
):
    method = find("method", kind)()
    if protocol == "federated":
        changes = federated(*MIXED, clients_per_round=3)
    else:
        changes = asynchronous(*MIXED, rule=protocol, buffer=2, concurrency=3, merges_per_round=3)
    scenario = network_scenario(duration="3 rounds", **changes)
    if protocol == "fedbuff" and method.movements == "neither":
        with pytest.raises(LearningError, match="adds up how far clients have moved"):
            run_arithmetic(scenario, tmp_path, method)
        return
    run, learner = run_arithmetic(scenario, tmp_path, method)
    assert run.table("rounds")["num_merged"].sum() >= 5
    assert set(run.table("merges")["device"]) == {0}
    assert "broadcast" in set(run.table("flows")["kind"])
    answer = learner._answers.adapter(*learner._answerer(0))
    assert np.isfinite(answer.vector).all()
    # The server answers with something of its clients', if they send all of it.
    assert answer.vector[answer.layout.part_b].any() != method.is_personal


def test_a_client_whose_broadcast_is_dropped_at_once_is_not_asked_again_within_a_second(
    run_network,
):
    """The server's queue holds one broadcast of 10 kB: the others are refused as they come."""
    run = run_network(
        **federated(clients(6), kind="federated_async"),
        transport={"parallel": 1, "queue": "1 kB", "deadline": "5 s"},
        duration="20 s",
    )
    dropped = run.table("flows").query("kind == 'broadcast' and outcome == 'dropped'")
    assert len(dropped)
    again_s = dropped.groupby("dst")["start_s"].apply(lambda each: np.diff(each).min())
    assert again_s.dropna().min() >= 1.0 - 1e-9
