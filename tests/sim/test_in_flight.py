"""A plan that changes in the middle of a round: what ends, what goes on, what is sent anew.

Devices train for 2 s and send 80 kbit in 10 packets at 1 Mbit/s, shared among a device's links.
Plans may change at every multiple of 50 ms.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_flight_helpers import ByTime

from cosim.sim.run import simulate

ENGINES = pytest.mark.parametrize("engine", ["packet_train", "per_packet"])
TABLES = ("rounds", "plans", "links", "flows", "merges", "trainings", "events")

TOGETHER, APART = (0, 0, 0), (0, 1, 2)
PAIR_01, PAIR_12 = (0, 0, 1), (0, 1, 1)


@pytest.fixture
def change(network_scenario, tmp_path):
    """Return a function that runs three devices under plans that change."""

    def run(in_flight, *plans, engine="packet_train", gateways=(), casting="unicast", **changes):
        planner = ByTime(
            starts=tuple(at_s for at_s, _ in plans),
            clusters=tuple(clusters for _, clusters in plans),
            gateways=gateways,
            casting=casting,
        )
        group = {
            "count": len(plans[0][1]),
            "mobility": {"kind": "static"},
            "compute": {"kind": "flops", "rate": "1 GFLOP/s"},
        }
        scenario = network_scenario(
            **{
                "duration": "1 rounds",
                "devices": (group,),
                "topology": {
                    "triggers": ({"kind": "every", "interval": "50 ms"},),
                    "in_flight": in_flight,
                },
                "protocol": {"kind": "clustered_dfl", "inner_rounds": 100},
                "transport": {"engine": engine},
            }
            | changes
        )
        topology = scenario.topology.model_copy(update={"planner": planner})
        scenario = scenario.model_copy(update={"topology": topology})
        return simulate(scenario, tmp_path, check=True, force=True)

    return run


def told(run):
    """Return {(src, dst): [(start, end, outcome, delivered kbit)]} of all flows."""
    found = {}
    for row in run.flows.sort_values("flow").itertuples():
        what = (round(row.start_s, 9), round(row.end_s, 9), row.outcome, row.delivered_bits / 1e3)
        found.setdefault((row.src, row.dst), []).append(what)
    return found


def merged(run):
    """Return {(device, src): weight} of all merges."""
    rows = zip(run.merges.device, run.merges.src, run.merges.weight, strict=True)
    return {(device, src): weight for device, src, weight in rows}


def round_end_s(run):
    return run.rounds.t_s.iloc[0]


@ENGINES
def test_finish_lets_transfers_go_on_and_weighs_by_the_old_plan(change, engine):
    run = change("finish", (0.0, PAIR_01), (2.05, PAIR_12), engine=engine)
    whole = [(2.0, 2.08, "delivered", 80.0)]
    assert told(run) == {(0, 1): whole, (1, 0): whole}
    assert round_end_s(run) == pytest.approx(2.08)
    assert merged(run) == {(0, 1): 0.5, (1, 0): 0.5}


@ENGINES
def test_abort_ends_what_has_no_link_at_once_and_the_round_with_it(change, engine):
    run = change("abort", (0.0, PAIR_01), (2.05, PAIR_12), engine=engine)
    part = [(2.0, 2.05, "aborted", 48.0)]  # 50 kbit are six packets and a quarter
    assert told(run) == {(0, 1): part, (1, 0): part}
    assert round_end_s(run) == pytest.approx(2.05)
    assert merged(run) == {}
    np.testing.assert_allclose(run.flows.air_bits, 50e3)
    np.testing.assert_allclose(run.flows.energy_j, 10 ** (23 / 10 - 3) * 0.05)
    notes = run.events[run.events.kind == "abort"]
    assert notes.t_s.tolist() == pytest.approx([2.05])
    assert notes.detail.tolist() == ["plan 41: 2 transfers without a link"]


@ENGINES
def test_what_keeps_its_link_goes_on_and_has_the_band_of_what_does_not(change, engine):
    """25 kbit at half of the band until 2.05 s, and the other 55 at all of it."""
    run = change("abort", (0.0, TOGETHER), (2.05, PAIR_01), engine=engine)
    found = told(run)
    whole, part = [(2.0, 2.105, "delivered", 80.0)], [(2.0, 2.05, "aborted", 24.0)]
    assert found[0, 1] == found[1, 0] == whole
    assert found[0, 2] == found[2, 0] == found[1, 2] == found[2, 1] == part
    assert round_end_s(run) == pytest.approx(2.105)
    assert merged(run) == {(0, 1): 0.5, (1, 0): 0.5}  # by the plan in force when it closes


@ENGINES
def test_migrate_sends_to_new_neighbours_and_the_round_waits_for_it(change, engine):
    run = change("migrate", (0.0, PAIR_01), (2.05, PAIR_12), engine=engine)
    part, anew = [(2.0, 2.05, "aborted", 48.0)], [(2.05, 2.13, "delivered", 80.0)]
    assert told(run) == {(0, 1): part, (1, 0): part, (1, 2): anew, (2, 1): anew}
    assert round_end_s(run) == pytest.approx(2.13)
    assert merged(run) == {(1, 2): 0.5, (2, 1): 0.5}
    notes = run.events[run.events.kind == "migrate"]
    assert notes.device.tolist() == [1, 2]


@ENGINES
def test_migrate_sends_nothing_twice_but_what_was_aborted(change, engine):
    """All are together, then 2 is not, then all are again; then 2 alone lacks something."""
    run = change(
        "migrate", (0.0, TOGETHER), (2.05, PAIR_01), (2.15, TOGETHER), engine=engine,
        devices=(
            {"count": 2, "mobility": {"kind": "static"},
             "compute": {"kind": "flops", "rate": "1 GFLOP/s"}},
            {"group": "slow", "count": 1, "mobility": {"kind": "static"},
             "compute": {"kind": "flops", "rate": "0.5 GFLOP/s"}},
        ),
    )  # fmt: skip
    found = told(run)
    assert found[0, 1] == found[1, 0] == [(2.0, 2.105, "delivered", 80.0)]
    again = [(2.0, 2.05, "aborted", 24.0), (2.15, 2.23, "delivered", 80.0)]
    assert found[0, 2] == found[1, 2] == again
    # The slow one was training: it sends when it is through, to whom it has links then.
    assert found[2, 0] == found[2, 1] == [(4.0, 4.16, "delivered", 80.0)]
    assert len(run.flows) == 8
    assert set(merged(run).values()) == {1 / 3}


@ENGINES
def test_who_still_trains_sends_over_the_links_of_then(change, engine):
    run = change("abort", (0.0, PAIR_01), (1.0, PAIR_12), engine=engine)
    assert set(told(run)) == {(1, 2), (2, 1)}
    run = change("finish", (0.0, PAIR_01), (1.0, PAIR_12), engine=engine)
    assert set(told(run)) == {(0, 1), (1, 0)}


@ENGINES
@pytest.mark.parametrize("in_flight", ["abort", "migrate"])
def test_a_round_whose_transfers_are_all_aborted_is_over(change, in_flight, engine):
    run = change(in_flight, (0.0, TOGETHER), (2.05, APART), engine=engine, duration="3 rounds")
    assert (run.flows.outcome == "aborted").all()
    assert run.rounds.t_s.tolist() == pytest.approx([2.05, 4.05, 6.05])
    assert merged(run) == {}


@ENGINES
def test_a_multicast_goes_on_for_those_who_keep_their_link(change, engine):
    run = change("abort", (0.0, TOGETHER), (2.05, PAIR_01), engine=engine, casting="multicast")
    found = told(run)
    assert found[0, 1] == found[1, 0] == [(2.0, 2.08, "delivered", 80.0)]
    assert found[0, 2] == found[1, 2] == [(2.0, 2.05, "aborted", 48.0)]
    assert found[2, 0] == found[2, 1] == [(2.0, 2.05, "aborted", 48.0)]
    # Each pays for what it was on the air: 0.08 s twice, 0.05 s once.
    np.testing.assert_allclose(run.flows.energy_j.sum(), 10 ** (23 / 10 - 3) * 0.21)
    np.testing.assert_allclose(run.flows.air_bits.sum(), 210e3)


@ENGINES
def test_migrate_goes_by_multicast_to_those_who_lack_it(change, engine):
    run = change(
        "migrate", (0.0, (0, 0, 1, 1)), (2.05, (0, 0, 0, 0)), engine=engine, casting="multicast"
    )
    found = told(run)
    # Each has half of the band until the unicast's last 30 kbit are through; then the multicast,
    # one flow to both, sends its last 50 at all of it.
    assert found[0, 1] == [(2.0, 2.11, "delivered", 80.0)]
    assert found[0, 2] == found[0, 3] == [(2.05, 2.16, "delivered", 80.0)]
    assert len(run.flows) == 12
    assert set(merged(run).values()) == {1 / 4}


@ENGINES
def test_an_exchange_needs_a_gateway_or_a_link(change, engine):
    """It goes on from 2.08 s to 2.16 s, while its ends are in one cluster or linked by gateways."""
    keys = {"engine": engine, "protocol": {"kind": "clustered_dfl", "inner_rounds": 1}}
    for clusters, has_gateways, outcome in (
        (TOGETHER, True, "delivered"),
        (APART, True, "delivered"),
        (APART, False, "aborted"),
    ):
        run = change(
            "abort", (0.0, PAIR_01), (2.1, clusters), gateways=(True, has_gateways), **keys
        )
        exchanges = run.flows[run.flows.kind == "exchange"]
        first = exchanges[exchanges.start_s < 2.0801]
        assert set(first.outcome) == {outcome}
        assert len(run.rounds) == 1


@ENGINES
def test_a_deadline_closes_a_round_before_what_is_sent_anew_is_through(change, engine):
    run = change(
        "migrate", (0.0, PAIR_01), (2.05, PAIR_12), engine=engine, duration="2 rounds",
        protocol={"kind": "clustered_dfl", "inner_rounds": 100, "round_deadline": "2.06 s",
                  "late": "stale"},
    )  # fmt: skip
    assert run.rounds.t_s.tolist() == pytest.approx([2.06, 4.12])
    assert run.rounds.num_late.tolist() == [0, 2]
    # What came late in the second round, of the first, weighs half; its own is not there yet.
    assert run.merges.staleness.tolist() == [1, 1]
    np.testing.assert_allclose(run.merges.weight, 0.25)


@ENGINES
def test_steps_of_mixing_are_sent_anew_too(change, engine):
    run = change(
        "migrate", (0.0, PAIR_01), (2.1, PAIR_12), engine=engine,
        protocol={"kind": "dfl", "mixing_steps": 2},
    )  # fmt: skip
    found = told(run)
    assert found[0, 1] == [(2.0, 2.08, "delivered", 80.0), (2.08, 2.1, "aborted", 16.0)]
    assert found[1, 2] == [(2.1, 2.18, "delivered", 80.0)]
    assert round_end_s(run) == pytest.approx(2.18)


@pytest.mark.parametrize("protocol", ["gossip", {"kind": "clustered_dfl", "inner_rounds": 1}])
def test_background_traffic_goes_on(change, protocol):
    run = change(
        "abort", (0.0, TOGETHER), (0.3, APART), duration="1 s", protocol=protocol,
        devices=(
            {"count": 3, "mobility": {"kind": "static"},
             "traffic": {"kind": "constant_rate", "rate": "64 kbps", "size": "4 kB"}},
        ),
    )  # fmt: skip
    background = run.flows[run.flows.kind == "background"]
    assert len(background) > 0
    assert not (background.outcome == "aborted").any() or (background.end_s == 1.0).all()


plans = st.lists(
    st.tuples(st.integers(36, 50), st.tuples(*[st.integers(0, 2)] * 4)), min_size=1, max_size=4
)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(plans, st.sampled_from(["abort", "migrate"]), st.sampled_from(["unicast", "multicast"]),
       st.sampled_from(["reliable", "best_effort"]), st.booleans())  # fmt: skip
def test_any_changes_of_plan_are_the_same_in_both_engines(
    change, later, in_flight, casting, reliability, has_deadline
):
    """The checks of the network are on: bits, energy, and one outcome for each transfer."""
    ticks = dict(later)
    when = [(0.0, (0, 0, 1, 1)), *((0.05 * tick, ticks[tick]) for tick in sorted(ticks))]
    protocol = {"kind": "clustered_dfl", "inner_rounds": 2}
    if has_deadline:
        protocol |= {"round_deadline": "2.15 s", "late": "stale"}
    runs = []
    for engine in ("packet_train", "per_packet"):
        runs.append(
            change(
                in_flight,
                *when,
                casting=casting,
                duration="2 rounds",
                protocol=protocol,
                transport={"engine": engine, "reliability": reliability},
                link={"error": {"kind": "fixed", "rate": 0.2}},
            )
        )
    run, reference = runs
    assert len(run.rounds) == 2
    for table in TABLES:
        pd.testing.assert_frame_equal(getattr(run, table), getattr(reference, table), rtol=1e-9)
    # Nobody weighs more than what there is, and only over links of the plan in force.
    for _, of_device in run.merges.groupby(["round", "device"]):
        assert of_device.weight.sum() < 1
        assert of_device.src.is_unique
    links = run.links.groupby("plan").apply(lambda each: set(zip(each.src, each.dst, strict=True)))
    made_s = run.plans.groupby("plan").t_s.first()
    for row in run.merges.itertuples():
        plan = made_s[made_s <= row.t_s].index.max()
        assert (row.src, row.device) in links[plan]
