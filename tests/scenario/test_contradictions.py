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
        "link: {rate: {kind: cqi, table: 64qam}, error: {kind: cqi_bler, table: 256qam}}",
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
    "nothing to send anew": (
        "topology: {in_flight: migrate}\nprotocol: gossip",
        "topology.in_flight: expected finish or abort, since devices send nothing anew within a "
        "round of protocol 'gossip' (they do with clustered_dfl and dfl), got migrate",
    ),
    "clusters that cannot be kept": (
        "topology: {planner: full, min_improvement: 0.1}",
        "topology.min_improvement: expected a planner whose clusters can be kept (agnes, random, "
        "or one of a given shape), got 'full', which is always followed; leave min_improvement out",
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
    "the bits of an architecture where nothing trains": (
        "learning: {pool: {kind: none, payload: 1 Mbit}, payload: {scale_as: vit-base}}",
        "learning.payload.scale_as: expected a pool that trains, got pool none, whose payload is "
        "given by the key learning.pool.payload; leave scale_as out",
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
    "one of several positions outside the area": (
        "devices: [{mobility: {kind: static, positions: [[0 m, 0 m], [0 m, 300 m]]}}]",
        "devices.0.mobility.positions.1: expected a point in the area (disc, x -200 to 200 m, "
        "y -200 to 200 m), got [0 m, 300 m]",
    ),
    "more devices than positions": (
        "devices: [{count: 3, mobility: {kind: static, positions: [[0 m, 0 m]]}}]",
        "devices.0.count: expected at most 1, which is what static has, got 3; leave it out to "
        "have them all",
    ),
    "a density of a trace": (
        "data_root: scenarios\narea: {kind: rectangle, width: 800 m, height: 800 m}\n"
        "devices: [{density: 5 /km2, mobility: {kind: sumo_fcd, file: traces/crossing.fcd.xml}}]",
        "devices.0.density: expected no density with 'sumo_fcd', which says itself how many "
        "devices there are (12), got 5 /km2; remove it, or give a `count` to have fewer",
    ),
    "a trace that leaves the area": (
        "data_root: scenarios\narea: {kind: rectangle, width: 200 m, height: 400 m}\n"
        "devices: [{mobility: {kind: sumo_fcd, file: traces/crossing.fcd.xml}}]",
        "devices.0.mobility: traces/crossing.fcd.xml: expected all positions in the area (x -100 "
        "to 100 m, y -200 to 200 m), got vehicle 'car0' at (-200 m, -2 m) from the origin; use an "
        "area that holds it, such as {kind: rectangle, width: 400 m, height: 400 m}, or a "
        "smaller `region`",
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


@pytest.mark.parametrize("given", ["rate", "error"])
def test_a_table_that_is_given_once_is_that_of_rate_and_error(given):
    tables = {"rate": "", "error": ""} | {given: ", table: 256qam"}
    text = (
        f"link: {{rate: {{kind: cqi{tables['rate']}}}, error: {{kind: cqi_bler{tables['error']}}}}}"
    )
    link = loads(text).scenario.link
    assert (link.rate.table, link.error.table) == ("256qam", "256qam")


def test_tables_that_are_left_out_are_the_default():
    link = loads("link: {rate: cqi, error: cqi_bler}").scenario.link
    assert (link.rate.table, link.error.table) == ("64qam", "64qam")
    assert loads("link: {rate: shannon, error: {kind: cqi_bler, table: 256qam}}").scenario


def test_the_leader_of_a_group_may_be_a_trace_and_its_mistakes_are_those_of_the_file(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    rows = "t,id,x,y\n0,a,0,0\n1,a,195,0\n"
    (tmp_path / "a.csv").write_text(rows)
    leader = "{kind: csv_trace, file: a.csv, origin: [0 m, 0 m]}"
    text = f"devices: [{{mobility: {{kind: group, radius: 5 m, leader: {leader}}}}}]"
    assert loads(text).scenario.num_devices == 8
    expected = (
        r"devices\.0\.mobility: a\.csv: expected all positions in the area .*\(195 m, 0 m\).* "
        r"\(the leader keeps a radius of 10 m from the border\)"
    )
    with pytest.raises(ScenarioError, match=expected):
        loads(text.replace("5 m", "10 m", 1))
    with pytest.raises(ScenarioError, match=r"devices\.0\.mobility: b\.csv: expected a trace file"):
        loads(text.replace("a.csv", "b.csv"))


GAINS = "src,dst,t_s,gain_db\n1,2,0,-80\n1,3,0,-81\n2,3,0,-82\n"


@pytest.mark.parametrize(
    ("count", "missing", "message"),
    [
        (3, "hold", "got none of device 0, but some of device 3"),
        (3, "-150 dB", "got none of device 0, but some of device 3"),
        (5, "error", "got none of device 0 and 1 more;"),
        (5, "-150 dB", None),
    ],
)
def test_gains_of_other_devices(tmp_path, monkeypatch, count, missing, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.csv").write_text(GAINS)
    text = (
        f"devices: [{{count: {count}, mobility: static}}]\n"
        f"channel: {{path_loss: {{kind: measured, file: g.csv, missing: {missing}}}}}"
    )
    if message is None:
        assert loads(text).scenario
        return
    where = rf"channel\.path_loss: g\.csv: expected gains of all devices, 0 to {count - 1}, "
    with pytest.raises(ScenarioError, match=where + message):
        loads(text)


def test_a_trace_that_is_not_there_is_a_mistake_of_the_file():
    with pytest.raises(ScenarioError, match=r"devices\.0\.mobility: .*no_such\.xml"):
        loads("devices: [{mobility: {kind: sumo_fcd, file: no_such.xml}}]")


def test_gains_that_cannot_be_read_are_a_mistake_of_the_file():
    with pytest.raises(ScenarioError, match=r"channel\.path_loss: .*no_such\.csv"):
        loads("channel: {path_loss: {kind: measured, file: no_such.csv}}")
