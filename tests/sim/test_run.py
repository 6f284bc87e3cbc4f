"""Whole runs of the network half: times by hand, faults, conservation, interruption."""

import numpy as np
import pandas as pd
import pytest

from cosim.results.run import Run
from cosim.sim.errors import StandstillError
from cosim.sim.observer import Observer
from cosim.sim.run import simulate

TABLES = ("rounds", "evaluations", "plans", "links", "flows", "trainings", "positions", "events")


def devices(**changes):
    group = {
        "count": 4,
        "mobility": {"kind": "static"},
        "compute": {"kind": "flops", "rate": "1 GFLOP/s", "power": "2 W"},
    }
    return (group | changes,)


def test_a_round_takes_the_time_computed_by_hand(run_network):
    run = run_network()
    # 2 GFLOP at 1 GFLOP/s, then 80 kbit to each of 3 neighbours, each at a third of 1 Mbps.
    expected_s = 2.0 + 3 * 80e3 / 1e6
    assert run.rounds.t_s.to_numpy() == pytest.approx(expected_s * np.arange(1, 5), rel=1e-12)
    assert (run.flows.outcome == "delivered").all()
    assert len(run.flows) == 4 * 4 * 3


def test_energy_of_a_run_is_power_times_time(run_network):
    run = run_network(devices=devices(radio={"tx_power": "20 dBm"}))
    train_j = 4 * 2.0 * 2.0
    # Each device shares its 0.1 W among 3 links, and all 3 are on the air for 0.24 s.
    send_j = 4 * 0.1 * 0.24
    assert run.rounds.energy_j.to_numpy() == pytest.approx(np.full(4, train_j + send_j))
    assert run.trainings.energy_j.sum() == pytest.approx(4 * train_j)
    assert run.flows.energy_j.sum() == pytest.approx(4 * send_j)


def test_flows_and_packets_tell_the_same(run_network):
    run = run_network(
        record={"packets": True},
        link={"error": {"kind": "fixed", "rate": 0.3}},
        transport={"max_attempts": 2},
    )
    by_flow = run.packets.groupby("flow")
    flows = run.flows.set_index("flow").sort_index()
    assert (by_flow.size() == flows.num_packets).all()
    assert (by_flow.num_attempts.sum() == flows.num_attempts).all()
    assert ((~run.packets.delivered).groupby(run.packets.flow).sum() == flows.num_lost).all()
    assert flows.num_lost.sum() > 0
    assert (flows.outcome == np.where(flows.num_lost > 0, "partial", "delivered")).all()
    assert run.rounds.num_lost_packets.sum() == flows.num_lost.sum()


def test_both_engines_give_the_same_run(run_network):
    changes = {
        "channel": {"fading": {"kind": "rayleigh", "coherence_time": "20 ms"}},
        "link": {"rate": "shannon", "error": {"kind": "fixed", "rate": 0.1}},
        "devices": devices(mobility={"kind": "random_waypoint", "speed": "3 m/s", "pause": "0 s"}),
        "spectrum": {"bandwidth": "200 kHz", "domain": "per_cluster"},
    }
    runs = []
    for engine in ("packet_train", "per_packet"):
        runs.append(run_network(**changes, transport={"engine": engine}))
    for table in TABLES:
        ours, reference = (getattr(run, table) for run in runs)
        pd.testing.assert_frame_equal(ours, reference, rtol=1e-9)


def test_a_device_without_neighbours_trains_alone_and_the_round_goes_on(run_network):
    run = run_network(channel={"range": "0.01 m"}, topology={"planner": "agnes"})
    assert len(run.rounds) == 4
    assert len(run.trainings) == 16
    assert len(run.flows) == 0
    assert (run.rounds.num_clusters == 4).all()


@pytest.mark.parametrize("blocks", [None, {"count": 5}, {}])
def test_a_plan_foresees_the_delay_on_the_band_that_is_used(run_network, blocks):
    """Two devices, a channel that does not change: what is planned is what happens."""
    run = run_network(
        devices=({"count": 2, "mobility": {"kind": "static"}},),
        spectrum={"bandwidth": "5 MHz", "resource_blocks": blocks},
        link={"rate": "shannon"},
        duration="1 rounds",
    )
    delay_s = (run.flows.end_s - run.flows.start_s).to_numpy()
    np.testing.assert_allclose(delay_s, run.links.predicted_delay_s.to_numpy()[:2], rtol=1e-9)


