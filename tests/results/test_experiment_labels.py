"""Labels: only what differs, and never the same twice."""

import pytest

from cosim.results.labels import labels
from cosim.scenario.load import loads
from cosim.scenario.tree import Scenario

QUIET = "learning: {pool: none}\n"


def labelled(*overrides: str) -> list[str]:
    return labels(
        [loads(QUIET, words.split("; ") if words else []).scenario for words in overrides]
    )


FORMS = {
    "one": (("",), ["scenario"]),
    "a kind": (("learning.method=lora", ""), ["method=lora", "method=sparse_orthogonal"]),
    "kinds do not tell their own keys": (
        ("learning.method=lora", "learning.method={kind: lori, density: 0.3}"),
        ["method=lora", "method=lori"],
    ),
    "unless those of one kind differ in them": (
        ("learning.method=lora", "learning.method=lori", "learning.method={kind: lori, rank: 4}"),
        ["method=lora", "method=lori, rank=8", "method=lori, rank=4"],
    ),
    "a unit": (
        ("spectrum.bandwidth=125 kHz", "spectrum.bandwidth=0.01 GHz"),
        ["bandwidth=125 kHz", "bandwidth=10 MHz"],
    ),
    "more digits where three are not enough": (
        ("spectrum.bandwidth=1.2345 MHz", "spectrum.bandwidth=1.2346 MHz"),
        ["bandwidth=1234500 Hz", "bandwidth=1234600 Hz"],
    ),
    "decibels": (
        ("devices.0.radio.tx_power=0 dBm", "devices.0.radio.tx_power=23 dBm"),
        ["tx_power=0 dBm", "tx_power=23 dBm"],
    ),
    "a range": (
        ("devices.0.mobility.speed=1 m/s", "devices.0.mobility.speed=[1 m/s, 3 m/s]"),
        ["speed=1 m/s", "speed=[1, 3] m/s"],
    ),
    "one name for two keys": (
        ("devices=[{group: a, count: 2}, {group: b, count: 2}]",
         "devices=[{group: a, count: 3}, {group: b, count: 2}]",
         "devices=[{group: a, count: 3}, {group: b, count: 4}]"),
        ["devices.0.count=2, devices.1.count=2", "devices.0.count=3, devices.1.count=2",
         "devices.0.count=3, devices.1.count=4"],
    ),
    "a whole number, none, a truth and a length": (
        ("transport.parallel=1; record.packets=true; duration=3 rounds", "duration=2 min"),
        ["duration=3 rounds, parallel=1, packets=true",
         "duration=120.0 s, parallel=none, packets=false"],
    ),
    "items of a list": (
        ("topology.triggers=[on_start]", "topology.triggers=[on_churn]"),
        ["triggers.0=on_start", "triggers.0=on_churn"],
    ),
    "more items of one kind": (
        ("learning.tasks.use=[topic, topic, topic]; learning.tasks.partition=iid",
         "learning.tasks.use=[topic]; learning.tasks.partition=iid",
         "learning.tasks.use=[topic, syntax]; learning.tasks.partition=iid"),
        ["use=3 items", "scenario", "use.1=syntax"],
    ),
    "as many items": (
        ("topology.triggers=[{kind: every, interval: 9 s}, {kind: every, interval: 8 s}]",
         "topology.triggers=[{kind: every, interval: 9 s}, on_churn]"),
        ["triggers.1=every", "triggers.1=on_churn"],
    ),
    "two equal numbers that are no range": (
        ("learning.method={kind: hetlora, ranks: [4]}",
         "learning.method={kind: hetlora, ranks: [4, 4]}"),
        ["ranks=4", "ranks=[4, 4]"],
    ),
    "what others of another name have": (
        ("name=a; spectrum.bandwidth=1 MHz", "name=a; spectrum.bandwidth=2 MHz",
         "name=b; devices.0.count=3; learning.method=lora"),
        ["a, bandwidth=1 MHz", "a, bandwidth=2 MHz", "b"],
    ),
    "names of their own": (("name=near", "name=far; seed=2"), ["near", "far"]),
    "names that come twice": (
        ("name=a; devices.0.count=1", "name=a; devices.0.count=2", "name=b"),
        ["a, count=1", "a, count=2", "b"],
    ),
    "nothing that is told": (("", "seed=2"), ["scenario (1)", "scenario (2)"]),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_labels(form):
    overrides, expected = FORMS[form]
    assert labelled(*overrides) == expected


def test_a_rank_that_the_controller_chooses_is_not_told():
    ranks, controls = (4, 8, 4), ("tsfa", "osfa", "osfa")
    found = [
        Scenario.model_validate(
            {"learning": {"method": {"kind": "soft", "rank": rank}}, "control": {"kind": control}}
        )
        for rank, control in zip(ranks, controls, strict=True)
    ]
    assert labels(found) == ["control=tsfa", "control=osfa, rank=8", "control=osfa, rank=4"]
