"""Movements of ns-2: destinations, stops and interruptions, against small steps of time."""

import gzip

import numpy as np
import pytest
from trace_helpers import members_of, positions_m, presences_s

from cosim.world.mobility._source import TraceError
from cosim.world.mobility.ns2 import Ns2

HAND = """
# nodes: 3, pause: 0.00
$node_(0) set X_ 1.0
$node_(0) set Y_ 2.0
$node_(0) set Z_ 0.000000000000
$node_(1) set Y_ -5
$node_(1) set X_ 5e1   ;# anywhere
$node_(10) set X_ 0.0
$node_(10) set Y_ 0.0
$god_ set-dist 0 1 2
$ns_ at 2.0 "$node_(0) setdest 31.0 42.0 5.0"
$ns_ at 4.0 "$node_(10) setdest 100.0 0.0 10.0"
$ns_ at 5.0 "$god_ set-dist 0 1 1"
$ns at 9.0 "$node_(10) setdest 50.0 0.0 0.0"
$ns_ at 11.0 "$node_(10) setdest 50.0 30.0 3.0"
$ns_ at 11.0 "$node_(10) setdest 50.0 -30.0 3.0"
$ns_ at 20.0 "$node_(0) setdest 31.0 42.0 1.0"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.tcl").write_text(HAND, encoding="utf-8")
    return tmp_path


EXACT = Ns2(file="a.tcl", tolerance_m=0.0, origin_m=(0.0, 0.0))


def test_nodes_go_where_they_are_sent(folder):
    """Node 0 goes 50 m at 5 m/s; node 1 stands; node 10 stops at 50 m; its last order counts."""
    t_s = [0, 2, 7, 12, 100]
    assert (
        positions_m(EXACT, folder, t_s)[0].tolist() == [[1, 2], [1, 2], [16, 22]] + [[31, 42]] * 2
    )
    assert positions_m(EXACT, folder, t_s)[1].tolist() == [[50, -5]] * 5
    t_s = [4, 6.5, 9, 11, 16, 21, 1e5]
    found_m = positions_m(EXACT, folder, t_s)[2]
    assert found_m.tolist() == [[0, 0], [25, 0], [50, 0], [50, 0], [50, -15], [50, -30], [50, -30]]


def test_nodes_are_there_all_the_time(folder):
    assert presences_s(EXACT, folder) == [(0.0, np.inf)] * 3
    late = EXACT.model_copy(update={"start_s": 7.0})
    assert presences_s(late, folder) == [(0.0, np.inf)] * 3
    assert positions_m(late, folder, [0.0, 5.0])[0].tolist() == [[16, 22], [31, 42]]
    part = late.model_copy(update={"duration_s": 5.0})
    assert presences_s(part, folder) == [(0.0, 5.0)] * 3
    assert positions_m(part, folder, [0.0, 5.0, 9.0])[0].tolist() == [[16, 22], [31, 42], [31, 42]]


def test_a_cut_long_after_the_last_movement(folder):
    late = EXACT.model_copy(update={"start_s": 1e4, "duration_s": 10.0})
    assert presences_s(late, folder) == [(0.0, 10.0)] * 3
    assert positions_m(late, folder, [3.0])[:, 0].tolist() == [[31, 42], [50, -5], [50, -30]]


def test_a_node_that_comes_into_a_region_and_leaves(folder):
    """Node 10 goes along the x axis from 4 s at 10 m/s and stops in it; node 0 comes and goes."""
    cut = Ns2(file="a.tcl", region_m=(10.0, -10.0, 70.0, 34.0))
    assert presences_s(cut, folder) == [
        (0.0, np.inf),
        (pytest.approx(5.0), pytest.approx(10.0)),
        (pytest.approx(5.0), pytest.approx(11.0 + 10.0 / 3.0)),
    ]


def orders(generator, nodes, end_s):
    """Return for each node its start and its (t, x, y, speed), at multiples of 10 ms."""
    found = []
    for _ in range(nodes):
        t_s = np.sort(generator.choice(int(end_s * 100), 12, replace=False)) / 100
        to_m = generator.uniform(-200, 200, (12, 2))
        speed_mps = generator.choice([0.0, 1.0, 7.0, 40.0], 12)
        found.append((generator.uniform(-200, 200, 2), np.column_stack([t_s, to_m, speed_mps])))
    return found


def stepped_m(start_m, node_orders, end_s, step_s=0.01):
    """The oracle: go at most speed times step towards the newest destination, step by step."""
    here_m, to_m, speed_mps = np.array(start_m), np.array(start_m), 0.0
    path_m = [here_m.copy()]
    pending = [tuple(each) for each in node_orders]
    for step in range(round(end_s / step_s)):
        while pending and pending[0][0] <= step * step_s + 1e-9:
            _, x, y, speed_mps = pending.pop(0)
            to_m = np.array([x, y])
        way_m = to_m - here_m
        left_m = np.hypot(*way_m)
        if left_m > 0.0:
            here_m = here_m + way_m * min(1.0, speed_mps * step_s / left_m)
        path_m.append(here_m.copy())
    return np.array(path_m)


@pytest.mark.parametrize("by_node", [True, False])
def test_random_orders_against_small_steps_of_time(tmp_path, by_node):
    """A node may be sent on its way, stopped and sent elsewhere; statements by node or by time."""
    nodes = orders(np.random.default_rng(11), 5, 60.0)
    first, later = [], []
    for number, (start_m, node_orders) in enumerate(nodes):
        first += [f"$node_({number}) set {a}_ {v!s}" for a, v in zip("XY", start_m, strict=True)]
        for t, x, y, speed in node_orders:
            later.append((t, f'$ns_ at {t!s} "$node_({number}) setdest {x!s} {y!s} {speed!s}"'))
    if not by_node:
        later.sort(key=lambda pair: pair[0])
    text = "\n".join(first + [statement for _, statement in later])
    (tmp_path / "a.tcl").write_bytes(gzip.compress(text.encode()))
    t_s = np.arange(6001) / 100
    found_m = positions_m(EXACT, tmp_path, t_s)
    expected_m = np.stack([stepped_m(start_m, each, 60.0) for start_m, each in nodes])
    np.testing.assert_allclose(found_m, expected_m, rtol=0, atol=1e-8)
    fastest_mps = [EXACT.max_speed_mps(each) for each in members_of(EXACT, tmp_path)]
    assert fastest_mps == pytest.approx([each[:, 3].max() for _, each in nodes], rel=1e-6)


PLACED = "$node_(0) set X_ 0\n$node_(0) set Y_ 0\n"
WRONG = {
    "another statement": (
        "set val(nn) 50\n",
        r"a.tcl:1: expected `\$node_\(N\) set X_ x`.*got 'set",
    ),
    "a jump": (
        PLACED + '$ns_ at 3 "$node_(0) set X_ 5"',
        r"a.tcl:3: expected .*setdest.*got '\$ns_ at 3",
    ),
    "a half": ("$node_(0) set X_ 1\n", r"a.tcl:1: expected X_ and Y_ for node 0"),
    "X twice": ("$node_(0) set X_ 1\n$node_(0) set X_ 1\n", r"a.tcl:2: .*X_ of node 0 once"),
    "an unknown node": (
        PLACED + '$ns_ at 1 "$node_(7) setdest 1 2 3"',
        r"a.tcl:3: expected X_ and Y_ of node 7 before its first setdest",
    ),
    "time goes back": (
        PLACED + '$ns_ at 5 "$node_(0) setdest 9 9 1"\n$ns_ at 4 "$node_(0) setdest 1 2 3"',
        r"a.tcl:4: expected times that do not decrease for node 0, got 4 s after 5 s",
    ),
    "a speed below 0": (PLACED + '$ns_ at 5 "$node_(0) setdest 9 9 -1"', r"a.tcl:3: .*speed = -1"),
    "NaN": (PLACED + '$ns_ at 5 "$node_(0) setdest nan 9 1"', r"a.tcl:3: expected finite"),
    "no number": ("$node_(0) set X_ one\n", r"a.tcl:1: expected a number for X_, got 'one'"),
    "NaN at first": ("$node_(0) set X_ nan\n", r"a.tcl:1: expected a finite X_ for node 0"),
    "nothing": ("# no node\n", r"a.tcl: expected positions of nodes, got none"),
    "no lines": ("x" * 70000, r"a.tcl:1: expected lines of text shorter than"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_its_place(tmp_path, case):
    text, message = WRONG[case]
    (tmp_path / "a.tcl").write_text(text, encoding="utf-8")
    with pytest.raises(TraceError, match=message):
        EXACT.num_members(tmp_path)