def test_rounds_that_take_no_time_are_told(run_network):
    """Alone in its cluster, with a training that is over at once."""
    pool = {"kind": "none", "payload": "80 kbit", "density": 0.1, "flops": 0.0}
    still = {
        "devices": ({"count": 1, "mobility": {"kind": "static"}},),
        "learning": {"pool": pool},
    }
    with pytest.raises(StandstillError, match=r"1001 rounds in a row took no time, at t = 0 s"):
        run_network(**still, duration="1 min")
    assert len(run_network(**still, duration="1100 rounds").rounds) == 1100


def test_a_channel_without_rate_expires_every_transfer(run_network):
    run = run_network(
        channel={"path_loss": {"kind": "log_distance", "exponent": 20.0}},
        link={"rate": "shannon"},
        transport={"deadline": "5 s"},
        duration="2 rounds",
    )
    assert (run.flows.outcome == "expired").all()
    assert run.rounds.t_s.tolist() == pytest.approx([7.0, 14.0])
    assert run.rounds.num_late.tolist() == [12, 12]


def test_late_updates_are_dropped_or_counted_less(run_network):
    protocol = {"kind": "clustered_dfl", "round_deadline": "2.1 s", "late": "stale"}
    run = run_network(protocol=protocol, duration="3 rounds")
    # The round closes 0.1 s after training, while 0.24 s of transfers are under way.
    assert run.rounds.t_s.tolist() == pytest.approx([2.1, 4.2, 6.3])
    assert run.rounds.num_late.tolist() == [0, 12, 12]
    assert (run.events[run.events.kind == "late"].detail.str.contains("no sooner than round")).all()


def test_an_empty_battery_is_out_from_the_start(run_network):
    run = run_network(
        devices=(*devices(count=3, group="lasting"), *devices(count=1, battery="0 J"))
    )
    assert set(run.trainings.device) == {0, 1, 2}
    assert (run.rounds.num_devices == 3).all()
    event = run.events[run.events.kind == "battery_empty"].iloc[0]
    assert (event.device, event.t_s) == (3, 0.0)
    assert (run.plans[run.plans.device == 3].cluster == -1).all()


def test_a_battery_that_empties_mid_transfer_aborts_it_at_that_instant(run_network):
    # Training uses 4 J; then 0.2 W on the air: empty 0.1 s into its transfers of 0.24 s.
    radio = {"tx_power": "0.2 W"}
    run = run_network(
        devices=(
            *devices(count=3, group="lasting", radio=radio),
            *devices(count=1, radio=radio, battery="4.02 J"),
        ),
        duration="2 rounds",
    )
    event = run.events[run.events.kind == "battery_empty"].iloc[0]
    assert (event.device, event.t_s) == (3, pytest.approx(2.1))
    aborted = run.flows[run.flows.outcome == "aborted"]
    assert (((aborted.src == 3) | (aborted.dst == 3)) & np.isclose(aborted.end_s, 2.1)).all()
    assert len(aborted) == 6
    assert run.rounds.num_devices.tolist() == [3, 3]


def test_a_run_ends_when_nobody_is_left(run_network):
    run = run_network(devices=devices(battery="5 J"), duration="100 rounds")
    assert len(run.rounds) == 2
    assert run.rounds.num_devices.iloc[-1] == 0


def test_a_run_may_end_at_a_time(run_network):
    run = run_network(duration="5 s")
    # Rounds of 2.24 s; the third is cut off while devices train.
    assert run.rounds.t_s.tolist() == pytest.approx([2.24, 4.48, 5.0])
    assert run.rounds.energy_j.iloc[-1] == pytest.approx(4 * 2.0 * 0.52)
    assert run.flows.end_s.max() <= 5.0


def test_exchange_goes_over_gateways_every_inner_rounds(run_network):
    run = run_network(
        topology={"planner": {"kind": "agnes", "max_collision": 0.02, "max_delay": "10 s"}},
    )
    assert (run.rounds.num_clusters == 2).all()
    exchanges = run.flows[run.flows.kind == "exchange"]
    assert set(exchanges["round"]) == {2, 4}
    clusters = run.plans.set_index("device").cluster
    crossing = clusters[exchanges.src].to_numpy() != clusters[exchanges.dst].to_numpy()
    # Each of the two gateways crosses once and spreads what it gets to its one companion.
    assert crossing.sum() == 2 * 2
    assert (~crossing).sum() == 2 * 2


