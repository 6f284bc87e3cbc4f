"""Synchronous rounds with a server: times, samples, weights, stragglers, and what goes wrong."""

import subprocess
import sys
from itertools import product

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

from cosim.learning.methods.ffa_lora import FfaLora
from cosim.learning.methods.lora import Lora
from cosim.plugin import kind_of
from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import loads
from cosim.sim.protocols._server import IDLE_S

LOSSY = {"rate": {"kind": "fixed", "rate": "1 Mbps"}, "error": {"kind": "fixed", "rate": 0.3}}


def updates(run):
    flows = run.table("flows")
    return flows[flows["kind"] == "update"]


def samples(run):
    """Return the clients of each round that was sent something or trained."""
    return run.table("trainings").groupby("round")["device"].apply(lambda d: sorted(d)).to_dict()


# Time, and who takes part


@pytest.mark.parametrize(("downlink", "down_s"), [("multicast", SEND_S), ("unicast", 4 * SEND_S)])
def test_a_round_is_a_broadcast_a_training_and_an_upload(run_network, downlink, down_s):
    run = run_network(**federated(downlink=downlink))
    first_s = TRAIN_S + SEND_S  # all start alike: there is nothing to broadcast
    ends_s = first_s + np.arange(4) * (first_s + down_s)
    np.testing.assert_allclose(run.table("rounds")["t_s"], ends_s, rtol=1e-9)
    assert set(run.table("flows")["kind"]) == {"update", "broadcast"}
    assert 0 not in set(run.table("trainings")["device"])
    assert run.table("rounds")["num_merged"].tolist() == [4, 4, 4, 4]


def test_the_sample_is_the_same_for_all_methods_and_differs_by_seed_and_round(run_network):
    keys = {"duration": "6 rounds"} | federated(clients(8), clients_per_round=3)
    one = samples(run_network(**keys))
    slower = {"pool": {"kind": "none", "payload": "800 kbit", "density": 0.1, "flops": 4e9}}
    assert samples(run_network(**keys, learning=slower)) == one
    assert samples(run_network(**keys, seed=2)) != one
    assert all(len(set(each)) == 3 for each in one.values())
    assert len(set(map(tuple, one.values()))) > 1


def test_every_client_is_sampled_equally_often(run_network):
    """200 rounds of 3 of 6: each client's count is binomial(200, 1/2), of deviation 7.1.

    Six counts within 4.5 deviations: a false alarm in 2.4e4 seeds.
    """
    run = run_network(duration="200 rounds", **federated(clients(6), clients_per_round=3))
    counts = run.table("trainings")["device"].value_counts()
    assert len(counts) == 6
    assert np.all(np.abs(counts - 100) < 4.5 * 7.07)


def test_who_is_out_of_reach_is_not_sampled(run_network):
    near = clients(2, mobility={"kind": "static", "position": ("5 m", "0 m")})
    far = clients(1, group="far", mobility={"kind": "static", "position": ("0 m", "45 m")})
    run = run_network(channel={"range": "20 m"}, **federated(near, far))
    assert set(run.table("trainings")["device"]) == {1, 2}
    assert len(run.table("rounds")) == 4


def test_the_star_is_around_the_server_wherever_that_is(run_network):
    """Device 4, at the rim, is nobody's best choice: it hears one client of four."""
    at = {"kind": "static"}
    groups = (
        clients(3, group="middle", mobility=at | {"position": ("-20 m", "0 m")}),
        clients(1, group="near", mobility=at | {"position": ("20 m", "0 m")}),
        clients(1, group="antenna", mobility=at | {"position": ("45 m", "0 m")}),
    )
    keys = federated(server="antenna") | {"devices": groups}
    run = run_network(channel={"range": "45 m"}, **keys)
    assert set(run.table("trainings")["device"]) == {3}
    assert set(run.table("merges")["device"]) == {4}


def test_a_round_without_clients_lets_time_pass(run_network):
    far = clients(2, mobility={"kind": "static", "position": ("0 m", "45 m")})
    keys = {"channel": {"range": "20 m"}} | federated(far)
    assert run_network(**keys).table("rounds")["t_s"].tolist() == [
        IDLE_S * round for round in range(1, 5)
    ]
    keys["protocol"] |= {"round_interval": "7 s"}
    assert run_network(**keys).table("rounds")["t_s"].tolist() == [0.0, 7.0, 14.0, 21.0]
    keys["protocol"] |= {"round_deadline": "10 s"}
    assert run_network(**keys).table("rounds")["t_s"].tolist() == [10.0, 20.0, 30.0, 40.0]


