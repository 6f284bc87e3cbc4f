import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cosim.results.tables import SCHEMAS, Recorder, TableError

EVENT = {"t_s": 1.5, "kind": "late", "device": 3, "detail": "round 2"}
POSITION = {"t_s": 0.0, "device": 1, "x_m": 2.0, "y_m": 3.0}


def test_tables_have_the_columns_that_other_tools_rely_on():
    promised = {
        "rounds": "round t_s loss_mean bits_sent bits_delivered energy_j num_clusters "
        "collision_rate num_late num_lost_packets num_trainings num_merged staleness_mean",
        "merges": "round t_s device src sent_round staleness weight",
        "evaluations": "round t_s device task own accuracy loss",
        "plans": "plan t_s trigger device cluster is_gateway density",
        "links": "plan src dst power_w mean_gain_db predicted_delay_s",
        "flows": "flow round kind src dst start_s end_s payload_bits num_packets num_attempts "
        "num_lost num_unsent outcome energy_j",
        "packets": "flow packet start_s end_s num_attempts delivered",
        "trainings": "device round start_s end_s num_tokens flops loss energy_j",
        "energy": "t_s device transmit_j receive_j compute_j idle_j left_j",
        "positions": "t_s device x_m y_m",
        "controls": "round t_s device density weight queue_s delay_s measured_s",
        "events": "t_s kind device detail",
        "measures": "round t_s device cluster collision_predicted collision_rate product_collision "
        "orthogonality aggregation_gap covariance_term kept_cosine kept_fraction forgetting flops "
        "bits_sent",
        "layers": "round t_s device layer trained_a trained_b sent_a sent_b",
    }
    assert promised.keys() == SCHEMAS.keys()
    for name, columns in promised.items():
        assert set(columns.split()) <= set(SCHEMAS[name].names), name


def test_rows_and_arrays_come_back_in_order_with_their_values(tmp_path):
    with Recorder(tmp_path) as recorder:
        recorder.add("positions", **POSITION)
        recorder.extend("positions", t_s=1.0, device=[4, 5], x_m=[0.1, 0.2], y_m=np.array([8, 9]))
        recorder.extend("positions", t_s=[2.0], device=6, x_m=0.3, y_m=0.4)
        recorder.add("positions", **(POSITION | {"device": 7}))
    table = pd.read_parquet(tmp_path / "positions.parquet")
    assert table["device"].tolist() == [1, 4, 5, 6, 7]
    assert table["t_s"].tolist() == [0.0, 1.0, 1.0, 2.0, 0.0]
    assert table["y_m"].tolist() == [3.0, 8.0, 9.0, 0.4, 3.0]


def test_every_table_is_written_with_its_schema_even_if_empty(tmp_path):
    with Recorder(tmp_path) as recorder:
        recorder.add("events", **EVENT)
    for name, schema in SCHEMAS.items():
        written = pq.read_schema(tmp_path / f"{name}.parquet")
        assert written.remove_metadata().equals(schema), name
        assert len(pd.read_parquet(tmp_path / f"{name}.parquet")) == (name == "events")


def test_the_number_of_row_groups_changes_nothing_but_memory(tmp_path):
    tables = []
    for group_rows in (1, 7, 1 << 17):
        folder = tmp_path / str(group_rows)
        folder.mkdir()
        with Recorder(folder, group_rows=group_rows) as recorder:
            for i in range(25):
                recorder.add("events", **(EVENT | {"device": i}))
                recorder.extend("positions", t_s=float(i), device=range(i), x_m=0.5, y_m=0.25)
        tables.append([pd.read_parquet(folder / f"{n}.parquet") for n in ("events", "positions")])
    for other in tables[1:]:
        for table, expected in zip(other, tables[0], strict=True):
            pd.testing.assert_frame_equal(table, expected)
    assert pq.ParquetFile(tmp_path / "7" / "events.parquet").num_row_groups == 4