def test_all_updates_of_a_round_go_over_one_plan(run_network):
    run = run_network(
        devices=devices(count=8),
        topology={
            "planner": {"kind": "random", "max_collision": 0.02},
            "triggers": ("on_start", {"kind": "every", "interval": "0.5 s"}),
        },
        duration="6 rounds",
    )
    links_of = {
        plan: set(zip(links.src, links.dst, strict=True))
        for plan, links in run.links.merge(run.plans[["plan", "t_s"]].drop_duplicates()).groupby(
            "t_s"
        )
    }
    assert len(links_of) > 12
    for record in run.rounds.itertuples():
        in_force = links_of[max(t_s for t_s in links_of if t_s <= record.start_s)]
        flows = run.flows[(run.flows["round"] == record.round) & (run.flows.kind == "update")]
        assert set(zip(flows.src, flows.dst, strict=True)) <= in_force
    assert len({frozenset(links) for links in links_of.values()}) > 1


def test_replanning_happens_at_the_triggers_times(run_network):
    run = run_network(
        topology={"triggers": ("on_start", {"kind": "every", "interval": "3 s"})},
        duration="10 s",
    )
    assert run.plans.groupby("plan").t_s.first().tolist() == [0.0, 3.0, 6.0, 9.0]
    assert run.plans.groupby("plan").trigger.first().tolist()[1:] == ["every 3 s"] * 3


def test_methods_on_one_seed_see_the_same_world(run_network):
    moving = devices(mobility={"kind": "random_waypoint", "speed": "2 m/s", "pause": "0 s"})
    runs = [
        run_network(devices=moving, duration="9 s", name=name, learning={"pool": pool})
        for name, pool in {
            "small": {"kind": "none", "payload": "8 kbit", "density": 0.1, "flops": 1e9},
            "large": {"kind": "none", "payload": "800 kbit", "density": 0.5, "flops": 3e9},
        }.items()
    ]
    assert len(runs[0].rounds) != len(runs[1].rounds)
    pd.testing.assert_frame_equal(runs[0].positions, runs[1].positions)
    t_s = np.linspace(0, 9, 50)
    gains = [run.world.gain(0, 1, t_s) for run in runs]
    assert np.array_equal(gains[0], gains[1])
    assert np.ptp(gains[0]) > 0


def test_an_interrupted_run_leaves_a_readable_folder(tmp_path, network_scenario):
    class Impatient(Observer):
        def on_round(self, record):
            if record.round == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(network_scenario(), tmp_path, observer=Impatient())
    (folder,) = tmp_path.iterdir()
    run = Run(folder)
    assert run.manifest.outcome == "interrupted"
    assert run.rounds["round"].tolist() == [1, 2]
    assert len(run.trainings) == 8


def test_rounds_begin_no_sooner_than_their_interval(run_network):
    # A round takes 2 s of training and 0.24 s on the air.
    protocol = {"kind": "clustered_dfl", "round_interval": "10 s"}
    run = run_network(protocol=protocol)
    assert run.rounds.start_s.tolist() == [0.0, 10.0, 20.0, 30.0]
    assert run.rounds.t_s.to_numpy() == pytest.approx([2.24, 12.24, 22.24, 32.24])
    # Longer rounds follow each other at once, and none begins when the time is up.
    assert run_network(
        protocol=protocol | {"round_interval": "1 s"}
    ).rounds.start_s.to_numpy() == pytest.approx([0.0, 2.24, 4.48, 6.72])
    assert run_network(protocol=protocol, duration="20 s").rounds.start_s.tolist() == [0.0, 10.0]


