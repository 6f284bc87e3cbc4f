"""Runs that would not come to an end: refused before they begin, with what there would be of it."""

import pytest

from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import loads

CASES = {
    "a slot of a nanosecond": (
        "spectrum: {rule: {kind: max_rate, slot: 1 ns}}",
        "spectrum.rule.slot: expected at least 1e-06 s, the shortest OFDM symbol of 3GPP 38.211 "
        "(Table 4.2-1), got 1e-09 s",
    ),
    "too many slots": (
        "duration: 10000 h\nspectrum: {rule: {kind: max_rate, slot: 10 us}}",
        "spectrum.rule.slot: expected at least 0.00036 s, which is 1e+11 slots in the duration of "
        "3.6e+07 s (the most that are simulated), got 1e-05 s",
    ),
    "samples of a nanosecond": (
        "duration: 2 s\nchannel: {sample_interval: 1 ns}",
        "channel.sample_interval: expected at least 2e-08 s, which is 1e+08 samples in a transfer "
        "of 2 s (the most that are simulated), got 1e-09 s",
    ),
    "samples of a nanosecond in rounds": (
        "duration: 20 rounds\ntransport: {deadline: 30 s}\nchannel: {sample_interval: 1 ns}",
        "channel.sample_interval: expected at least 3e-07 s, which is 1e+08 samples in a transfer "
        "of 30 s (the most that are simulated), got 1e-09 s",
    ),
    "rounds whose time is given": (
        "duration: 100000 rounds\nprotocol: {kind: clustered_dfl, round_interval: 100 s}\n"
        "channel: {sample_interval: 10 us}",
        "channel.sample_interval: expected at least 0.0001 s, which is 1e+11 samples in 100000 "
        "rounds (the most that are simulated), got 1e-05 s",
    ),
    "reports without end": (
        "link: {rate: {kind: cqi, report_period: 1 ns}}",
        "link.rate.report_period: expected at least 6e-07 s, which is 1e+08 reports in a transfer "
        "of 60 s (the most that are simulated), got 1e-09 s",
    ),
    "plans without end": (
        "duration: 10000 h\ntopology: {triggers: [{kind: every, interval: 1 ms}]}",
        "topology.triggers.0.interval: expected at least 3.6 s, which is 1e+07 plans in the "
        "duration of 3.6e+07 s (the most that are simulated), got 0.001 s",
    ),
    "plans within a subframe": (
        "topology: {triggers: [on_start, {kind: on_churn, min_interval: 1 us}]}",
        "topology.triggers.1.min_interval: expected at least 0.001 s, a subframe of 3GPP 36.211, "
        "since no plan is signalled faster, got 1e-06 s",
    ),
    "a slot of weeks": (
        "spectrum: {rule: {kind: max_rate, slot: 1e6 s}}",
        "spectrum.rule.slot: expected at most 60 s, within which a band is shared anew (a "
        "subframe of 3GPP 36.211 and 38.211 is 1 ms), got 1000000 s",
    ),
    "rounds of no time": (
        "duration: 1 s\nlearning: {pool: {kind: none, flops: 0.0}}",
        "learning.pool.flops: expected at most 1e+07 rounds in the duration of 1 s, got trainings "
        "of 0 s, and devices without neighbours do nothing else; set `protocol: {kind: "
        "clustered_dfl, round_interval: 1 s}`, or more flops",
    ),
    "positions without end": (
        "duration: 1 h\nrecord: {position_interval: 1 us}",
        "record.position_interval: expected at least 2.9e-05 s, which is 1e+09 rows of positions "
        "in the duration of 3600 s (the most that are simulated), got 1e-06 s",
    ),
    "packets of a byte": (
        "transport: {mtu: 1 B, header: 0 B}\nlearning: {pool: {kind: none, payload: 8 Gbit}}",
        "transport.mtu: expected packets of which a payload of 8e+09 bit needs at most 3e+07, got "
        "1e+09 packets of 1 B of data each; use a larger mtu, or a smaller payload",
    ),
    "packets as events": (
        "transport: {mtu: 41 B, engine: per_packet}\n"
        "learning: {pool: {kind: none, payload: 80 Mbit}}",
        "transport.mtu: expected packets of which a payload of 8e+07 bit needs at most 1e+06 with "
        "`engine: per_packet`, got 1e+07 packets of 1 B of data each; use a larger mtu, or a "
        "smaller payload",
    ),
    "traffic without end": (
        "duration: 1 h\ndevices: [{count: 2, traffic: {kind: poisson, rate: 1 Gbps, size: 1 B}}]",
        "devices.0.traffic.rate: expected at most 1e+08 messages in the duration of 3600 s, got "
        "9e+11 of 1 B from 2 devices; lower the rate, or make messages larger",
    ),
    "too many devices in two groups": (
        "area: {kind: disc, radius: 1000 km}\nchannel: {range: 1 m}\n"
        "devices: [{group: a, count: 600000}, {group: b, count: 600000}]",
        "devices: expected at most 1000000 devices in all, got 1200000",
    ),
    "too many devices by density": (
        "area: {kind: disc, radius: 100 km}\ndevices: [{density: 1 /m2}]",
        "devices.0.density: expected at most 1000000 devices, got 3.142e+10 in an area of "
        "3.142e+04 km2",
    ),
    "no device by density": (
        "area: {kind: disc, radius: 1 m}\ndevices: [{density: 1 /km2}]",
        "devices: expected at least one device, got none: density times area is too low",
    ),
    "too many neighbours": (
        "devices: [{count: 100000}]",
        "channel.range: expected at most 5e+07 pairs of devices in range of each other, which are "
        "held in memory, got about 5e+09 with 100000 devices in 0.1257 km2; shorten the range, "
        "enlarge the area, or take fewer devices",
    ),
    "too many blocks": (
        "spectrum: {bandwidth: 100 GHz, resource_blocks: {spacing: 15 kHz}}",
        "spectrum.resource_blocks.spacing: expected at most 8800 resource blocks (32 carriers of "
        "275: 3GPP 38.331 and 38.211), got 555555.5556; use a wider spacing or a narrower band",
    ),
    "legs of no length": (
        "duration: 1 h\ndevices: [{mobility: {kind: gauss_markov, step: 1 ns}}]",
        "devices.0.mobility: expected at most 1e+09 legs in the duration of 3600 s for 8 devices, "
        "got legs of about 1e-09 s; let devices turn less often, move more slowly, or have a "
        "larger area",
    ),
    "steps across and across": (
        "area: {kind: disc, radius: 1 m}\n"
        "devices: [{mobility: {kind: random_direction, speed: 100 m/s, travel_time: 1 h}}]",
        "devices.0.mobility: expected steps that cross the area, 2 m wide, at most 10000 times, "
        "got steps of up to 3.6e+05 m; make the area larger, or devices slower, or let them turn "
        "more often",
    ),
    "a circle of too many sides": (
        "area: {kind: disc, radius: 2000 km}\n"
        "devices: [{mobility: {kind: circular, radius: 1000 km, deviation: 1e-6 m}}]",
        "devices.0.mobility: expected a circle of at most 1000000 straight sides, got 1986918 for "
        "radius 1e+06 m and deviation 1e-06 m; make the deviation larger",
    ),
    "streets that do not fit": (
        "devices: [{mobility: {kind: manhattan}}]",
        "devices.0.mobility: expected blocks of streets that fit into the area (400 m x 400 m), "
        "got 433 m x 250 m; make the blocks shorter",
    ),
    "a group wider than its area": (
        "devices: [{mobility: {kind: group, radius: 300 m}}]",
        "devices.0.mobility: expected a margin to the area's border below 200.0 m, got 300.0 m; "
        "make the area larger or the margin smaller (the leader keeps a radius of 300 m from the "
        "border)",
    ),
    "a Doppler shift beyond all": (
        "duration: 1 h\narea: {kind: disc, radius: 1000 km}\n"
        "devices: [{mobility: {kind: random_waypoint, speed: 12000 m/s}}]\n"
        "channel: {carrier: 3000 GHz}",
        "channel.fading: expected at least 6e-07 s, which is 1e+08 samples of the channel in a "
        "transfer of 60 s (the most that are simulated), got 5.204730174e-10 s for the fading "
        "'rayleigh_jakes' at a Doppler shift of 2.402e+08 Hz (2.4e+04 m/s between two devices); "
        "lower the speed or the carrier, or set `channel: {sample_interval: 1 ms}`",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_without_end_is_one_line(name):
    text, message = CASES[name]
    with pytest.raises(ScenarioError) as found:
        loads(text)
    (problem,) = found.value.problems
    assert f"{problem.path}: {problem.message}" == message


@pytest.mark.parametrize(
    "text",
    [
        "duration: 24 h\nspectrum: {rule: {kind: max_rate, slot: 1 ms}}",
        "duration: 1 h\nchannel: {sample_interval: 10 us}",
        "transport: {mtu: 1 B, header: 0 B}\nlearning: {pool: {kind: none, payload: 24 Mbit}}",
        "channel: {range: 10 m}\narea: {kind: disc, radius: 6 km}\n"
        "devices: [{count: 100000, mobility: static}]",
        "duration: 10 rounds\nlearning: {pool: {kind: none, flops: 0.0}}",
        "duration: 1 s\nprotocol: {kind: clustered_dfl, round_interval: 1 s}\n"
        "learning: {pool: {kind: none, flops: 0.0}}",
        "duration: 1000 h\ntopology: {triggers: [{kind: every, interval: 10 s}]}",
    ],
)
def test_a_long_run_is_good(text):
    assert loads(text).scenario
