"""Each mistake is one line: file:line:column, dotted path, expected, got, hint."""

import pytest

from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import load

TOP_KEYS = (
    "name, seed, duration, plugins, data_root, area, devices, channel, spectrum, link, transport, "
    "learning, topology, control, protocol, evaluate, record, plots, sweep"
)

# One line of YAML each (the mistake is in the last line), and the message without its file.
MISTAKES = {
    "unknown key": (
        "chanel: {}\n",
        f"1:1 chanel: expected one of {TOP_KEYS}, got the unknown key 'chanel'; "
        "did you mean 'channel'?",
    ),
    "one name in place of a list": (
        "topology: {triggers: on_start}\n",
        "1:12 topology.triggers: expected a list, got 'on_start'; did you mean [on_start]?",
    ),
    "a Poisson placement": (
        "devices: [{mobility: {kind: static, placement: poisson}}]\n",
        "1:37 devices.0.mobility.placement: expected one of uniform, grid, got 'poisson'; for "
        "points of a Poisson process give the group the key `density`, such as `density: 100 "
        "/km2`, in place of `count`",
    ),
    "a Poisson mobility": (
        "devices: [{mobility: poisson}]\n",
        "1:12 devices.0.mobility: expected one of bonnmotion, circular, csv_trace, gauss_markov, "
        "group, manhattan, ns2, random_direction, random_waypoint, static, sumo_fcd, got "
        "'poisson'; points of a Poisson process are `mobility: static` in a group with the key "
        "`density`, such as `density: 100 /km2`, in place of `count`",
    ),
    "a region as two pairs": (
        "devices: [{mobility: {kind: ns2, file: a, region: [[0 m, 0 m], [9 m, 9 m]]}}]\n",
        "1:43 devices.0.mobility.region: expected [x0, y0, x1, y1], such as [0 m, 0 m, 400 m, "
        "300 m], got [['0 m', '0 m'], ['9 m', '9 m']]; did you mean [0 m, 0 m, 9 m, 9 m]?",
    ),
    "a region of three": (
        "devices: [{mobility: {kind: ns2, file: a, region: [0 m, 0 m, 9 m]}}]\n",
        "1:43 devices.0.mobility.region: expected [x0, y0, x1, y1], such as [0 m, 0 m, 400 m, "
        "300 m], got ['0 m', '0 m', '9 m']",
    ),
    "a region the wrong way round": (
        "devices: [{mobility: {kind: ns2, file: a, region: [9 m, 0 m, 0 m, 8 m]}}]\n",
        "1:43 devices.0.mobility.region: expected [x0, y0, x1, y1] with x0 < x1 and y0 < y1, got "
        "[9 m, 0 m, 0 m, 8 m]; did you mean [0 m, 0 m, 9 m, 8 m]?",
    ),
    "a region of no size": (
        "devices: [{mobility: {kind: ns2, file: a, region: [9 m, 0 m, 9 m, 8 m]}}]\n",
        "1:43 devices.0.mobility.region: expected [x0, y0, x1, y1] with x0 < x1 and y0 < y1, got "
        "[9 m, 0 m, 9 m, 8 m]",
    ),
    "a number of too many digits for a choice": (
        f"devices: [{{mobility: {{kind: bonnmotion, file: a, dimensions: 1{'0' * 30}}}}}]\n",
        "1:50 devices.0.mobility.dimensions: expected a whole number of a few digits, got "
        f"1{'0' * 30}",
    ),
    "text of no length": (
        'learning: {model: {kind: causal_lm, source: ""}}\n',
        "1:37 learning.model.source: expected text of at least 1 character, got ''",
    ),
    "a position outside the area": (
        "devices: [{mobility: {kind: static, position: [300 m, 2 m]}}]\n",
        "1:37 devices.0.mobility.position: expected a point in the area (disc, x -200 to 200 m, "
        "y -200 to 200 m), got [300 m, 2 m]",
    ),
    "a link of a device to itself": (
        "plots: [{kind: channel_trace, link: [3, 3]}]\n",
        "1:31 plots.0.link: expected two devices, got 3 twice",
    ),
    "a name too long for a folder": (
        f"name: {'a' * 101}\n",
        "1:1 name: expected text that matches ^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$, "
        f"got '{'a' * 57}...'",
    ),
    "unknown key of a section": (
        "channel:\n  carier: 3 GHz\n",
        "2:3 channel.carier: expected one of carrier, path_loss, shadowing, fading, "
        "delay_profile, range, sample_interval, "
        "got the unknown key 'carier'; did you mean 'carrier'?",
    ),
    "unknown key of a kind": (
        "area: {kind: disc, radus: 5 m}\n",
        "1:20 area.radus: expected one of kind, radius, got the unknown key 'radus'; "
        "did you mean 'radius'?",
    ),
    "unknown key, nothing near": (
        "link: {zzz: 1}\n",
        "1:8 link.zzz: expected one of rate, error, combining, got the unknown key 'zzz'",
    ),
    "unknown kind": (
        "channel:\n  fading: {kind: rayleig}\n",
        "2:12 channel.fading.kind: expected one of nakagami, none, rayleigh, "
        "rayleigh_jakes, rician, "
        "got 'rayleig'; did you mean 'rayleigh'?",
    ),
    "unknown kind by its bare name": (
        "channel: {fading: RAYLEIGH}\n",
        "1:11 channel.fading: expected one of nakagami, none, rayleigh, "
        "rayleigh_jakes, rician, got 'RAYLEIGH'; "
        "did you mean 'rayleigh'?",
    ),
    "kind is no text": (
        "channel: {fading: {kind: 3}}\n",
        "1:20 channel.fading.kind: expected one of nakagami, none, rayleigh, "
        "rayleigh_jakes, rician, got 3",
    ),
    "kind missing": (
        "area: {radius: 5 m}\n",
        "1:1 area: expected the key 'kind' with one of disc, rectangle, got the mapping {radius}",
    ),
    "kind is null": (
        "area: null\n",
        "1:1 area: expected one of disc, rectangle, got null",
    ),
    "required key missing": (
        "area: {kind: rectangle, width: 5 m}\n",
        "1:1 area.height: expected the required key 'height', got only width",
    ),
    "unit missing": (
        "channel: {carrier: 5}\n",
        "1:11 channel.carrier: expected a frequency with its unit (Hz, kHz, MHz, GHz), "
        "got the bare number 5",
    ),
    "unit missing in a text": (
        "channel: {carrier: '5'}\n",
        "1:11 channel.carrier: expected a frequency with its unit (Hz, kHz, MHz, GHz), got '5'",
    ),
    "wrong unit": (
        "channel: {carrier: 5 m}\n",
        "1:11 channel.carrier: expected a frequency (Hz, kHz, MHz, GHz), got '5 m'",
    ),
    "misspelled unit": (
        "channel: {carrier: 5 ghz}\n",
        "1:11 channel.carrier: expected a frequency (Hz, kHz, MHz, GHz), got '5 ghz'; "
        "did you mean '5 GHz'?",
    ),
    "unit missing in a range": (
        "devices:\n- mobility: {kind: random_waypoint, speed: [1 m/s, 3]}\n",
        "2:52 devices.0.mobility.speed.1: expected a speed with its unit (m/s, km/h), "
        "got the bare number 3",
    ),
    "range the wrong way round": (
        "devices:\n- mobility: {kind: random_waypoint, speed: [3 m/s, 1 m/s]}\n",
        "2:37 devices.0.mobility.speed: expected [least, most] with least <= most, got [3.0, 1.0]",
    ),
    "range of one number, below its limit": (
        "devices:\n- mobility: {kind: random_waypoint, speed: -1 m/s}\n",
        "2:37 devices.0.mobility.speed: expected at least 0 m/s, got '-1 m/s'",
    ),
    "range of three": (
        "devices:\n- mobility: {kind: random_waypoint, speed: [1 m/s, 2 m/s, 3 m/s]}\n",
        "2:37 devices.0.mobility.speed: expected [least, most], got ['1 m/s', '2 m/s', '3 m/s']",
    ),
    "text for a whole number": (
        "seed: one\n",
        "1:1 seed: expected a whole number, got 'one'",
    ),
    "fraction for a whole number": (
        "seed: 1.0\n",
        "1:1 seed: expected a whole number, got 1.0",
    ),
    "true for a whole number": (
        "seed: true\n",
        "1:1 seed: expected a whole number, got true",
    ),
    "text for a number": (
        "learning: {local: {lr: high}}\n",
        "1:20 learning.local.lr: expected a number, got 'high'",
    ),
    "number for a text": (
        "name: 5\n",
        "1:1 name: expected text, got 5",
    ),
    "yes for true": (
        "record: {packets: yes}\n",
        "1:10 record.packets: expected true or false, got 'yes'; did you mean true?",
    ),
    "number for a section": (
        "channel: 5\n",
        "1:1 channel: expected a mapping with keys such as carrier, path_loss, shadowing, fading, "
        "got 5",
    ),
    "mapping for a list": (
        "devices: {count: 3}\n",
        "1:1 devices: expected a list, got the mapping {count}; write it as an item, after `- ` or "
        "in [ ]",
    ),
    "list for a quantity": (
        "channel: {carrier: [1 GHz]}\n",
        "1:11 channel.carrier: expected a frequency with its unit (Hz, kHz, MHz, GHz), "
        "got ['1 GHz']",
    ),
    "no word of several": (
        "transport: {engine: packet_trian}\n",
        "1:13 transport.engine: expected one of packet_train, per_packet, got 'packet_trian'; "
        "did you mean 'packet_train'?",
    ),
    "no member of a union": (
        "learning: {tasks: {use: built}}\n",
        "1:20 learning.tasks.use: expected builtin or a list, got 'built'",
    ),
    "below its limit": (
        "seed: -1\n",
        "1:1 seed: expected at least 0, got -1",
    ),
    "at its open limit, with a unit": (
        "transport: {mtu: 0 B}\n",
        "1:13 transport.mtu: expected more than 0 B, got '0 B'",
    ),
    "above its limit, with a unit": (
        "devices:\n- radio: {tx_power: 70 dBm}\n",
        "2:11 devices.0.radio.tx_power: expected at most 60 dBm, got '70 dBm'",
    ),
    "not finite": (
        "channel: {carrier: inf Hz}\n",
        "1:11 channel.carrier: expected a frequency that is finite, got 'inf Hz'",
    ),
    "not a number": (
        "learning: {local: {lr: .nan}}\n",
        "1:20 learning.local.lr: expected a finite number, got nan",
    ),
    "empty list": (
        "devices: []\n",
        "1:1 devices: expected at least 1 item, got 0",
    ),
    "pattern": (
        "name: my run\n",
        "1:1 name: expected text that matches ^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$, got 'my run'",
    ),
    "span without unit": (
        "duration: 20\n",
        "1:1 duration: expected `N rounds` or a time (ns, us, ms, s, min, h), got 20",
    ),
    "span of half a round": (
        "duration: 2.5 rounds\n",
        "1:1 duration: expected a whole number of rounds, at least 1 and at most "
        "1000000000, got '2.5 rounds'",
    ),
    "span of endless rounds": (
        "duration: inf rounds\n",
        "1:1 duration: expected a whole number of rounds, at least 1 and at most "
        "1000000000, got 'inf rounds'",
    ),
    "one key twice, resolved and not": (
        "channel: {carrier: 1 GHz, carrier_hz: 2.0e9}\n",
        "1:1 channel: expected one of the keys carrier and carrier_hz, which are the same, "
        "got both",
    ),
    "resolved key out of range": (
        "channel: {carrier_hz: 0.0}\n",
        "1:11 channel.carrier_hz: expected more than 0 Hz, got '0.0 Hz'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_one_line(problems, mistake):
    text, message = MISTAKES[mistake]
    assert problems(text) == [f"a.yaml:{message}"]


def test_all_mistakes_at_once_by_position(problems):
    lines = problems(
        "seed: -1\nlink:\n  eror: none\n  rate: {kind: shanon}\ntransport: {mtu: 5, engine: x}\n",
        ["channel.carrier=5", "learning.local.steps=0"],
    )
    assert [line.partition(" expected")[0] for line in lines] == [
        "a.yaml:1:1 seed:",
        "a.yaml:3:3 link.eror:",
        "a.yaml:4:10 link.rate.kind:",
        "a.yaml:5:13 transport.mtu:",
        "a.yaml:5:21 transport.engine:",
        "override channel.carrier=5:",
        "override learning.local.steps=0:",
    ]


def test_item_mistakes_leave_no_echo_of_the_list(problems):
    lines = problems("devices:\n- {count: 0}\n- 5\n")
    assert lines == [
        "a.yaml:2:4 devices.0.count: expected at least 1, got 0",
        "a.yaml:3:3 devices.1: expected a mapping with keys such as group, count, density, "
        "mobility, got 5",
    ]


def test_union_reports_the_member_that_fits_best(problems):
    lines = problems("learning: {tasks: {use: [{kind: nope}]}}\n")
    assert len(lines) == 1
    assert lines[0].startswith("a.yaml:1:27 learning.tasks.use.0.kind: expected one of ")
    assert lines[0].endswith(", got 'nope'")


def test_the_error_holds_the_problems(write):
    with pytest.raises(ScenarioError) as caught:
        load(write("seed: -1\n"))
    (problem,) = caught.value.problems
    assert (problem.mark.source, problem.mark.line, problem.mark.column) == ("a.yaml", 1, 1)
    assert problem.path == "seed"