def test_a_server_that_leaves_does_not_stop_time(run_network):
    """Its battery lasts for 5 s: the first two rounds, and a part of the third."""
    radio = {"idle_power": "1 W"}
    keys = federated(server=SERVER | {"radio": radio, "battery": "5 J"})
    run = run_network(duration="20 s", **keys)
    rounds = run.table("rounds")
    assert rounds["num_merged"].tolist()[:3] == [4, 4, 0]
    assert rounds["num_merged"].sum() == 8
    assert rounds["t_s"].iloc[-1] == pytest.approx(20.0)
    assert "unsent" in set(run.table("events")["kind"])


def test_clients_that_leave_are_not_waited_for(run_network):
    """Two of them draw 2 W while they train, and have enough for one round and a half."""
    short = clients(2, group="short", battery="6 J")
    run = run_network(**federated(clients(2), short))
    assert run.table("rounds")["num_merged"].tolist() == [4, 2, 2, 2]
    assert (run.table("events")["kind"] == "battery_empty").sum() == 2


def test_whose_models_are_judged(run_network):
    pool = {"pool": {"kind": "surrogate", "payload": "80 kbit", "flops": 2e9}}

    def judged(judge):
        run = run_network(learning=pool, **federated(judge=judge))
        scores = run.table("evaluations")
        return set(scores["device"]), scores[scores["device"] == 0]

    devices, of_server = judged("server")
    assert devices == {0}
    assert of_server["own"].all()
    assert judged("clients")[0] == {1, 2, 3, 4}
    assert judged("all")[0] == {0, 1, 2, 3, 4}


# What comes of it


def test_one_round_of_lora_is_the_mean_of_what_clients_have(network_scenario, tmp_path):
    scenario = network_scenario(duration="1 rounds", **federated())
    run, learner = run_arithmetic(scenario, tmp_path, Lora(rank=2))
    start = start_of(learner)
    ends = [start + moves(client, 1, start.size) for client in (1, 2, 3, 4)]
    np.testing.assert_allclose(vector_of(learner, 0), np.mean(ends, axis=0), atol=1e-6)
    for client, end in enumerate(ends, start=1):
        np.testing.assert_array_equal(vector_of(learner, client), end)
    assert run.table("merges")["weight"].tolist() == [0.25] * 4


def test_clients_go_on_from_what_the_server_has_sent(network_scenario, tmp_path):
    """In the third round as many train as in the others, and where they began is in its sum."""
    scenario = network_scenario(duration="3 rounds", **federated(clients(5), clients_per_round=2))
    run, learner = run_arithmetic(scenario, tmp_path, Lora(rank=2))
    vector = start_of(learner).astype(np.float64)
    for round, sampled in samples(run).items():
        assert len(sampled) == 2
        vector += np.mean([moves(client, round, vector.size) for client in sampled], axis=0)
    np.testing.assert_allclose(vector_of(learner, 0), vector, atol=1e-5)


def test_weights_go_by_the_numbers_of_examples(network_scenario, tmp_path):
    """Clients 1 to 4 hold 1 to 4 examples, and only two of them take part."""
    scenario = network_scenario(duration="1 rounds", **federated(clients_per_round=2))
    run, learner = run_arithmetic(scenario, tmp_path, FfaLora(rank=2), same=False)
    (sampled,) = samples(run).values()
    weights = np.array(sampled) / sum(sampled)
    assert run.table("merges")["weight"].tolist() == weights.tolist()
    start, part_b = start_of(learner), learner._cohort.layout.part_b
    moved = [moves(client, 1, start.size)[part_b] for client in sampled]
    np.testing.assert_allclose(
        vector_of(learner, 0)[part_b], start[part_b] + weights @ moved, atol=1e-6
    )

    scenario = network_scenario(
        duration="1 rounds", **federated(clients_per_round=2, weights="equal")
    )
    run, _ = run_arithmetic(scenario, tmp_path, FfaLora(rank=2), same=False)
    assert run.table("merges")["weight"].tolist() == [0.5, 0.5]


# Late and lost

SLOW = clients(1, rate="0.1 GFLOP/s", group="slow")  # 20 s a training


