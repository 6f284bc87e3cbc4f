"""Controllers in whole runs: what they say is what is sent, trained, shared and written down."""

import numpy as np
import pytest
from federated_helpers import clients, federated, run_arithmetic

from cosim.learning.methods.soft import Soft

POOL = {"kind": "none", "payload": "80 kbit", "density": 0.1, "flops": 2e9}  # 800 kbit of values
CELL = {"bandwidth": "1 MHz", "domain": "per_cell", "rule": "weighted"}
NEAR_AND_FAR = (
    clients(2, group="near", mobility={"kind": "static", "position": ("10 m", "0 m")}),
    clients(2, group="far", mobility={"kind": "static", "position": ("40 m", "0 m")}),
)


def in_a_cell(control, *groups, **keys):
    """Return changes that make the small scenario a cell whose clients train alike."""
    return {
        **federated(*(groups or NEAR_AND_FAR)),
        "link": {"rate": {"kind": "shannon"}, "error": "none"},
        "spectrum": CELL,
        "control": control,
    } | keys


def updates(run):
    flows = run.table("flows")
    return flows[flows["kind"] == "update"]


def times_s(run):
    """Return the time of the longest update of each round, [rounds]."""
    sent = updates(run)
    return (sent["end_s"] - sent["start_s"]).groupby(sent["round"]).max().to_numpy()


def test_nothing_is_controlled_by_default(run_network):
    plain = run_network()
    fixed = run_network(control="fixed")
    for table in ("flows", "trainings", "rounds", "links"):
        assert plain.table(table).equals(fixed.table(table))
    assert fixed.table("controls").empty


@pytest.mark.parametrize("protocol", ["clustered_dfl", "dfl", "gossip"])
def test_fixed_densities_are_those_of_trainings_and_of_what_is_sent(run_network, protocol):
    run = run_network(
        control={"kind": "fixed", "densities": (0.1, 0.5)},
        protocol={"kind": protocol},
        topology={"planner": "full", "triggers": ("on_start",)},
    )
    said = {0: 0.1, 1: 0.5, 2: 0.1, 3: 0.5}
    trained = run.table("trainings")
    assert len(trained)
    assert (trained["density"] == trained["device"].map(said)).all()
    sent = updates(run)
    assert len(sent)
    np.testing.assert_allclose(sent["payload_bits"], 8e5 * sent["src"].map(said), rtol=1e-12)
    assert set(run.table("controls")["density"]) == {0.1, 0.5}


def test_links_share_the_band_by_the_weights(run_network):
    """Two clients side by side, weights 1 and 3: the rates are as the shares until one is done."""
    run = run_network(
        **in_a_cell(
            {"kind": "fixed", "weights": (1.0, 1.0, 3.0)},
            clients(2, mobility={"kind": "static", "position": ("30 m", "0 m")}),
            duration="1 round",
        )
    )
    sent = updates(run).set_index("src")
    slow, fast = ((sent["end_s"] - sent["start_s"])[device] for device in (1, 2))
    alone = run_network(
        **in_a_cell(
            {"kind": "fixed"},
            clients(1, mobility={"kind": "static", "position": ("30 m", "0 m")}),
            duration="1 round",
        )
    )
    # Bits in an interval: share times the rate per hertz, in which noise is over the share.
    said = run.table("controls").set_index("device")
    np.testing.assert_allclose(said["weight"][[1, 2]], [0.25, 0.75])
    assert fast == pytest.approx(said["delay_s"][2], rel=1e-9)
    whole_s = times_s(alone)[0]
    left = 1.0 - fast / said["delay_s"][1]  # of the slow one's bits, when it has the band to itself
    assert slow == pytest.approx(fast + left * whole_s, rel=1e-9)


def test_osfa_ends_all_updates_together_when_it_said(run_network):
    run = run_network(**in_a_cell({"kind": "osfa", "mean_delay": "50 ms"}, duration="6 rounds"))
    sent, said = updates(run), run.table("controls")
    ends = sent.groupby("round")["end_s"]
    assert (ends.max() - ends.min()).max() < 1e-9
    predicted_s = said.groupby("round")["delay_s"].max().to_numpy()
    np.testing.assert_allclose(times_s(run), predicted_s, rtol=1e-3)  # whole bytes are sent


