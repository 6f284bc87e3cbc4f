"""Gossip: what devices hold against a replay by hand, and that nobody waits, hangs or spins."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from arithmetic_helpers import Arithmetic, adapters, movement

from cosim.results.tables import SCHEMAS
from cosim.sim.errors import StandstillError

GOSSIP = {"kind": "gossip"}


def devices(**changes):
    """Four devices of unequal speed: no two things happen at one time."""
    group = {"count": 4, "mobility": {"kind": "static"}}
    compute = {"kind": "flops", "rate": ("0.5 GFLOP/s", "2 GFLOP/s"), "power": "2 W"}
    return (group | {"compute": compute} | changes,)


def two():
    return devices(count=2, compute={"kind": "flops", "rate": "1 GFLOP/s", "power": "2 W"})


def replayed(run, start, mixing, exponent):
    """Go through a run's tables in the order of time; return vectors, and all merges.

    A merge is (receiver, sender, age of the update, staleness, weight).
    """
    happens = [(row.end_s, 0, row) for row in run.trainings.itertuples()]
    happens += [(row.start_s, 1, row) for row in run.flows.itertuples()]
    happens += [(row.end_s, 2, row) for row in run.flows.itertuples() if row.outcome == "delivered"]
    vectors, age, sent, merges = start.copy(), Counter(), {}, []
    for _, what, row in sorted(happens, key=lambda each: each[:2]):
        if what == 0:
            vectors[row.device] += movement(row.device, row.round, start.shape[1])
            age[row.device] += 1
        elif what == 1:
            assert row.round == age[row.src]
            sent[row.flow] = vectors[row.src].copy()
        else:
            staleness = max(0, age[row.dst] - row.round)
            weight = mixing / (1 + staleness) ** exponent
            vectors[row.dst] = (1 - weight) * vectors[row.dst] + weight * sent[row.flow]
            age[row.dst] = max(age[row.dst], row.round)
            merges.append((row.dst, row.src, row.round, staleness, weight))
    return vectors, merges


@pytest.mark.parametrize(("mixing", "exponent"), [(0.5, 0.5), (0.9, 0.0), (1.0, 2.0)])
@pytest.mark.parametrize("busy", ["skip", "wait", "send"])
def test_devices_hold_what_a_replay_by_hand_gives(run_network, mixing, exponent, busy):
    pool = Arithmetic()
    run = run_network(
        devices=devices(),
        learning=adapters(pool),
        link={"rate": {"kind": "fixed", "rate": "700 bps"}},  # 2 s for an update
        protocol=GOSSIP
        | {"mixing": mixing, "staleness_exponent": exponent, "busy": busy, "fanout": 2},
        duration="8 rounds",
    )
    start, end = pool.vectors()
    vectors, merges = replayed(run, start, mixing, exponent)
    np.testing.assert_allclose(end, vectors, atol=2e-5)
    recorded = run.merges[["device", "src", "sent_round", "staleness"]].itertuples(index=False)
    assert [tuple(row) for row in recorded] == [each[:4] for each in merges]
    assert run.merges.weight.to_numpy() == pytest.approx([each[4] for each in merges])
    assert run.merges.staleness.max() > 0
    # Some were merged in the middle of a training.
    during = [
        ((run.trainings.device == row.device) & (run.trainings.start_s < row.t_s)
         & (run.trainings.end_s > row.t_s)).any()
        for row in run.merges.itertuples()
    ]  # fmt: skip
    assert any(during)


def test_who_hears_nothing_keeps_what_it_has(run_network):
    """Without a rate nothing arrives: each ends where its own trainings took it."""
    pool = Arithmetic()
    run = run_network(
        devices=devices(),
        learning=adapters(pool),
        link={"rate": "shannon"},
        channel={"path_loss": {"kind": "log_distance", "exponent": 20.0}},
        transport={"deadline": "3 s"},
        topology={"planner": "agnes"},
        protocol=GOSSIP,
    )
    start, end = pool.vectors()
    alone = start.copy()
    for row in run.trainings.itertuples():
        alone[row.device] += movement(row.device, row.round, start.shape[1])
    np.testing.assert_allclose(end, alone, atol=1e-5)
    assert run.merges.empty


def test_a_round_is_as_many_trainings_as_devices_take_part(run_network):
    run = run_network(devices=devices(), protocol=GOSSIP, duration="6 rounds")
    assert (run.rounds.num_trainings == 4).all()
    ends_s = np.sort(run.trainings.end_s)
    assert run.rounds.t_s.to_numpy() == pytest.approx(ends_s[3::4])
    assert run.rounds.start_s.to_numpy()[1:] == pytest.approx(ends_s[3:-1:4])
    # The fastest has trained more often than the slowest, and no device twice in one "round".
    counts = run.trainings.groupby("device").size()
    assert counts.max() >= counts.min() + 3
    assert not run.trainings.duplicated(["device", "round"]).any()


def test_nobody_waits(run_network):
    """Trainings follow each other at once, whatever is on the air."""
    run = run_network(devices=devices(), protocol=GOSSIP, duration="40 s")
    for _, rows in run.trainings.groupby("device"):
        assert rows.start_s.to_numpy()[1:] == pytest.approx(rows.end_s.to_numpy()[:-1])
    assert run.rounds.t_s.iloc[-1] == 40.0
    assert run.flows.end_s.max() <= 40.0


@pytest.mark.parametrize(
    ("busy", "begins_s", "trained_s"),
    [
        # Trainings of 2 s, transfers of 5 s.
        ("skip", [2, 8, 14, 20], [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]),
        ("wait", [2, 7, 12, 17], [2, 4, 9, 14, 19]),
        # Two at a time have half of the rate each, and so on: they pile up.
        ("send", [2, 4, 6, 8, 10, 12, 14, 16, 18, 20], [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]),
    ],
)
def test_what_a_device_does_while_its_last_update_is_on_its_way(
    run_network, busy, begins_s, trained_s
):
    run = run_network(
        devices=two(),
        link={"rate": {"kind": "fixed", "rate": "16 kbps"}},
        protocol=GOSSIP | {"busy": busy},
        duration="20.5 s",
    )
    for device in (0, 1):
        assert run.flows[run.flows.src == device].start_s.tolist() == pytest.approx(begins_s)
        mine = run.trainings[run.trainings.device == device]
        assert mine.end_s.tolist() == pytest.approx(trained_s)


def test_staleness_is_how_often_the_receiver_has_trained_meanwhile(run_network):
    """Two alike, trainings of 2 s, transfers of 5 s: age 1 arrives at age 3, age 4 at age 6."""
    run = run_network(
        devices=two(),
        link={"rate": {"kind": "fixed", "rate": "16 kbps"}},
        protocol=GOSSIP | {"mixing": 0.8, "staleness_exponent": 1.0},
        duration="15 s",
    )
    mine = run.merges[run.merges.device == 0]
    assert mine.t_s.tolist() == pytest.approx([7, 13])
    assert mine.sent_round.tolist() == [1, 4]
    assert mine.staleness.tolist() == [2, 2]
    assert mine.weight.tolist() == pytest.approx([0.8 / 3] * 2)
    assert run.rounds.num_merged.sum() == len(run.merges) == 4


@pytest.mark.parametrize("fanout", [1, 2, "all"])
def test_an_update_goes_to_as_many_neighbours_as_it_says(run_network, fanout):
    """600 draws of k of 3; 5 standard errors of a share are missed in one of 3 with 2e-6."""
    run = run_network(
        devices=devices(), protocol=GOSSIP | {"fanout": fanout, "busy": "send"},
        duration="150 rounds", transport={"deadline": "1 h"},
        link={"rate": {"kind": "fixed", "rate": "1 Gbps"}},
    )  # fmt: skip
    sendings = run.flows.groupby(["src", "round"]).dst
    count = 3 if fanout == "all" else fanout
    assert (sendings.size() == count).all()
    assert (sendings.nunique() == count).all()
    assert len(sendings) == 600
    to_next = ((run.flows.dst - run.flows.src) % 4).value_counts() / 600
    assert (np.abs(to_next - count / 3) <= 5 * np.sqrt(count / 3 * (1 - count / 3) / 600)).all()


def test_who_is_drawn_does_not_hang_on_what_is_sent(run_network):
    chosen = []
    for payload in ("8 kbit", "200 kbit"):
        pool = {"kind": "none", "payload": payload, "density": 0.1, "flops": 2e9}
        run = run_network(
            devices=devices(), learning={"pool": pool}, protocol=GOSSIP | {"busy": "send"},
            duration="20 rounds",
        )  # fmt: skip
        flows = run.flows.sort_values(["src", "start_s"])
        chosen.append([flows[flows.src == i].dst.tolist()[:10] for i in range(4)])
    assert chosen[0] == chosen[1]


def test_a_multicast_goes_to_all_that_are_drawn_at_once(run_network):
    multicast = {"planner": {"kind": "full", "casting": "multicast"}}
    run = run_network(devices=devices(), topology=multicast, protocol=GOSSIP | {"fanout": "all"})
    first = run.flows[run.flows.src == 0].head(3)
    assert (first.end_s - first.start_s).to_numpy() == pytest.approx(np.full(3, 0.08))
    assert first.air_bits.sum() == pytest.approx(80_000)


def test_a_device_without_neighbours_trains_on_alone(run_network):
    run = run_network(
        devices=devices(), channel={"range": "0.01 m"}, topology={"planner": "agnes"},
        protocol=GOSSIP,
    )  # fmt: skip
    assert len(run.rounds) == 4
    assert len(run.trainings) >= 16
    assert run.flows.empty
    assert run.merges.empty


SPANS = {0: (0, 6, 12), 1: (5, 20), 2: (30, 39)}


def test_devices_enter_and_leave(run_network, tmp_path):
    rows = [f"{t},{device},{t},{10 * device}" for device in range(3) for t in SPANS[device]]
    (tmp_path / "walk.csv").write_text("t,id,x,y\n" + "\n".join(rows) + "\n", encoding="utf-8")
    mobility = {"kind": "csv_trace", "file": "walk.csv", "max_gap": "1 h",
                "columns": {"time": "t", "device": "id", "x": "x", "y": "y"},
                "origin": ("0 m", "0 m")}  # fmt: skip
    run = run_network(
        duration="45 s",
        data_root=str(tmp_path),
        area={"kind": "disc", "radius": "100 m"},
        devices=({"group": "walkers", "mobility": mobility,
                  "compute": {"kind": "flops", "rate": "0.7 GFLOP/s"}},),
        topology={"triggers": ("on_churn",)},
        protocol=GOSSIP,
    )  # fmt: skip
    # Each trains for 2.9 s from the instant it enters, and not after it has left.
    first = run.trainings.groupby("device").start_s.min()
    assert first.tolist() == [0.0, 5.0, 30.0]
    assert run.trainings.groupby("device").size().tolist() == [4, 5, 3]
    # Two are there together from 5 s to 12 s; they have links once a round has begun.
    both = run.flows[run.flows.outcome == "delivered"]
    assert set(zip(both.src, both.dst, strict=True)) == {(0, 1), (1, 0)}
    assert both.start_s.between(5.0, 12.0).all()
    assert run.rounds.num_trainings.sum() == 12
    assert run.rounds.t_s.max() <= 45.0


def test_a_run_ends_when_nobody_is_left(run_network):
    run = run_network(devices=devices(battery="12 J"), protocol=GOSSIP, duration="100 rounds")
    assert run.rounds.num_devices.iloc[-1] == 0
    assert 4 <= len(run.trainings) < 20
    leaves_s = run.events[run.events.kind == "battery_empty"].t_s
    assert len(leaves_s) == 4
    assert run.rounds.t_s.iloc[-1] == pytest.approx(leaves_s.max())


def test_a_departure_in_the_middle_of_sending_ends_the_wait(run_network):
    """Each trains for 4 s and then waits; one has 1 J left to send with, at 0.2 W since 2 s."""
    run = run_network(
        devices=(
            *two(),
            *devices(count=1, group="short", battery="9 J", compute=two()[0]["compute"]),
        ),
        link={"rate": {"kind": "fixed", "rate": "1 kbps"}},
        topology={"planner": "full"},
        protocol=GOSSIP | {"busy": "wait", "fanout": "all"},
        transport={"deadline": "10 min"},
        duration="200 s",
    )
    (left_s,) = run.events[run.events.kind == "battery_empty"].t_s
    assert left_s == pytest.approx(7.0, abs=0.1)
    gone = run.flows[(run.flows.src == 2) | (run.flows.dst == 2)]
    assert (gone.outcome == "aborted").all()
    assert gone.end_s.to_numpy() == pytest.approx(np.full(len(gone), left_s))
    assert run.rounds.t_s.iloc[-1] == 200.0


def test_plans_change_under_way(run_network):
    run = run_network(
        devices=devices(count=8),
        topology={
            "planner": {"kind": "random", "max_collision": 0.02},
            "triggers": ("on_start", {"kind": "every", "interval": "0.5 s"}),
        },
        protocol=GOSSIP,
        duration="6 rounds",
    )
    made = run.plans.groupby("plan").t_s.first()
    links = {plan: set(zip(rows.src, rows.dst, strict=True))
             for plan, rows in run.links.groupby("plan")}  # fmt: skip
    begins_s = run.rounds.start_s.to_numpy()
    in_force = [made[made <= begin_s].index.max() for begin_s in begins_s]
    assert len(set(in_force)) > 3
    for flow in run.flows.itertuples():
        # A round's plan holds from its begin; what is sent at that instant may be under either.
        now = np.flatnonzero(begins_s <= flow.start_s)[-1]
        plans = {in_force[now]} | ({in_force[now - 1]} if begins_s[now] == flow.start_s else set())
        assert any((flow.src, flow.dst) in links[plan] for plan in plans)
    assert len(run.flows) > 20


def test_trainings_that_take_no_time_are_told(run_network):
    pool = {"kind": "none", "payload": "80 kbit", "density": 0.1, "flops": 0.0}
    still = {"learning": {"pool": pool}, "protocol": GOSSIP}
    with pytest.raises(StandstillError, match=r"1001 rounds in a row took no time, at t = 0 s"):
        run_network(**still, duration="1 min")
    assert len(run_network(**still, duration="30 rounds").rounds) == 30
    # Where each waits for its own sendings, time goes on.
    waits = run_network(**still | {"protocol": GOSSIP | {"busy": "wait"}}, duration="2 s")
    assert len(waits.rounds) > 10


def test_both_engines_give_the_same_tables(run_network):
    changes = {
        "devices": devices(mobility={"kind": "random_waypoint", "speed": "3 m/s", "pause": "0 s"}),
        "channel": {"fading": {"kind": "rayleigh", "coherence_time": "20 ms"}},
        "link": {"rate": "shannon", "error": {"kind": "fixed", "rate": 0.1}},
        "spectrum": {"bandwidth": "50 kHz"},
        "protocol": GOSSIP | {"fanout": 2, "busy": "send"},
        "transport": {"reliability": "best_effort"},
    }
    ours, reference = (
        run_network(**changes | {"transport": {"engine": engine}})
        for engine in ("packet_train", "per_packet")
    )
    assert (ours.merges.staleness > 0).any()
    for table in SCHEMAS:
        pd.testing.assert_frame_equal(ours.table(table), reference.table(table), rtol=1e-9)
