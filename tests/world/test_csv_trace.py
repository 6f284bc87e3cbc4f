"""Tables of positions: columns by name, rows of different devices in any order."""

import gzip

import numpy as np
import pytest
from trace_helpers import (
    by_entering,
    centre_m,
    interpolated_m,
    positions_m,
    presences_s,
    random_tracks,
)

from cosim.world.area.disc import Disc
from cosim.world.area.rectangle import Rectangle
from cosim.world.mobility._source import TraceError
from cosim.world.mobility.csv_trace import CsvTrace

EXACT = CsvTrace(file="a.csv", tolerance_m=0.0)


@pytest.fixture
def tracks():
    return random_tracks(seed=5)


def rows(tracks):
    return [(t, name, x, y) for name, txy in tracks.items() for t, x, y in txy.tolist()]


def table(rows, header="t,id,x,y", columns="{t},{name},{x},{y}", end="\n"):
    lines = [columns.format(t=t, name=name, x=x, y=y) for t, name, x, y in rows]
    return end.join([header, *lines, ""])


def check(mobility, folder, tracks):
    names = by_entering(tracks)
    first_s = tracks[names[0]][0, 0]
    t_s = np.linspace(0.0, 70.0, 500)
    expected_m = [interpolated_m(tracks[name], t_s + first_s) - centre_m(tracks) for name in names]
    np.testing.assert_allclose(positions_m(mobility, folder, t_s), expected_m, rtol=0, atol=1e-9)
    ends = [(tracks[name][0, 0] - first_s, tracks[name][-1, 0] - first_s) for name in names]
    assert presences_s(mobility, folder) == ends


def test_devices_follow_their_rows_and_time_zero_is_the_least_time(tmp_path, tracks):
    """The rows stand device by device, so the first row is not the first time."""
    assert rows(tracks)[0][0] > min(rows(tracks))[0]
    (tmp_path / "a.csv").write_text(table(rows(tracks)), encoding="utf-8")
    check(EXACT, tmp_path, tracks)


def test_rows_by_time_and_rows_by_device_are_the_same(tmp_path, tracks):
    by_time = sorted(rows(tracks), key=lambda row: row[0])
    (tmp_path / "a.csv").write_bytes(gzip.compress(table(by_time).encode()))
    check(EXACT, tmp_path, tracks)


def test_columns_have_the_names_that_are_given(tmp_path, tracks):
    """As SUMO writes its own tables; with a byte order mark, and ends of lines of elsewhere."""
    header = "﻿timestep_time;vehicle_angle; vehicle_id;vehicle_x;vehicle_y"
    text = table(rows(tracks), header, '{t};90;"{name}";{x};{y}', end="\r\n")
    (tmp_path / "a.csv").write_bytes(text.encode())
    mobility = CsvTrace.model_validate(
        {
            "file": "a.csv",
            "tolerance": "0 m",
            "delimiter": ";",
            "columns": {
                "time": "timestep_time",
                "device": "vehicle_id",
                "x": "vehicle_x",
                "y": "vehicle_y",
            },
        }
    )
    check(mobility, tmp_path, tracks)


def test_an_empty_cut_says_what_there_is(tmp_path):
    rows = [(2.0, "a", 0.0, 0.0), (4.0, "a", 0.0, 0.0), (5.0, "b", 1.0, 2.0), (6.0, "b", 3.0, -2.0)]
    (tmp_path / "a.csv").write_text(table(rows), encoding="utf-8")
    with pytest.raises(TraceError) as caught:
        CsvTrace(file="a.csv", start_s=100.0, duration_s=60.0, min_stay_s=3.0).num_members(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'a.csv'}: expected vehicles in the cut from 100 s to 160 s, x -inf to inf m, "
        "y -inf to inf m, for at least 3 s, got none; in the file, vehicles are there from 2 s to "
        "6 s, x 0 to 3 m, y -2 to 2 m"
    )