def test_the_queue_counts_what_rounds_took_too_long(run_network):
    """Z <- max(Z + tau - tau_bar, 0), tau as measured; the density falls as it grows."""
    mean_s = 0.03
    run = run_network(
        **in_a_cell({"kind": "osfa", "mean_delay": f"{mean_s} s", "v": 0.5}, duration="60 rounds")
    )
    rounds = run.table("controls").groupby("round")
    queue_s = rounds["queue_s"].first().to_numpy()
    took_s = times_s(run)
    expected_s = [0.0]
    for tau_s in took_s[:-1]:
        expected_s.append(max(expected_s[-1] + tau_s - mean_s, 0.0))
    np.testing.assert_allclose(queue_s, expected_s, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(rounds["measured_s"].first()[1:], took_s[:-1], rtol=1e-12)
    density = rounds["density"].first().to_numpy()
    assert (np.diff(density)[np.diff(queue_s) > 0] < 0).all()
    assert (np.diff(queue_s) > 0).any()
    assert took_s[30:].mean() == pytest.approx(mean_s, rel=0.1)


def test_a_deadline_gives_each_its_greatest_density(run_network):
    limit_s = 0.1
    run = run_network(
        **in_a_cell({"kind": "deadline", "max_delay": f"{limit_s} s"}, duration="2 rounds")
    )
    said = run.table("controls")
    sends = said[said["device"] > 0]
    assert (updates(run)["end_s"] - updates(run)["start_s"]).max() <= limit_s * (1 + 1e-5), (
        "whole bytes are sent"
    )
    free = sends[sends["density"].between(0.0101, 0.9999)]
    assert len(free) == len(sends), "all are limited, and none by the least density"
    np.testing.assert_allclose(free["delay_s"], limit_s, rtol=1e-9)
    by_group = sends.groupby(sends["device"] <= 2)["density"].mean()
    assert by_group[True] > by_group[False], "who is near sends more"


def test_tsfa_chooses_the_rank_and_says_why(run_network):
    control = {"kind": "tsfa", "mean_delay": "100 ms", "ranks": (1, 2, 4, 8, 16)}
    run = run_network(**in_a_cell(control, duration="3 rounds"))
    events = run.table("events")
    (chosen, *rounds) = events[events["kind"] == "control"]["detail"]
    rank = int(chosen.removeprefix("rank ").partition(" ")[0])
    assert f"{rank}: " in chosen.partition("(by rank, ")[2]
    assert len(rounds) == 3
    # The scenario's 80 kbit are of its method's rank, 8, at density 0.1.
    sent = updates(run)
    density = run.table("controls").set_index(["round", "device"])["density"]
    expected = [
        8e5 * rank / 8 * density[each] for each in zip(sent["round"], sent["src"], strict=True)
    ]
    np.testing.assert_allclose(sent["payload_bits"], expected, atol=8.0)


def test_a_slower_cell_is_given_a_smaller_rank(run_network):
    def rank(mean_delay):
        control = {"kind": "tsfa", "mean_delay": mean_delay, "max_density": 0.5}
        events = run_network(**in_a_cell(control, duration="1 round")).table("events")
        told = events[events["kind"] == "control"]["detail"].iloc[0]
        return int(told.removeprefix("rank ").partition(" ")[0])

    ranks = [rank(each) for each in ("2 ms", "20 ms", "200 ms", "2 s")]
    assert ranks == sorted(ranks)
    assert ranks[0] < ranks[-1]


def test_a_methods_updates_are_as_dense_as_the_controller_says(network_scenario, tmp_path):
    """SOFT with adapters of arithmetic: as many coordinates as are asked for."""
    scenario = network_scenario(
        **in_a_cell({"kind": "fixed", "densities": (1.0, 0.25, 0.5)}, clients(2)),
        duration="3 rounds",
    )
    run, learner = run_arithmetic(scenario, tmp_path, Soft(rank=4, drop=0.9))
    size = learner._cohort.layout.size
    sent = updates(run)
    values = sent["payload_bits"] / 32
    for device, density in ((1, 0.25), (2, 0.5)):
        of_device = values[sent["src"] == device]
        assert len(of_device) == 3
        assert (of_device >= density * size).all(), "values in float32, and positions"
        assert (of_device <= density * size * 1.25 + 64).all()
