"""The whole way from text to scenario, back to text, and the checks of the whole."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.plugin import scenarios_dir
from cosim.scenario.document import parse
from cosim.scenario.dump import dump
from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import load, loads
from cosim.scenario.tree import Scenario

VARIED = """\
name: varied
seed: 18446744073709551616
duration: 1.5 h
area: {kind: rectangle, width: 120 m, height: 0.1 km}
devices:
- {group: a, count: 2, mobility: {kind: static}, battery: 2 Wh}
- group: b
  radio: {tx_power: 200 mW}
  compute: {kind: flops, rate: 1 TFLOP/s, power: 7 W}
channel:
  carrier: 2.4 GHz
  path_loss: {kind: log_distance, exponent: 2, reference_loss: 40 dB}
  fading: {kind: rayleigh, coherence_time: 30 ms}
  sample_interval: 1 ms
spectrum: {bandwidth: 20 MHz, domain: per_cluster}
link: {rate: {kind: fixed, rate: 10 Mbps}, error: {kind: fixed, rate: 0.1}}
transport: {mtu: 1.5 kB, header: 28 B, max_attempts: 5, deadline: 2 min, engine: per_packet}
learning:
  method: lora
  local: {lr: 1e-4, clip: null}
  pool: none
topology: {planner: full, triggers: [on_start, {kind: every, interval: 90 s}]}
evaluate: {every: 30 s}
record: {packets: true, position_interval: 500 ms}
"""


def test_the_empty_scenario_is_the_defaults():
    assert loads("{}").scenario == Scenario()


def test_dump_of_the_defaults_reads_back():
    scenario = Scenario()
    assert loads(dump(scenario)).scenario == scenario


def test_dump_of_a_variant_reads_back():
    scenario = loads(VARIED).scenario
    assert scenario != Scenario()
    assert loads(dump(scenario)).scenario == scenario
    assert dump(loads(dump(scenario)).scenario) == dump(scenario)


@pytest.mark.parametrize(
    "path", sorted(scenarios_dir().rglob("*.yaml")), ids=lambda path: path.stem
)
def test_shipped_scenarios_read_back(path):
    scenario = load(path).scenario
    assert loads(dump(scenario)).scenario == scenario


@settings(max_examples=50, deadline=None)
@given(
    st.floats(min_value=3e3, max_value=3e12),
    st.floats(min_value=1e-12, max_value=1e10),
    st.integers(min_value=0),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_dump_keeps_every_value_exactly(carrier_hz, processing_s, seed, group):
    scenario = loads(
        "{}",
        {
            "channel.carrier": f"{carrier_hz!r} Hz",
            "transport.processing": f"{processing_s!r} s",
            "seed": seed,
            "devices": ({"group": group},),
        },
    ).scenario
    assert scenario.channel.carrier_hz == carrier_hz
    assert scenario.transport.processing_s == processing_s
    assert loads(dump(scenario)).scenario == scenario


def test_dump_has_units_in_keys_and_kinds_by_name():
    text = dump(loads(VARIED).scenario)
    assert "duration: 5400.0 s\n" in text
    assert "area: {kind: rectangle, width_m: 120.0, height_m: 100.0}\n" in text
    assert text.startswith("name: varied\nseed: 18446744073709551616\n")


def test_values_are_si():
    scenario = loads(VARIED).scenario
    assert scenario.devices[0].battery_j == 7200.0
    assert scenario.devices[1].radio.tx_power_dbm == pytest.approx(23.0103, abs=1e-4)
    assert scenario.transport.mtu_bytes == 1500.0
    assert scenario.duration.time_s == 5400.0
    assert scenario.num_devices == 10


def mistakes(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        loads(text, source="a.yaml")
    return str(caught.value).splitlines()


def test_best_effort_contradicts_max_attempts():
    assert mistakes("transport: {reliability: best_effort,\n  max_attempts: 3}\n") == [
        "a.yaml:2:3 transport.max_attempts: expected no max_attempts with `reliability: "
        "best_effort`, which sends each packet once, got 3; remove it, set it to null, or set "
        "`reliability: reliable`"
    ]


@pytest.mark.parametrize("header", [1500, 1501])
def test_header_that_fills_the_packet(header):
    assert mistakes(f"transport: {{header: {header} B}}\n") == [
        "a.yaml:1:13 transport.header: expected less than transport.mtu (1500 B), which holds "
        f"header and data, got {header} B"
    ]


def test_half_a_byte():
    assert mistakes("transport: {mtu: 10 bit}\n") == [
        "a.yaml:1:13 transport.mtu: expected an amount of data (B, kB, MB, GB, KiB, MiB), "
        "got '10 bit'"
    ]
    assert mistakes("transport: {mtu_bytes: 100.5}\n") == [
        "a.yaml:1:13 transport.mtu_bytes: expected a whole number of bytes, got 100.5 B"
    ]


def test_two_groups_of_one_name():
    assert mistakes("devices:\n- {group: a}\n- {group: b}\n- {group: a}\n") == [
        "a.yaml:4:4 devices.2.group: expected a name of its own for each group, got 'a', which "
        "devices.0 has"
    ]


def test_two_groups_without_names():
    assert mistakes("devices:\n- {count: 1}\n- {count: 2}\n") == [
        "a.yaml:3:3 devices.1.group: expected a name of its own for each group, got 'devices', "
        "which devices.0 has"
    ]


def test_device_that_does_not_exist():
    assert mistakes(
        "devices: [{group: a, count: 2}, {group: b, count: 1}]\n"
        "plots:\n- {kind: channel_trace, link: [0, 3]}\n"
    ) == ["a.yaml:3:35 plots.0.link.1: expected a device, 0 to 2 (a: 0 to 1; b: 2 to 2), got 3"]


def test_figure_of_packets_that_are_not_recorded():
    assert mistakes("plots: [packet_timeline]\n") == [
        "a.yaml:1:9 plots.0: expected `record: {packets: true}` for the figure "
        "'packet_timeline', which draws packets, got packets: false"
    ]
    assert loads("plots: [packet_timeline]\nrecord: {packets: true}\n").scenario.plots


def test_all_contradictions_at_once():
    lines = mistakes(
        "transport: {header: 2 kB, reliability: best_effort, max_attempts: 2}\n"
        "devices: [{group: a}, {group: a}]\n"
    )
    assert [line.partition(":")[2].partition(":")[0] for line in lines] == ["1", "1", "2"]


def test_contradictions_of_an_override_are_at_the_override():
    with pytest.raises(ScenarioError) as caught:
        loads("seed: 1\n", ["transport.header=2 kB"])
    assert str(caught.value).startswith("override transport.header=2 kB: expected less than")


_JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**30)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1 s", "5 Hz", "none", "static", "a:B", ":", "{kind}", "%s", "-1 rounds"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["kind", "rate", "x", "carrier_hz"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def _paths(value, path=()):
    """Yield the path of every value of a scenario's data."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | tuple):
            yield from _paths(item, (*path, key))


_PATHS = sorted({".".join(map(str, path)) for path in _paths(parse(VARIED, "x").data)})


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(_PATHS), _JUNK, min_size=1, max_size=3))
def test_junk_anywhere_is_read_or_explained(junk):
    """Whatever stands where, the outcome is a scenario or messages of one line each."""
    for problem in _problems(junk):
        assert "expected" in problem.message
        assert "\n" not in str(problem)
        assert "Input should" not in problem.message


def _problems(overrides):
    try:
        loads(VARIED, overrides)
    except ScenarioError as error:
        return error.problems or pytest.fail("an error without a problem")
    return ()


def test_no_tasks_at_all_is_a_mistake():
    (problem,) = mistakes("learning:\n  tasks: {use: []}\n")
    assert problem.startswith("a.yaml:2:11 learning.tasks.use: expected builtin or at least 1")
