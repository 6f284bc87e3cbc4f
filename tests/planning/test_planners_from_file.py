"""Topologies from files: what is planned, and what is said of files that cannot be used."""

import json
from dataclasses import replace
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_oracle import clusters_of, make_view, views

from cosim.planning.edge_list import read_edges
from cosim.planning.planners.from_file import FromFile
from cosim.world.errors import WorldError


def all_in_range(n):
    return make_view(n, dict.fromkeys(combinations(range(n), 2), 1e-9))


def written(tmp_path, text, name="edges.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def edges(plan):
    return {(i, j) for i, j in zip(plan.links.src, plan.links.dst, strict=True) if i < j}


def wrong(tmp_path, text, name="edges.csv", num_devices=5):
    path = written(tmp_path, text, name)
    with pytest.raises(WorldError) as caught:
        read_edges(path, num_devices)
    return str(caught.value).removeprefix(str(path))


def test_edges_are_links_both_ways_and_components_are_clusters(tmp_path):
    path = written(tmp_path, "src,dst\n1,0\n3,2\n0,1\n")
    plan = FromFile(file=str(path)).plan(all_in_range(5))
    assert edges(plan) == {(0, 1), (2, 3)}
    assert len(plan.links.src) == 4
    assert clusters_of(plan) == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4})}
    assert f"not in {path}: device 4" in plan.reasons
    assert len(plan.gateways.src) == 6  # three clusters, all in range


def test_clusters_of_the_file_go_before_components(tmp_path):
    path = written(tmp_path, "src,dst,cluster\n4,3,b\n0,1,a\n2,5,a\n")
    plan = FromFile(file=str(path)).plan(all_in_range(7))
    assert plan.cluster.tolist() == [0, 0, 0, 1, 1, 0, 2]
    assert edges(plan) == {(0, 1), (2, 5), (3, 4)}


def test_csv_and_json_say_the_same(tmp_path):
    rows = [{"src": 0, "dst": 1, "cluster": "w"}, {"src": 3, "dst": 2, "cluster": 7}]
    as_json = written(tmp_path, json.dumps(rows, indent=1), "edges.json")
    columns = "\ufeffdst, src, cluster\r\n1,0,w\r\n\r\n 2 ,3, 7\r\n"
    as_csv = written(tmp_path, columns)
    assert read_edges(as_json, 4) == read_edges(as_csv, 4)
    assert read_edges(as_csv, 4).pairs == ((0, 1), (2, 3))
    assert read_edges(as_csv, 4).label == {0: "w", 1: "w", 2: "7", 3: "7"}


def test_the_file_is_looked_up_under_data_root(tmp_path):
    written(tmp_path, "src,dst\n0,2\n")
    view = replace(all_in_range(3), data_root=tmp_path)
    planner = FromFile(file="edges.csv")
    planner.survey(3, tmp_path)
    assert edges(planner.plan(view)) == {(0, 2)}
    with pytest.raises(WorldError, match=r":2: expected dst to be a device from 0 to 1, got '2'"):
        planner.survey(2, tmp_path)


def test_out_of_range_and_dead_devices_have_no_link(tmp_path):
    path = written(tmp_path, "src,dst\n0,1\n1,2\n2,3\n")
    alive = np.array([True, True, True, False])
    view = make_view(4, {(0, 1): 1e-9, (0, 2): 1e-9}, alive=alive)
    plan = FromFile(file=str(path)).plan(view)
    assert edges(plan) == {(0, 1)}
    assert plan.cluster.tolist() == [0, 0, 1, -1]
    assert plan.reasons[0] == f"out of reach in {path}: 1-2"
    back = FromFile(file=str(path)).plan(all_in_range(4))
    assert edges(back) == {(0, 1), (1, 2), (2, 3)}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(views(), st.integers(0, 2**32 - 1), st.booleans())