@pytest.mark.parametrize("late", ["drop", "stale"])
def test_a_straggler_is_left_behind_and_its_update_dropped_or_aged(run_network, late):
    run = run_network(
        duration="6 rounds",
        **federated(clients(2), SLOW, round_deadline="5 s", late=late, staleness=0.5),
    )
    rounds, merges = run.table("rounds"), run.table("merges")
    # The first round waits for the straggler until its deadline; the others are without it.
    assert rounds["t_s"].iloc[0] == pytest.approx(5.0)
    quick_s = TRAIN_S + 2 * SEND_S
    np.testing.assert_allclose(np.diff(rounds["t_s"]), quick_s, rtol=1e-9)
    assert (run.table("trainings")["device"] == 3).sum() == 0  # not over yet

    run = run_network(
        duration="10 rounds",
        **federated(clients(2), SLOW, round_deadline="5 s", late=late, staleness=0.5),
    )
    rounds, merges = run.table("rounds"), run.table("merges")
    of_slow = merges[merges["src"] == 3]
    arrives_s = TRAIN_S * 10 + SEND_S
    taken = int(np.searchsorted(rounds["t_s"], arrives_s)) + 1
    assert rounds["num_late"].sum() == rounds["num_late"][taken - 1] == 1
    assert 3 not in samples(run).get(2, ())
    if late == "drop":
        assert of_slow.empty
        assert rounds["num_merged"].tolist() == [2] * 10
    else:
        age = taken - 1
        assert of_slow["staleness"].tolist() == [age]
        assert of_slow["weight"].tolist() == pytest.approx([0.5**age / 3])
        with_it = merges[merges["round"] == taken]
        assert with_it["weight"].sum() == pytest.approx((2 + 0.5**age) / 3)


def test_a_client_that_no_broadcast_reaches_trains_from_what_it_has(network_scenario, tmp_path):
    """Two broadcasts share the band and take twice as long as an update: they expire."""
    run, _ = run_arithmetic(
        network_scenario(duration="1 rounds", **federated(clients(2))), tmp_path, Lora(rank=2)
    )
    update_s = (run.table("flows")["end_s"] - run.table("flows")["start_s"]).max()
    scenario = network_scenario(
        duration="3 rounds",
        transport={"deadline": f"{1500 * update_s} ms"},
        **federated(clients(2), downlink="unicast"),
    )
    run, learner = run_arithmetic(scenario, tmp_path, Lora(rank=2))
    outcomes = run.table("flows").groupby("kind")["outcome"].unique()
    assert list(outcomes["broadcast"]) == ["expired"]
    assert list(outcomes["update"]) == ["delivered"]
    start = start_of(learner)
    ends = [start + sum(moves(c, round, start.size) for round in (1, 2, 3)) for c in (1, 2)]
    for client, end in enumerate(ends, start=1):
        np.testing.assert_allclose(vector_of(learner, client), end, atol=1e-5)
    np.testing.assert_allclose(vector_of(learner, 0), np.mean(ends, axis=0), atol=1e-5)


def test_lost_packets_do_not_stop_a_round(network_scenario, tmp_path):
    scenario = network_scenario(
        duration="4 rounds",
        link=LOSSY,
        transport={"mtu": "200 B", "reliability": "best_effort"},
        **federated(),
    )
    run, learner = run_arithmetic(scenario, tmp_path, Lora(rank=2))
    assert "partial" in set(updates(run)["outcome"])
    assert run.table("rounds")["num_merged"].tolist() == [4, 4, 4, 4]
    assert np.isfinite(vector_of(learner, 0)).all()


def test_what_is_lost_of_an_update_counts_as_the_servers_own(network_scenario, tmp_path):
    """At each coordinate the server moves by the movements of those whose packets came, over 4."""
    scenario = network_scenario(
        duration="1 rounds",
        link=LOSSY,
        transport={"mtu": "200 B", "reliability": "best_effort"},
        **federated(),
    )
    run, learner = run_arithmetic(scenario, tmp_path, Lora(rank=2))
    assert run.table("flows")["num_lost"].sum() > 0
    start = start_of(learner)
    each = np.array([moves(client, 1, start.size) for client in (1, 2, 3, 4)]) / 4
    subsets = np.array(list(product([0, 1], repeat=4)))
    moved = vector_of(learner, 0) - start
    is_subset = np.isclose(subsets @ each, moved, atol=1e-6)  # [16, size]
    assert is_subset.any(axis=0).all()
    assert 0.1 < is_subset[-1].mean() < 0.9  # all four came


def test_engines_agree(run_network):
    def tables(engine):
        run = run_network(
            duration="5 rounds",
            link=LOSSY,
            transport={"engine": engine},
            **federated(clients(5), clients_per_round=3, round_deadline="2.4 s", late="stale"),
        )
        return [run.table(name) for name in ("rounds", "merges", "flows")]

    for one, other in zip(tables("packet_train"), tables("per_packet"), strict=True):
        assert len(one) == len(other) > 0
        for column in one.select_dtypes("number"):
            np.testing.assert_allclose(one[column], other[column], rtol=1e-9, err_msg=column)


# What a user may get wrong, and what a file may leave out

BASE = "- {group: mast, role: base_station, count: 1}\n- {group: phones, count: 4}\n"


