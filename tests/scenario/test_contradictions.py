"""Keys that are right by themselves and wrong together: one message each."""

import pytest

from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import loads

CASES = {
    "carrier out of a model's range": (
        "channel: {carrier: 200 GHz, path_loss: umi}",
        "channel.carrier: expected 0.5 to 100 GHz, where the path loss 'umi' holds, got 200 GHz",
    ),
    "shadowing of unknown law": (
        "channel: {shadowing: gudmundson}",
        "channel.shadowing: expected the keys sigma and decorrelation, of which the path loss "
        "'log_distance' says nothing, got none",
    ),
    "a profile under a fading without phase": (
        "channel: {fading: nakagami, delay_profile: tdl}\nspectrum: {resource_blocks: {}}",
        "channel.fading: expected a fading with a phase (rayleigh, rayleigh_jakes, rician) under "
        "the delay profile 'tdl', got 'nakagami'",
    ),
    "a K-factor that nobody gives": (
        "channel: {fading: rician}",
        "channel.fading: expected the key 'k', of which the path loss 'log_distance' says "
        "nothing, got none; give it in dB",
    ),
    "a selective channel without blocks": (
        "channel: {delay_profile: tdl}",
        "spectrum.resource_blocks: expected resource blocks, over which a frequency-selective "
        "channel varies, got none; write `resource_blocks: {}` for those of 3GPP 38.101-1 at "
        "15 kHz",
    ),
    "capacity itself": (
        "link: {error: finite_blocklength}",
        "link.rate: expected a gap to capacity under the error 'finite_blocklength', such as "
        "`gap: 1 dB`: at capacity itself every other packet is lost, whatever its length; "
        "got gap: 0 dB",
    ),
    "a curve without a modulation": (
        "link: {rate: fixed, error: cqi_bler}",
        "link.error: expected an error that does not go by the modulation in use, which the rate "
        "'fixed' does not have, got 'cqi_bler'; use the rate shannon or cqi",
    ),
    "two tables": (
        "link: {rate: cqi, error: {kind: cqi_bler, table: 256qam}}",
        "link.error.table: expected the table of the rate (64qam), got 256qam",
    ),
    "blocks wider than the band": (
        "spectrum: {bandwidth: 1 MHz, resource_blocks: {count: 6}}",
        "spectrum.resource_blocks.count: expected blocks that fit into the band of 1e+06 Hz, got "
        "6, which take 1.08e+06 Hz",
    ),
    "a band narrower than a block": (
        "spectrum: {bandwidth: 100 kHz, resource_blocks: {}}",
        "spectrum.resource_blocks.spacing: expected blocks that fit into the band of 100000 Hz, "
        "got 1, which take 180000 Hz",
    ),
    "a limit of a queue that is always empty": (
        "transport: {queue: 1 MB}",
        "transport.queue: expected `parallel` or `spectrum: {duplex: half}` with a limit of the "
        "queue, which is empty where a device sends everything at once, got neither",
    ),
    "full power to several at once": (
        "topology: {planner: {kind: agnes, power: full}}",
        "topology.planner.power: expected `transport: {parallel: 1}` with power 'full', which a "
        "device has for one transfer at a time, got parallel: null",
    ),
    "nothing to combine by": (
        "link: {combining: chase, error: {kind: fixed, rate: 0.1}}",
        "link.combining: expected an error that depends on the SNR (finite_blocklength, cqi_bler), "
        "which is what combining adds up, got 'fixed'",
    ),
    "acknowledgements that nobody waits for": (
        "transport: {reliability: best_effort, ack_delay: 1 ms}",
        "transport.ack_delay: expected no acknowledgements with `reliability: best_effort`, which "
        "sends each packet once, got 0.001 s",
    ),
    "more power on a link than a device has": (
        "topology: {planner: {kind: agnes, power: fixed, link_power: 40 dBm}}",
        "topology.planner.link_power: expected at most the largest tx_power, 23 dBm, got 40 dBm",
    ),
    "count and density": (
        "devices: [{count: 3, density: 5 /km2}]",
        "devices.0.density: expected count or density, got both; remove one",
    ),
    "more devices than a trace has": (
        "data_root: scenarios\narea: {kind: rectangle, width: 800 m, height: 800 m}\n"
        "devices: [{count: 40, mobility: {kind: sumo_fcd, file: traces/crossing.fcd.xml}}]",
        "devices.0.count: expected at most 12, which is what sumo_fcd has, got 40; leave it out "
        "to have them all",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_contradiction_is_one_line(name, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    text, message = CASES[name]
    with pytest.raises(ScenarioError) as found:
        loads(text)
    (problem,) = found.value.problems
    assert f"{problem.path}: {problem.message}" == message


def test_a_trace_that_is_not_there_is_a_mistake_of_the_file():
    with pytest.raises(ScenarioError, match=r"devices\.0\.mobility: .*no_such\.xml"):
        loads("devices: [{mobility: {kind: sumo_fcd, file: no_such.xml}}]")


def test_gains_that_cannot_be_read_are_a_mistake_of_the_file():
    with pytest.raises(ScenarioError, match=r"channel\.path_loss: .*no_such\.csv"):
        loads("channel: {path_loss: {kind: measured, file: no_such.csv}}")
