"""Files that cannot be read, and files that extend others."""

import os

import pytest

from cosim.scenario.errors import ScenarioError
from cosim.scenario.files import read
from cosim.scenario.load import load


def test_missing_file_names_the_nearest(write):
    write("seed: 1\n", "quickstart.yaml")
    with pytest.raises(ScenarioError) as caught:
        load("quikstart.yaml")
    assert str(caught.value) == (
        "quikstart.yaml: expected a scenario file, got a path that does not exist; "
        "did you mean 'quickstart.yaml'?"
    )


def test_directory(write):
    write("seed: 1\n", "folder/a.yaml")
    with pytest.raises(ScenarioError) as caught:
        load("folder")
    assert str(caught.value) == (
        "folder: expected a scenario file, got a path that is a directory; it holds a.yaml"
    )


def test_no_regular_file(write, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    write("", "other")
    with pytest.raises(
        ScenarioError, match=r"pipe: expected .* got a path that is no regular file"
    ):
        load("pipe")


def test_name_too_long(write):
    write("", "other")
    with pytest.raises(ScenarioError, match="expected a readable file, got: File name too long"):
        load("x" * 300)


def test_binary_file(problems):
    assert problems(b"\x7fELF\x00\x01") == ["a.yaml: expected a YAML text file, got a binary file"]


def test_not_utf_8(problems):
    assert problems("seed: 1\nname: é\n".encode("latin-1")) == [
        "a.yaml:2:7: expected UTF-8 text, got the byte 0xe9; save the file as UTF-8"
    ]


def test_byte_order_mark_is_no_mistake(write):
    assert load(write(b"\xef\xbb\xbfseed: 5\n")).scenario.seed == 5


def test_empty_file(problems):
    assert problems("") == [
        "a.yaml:1:1: expected keys such as `name: quickstart`, got an empty file"
    ]


def test_extends_merges_mappings_and_replaces_the_rest(write):
    write(
        "seed: 1\nname: base\ntransport: {mtu: 900 B, header: 20 B}\n"
        "topology: {triggers: [on_start, {kind: every, interval: 5 s}]}\n",
        "lib/base.yaml",
    )
    child = write(
        "extends: lib/base.yaml\nname: child\ntransport: {mtu: 1 kB}\n"
        "topology: {triggers: [on_start]}\n"
    )
    loaded = load(child)
    scenario = loaded.scenario
    assert (scenario.name, scenario.seed) == ("child", 1)
    assert (scenario.transport.mtu_bytes, scenario.transport.header_bytes) == (1000.0, 20.0)
    assert len(scenario.topology.triggers) == 1
    assert [str(path) for path in loaded.files] == ["a.yaml", "lib/base.yaml"]


def test_extends_is_relative_to_the_file_that_says_so(write):
    write("seed: 7\n", "lib/deep/root.yaml")
    write("extends: deep/root.yaml\n", "lib/middle.yaml")
    assert load(write("extends: lib/middle.yaml\n")).scenario.seed == 7


def test_another_kind_replaces_the_mapping(write):
    write("channel: {fading: {kind: rayleigh, coherence_time: 2 s}}\n", "base.yaml")
    child = write("extends: base.yaml\nchannel: {fading: {kind: none}}\n")
    assert load(child).scenario.channel.fading.model_dump() == {}


def test_the_same_kind_is_merged(write):
    write("area: {kind: rectangle, width: 5 m, height: 6 m}\n", "base.yaml")
    area = load(write("extends: base.yaml\narea: {height: 7 m}\n")).scenario.area
    assert (area.width_m, area.height_m) == (5.0, 7.0)


def test_a_bare_kind_is_merged_into(write):
    write("channel: {fading: rayleigh}\n", "base.yaml")
    child = write("extends: base.yaml\nchannel: {fading: {coherence_time: 3 s}}\n")
    assert load(child).scenario.channel.fading.coherence_time_s == 3.0


def test_a_resolved_file_can_be_extended(write):
    write("channel: {carrier_hz: 2.0e9, range_m: 7.0}\n", "base.yaml")
    channel = load(write("extends: base.yaml\nchannel: {carrier: 1 GHz}\n")).scenario.channel
    assert (channel.carrier_hz, channel.range_m) == (1e9, 7.0)


def test_mistakes_are_in_the_file_that_made_them(problems, write):
    write("seed: -1\nlink: {eror: none}\n", "base.yaml")
    lines = problems("extends: base.yaml\nname: 5\n")
    assert [line.partition(" expected")[0] for line in lines] == [
        "a.yaml:2:1 name:",
        "base.yaml:1:1 seed:",
        "base.yaml:2:8 link.eror:",
    ]


def test_a_mistake_that_is_overridden_is_none(write):
    write("seed: -1\n", "base.yaml")
    assert load(write("extends: base.yaml\nseed: 3\n")).scenario.seed == 3


def test_marks_do_not_outlive_what_they_mark(write):
    write("devices:\n- {group: a, count: 1}\n- {group: b, count: 2}\n", "base.yaml")
    document, _ = read(write("extends: base.yaml\ndevices: [{group: c}]\n"))
    assert {path: mark.source for path, mark in document.marks.items()} == {
        (): "a.yaml",
        ("devices",): "a.yaml",
        ("devices", 0): "a.yaml",
        ("devices", 0, "group"): "a.yaml",
    }


def test_extends_a_missing_file(problems, write):
    write("seed: 1\n", "base.yaml")
    assert problems("seed: 1\nextends: bse.yaml\n") == [
        "a.yaml:2:1 extends: expected the path of a scenario file, got 'bse.yaml', which does not "
        "exist; did you mean 'base.yaml'?"
    ]


def test_extends_no_path(problems):
    assert problems("extends: 5\n") == [
        "a.yaml:1:1 extends: expected the path of a scenario file, got 5"
    ]


def test_extends_a_directory(problems, write):
    write("", "lib/base.yaml")
    assert problems("extends: lib\n") == [
        "a.yaml:1:1 extends: expected the path of a scenario file, got 'lib', which is a "
        "directory; it holds base.yaml"
    ]


def test_extends_itself(problems):
    assert problems("extends: a.yaml\n") == [
        "a.yaml:1:1 extends: expected a file that does not lead back here, got a.yaml -> a.yaml"
    ]


def test_extends_cycle(problems, write):
    write("\nextends: ../a.yaml\n", "lib/c.yaml")
    write("extends: lib/c.yaml\n", "b.yaml")
    assert problems("extends: b.yaml\n") == [
        "lib/c.yaml:2:1 extends: expected a file that does not lead back here, "
        "got a.yaml -> b.yaml -> lib/c.yaml -> a.yaml"
    ]


def test_extends_an_empty_file(problems, write):
    write("", "base.yaml")
    assert problems("extends: base.yaml\nseed: -1\n") == [
        "a.yaml:2:1 seed: expected at least 0, got -1",
        "base.yaml:1:1: expected keys such as `name: quickstart`, got an empty file",
    ]