GOOD = "t,id,x,y\n0,a,0,0\n"
WRONG = {
    "no such column": (
        "time,id,x,y\n",
        r"a.csv:1: expected one column 't' or 't_s' in the first line, for the time, "
        r"got 'time', 'id', 'x', 'y'.*`columns: {time: NAME}`",
    ),
    "a column twice": ("t,id,x,x,y\n", r"a.csv:1: expected one column 'x'"),
    "another delimiter": ("t;id;x;y\n", r"a.csv:1: expected one column 'id'.*`delimiter`"),
    "nothing": (
        "",
        r"a.csv: expected one column 'id' or 'device' in .*, got an empty line",
    ),
    "no rows": ("t,id,x,y\n", r"a.csv:1: expected rows with finite times, got none"),
    "a short row": (GOOD + "1,a,0\n", r"a.csv:3: expected 4 columns, got 3"),
    "no number": (GOOD + "\n1,a,0,zero\n", r"a.csv:4: expected a number for y, got 'zero'"),
    "empty": (GOOD + "1,a,,0\n", r"a.csv:3: expected a number for x, got ''"),
    "NaN": (GOOD + "1,a,nan,0\n", r"a.csv:3: expected finite numbers for vehicle 'a'"),
    "infinite time": (GOOD + "inf,a,0,0\n", r"a.csv:3: expected finite numbers for vehicle 'a'"),
    "time goes back": (
        GOOD + "2,a,0,0\n1,a,0,0\n",
        r"a.csv:4: expected times that increase for vehicle 'a', got 1 s after 2 s",
    ),
    "twice": (GOOD + "0,a,0,0\n", r"a.csv:3: expected vehicle 'a' once at 0 s, got it twice"),
    "milliseconds": (
        GOOD + "1000,a,0,0\n",
        r"a.csv:3: expected a sample of vehicle 'a' at least every 10 s \(max_gap\)",
    ),
    "quotes": (GOOD + '1,"a,0,0\n', r"a.csv:3: expected a table, got: unexpected end of data"),
    "other bytes": (GOOD + "1,\udcff,0,0\n", r"a.csv:3: expected UTF-8 text"),
    "no lines": (GOOD + "x" * 70000, r"a.csv:3: expected lines of text shorter than"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_its_place(tmp_path, case):
    text, message = WRONG[case]
    (tmp_path / "a.csv").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(TraceError, match=message):
        EXACT.num_members(tmp_path)


def test_positions_of_a_run_are_a_trace_without_naming_columns(tmp_path):
    (tmp_path / "a.csv").write_text("t_s,device,x_m,y_m\n0,3,1,2\n2,3,5,2\n")
    replay = CsvTrace(file="a.csv", origin_m=(0.0, 0.0))
    assert positions_m(replay, tmp_path, [0.0, 1.0, 2.0]).tolist() == [[[1, 2], [3, 2], [5, 2]]]


def test_two_columns_of_one_meaning_are_a_mistake(tmp_path):
    (tmp_path / "a.csv").write_text("t,id,device,x,y\n")
    with pytest.raises(TraceError, match=r"a.csv:1: expected one column 'id' or 'device'"):
        CsvTrace(file="a.csv").num_members(tmp_path)


def test_the_largest_speed_is_that_in_the_cut(tmp_path):
    (tmp_path / "a.csv").write_text("t,id,x,y\n0,a,0,0\n1,a,90,0\n2,a,92,0\n3,a,95,0\n")
    area = Rectangle(width_m=300.0, height_m=300.0)
    assert CsvTrace(file="a.csv").survey(area, 1, tmp_path).max_speed_mps == 90.0
    assert CsvTrace(file="a.csv", start_s=1.0).survey(area, 1, tmp_path).max_speed_mps == 3.0


def test_positions_in_millimetres_are_too_fast(tmp_path):
    (tmp_path / "a.csv").write_text("t,id,x,y\n0,a,0,0\n1,a,14000,0\n2,a,0,0\n")
    message = (
        r"a.csv:4: expected speeds of at most 12000 m/s, got vehicle 'a' at 1.4e\+04 m/s from "
    )
    with pytest.raises(TraceError, match=message):
        CsvTrace(file="a.csv").num_members(tmp_path)


def test_a_survey_finds_what_comes_out_of_the_area(tmp_path):
    # The box of the L-shaped path is not in the disc, the path itself is; a longer one is not.
    (tmp_path / "a.csv").write_text("t,id,x,y\n0,a,-90,0\n1,a,0,0\n2,a,0,90\n")
    replay = CsvTrace(file="a.csv", origin_m=(0.0, 0.0))
    replay.survey(Disc(radius_m=95.0), 1, tmp_path)
    with pytest.raises(TraceError, match=r"got vehicle 'a' at \(-90 m, 0 m\) from the origin"):
        replay.survey(Disc(radius_m=85.0), 1, tmp_path)
    with pytest.raises(TraceError, match="expected at most 1 devices"):
        replay.survey(Disc(radius_m=95.0), 2, tmp_path)


def test_a_parquet_table_is_said_to_be_one(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"PAR1\x00\x01")
    message = r"a.csv: expected a trace in text, got a Parquet table; write it as CSV"
    with pytest.raises(TraceError, match=message):
        CsvTrace(file="a.csv").num_members(tmp_path)
