"""Waypoints of BonnMotion: one line for each node, in two or three dimensions."""

import gzip

import numpy as np
import pytest
from trace_helpers import centre_m, interpolated_m, positions_m, presences_s, random_tracks

from cosim.world.mobility import bonnmotion
from cosim.world.mobility._source import TraceError
from cosim.world.mobility.bonnmotion import Bonnmotion

EXACT = Bonnmotion(file="a.movements", tolerance_m=0.0)


@pytest.fixture
def tracks():
    """Waypoints at times that are no grid."""
    return {
        name: np.column_stack([np.sort(txy[:, 0] * 1.37), txy[:, 1:]])
        for name, txy in random_tracks(seed=9).items()
    }


def movements(tracks, height=""):
    lines = [
        " ".join(f"{t!s} {x!s} {y!s}{height}" for t, x, y in txy.tolist())
        for txy in tracks.values()
    ]
    return "\n".join(["# a comment 1 2", *lines, ""])


def check(mobility, folder, tracks):
    t_s = np.linspace(0.0, 100.0, 701)
    expected_m = [interpolated_m(txy, t_s) - centre_m(tracks) for txy in tracks.values()]
    np.testing.assert_allclose(positions_m(mobility, folder, t_s), expected_m, rtol=0, atol=1e-9)
    assert presences_s(mobility, folder) == [(0.0, np.inf)] * len(tracks)


def test_nodes_go_from_waypoint_to_waypoint_and_are_there_all_the_time(tmp_path, tracks):
    (tmp_path / "a.movements").write_text(movements(tracks), encoding="utf-8")
    check(EXACT, tmp_path, tracks)


def test_gzip_and_three_dimensions(tmp_path, tracks):
    packed = gzip.compress(movements(tracks, height=" 7.5").encode())
    (tmp_path / "a.movements.gz").write_bytes(packed)
    mobility = Bonnmotion(file="a.movements.gz", tolerance_m=0.0, dimensions=3)
    check(mobility, tmp_path, tracks)


@pytest.mark.parametrize("piece", [1, 2, 7, 64])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_lines_are_read_in_pieces(tmp_path, tracks, piece, end, monkeypatch):
    monkeypatch.setattr(bonnmotion, "_PIECE", piece)
    text = movements(tracks).rstrip("\n").replace("\n", end or "\n") + end
    (tmp_path / "a.movements").write_bytes(text.encode())
    check(EXACT, tmp_path, tracks)


def test_a_waypoint_may_stand_twice_and_a_node_may_never_move(tmp_path):
    (tmp_path / "a.movements").write_text("0 1 1 2 3 3 2 3 3 4 5 5\n3 9 -9\n", encoding="utf-8")
    named = EXACT.model_copy(update={"origin_m": (0.0, 0.0)})
    assert positions_m(named, tmp_path, [0.0, 1.0, 3.0])[0].tolist() == [[1, 1], [2, 2], [4, 4]]
    assert positions_m(named, tmp_path, [0.0, 1.0, 5.0])[1].tolist() == [[9, -9]] * 3


def test_a_region_counts_where_legs_cross_it_between_waypoints(tmp_path):
    """Across in 10 s at 20 m/s; out for good after 30 s; never in; in to stay from 45 s on."""
    text = "0 -100 0 10 100 0\n0 0 0 20 0 0 40 40 0\n0 99 99\n0 0 -100 100 0 100 200 0 0\n"
    (tmp_path / "a.movements").write_text(text, encoding="utf-8")
    cut = EXACT.model_copy(update={"region_m": (-20.0, -10.0, 20.0, 10.0)})
    expected = [(0.0, 30.0), (4.0, 6.0), (45.0, 55.0)]
    np.testing.assert_allclose(presences_s(cut, tmp_path), expected, rtol=1e-12)
    until = cut.model_copy(update={"start_s": 5.0, "duration_s": 20.0})
    np.testing.assert_allclose(presences_s(until, tmp_path), [(0.0, 1.0), (0.0, 20.0)])


WRONG = {
    "columns": (
        "0 1 1 2 2\n",
        r"a.movements:1: expected t x y again and again.*ends after x; `dim",
    ),
    "three dimensions": ("0 1 1 5 2 3 3 5\n", r"a.movements:1: "),
    "time goes back": (
        "0 0 0\n5 1 1 4 2 2\n",
        r"a.movements:2: expected times that increase for node '1', got 4 s after 5 s",
    ),
    "two places": ("5 1 1 5 2 2\n", r"a.movements:1: expected node '0' once at 5 s, got it twice"),
    "a word": ("0 1 1\n\n0 x 1\n", r"a.movements:3: expected a number for x, got 'x'"),
    "a comma": ("0,1,1\n", r"a.movements:1: expected a number for t, got '0,1,1'"),
    "no spaces": ("1" * 100, r"a.movements:1: expected numbers, got b'1111"),
    "NaN": ("0 nan 1\n", r"a.movements:1: expected finite numbers for node '0'"),
    "infinity": ("0 1 1 9 inf 1\n", r"a.movements:1: expected finite numbers for node '0'"),
    "nothing": ("# nobody\n\n", r"a.movements: expected positions of nodes, got none"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_its_place(tmp_path, case):
    text, message = WRONG[case]
    (tmp_path / "a.movements").write_text(text, encoding="utf-8")
    with pytest.raises(TraceError, match=message):
        EXACT.num_members(tmp_path)


@pytest.mark.parametrize("piece", [1, 3, 8, 100])
def test_a_comment_is_a_line_of_its_own(tmp_path, piece, monkeypatch):
    monkeypatch.setattr(bonnmotion, "_PIECE", piece)
    (tmp_path / "a.movements").write_text("  # a line\n0 1 1 #2 2 2\n", encoding="utf-8")
    with pytest.raises(TraceError, match=r"a.movements:2: expected a number for t, got '#2'"):
        EXACT.num_members(tmp_path)


def test_a_truncated_gzip(tmp_path, tracks):
    packed = gzip.compress(movements(tracks).encode())
    (tmp_path / "a.movements").write_bytes(packed[:-20])
    with pytest.raises(TraceError, match=r"a.movements:\d+: expected a whole gzip file"):
        EXACT.num_members(tmp_path)