def test_waiting_rows_stay_bounded(tmp_path):
    recorder = Recorder(tmp_path, group_rows=100)
    for i in range(1000):
        recorder.extend("positions", t_s=float(i), device=range(30), x_m=0.0, y_m=0.0)
        assert recorder._tables["positions"]._num_rows < 130
    recorder.close()
    assert len(pd.read_parquet(tmp_path / "positions.parquet")) == 30_000


def test_a_recorder_that_is_never_closed_leaves_no_broken_table(tmp_path):
    recorder = Recorder(tmp_path, group_rows=2)
    for _ in range(9):
        recorder.add("events", **EVENT)  # four row groups are on disk, without a footer
    assert list(tmp_path.glob("*.parquet")) == []
    assert [path.name for path in tmp_path.iterdir()] == ["events.parquet.part"]


def test_after_an_error_what_was_recorded_is_readable(tmp_path):
    def fail():
        with Recorder(tmp_path) as recorder:
            recorder.add("events", **EVENT)
            raise RuntimeError("device 3 diverged")

    with pytest.raises(RuntimeError):
        fail()
    assert pd.read_parquet(tmp_path / "events.parquet")["detail"].tolist() == ["round 2"]


def test_arrays_may_change_after_they_were_given(tmp_path):
    t_s = np.array([1.0, 2.0])
    with Recorder(tmp_path) as recorder:
        recorder.extend("positions", t_s=t_s, device=[0, 1], x_m=0.0, y_m=0.0)
        t_s[:] = 99.0
    assert pd.read_parquet(tmp_path / "positions.parquet")["t_s"].tolist() == [1.0, 2.0]


def test_nan_is_a_number_and_none_is_refused(tmp_path):
    recorder = Recorder(tmp_path)
    recorder.add("positions", **(POSITION | {"x_m": float("nan")}))
    recorder.add("positions", **(POSITION | {"x_m": None}))
    with pytest.raises(TableError, match=r"positions\.x_m: expected no empty value, got None"):
        recorder.close()


@pytest.mark.parametrize(
    ("table", "row", "message"),
    [
        ("flwos", EVENT, "got the table 'flwos'"),
        ("events", EVENT | {"devise": 1}, r"events: no column 'devise'; did you mean 'device'\?"),
        ("events", {"t_s": 0.0, "kind": "plan"}, "events: missing device, detail"),
    ],
)
def test_wrong_names_are_told(tmp_path, table, row, message):
    recorder = Recorder(tmp_path)
    with pytest.raises(TableError, match=message):
        recorder.add(table, **row)
    with pytest.raises(TableError, match=message):
        recorder.extend(table, **row)


@pytest.mark.parametrize("way", ["add", "extend"])
@pytest.mark.parametrize(
    ("column", "value"), [("device", 1.5), ("device", "three"), ("x_m", "wide")]
)
def test_wrong_types_are_told(tmp_path, way, column, value):
    recorder = Recorder(tmp_path)
    if way == "add":
        recorder.add("positions", **(POSITION | {column: value}))
    else:
        recorder.extend("positions", **(POSITION | {"y_m": [0.0]} | {column: [value]}))
    with pytest.raises(TableError, match=rf"positions\.{column}: expected"):
        recorder.close()


def test_arrays_of_different_lengths_are_told(tmp_path):
    recorder = Recorder(tmp_path)
    with pytest.raises(TableError, match=r"device\[2\], x_m\[3\]"):
        recorder.extend("positions", t_s=0.0, device=[1, 2], x_m=[1.0, 2.0, 3.0], y_m=0.0)
    with pytest.raises(TableError, match="expected arrays"):
        recorder.extend("positions", **POSITION)


def test_a_closed_recorder_takes_nothing_more(tmp_path):
    recorder = Recorder(tmp_path)
    recorder.close()
    recorder.close()
    recorder.add("events", **EVENT)
    with pytest.raises(TableError, match="closed"):
        recorder.close()
