"""Decentralised averaging against powers of the mixing matrix, and the time that it takes."""

import numpy as np
import pandas as pd
import pytest
from arithmetic_helpers import Arithmetic, adapters, movement
from federated_helpers import TRAIN_S, clients

from cosim.plugin import scenarios_dir
from cosim.results.tables import SCHEMAS
from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import load

ONCE = {"kind": "dfl"}


def mixing_matrix(run, num_devices):
    """Metropolis weights of the links that a run has planned, written out."""
    links = run.links[run.links.plan == 0]
    pairs = {(int(src), int(dst)) for src, dst in zip(links.src, links.dst, strict=True)}
    degree = [sum(src == i for src, _ in pairs) for i in range(num_devices)]
    matrix = np.zeros((num_devices, num_devices))
    for i, j in pairs:
        matrix[i, j] = 1 / (1 + max(degree[i], degree[j]))
    return matrix + np.diag(1 - matrix.sum(axis=1))


def moved_once(pool):
    """What the devices hold after their first training, [N, n]."""
    start, _ = pool.vectors()
    return start + np.stack([movement(i, 1, start.shape[1]) for i in range(len(start))])


def devices(count):
    return ({"count": count, "mobility": {"kind": "static"}},)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("planner", ["ring", "minimum_spanning_tree", "k_nearest", "star"])
def test_rounds_are_powers_of_the_mixing_matrix(run_network, planner, steps):
    pool = Arithmetic(last_round=1)
    run = run_network(
        devices=devices(6),
        learning=adapters(pool),
        topology={"planner": planner},
        protocol=ONCE | {"mixing_steps": steps},
        duration="4 rounds",
    )
    matrix = mixing_matrix(run, 6)
    assert np.count_nonzero(matrix) < 36
    wanted = np.linalg.matrix_power(matrix, 4 * steps) @ moved_once(pool)
    np.testing.assert_allclose(pool.vectors()[1], wanted, atol=2e-6)


def test_differences_shrink_by_the_second_eigenvalue(run_network):
    """On a ring of six W is circulant: its second eigenvalue is (1 + 2 cos 60 deg) / 3 = 2/3."""
    apart = []
    for rounds in (9, 10):
        pool = Arithmetic(last_round=1)
        run = run_network(
            devices=devices(6),
            learning=adapters(pool),
            topology={"planner": "ring"},
            protocol=ONCE,
            duration=f"{rounds} rounds",
        )
        magnitudes = np.sort(np.abs(np.linalg.eigvalsh(mixing_matrix(run, 6))))
        assert magnitudes[-2] == pytest.approx(2 / 3)
        end = pool.vectors()[1]
        np.testing.assert_allclose(end.mean(axis=0), moved_once(pool).mean(axis=0), atol=1e-6)
        apart.append(np.linalg.norm(end - end.mean(axis=0)))
    # The next eigenvalues are 0 and 1/3: after nine rounds nothing is left of them but 2^-9.
    assert apart[1] / apart[0] == pytest.approx(2 / 3, rel=1e-4)


def test_on_a_complete_graph_one_step_is_the_mean(run_network):
    pool = Arithmetic(last_round=1)
    run_network(learning=adapters(pool), protocol=ONCE, duration="1 round")
    mean = moved_once(pool).mean(axis=0)
    np.testing.assert_allclose(pool.vectors()[1], np.tile(mean, (4, 1)), atol=1e-6)


def test_parts_of_the_graph_that_are_not_linked_have_means_of_their_own(run_network, tmp_path):
    (tmp_path / "edges.csv").write_text("src,dst\n0,2\n1,3\n", encoding="utf-8")
    pool = Arithmetic(last_round=1)
    run = run_network(
        learning=adapters(pool),
        data_root=str(tmp_path),
        topology={"planner": {"kind": "from_file", "file": "edges.csv"}},
        protocol=ONCE,
        duration="5 rounds",
    )
    once, end = moved_once(pool), pool.vectors()[1]
    for pair in ((0, 2), (1, 3)):
        mean = once[list(pair)].mean(axis=0)
        np.testing.assert_allclose(end[list(pair)], np.tile(mean, (2, 1)), atol=1e-6)
    assert set(run.flows.kind) == {"update"}


@pytest.mark.parametrize("steps", [1, 3])
def test_each_mixing_step_costs_an_update_over_every_link(run_network, steps):
    """2 s of training; then 80 kbit to each of 2 neighbours, each at a half of 1 Mbps."""
    run = run_network(
        topology={"planner": "ring"},
        protocol=ONCE | {"mixing_steps": steps},
    )
    round_s = 2.0 + steps * 0.16
    assert run.rounds.t_s.to_numpy() == pytest.approx(round_s * np.arange(1, 5), rel=1e-12)
    assert (run.flows.groupby("round").size() == 4 * 2 * steps).all()
    assert (run.rounds.num_merged == 4 * 2 * steps).all()
    assert (run.rounds.num_late == 0).all()
    assert run.merges.weight.to_numpy() == pytest.approx(1 / 3)
    assert (run.merges.staleness == 0).all()