def test_links_are_the_file_s_edges_in_range(tmp_path_factory, view, seed, has_clusters):
    n = view.num_devices
    if n < 2:
        return
    rng = np.random.default_rng(seed)
    half = rng.permutation(n) % 2  # an edge joins devices of one half
    rows = [(i, j) for i, j in combinations(range(n), 2) if half[i] == half[j] or not has_clusters]
    rows = [rows[k] for k in rng.permutation(len(rows))[: rng.integers(1, n + 1)]]
    if not rows:
        return
    if has_clusters:
        text = "src,dst,cluster\n" + "".join(f"{i},{j},{half[i]}\n" for i, j in rows)
    else:
        text = "src,dst\n" + "".join(f"{j},{i}\n" for i, j in rows)
    path = written(tmp_path_factory.mktemp("edges"), text)
    plan = FromFile(file=str(path)).plan(view)
    in_range = set(zip(view.low.tolist(), view.high.tolist(), strict=True))
    assert edges(plan) == set(rows) & in_range
    assert ((plan.cluster >= 0) == view.alive).all()
    same = {(i, j) for i, j in combinations(np.flatnonzero(view.alive), 2) if half[i] == half[j]}
    if has_clusters:
        listed = {device for row in rows for device in row}
        expected = {(i, j) for i, j in same if {i, j} <= listed}
    else:
        graph = nx.Graph(edges(plan))
        parts = nx.connected_components(graph)
        expected = {pair for part in parts for pair in combinations(sorted(part), 2)}
    together = combinations(np.flatnonzero(view.alive), 2)
    assert {(i, j) for i, j in together if plan.cluster[i] == plan.cluster[j]} == expected


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(
        WorldError, match=r"none\.csv: expected a CSV or JSON file with edges, got No"
    ):
        read_edges(tmp_path / "none.csv", 3)
    (tmp_path / "bytes.csv").write_bytes(b"src,dst\n\xff,1\n")
    with pytest.raises(WorldError, match="got bytes that are not UTF-8"):
        read_edges(tmp_path / "bytes.csv", 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: expected src, dst and perhaps cluster, got no src and no dst"),
        ("src,dst\n", ": expected edges, got none"),
        ("0,1\n1,2\n", ":1: expected src, dst and perhaps cluster, got '0' as well"),
        ("src,dst,clster\n", "got 'clster' as well; did you mean 'cluster'?"),
        ("src,src,dst\n", ":1: expected src, dst and perhaps cluster, got 'src' again"),
        ("src,dst\n0,1\n\n2\n", ":4: expected 2 columns (src,dst), got 1"),
        ("src,dst\n0,1\n2,5\n", ":3: expected dst to be a device from 0 to 4, got '5'"),
        ("src,dst\n-1,1\n", ":2: expected src to be a device from 0 to 4, got '-1'"),
        ("src,dst\n,1\n", ":2: expected src to be a device from 0 to 4, got ''"),
        ("src,dst\n1.0,1\n", ":2: expected src to be a device from 0 to 4, got '1.0'"),
        ("src,dst\n0,1\n2,2\n", ":3: expected two devices, got 2 with itself"),
        (
            "src,dst\n0,1\n1,0\n0,1\n",
            ":4: expected each edge once, or once each way, got 0,1 again (line 2)",
        ),
        (
            "src,dst,cluster\n0,1,a\n2,3,\n",
            ":3: expected a cluster with every edge or with none, got none, and one in line 2",
        ),
        (
            "src,dst,cluster\n0,1,a\n1,3,b\n",
            ":3: expected device 1 in one cluster, got 'b' and 'a' (line 2)",
        ),
    ],
)
def test_mistakes_in_csv_are_named_with_their_line(tmp_path, text, message):
    found = wrong(tmp_path, text)
    assert message in found
    assert found.startswith(":")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: expected '[', got the end of the file"),
        ('{"src": 0}', ":1: expected '[', got '{'"),
        ("[]", ": expected edges, got none"),
        ("[\n7]", ':2: expected an edge such as {"src": 0, "dst": 1}, got 7'),
        ('[{"src": 0}]', ":1: expected src, dst and perhaps cluster, got no dst"),
        (
            '[\n{"src": 0, "dst": 1},\n{"src": 0, "dst": }]',
            ":3: expected JSON, got: Expecting value",
        ),
        ('[{"src": 0, "dst": 1},\n', ":2: expected JSON, got: Expecting value"),
        ('[{"src": 0, "dst": 1}\n', ":2: expected ',' or ']', got the end of the file"),
        ('[{"src": 0, "dst": 1}]\n\n[', ":3: expected nothing after the list, got more"),
        ('[\n{"src": 0, "dst": true}]', ":2: expected dst to be a device from 0 to 4, got true"),
        ('[\n{"src": 0, "dst": 1.0}]', ":2: expected dst to be a device from 0 to 4, got 1.0"),
        ('[{"src": 0, "dst": 1, "cluster": []}]', ":1: expected cluster to be a name or a number"),
        ('[{"src": ' + "9" * 5000 + ', "dst": 1}]', ":1: expected JSON, got: Exceeds the limit"),
    ],
    ids=range(13),
)
def test_mistakes_in_json_are_named_with_their_line(tmp_path, text, message):
    assert wrong(tmp_path, text, "edges.json").startswith(message)
