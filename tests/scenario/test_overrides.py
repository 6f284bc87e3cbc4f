"""Overrides from a command line and from Python."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import load, loads
from cosim.scenario.overrides import read_overrides

FILE = """\
seed: 1
channel:
  fading: {kind: rayleigh, coherence_time: 2 s}
devices:
- {group: a, count: 2}
- {group: b, count: 3}
"""


def scenario(*overrides: str):
    return loads(FILE, overrides).scenario


def lines(*overrides: str, text: str = FILE) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        loads(text, overrides)
    return str(caught.value).splitlines()


def test_values_are_yaml():
    changed = scenario("seed=0x10", "record.packets=true", "data_root=no", "transport.mtu=1 kB")
    assert changed.seed == 16
    assert changed.record.packets is True
    assert changed.data_root == "no"
    assert changed.transport.mtu_bytes == 1000.0


def test_values_may_hold_an_equals_sign():
    assert scenario("data_root=a=b").data_root == "a=b"


def test_whole_sections_and_lists():
    changed = scenario("transport={mtu: 900 B}", "devices=[{count: 7}]", "topology.triggers=[]")
    assert changed.transport.mtu_bytes == 900.0
    assert [group.count for group in changed.devices] == [7]
    assert changed.topology.triggers == ()


def test_items_of_lists():
    assert [group.count for group in scenario("devices.1.count=9").devices] == [2, 9]


def test_the_later_wins():
    assert scenario("seed=4", "seed=5").seed == 5
    assert scenario("transport={mtu: 900 B}", "transport.mtu=800 B").transport.mtu_bytes == 800.0


def test_keys_of_defaults():
    """What the file does not say is overridden within the default, which stays otherwise."""
    text = "seed: 1\n"
    changed = loads(
        text,
        [
            "topology.planner.max_collision=0.3",
            "devices.0.count=4",
            "devices.0.mobility.speed=5 m/s",
            "topology.triggers.0.kind=on_start",
        ],
    ).scenario
    plain = loads(text).scenario
    assert type(changed.topology.planner) is type(plain.topology.planner)
    assert changed.topology.planner.max_collision == 0.3
    assert changed.devices[0].count == 4
    assert changed.devices[0].mobility.speed_mps == (5.0, 5.0)
    assert changed.devices[0].mobility.pause_s == plain.devices[0].mobility.pause_s


def test_a_new_kind_drops_the_keys_of_the_old_one():
    assert scenario("channel.fading.kind=none").channel.fading.model_dump() == {}
    assert loads("seed: 1", ["devices.0.mobility.kind=static"]).scenario.num_devices == 8


@pytest.mark.parametrize("order", [1, -1])
def test_a_new_kind_keeps_the_keys_of_other_overrides(order):
    overrides = ["channel.path_loss.kind=log_distance", "channel.path_loss.exponent=3.5"][::order]
    text = "channel: {path_loss: {kind: free_space}}\n"
    assert loads(text, overrides).scenario.channel.path_loss.exponent == 3.5


def test_the_same_kind_keeps_its_keys():
    assert scenario("channel.fading.kind=rayleigh").channel.fading.coherence_time_s == 2.0


def test_a_bare_kind_can_be_reached_into():
    changed = loads("channel: {fading: rayleigh}\n", ["channel.fading.coherence_time=3 s"])
    assert changed.scenario.channel.fading.coherence_time_s == 3.0


def test_resolved_keys_are_the_same_keys():
    text = "channel: {carrier_hz: 2.0e9}\n"
    assert loads(text, ["channel.carrier=1 GHz"]).scenario.channel.carrier_hz == 1e9
    assert (
        loads("channel: {carrier: 2 GHz}\n", ["channel.carrier_hz=1e9"]).scenario.channel.carrier_hz
        == 1e9
    )


def test_unknown_key():
    assert lines("channel.carier=5 GHz") == [
        "override channel.carier=5 GHz: expected one of carrier, path_loss, shadowing, fading, "
        "delay_profile, range, "
        "sample_interval, got the unknown key 'carier'; did you mean 'carrier'?"
    ]


def test_unknown_key_on_the_way():
    (line,) = lines("chanel.carrier=5 GHz")
    assert line.startswith("override chanel.carrier=5 GHz: chanel: expected one of name, seed, ")
    assert line.endswith(", got the unknown key 'chanel'; did you mean 'channel'?")


def test_wrong_value():
    assert lines("channel.carrier=5") == [
        "override channel.carrier=5: expected a frequency with its unit (Hz, kHz, MHz, GHz), "
        "got the bare number 5"
    ]


def test_wrong_value_inside_what_is_given():
    assert lines("transport={mtu: 5}") == [
        "override transport={mtu: 5}: transport.mtu: expected an amount of data with its unit "
        "(B, kB, MB, GB, KiB, MiB), got the bare number 5"
    ]


def test_index_that_is_not_there():
    assert lines("devices.2.count=1") == [
        "override devices.2.count=1: expected an index of devices (0 to 1), got '2'"
    ]
    assert lines("plots.0=x") == [
        "override plots.0=x: expected an index of plots (none, because the list is empty), got '0'"
    ]


def test_name_for_an_index():
    assert lines("devices.a.count=1") == [
        "override devices.a.count=1: expected an index of devices (0 to 1), got 'a'"
    ]


def test_key_below_a_value():
    assert lines("seed.x=1") == [
        "override seed.x=1: expected a key, got 'x' below seed, which is 1"
    ]


@pytest.mark.parametrize("text", ["foo", "=5", "a..b=1", ""])
def test_no_assignment(text):
    assert lines(text) == [
        f"override: expected key=value, such as learning.local.steps=5, got {text!r}"
    ]


def test_value_that_is_no_yaml():
    assert lines("seed=[1") == [
        "override seed=[1: expected ',' or ']' to go on with or close what opens at 1:1, "
        "got the end of the file"
    ]


def test_mapping_from_python():
    overrides = {
        "learning.local.steps": np.int64(5),
        "learning.local.lr": np.float64(0.25),
        "channel.carrier": "5 GHz",
        "data_root": Path("somewhere"),
        "devices": [{"count": 3, "mobility": {"kind": "static"}}],
        "topology.triggers": ["on_start"],
    }
    changed = loads(FILE, overrides).scenario
    assert (changed.learning.local.steps, changed.learning.local.lr) == (5, 0.25)
    assert changed.channel.carrier_hz == 5e9
    assert changed.data_root == "somewhere"
    assert changed.num_devices == 3


def test_mapping_takes_validated_kinds():
    fading = loads(FILE).scenario.channel.fading
    changed = loads("seed: 1", {"channel.fading": fading}).scenario
    assert changed.channel.fading == fading


def test_mapping_text_is_text():
    """Python values have types already: a text is not read as YAML."""
    with pytest.raises(ScenarioError, match="expected a whole number, got '5'"):
        loads(FILE, {"seed": "5"})


def test_mapping_value_of_a_foreign_type():
    with pytest.raises(ScenarioError) as caught:
        loads(FILE, {"seed": Fraction(5)})
    assert str(caught.value) == (
        "override seed=Fraction(5, 1): expected a whole number, got Fraction(5, 1)"
    )


def test_one_text_is_one_override():
    read, problems = read_overrides("seed=5")
    assert not problems
    assert [(each.path, each.value) for each in read] == [(("seed",), 5)]


def test_loaded_keeps_what_was_overridden(write):
    assert load(write(FILE), ["seed=3"]).overrides == ("seed=3",)