def test_a_deadline_ends_the_mixing_whichever_step_it_is_in(run_network):
    """Steps of 0.16 s: the first is done at 2.16 s, the second is cut at 2.3 s."""
    run = run_network(
        topology={"planner": "ring"},
        protocol=ONCE | {"mixing_steps": 4, "round_deadline": "2.3 s", "late": "stale"},
        duration="3 rounds",
    )
    assert run.rounds.t_s.tolist() == pytest.approx([2.3, 4.6, 6.9])
    # What the second step has sent arrives while devices train for the next round. There it is
    # late, and what its sender then sends is newer.
    assert run.rounds.num_late.tolist() == [0, 8, 8]
    assert run.merges.groupby(["round", "staleness"]).size().to_dict() == {
        (1, 0): 8,
        (2, 0): 8,
        (3, 0): 8,
    }


@pytest.mark.parametrize("method", ["flora", "soft"])
def test_methods_that_send_movements_mix_once(method):
    quickstart = scenarios_dir() / "quickstart.yaml"
    changes = {"learning.method": method, "topology.planner": "ring"}
    load(quickstart, changes | {"protocol": {"kind": "dfl"}})
    with pytest.raises(ScenarioError, match=r"expected mixing_steps: 1 with a method.*got 2"):
        load(quickstart, changes | {"protocol": {"kind": "dfl", "mixing_steps": 2}})


def test_both_engines_give_the_same_tables(run_network):
    changes = {
        "channel": {"fading": {"kind": "rayleigh", "coherence_time": "20 ms"}},
        "link": {"rate": "shannon", "error": {"kind": "fixed", "rate": 0.1}},
        "spectrum": {"bandwidth": "200 kHz"},
        "topology": {"planner": "ring"},
        "protocol": ONCE | {"mixing_steps": 2, "round_deadline": "4 s", "late": "stale"},
    }
    ours, reference = (
        run_network(**changes, transport={"engine": engine})
        for engine in ("packet_train", "per_packet")
    )
    for table in SCHEMAS:
        pd.testing.assert_frame_equal(ours.table(table), reference.table(table), rtol=1e-9)


# A round lasts until all are through, or to its deadline


SLOW_AND_FAST = {
    "devices": (
        clients(3, rate="1 GFLOP/s", group="slow"),
        clients(1, rate="100 GFLOP/s", group="fast"),
    ),
    "topology": {"planner": "full", "triggers": ("on_start",)},
}


def test_rounds_shorter_than_a_training_last_to_their_deadline(run_network):
    """Trainings of 2 s in rounds of 0.5 s: nobody starts anew before it is through."""
    run = run_network(
        devices=(clients(4),),
        topology=SLOW_AND_FAST["topology"],
        protocol={"kind": "dfl", "round_deadline": "500 ms"},
        duration="10 rounds",
    )
    np.testing.assert_allclose(np.diff(run.table("rounds")["t_s"])[:3], 0.5, rtol=1e-9)
    starts_s = run.table("trainings").groupby("device")["start_s"]
    assert (starts_s.apply(lambda each: np.diff(each).min()) >= TRAIN_S).all()


def test_the_slow_are_waited_for_until_the_deadline(run_network):
    """The fast train in every round of 1 s, the slow in every other or third."""
    run = run_network(
        **SLOW_AND_FAST,
        protocol={"kind": "dfl", "round_deadline": "1 s", "late": "stale"},
        duration="9 rounds",
    )
    rounds = run.table("rounds")
    assert (rounds["t_s"] - rounds["start_s"] > 0.05).all()
    trained = run.table("trainings").groupby("device").size()
    assert trained[3] == 9
    assert (trained[[0, 1, 2]] >= 2).all()
    assert set(run.table("merges")["src"]) == {0, 1, 2, 3}


def test_what_comes_between_rounds_is_aggregated_and_counted(run_network):
    """Rounds close after 0.5 s and begin every 4 s; trainings take 2 s, so all is late."""
    run = run_network(
        devices=(clients(4),),
        topology=SLOW_AND_FAST["topology"],
        protocol={
            "kind": "dfl", "round_deadline": "500 ms", "round_interval": "4 s", "late": "stale"
        },
        duration="5 rounds",
    )  # fmt: skip
    rounds, flows = run.table("rounds"), run.table("flows")
    assert rounds["num_late"].tolist() == [0, 12, 12, 12, 12]
    assert rounds["num_merged"].tolist() == [0, 12, 12, 12, 12]
    assert rounds["num_trainings"].tolist() == [0, 4, 4, 4, 4]
    ended = flows[flows["end_s"] <= rounds["t_s"].iloc[-1]]
    assert rounds["bits_sent"].sum() == pytest.approx(ended["air_bits"].sum())
    assert rounds["energy_j"].sum() == pytest.approx(
        run.table("energy").filter(like="_j").drop(columns="left_j").to_numpy().sum(), rel=1e-9
    )