def test_background_traffic_is_sent_and_left_out_of_the_sums(run_network):
    traffic = {"kind": "constant_rate", "rate": "1 Mbps", "size": "10 kB"}
    groups = ({"group": "all", "count": 4, "traffic": traffic},)
    run = run_network(duration="3 s", devices=groups)
    kinds = run.flows.kind.value_counts()
    # One packet of 10 kB every 80 ms from each device, from a phase of its own.
    assert 4 * 37 <= kinds["background"] <= 4 * 38
    learned = run.flows[run.flows.kind != "background"]
    assert run.rounds.bits_sent.sum() == pytest.approx(learned.air_bits.sum(), rel=1e-12)


def test_energy_is_told_by_use(run_network):
    radio = {"amplifier_efficiency": 0.25, "receive_power": "0.1 W", "idle_power": "0.02 W"}
    groups = ({"group": "all", "count": 4, "radio": radio, "battery": "1 kJ"},)
    run = run_network(duration="2 rounds", devices=groups)
    energy, end_s = run.energy, float(run.energy.t_s[0])
    assert energy.idle_j.to_numpy() == pytest.approx(np.full(4, 0.02 * end_s))
    sent = run.flows.groupby("src").energy_j.sum()
    assert energy.transmit_j.to_numpy() == pytest.approx(sent.reindex(range(4), fill_value=0.0))
    computed = run.trainings.groupby("device").energy_j.sum()
    assert energy.compute_j.to_numpy() == pytest.approx(computed.reindex(range(4), fill_value=0.0))
    assert (energy.receive_j > 0).any()
    used = energy[["transmit_j", "receive_j", "compute_j", "idle_j"]].sum(axis=1)
    assert energy.left_j.to_numpy() == pytest.approx(1000.0 - used.to_numpy())
    assert run.rounds.energy_j.sum() == pytest.approx(used.sum())


def test_devices_enter_and_leave_with_their_trace(run_network, tmp_path):
    rows = [f"{t},{device},{t},{10 * device}" for device in range(3) for t in SPANS[device]]
    (tmp_path / "walk.csv").write_text("t,id,x,y\n" + "\n".join(rows) + "\n", encoding="utf-8")
    mobility = {"kind": "csv_trace", "file": "walk.csv", "max_gap": "1 h",
                "columns": {"time": "t", "device": "id", "x": "x", "y": "y"},
                "origin": ("0 m", "0 m")}  # fmt: skip
    run = run_network(
        duration="40 s",
        data_root=str(tmp_path),
        area={"kind": "disc", "radius": "100 m"},
        devices=({"group": "walkers", "mobility": mobility},),
        topology={"triggers": ("on_churn",)},
    )
    moves = run.events[run.events.kind.isin(["enter", "leave"])]
    told = list(zip(moves.t_s, moves.kind, moves.device, strict=True))
    assert told == [(5.0, "enter", 1), (12.0, "leave", 0), (20.0, "leave", 1),
                    (30.0, "enter", 2), (39.0, "leave", 2)]  # fmt: skip
    there = run.positions.groupby("device").t_s.agg(["min", "max"])
    assert there["min"].tolist() == [0.0, 5.0, 30.0]
    assert there["max"].tolist() == [11.0, 19.0, 38.0]
    # Nobody is there from 20 s to 30 s; the run goes on when somebody comes.
    assert not run.trainings.start_s.between(20.0, 29.999).any()
    assert (run.trainings[run.trainings.device == 2].start_s >= 30.0).all()
    assert run.trainings.device.nunique() == 3


SPANS = {0: (0, 6, 12), 1: (5, 20), 2: (30, 39)}


def test_a_multicast_goes_out_once_and_is_recorded_for_each_receiver(run_network):
    """4 devices at 1 Mbps: 80 kbit at a third of the band to each, or at all of it to all."""
    one_by_one = run_network(duration="1 rounds")
    multicast = {"planner": {"kind": "full", "casting": "multicast"}}
    at_once = run_network(duration="1 rounds", topology=multicast)
    updates = [run.flows[run.flows.kind == "update"] for run in (one_by_one, at_once)]
    assert [len(each) for each in updates] == [12, 12]
    assert (updates[0].end_s - updates[0].start_s).to_numpy() == pytest.approx(np.full(12, 0.24))
    assert (updates[1].end_s - updates[1].start_s).to_numpy() == pytest.approx(np.full(12, 0.08))
    assert updates[0].air_bits.sum() == pytest.approx(3 * updates[1].air_bits.sum())
    assert (updates[1].delivered_bits == 80_000).all()