def told(text, overrides=()):
    with pytest.raises(ScenarioError) as caught:
        loads(text, overrides)
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


MISTAKES = {
    "no server": (
        "protocol: federated",
        "protocol: protocol federated needs a server: expected a device group with `role: "
        "base_station` and `count: 1`, or the name of a group of one device as `protocol.server`, "
        "got neither",
    ),
    "two masts": (
        "devices:\n- {group: a, role: base_station, count: 1}\n"
        "- {group: b, role: base_station, count: 1}\n- {group: c}\nprotocol: federated",
        "protocol: protocol federated has one server: expected `protocol.server` to name one of "
        "the groups with `role: base_station` ('a', 'b'), got no name",
    ),
    "a server of two": (
        "devices:\n- {group: mast, role: base_station, count: 2}\n- {group: c}\n"
        "protocol: federated_async",
        "protocol: expected one device in the server's group 'mast', got 2; write `count: 1` "
        "there, and put the others into a group of their own",
    ),
    "a server that is none": (
        f"devices:\n{BASE}protocol: {{kind: federated, server: antenna}}",
        "protocol.server: expected the name of a device group ('mast', 'phones'), got 'antenna'",
    ),
    "nobody but the server": (
        "devices: [{group: mast, role: base_station, count: 1}]\nprotocol: federated",
        "devices: expected clients beside the server, got one device in all; add a device group",
    ),
    "more clients than there are": (
        f"devices:\n{BASE}protocol: {{kind: federated, clients_per_round: 5}}",
        "protocol.clients_per_round: expected at most 4, as there are no more devices beside the "
        "server, got 5; leave it out for all",
    ),
    "a server that cannot answer": (
        f"devices:\n{BASE}protocol: federated\nlearning: {{method: fedsa_lora}}",
        "protocol.judge: expected clients with method 'fedsa_lora', of which a part never leaves "
        "the clients, so that the server knows no whole model, got server",
    ),
    "another centre": (
        f"devices:\n{BASE}protocol: federated\ntopology: {{planner: {{kind: star, centre: 2}}}}",
        "topology.planner.centre: expected the server, device 0, or nothing, by which it is the "
        "centre, got 2",
    ),
    "no such centre": (
        f"devices:\n{BASE}protocol: federated\ntopology: {{planner: {{kind: star, centre: 9}}}}",
        "topology.planner: planner star: expected a centre from 0 to 4, got 9",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_message(name):
    text, message = MISTAKES[name]
    assert told(text) == [message]


def test_a_file_without_the_server_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = f"devices:\n{BASE}protocol: federated\n"
    text += "topology: {planner: {kind: from_file, file: edges.csv}}"
    (tmp_path / "edges.csv").write_text("src,dst\n1,2\n2,3\n")
    assert told(text) == [
        "topology.planner.file: expected an edge between the server, device 0, and a client, got "
        "none in edges.csv: nobody could send the server anything"
    ]
    (tmp_path / "edges.csv").write_text("src,dst\n1,2\n2,0\n")
    assert loads(text).scenario.servers == {0}


def planner_of(text, overrides=()):
    return kind_of(loads(text, overrides).scenario.topology.planner)


def test_the_usual_planner_is_the_protocols():
    assert planner_of("{}") == "agnes"
    assert planner_of("protocol: clustered_dfl") == "agnes"
    assert planner_of("protocol: dfl") == "k_nearest"
    server = f"devices:\n{BASE}protocol: federated\n"
    assert planner_of(server) == "star"
    assert planner_of(server + "topology: {planner: agnes}") == "agnes"
    assert planner_of(server + "topology: {triggers: [on_start]}") == "star"


def test_an_override_below_the_planner_keeps_the_usual_one():
    server = f"devices:\n{BASE}protocol: federated\n"
    below = ["topology.planner.max_delay=5 s"]
    scenario = loads(server, below).scenario
    assert kind_of(scenario.topology.planner) == "star"
    assert scenario.topology.planner.max_delay_s == 5.0
    assert planner_of("{}", below) == "agnes"
    assert planner_of("{}", ["topology.planner.k=2", "protocol=dfl"]) == "k_nearest"


def test_the_resolved_scenario_shows_the_planner_and_reads_back():
    from cosim.scenario.dump import dump

    scenario = loads(f"devices:\n{BASE}protocol: federated").scenario
    text = dump(scenario)
    assert "kind: star" in text
    assert loads(text).scenario == scenario


def test_validation_loads_no_torch():
    script = (
        "import sys; from cosim.scenario.load import loads; "
        f"loads('''devices:\n{BASE}protocol: {{kind: federated_async, rule: fedbuff}}\n"
        "learning: {method: lora}''').scenario.servers; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
