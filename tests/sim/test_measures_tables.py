"""The tables `measures` and `layers` of whole runs."""

import numpy as np
import pandas as pd
import pytest

from cosim.boundary import Evaluation
from cosim.plugin import scenarios_dir
from cosim.results.tables import SCHEMAS
from cosim.scenario.load import load
from cosim.sim.measures import MeasureBooks
from cosim.sim.run import simulate

OF_ADAPTERS = [
    "orthogonality",
    "product_collision",
    "aggregation_gap",
    "covariance_term",
    "kept_cosine",
    "kept_fraction",
]
SHORT = {
    "duration": "5 rounds",
    "learning.local.steps": 2,
    "learning.local.batch": 2,
    "learning.method.warmup_steps": 2,
    "evaluate.examples": 2,
    "evaluate.every": "2 rounds",
    "protocol.inner_rounds": 2,
    "plots": [],
}


def test_without_them_there_is_no_row(run_network):
    run = run_network()
    assert run.measures.empty
    assert run.layers.empty


def test_a_run_without_a_model_has_what_the_network_knows(run_network):
    run = run_network(
        record={"measures": True}, evaluate={"every": "2 rounds"}, duration="4 rounds"
    )
    rows = run.measures
    assert rows["round"].tolist() == [0] * 4 + [2] * 4 + [4] * 4
    assert rows[OF_ADAPTERS].isna().all().all()
    assert rows["forgetting"].isna().all()
    assert run.layers.empty
    assert (rows["num_merged"] == 0).all()
    before, after = rows[rows["round"] == 0], rows[rows["round"] > 0]
    assert (before["cluster"] == -1).all()
    assert (before[["num_devices", "flops", "bits_sent"]] == [1, 0, 0]).all().all()
    # One clique of four with density 0.1 each, P1 (16); two trainings and 3 updates in each.
    wanted = 1 - 0.9**4 - 4 * 0.1 * 0.9**3
    np.testing.assert_allclose(after["collision_predicted"], wanted)
    np.testing.assert_allclose(after["collision_rate"], wanted)
    assert (after["flops"] == 2 * 2e9).all()
    np.testing.assert_allclose(after["bits_sent"], 2 * 3 * 80e3)


def test_forgetting_is_what_a_device_was_better_at_once():
    class NoLearner:
        def measure(self, clusters):
            assert clusters == [[3], [1]]
            return {}

    def told(*accuracies):
        rows = [(3, "a"), (3, "b"), (1, "a"), (1, "b")]
        return [Evaluation(d, t, True, x, 0.0) for (d, t), x in zip(rows, accuracies, strict=True)]

    books = MeasureBooks(4)
    found = []
    for accuracies in ((0.5, 0.2, 0.5, 0.5), (0.9, 0.1, 0.5, 0.5), (0.6, 0.4, 0.0, 0.5)):
        tables = books.take(NoLearner(), [3, 1], None, told(*accuracies))
        found.append(tables["measures"]["forgetting"])
    np.testing.assert_allclose(found, [[0, 0], [0.05, 0], [0.15, 0.25]])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The quickstart, short, with measures and without."""
    path = scenarios_dir() / "quickstart.yaml"
    made = []
    for measures in (True, False):
        scenario = load(path, SHORT | {"record.measures": measures}).scenario
        made.append(simulate(scenario, tmp_path_factory.mktemp("runs"), check=True))
    return made


def test_measuring_changes_nothing_else(runs):
    for table in SCHEMAS.keys() - {"measures", "layers"}:
        one, other = (run.table(table) for run in runs)
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_measures_agree_with_the_other_tables(runs):
    run, rows = runs[0], runs[0].measures
    assert sorted(set(rows["round"])) == [0, 2, 4, 5]
    assert rows["flops"].sum() == pytest.approx(run.trainings["flops"].sum())
    assert rows["bits_sent"].sum() == pytest.approx(run.rounds["bits_sent"].sum())
    by_round = run.rounds.set_index("round")["collision_rate"]
    for round, group in rows[rows["round"] > 0].groupby("round"):
        clusters = group[group["num_devices"] > 1].groupby("cluster")["collision_rate"].mean()
        assert clusters.mean() == pytest.approx(by_round[round])
    last = rows[(rows["round"] == 5) & (rows["num_devices"] > 1)]
    assert not last.empty
    assert np.isfinite(last[OF_ADAPTERS]).all().all()
    assert (last["orthogonality"] < 0.5).all()  # of distinct random A
    assert (last["aggregation_gap"] > 0.1).all()


def test_layers_have_the_density_of_the_trainings(runs):
    run = runs[0]
    layers = run.layers
    last = layers[(layers["round"] == 5) & (layers["device"] == 0)]
    assert len(last) == 28
    assert (last[["trained_a", "sent_a"]] == 0).all().all()
    sizes = np.array([512 if "gate" in n or "up" in n else 128 for n in last["layer"]])
    sizes[[("k_proj" in name) or ("v_proj" in name) for name in last["layer"]]] = 64
    wanted = run.trainings[run.trainings["device"] == 0]["density"].iloc[-1]
    assert np.average(last["trained_b"], weights=sizes) == pytest.approx(wanted)
    assert np.average(last["sent_b"], weights=sizes) == pytest.approx(wanted)
