"""The points of a sweep: what is combined, in which order, and every mistake as one line."""

import itertools

import pytest

from cosim.scenario.dump import dump
from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import load
from cosim.scenario.points import load_sweep

BASE = "duration: 1 round\nlearning: {pool: none}\n"


@pytest.fixture
def points(tmp_path):
    """Return a function from the text of a sweep to its scenarios."""

    def read(sweep: str, *overrides: str, base: str = BASE):
        path = tmp_path / "s.yaml"
        path.write_text(f"{base}sweep: {sweep}\n", encoding="utf-8")
        return load_sweep(path, overrides).scenarios

    return read


@pytest.fixture
def lines(points, tmp_path):
    def read(sweep: str, *overrides: str, base: str = BASE) -> list[str]:
        with pytest.raises(ScenarioError) as caught:
            points(sweep, *overrides, base=base)
        return [line.removeprefix(f"{tmp_path}/") for line in str(caught.value).splitlines()]

    return read


def seen(scenarios):
    return [(each.spectrum.bandwidth_hz, each.transport.mtu_bytes, each.seed) for each in scenarios]


def test_grid_is_every_combination_seeds_of_a_point_together(points):
    grid = "{spectrum.bandwidth: [1 MHz, 5 MHz], transport.mtu: [500 B, 1 kB, 1500 B]}"
    found = seen(points(f"{{grid: {grid}, seeds: [4, 2]}}"))
    assert found == list(itertools.product((1e6, 5e6), (500.0, 1000.0, 1500.0), (4, 2)))


def test_zip_goes_in_step_and_is_combined_with_grid(points):
    found = points(
        "{grid: {spectrum.duplex: [half, full]}, "
        "zip: {spectrum.bandwidth: [1 MHz, 5 MHz], transport.mtu: [500 B, 1 kB]}}"
    )
    assert [(each.spectrum.duplex, *seen([each])[0][:2]) for each in found] == [
        ("half", 1e6, 500.0),
        ("half", 5e6, 1000.0),
        ("full", 1e6, 500.0),
        ("full", 5e6, 1000.0),
    ]


def test_points_are_what_overrides_give(points, tmp_path):
    """The independent oracle: each point is the file with its values as overrides."""
    found = points(
        "{grid: {learning.method: [lora, {kind: lori, rank: 4}], devices.0.count: [2, 3]}}"
    )
    values = itertools.product(("lora", "{kind: lori, rank: 4}"), (2, 3))
    for point, (method, count) in zip(found, values, strict=True):
        words = [f"learning.method={method}", f"devices.0.count={count}"]
        assert dump(point) == dump(load(tmp_path / "s.yaml", words).scenario)


def test_a_point_has_no_sweep(points, tmp_path):
    (point,) = points("{seeds: 1}")
    assert point.sweep is None
    assert load(tmp_path / "s.yaml").scenario == point
    assert load(tmp_path / "s.yaml").sweep.seeds == 1


@pytest.mark.parametrize("order", [1, -1])
def test_a_kind_comes_before_its_keys(points, order):
    """Whichever is written first, naming a kind does not drop the keys that go with it."""
    keys = ["learning.method.kind: [lora, lori]", "learning.method.rank: [3, 5]"][::order]
    base = "learning: {pool: none, method: {kind: sparse_orthogonal, density: 0.2}}\n"
    found = points(f"{{grid: {{{', '.join(keys)}}}}}", base=base)
    ranks = {(type(each.learning.method).__name__, each.learning.method.rank) for each in found}
    assert ranks == {("Lora", 3), ("Lora", 5), ("Lori", 3), ("Lori", 5)}


def test_keys_may_be_nested(points):
    nested = points("{grid: {spectrum: {bandwidth: [1 MHz, 5 MHz]}}}")
    assert nested == points("{grid: {spectrum.bandwidth: [1 MHz, 5 MHz]}}")


def test_a_number_of_seeds_goes_on_from_the_scenarios_own(points):
    base = f"{BASE}seed: 7\n"
    assert [each.seed for each in points("{seeds: 3}", base=base)] == [7, 8, 9]
    assert [each.seed for each in points("{seeds: 3}", "seed=2", base=base)] == [2, 3, 4]
    assert [each.seed for each in points("{seeds: 3}")] == [1, 2, 3]


def test_a_seed_decides_how_many_devices_there_are(points):
    """Where the number of devices is drawn, each seed has its own, and not the first one's."""
    base = f"{BASE}devices: [{{density: 100 /km2, mobility: static}}]\n"
    found = points("{seeds: 6}", base=base)
    assert len({each.num_devices for each in found}) > 1


def test_overrides_lie_over_every_point(points):
    grid = "{grid: {spectrum.bandwidth: [1 MHz, 5 MHz], transport.mtu: [500 B, 1 kB]}}"
    found = seen(points(grid, "transport.mtu=700 B"))
    assert {mtu for _, mtu, _ in found} == {700.0}
    assert [seed for *_, seed in seen(points(grid, "sweep.seeds=[3, 4]"))][:2] == [3, 4]
    assert len(points(grid, "sweep.grid={spectrum.bandwidth: [2 MHz]}")) == 1
    assert len(points(grid, "sweep.grid.spectrum.duplex=[half, full]")) == 8


def test_a_sweep_can_come_from_the_command_line_alone(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(BASE, encoding="utf-8")
    assert [each.seed for each in load_sweep(path, ["sweep.seeds=2"]).scenarios] == [1, 2]
    with pytest.raises(ScenarioError, match="expected the key `sweep` with grid, zip or seeds"):
        load_sweep(path)


def test_a_sweep_is_extended_like_the_rest(tmp_path):
    (tmp_path / "a.yaml").write_text(
        f"{BASE}sweep: {{grid: {{transport.mtu: [500 B, 1 kB]}}, seeds: 2}}\n", encoding="utf-8"
    )
    path = tmp_path / "b.yaml"
    path.write_text("extends: a.yaml\nsweep: {grid: {transport.mtu: [700 B]}}\n", encoding="utf-8")
    assert seen(load_sweep(path).scenarios) == [(10e6, 700.0, 1), (10e6, 700.0, 2)]


KEPT = {
    "equal, in another unit": ("[{spectrum.bandwidth: 0.001 GHz}]", {(1, 4), (1, 8)}),
    "all keys of a mapping": ("[{spectrum.bandwidth: 1 MHz, learning.method.rank: 4}]", {(1, 4)}),
    "any of the mappings": (
        "[{spectrum.bandwidth: 5 MHz}, {learning.method.rank: 4}]",
        {(1, 4), (5, 4), (5, 8)},
    ),
    "not": ("[{spectrum.bandwidth: {not: 1 MHz}}]", {(5, 4), (5, 8)}),
    "not one of": ("[{learning.method.rank: {not: {in: [2, 8]}}}]", {(1, 4), (5, 4)}),
    "at most": ("[{spectrum.bandwidth: {at_most: 1 MHz}}]", {(1, 4), (1, 8)}),
    "at least": ("[{learning.method.rank: {at_least: 5}}]", {(1, 8), (5, 8)}),
    "between": ("[{learning.method.rank: {at_least: 3, at_most: 7}}]", {(1, 4), (5, 4)}),
    "a kind by name, whatever its keys": ("[{learning.method: lora}]", {(1, 4), (5, 4)}),
    "a kind with a key": ("[{learning.method: {kind: lora, rank: 8}}]", set()),
    "a key that the file is silent of": ("[{transport.mtu: 1.5 kB, devices.0.count: {not: 8}}]",
                                         set()),
    "the default of a silent key": ("[{channel.fading.kind: rayleigh_jakes}]",
                                    {(1, 4), (1, 8), (5, 4), (5, 8)}),
    "a key of a default kind": ("[{devices.0.compute.rate: {not: 1 TFLOP/s}}]",
                                {(1, 4), (1, 8), (5, 4), (5, 8)}),
    "everything": ("[{}]", {(1, 4), (1, 8), (5, 4), (5, 8)}),
}  # fmt: skip


@pytest.mark.parametrize("form", KEPT)
def test_where(points, lines, form):
    where, kept = KEPT[form]
    methods = "[{kind: lora, rank: 4}, {kind: lori, rank: 8}]"
    sweep = f"{{grid: {{spectrum.bandwidth: [1 MHz, 5 MHz], learning.method: {methods}}}, "
    sweep += f"where: {where}}}"
    if not kept:
        (line,) = lines(sweep)
        assert "sweep.where: expected conditions that at least one point fits" in line
        return
    found = {
        (each.spectrum.bandwidth_hz / 1e6, each.learning.method.rank) for each in points(sweep)
    }
    assert found == kept


def test_where_drops_points_that_could_not_be(points):
    """Combinations that make no sense are never validated."""
    sweep = (
        "{grid: {learning.method.kind: [lora, lori], learning.method.density: [0.1, 0.5]}, where: "
        "[{learning.method.kind: lori}]}"
    )
    assert [each.learning.method.density for each in points(sweep)] == [0.1, 0.5]


def test_a_key_of_two_kinds_has_values_of_each(points):
    """`combine` of n_lora is sum or average; of sparse_orthogonal concat or linear."""
    methods = "[n_lora, {kind: sparse_orthogonal, combine: linear}, lora]"
    sweep = f"{{grid: {{learning.method: {methods}}}, where: [{{learning.method.combine: %s}}]}}"
    for value, kind in (("sum", "NLora"), ("linear", "SparseOrthogonal")):
        (only,) = points(sweep % value)
        assert type(only.learning.method).__name__ == kind


MISTAKES = {
    "a value": (
        "{grid: {spectrum.bandwidth: [1 MHz, 5]}}",
        "s.yaml:3:44 spectrum.bandwidth: expected a frequency with its unit (Hz, kHz, MHz, GHz), "
        "got the bare number 5 (in 1 of 2 points, such as spectrum.bandwidth=5)",
    ),
    "a key": (
        "{grid: {spectrum.bandwith: [1 MHz, 5 MHz]}}",
        "s.yaml:3:36 spectrum.bandwith: expected one of bandwidth, domain, rule, resource_blocks, "
        "interference, duplex, noise_density, got the unknown key 'bandwith'; "
        "did you mean 'bandwidth'?",
    ),
    "a key inside a value": (
        "{grid: {learning.method: [lora, {kind: lori, rnk: 4}]}}",
        "s.yaml:3:53 learning.method.rnk: expected one of kind, rank, scale, density, ",
    ),
    "a kind": (
        "{grid: {learning.method: [lora, lorri]}}",
        "s.yaml:3:40 learning.method: expected one of dec_lora, ",
    ),
    "no list": (
        "{grid: {spectrum.bandwidth: 1 MHz}}",
        "s.yaml:3:16 sweep.grid.spectrum.bandwidth: expected a list of values, got '1 MHz'; "
        "did you mean [1 MHz]?",
    ),
    "nothing": (
        "{grid: {spectrum.bandwidth: }}",
        "s.yaml:3:16 sweep.grid.spectrum.bandwidth: expected a list of values, got null",
    ),
    "an empty list": (
        "{grid: {spectrum.bandwidth: []}}",
        "s.yaml:3:16 sweep.grid.spectrum.bandwidth: expected at least one value, got an empty list",
    ),
    "lists of two lengths": (
        "{zip: {spectrum.bandwidth: [1 MHz, 5 MHz], transport.mtu: [1 kB]}}",
        "s.yaml:3:9 sweep.zip: expected lists of one length, got: spectrum.bandwidth has 2, "
        "transport.mtu has 1",
    ),
    "a key in both": (
        "{grid: {transport.mtu: [1 kB]}, zip: {transport.mtu: [1 kB]}}",
        "s.yaml:3:46 sweep.zip.transport.mtu: expected a key of grid or of zip, got both",
    ),
    "a value twice": (
        "{grid: {learning.method: [lora, {kind: lori, rank: 4}, {kind: lori, rank: 4}]}}",
        "s.yaml:3:16 sweep.grid.learning.method: expected each value once, got {kind: lori, "
        "rank: 4} again",
    ),
    "a key twice": (
        "{grid: {transport.mtu: [1 kB], transport: {mtu: [1 kB]}}}",
        "s.yaml:3:51 sweep.grid.transport.mtu: expected each key once, got it again",
    ),
    "a key of a value": (
        "{grid: {learning.method: [lora, {kind: lori, rank: 4}], learning.method.rank: [2, 8]}}",
        "s.yaml:3:53 learning.method.rank: expected learning.method.rank here or in a list of its "
        "own, got both; remove one",
    ),
    "a key inside an item": (
        "{zip: {devices.0: [{count: 2}], devices.0.count: [3]}}",
        "s.yaml:3:28 devices.0.count: expected devices.0.count here or in a list of its own, "
        "got both; remove one",
    ),
    "a kind beside names": (
        "{grid: {learning.method: [lora], learning: {method.kind: [lori]}}}",
        "s.yaml:3:34 learning.method.kind: expected learning.method.kind here or in a list of ",
    ),
    "seeds in the grid": (
        "{grid: {seed: [1, 2]}}",
        "s.yaml:3:16 sweep.grid.seed: expected a key that can be swept; list them under "
        "sweep.seeds",
    ),
    "figures": ("{grid: {plots: [[], []]}}", "figures are drawn from the tables"),
    "an unknown section": (
        "{gird: {transport.mtu: [1 kB]}}",
        "s.yaml:3:9 sweep.gird: expected one of grid, zip, where, seeds, plots, got the unknown "
        "key 'gird'; did you mean 'grid'?",
    ),
    "no sweep": ("[1, 2]", "s.yaml:3:1 sweep: expected a mapping with keys such as grid, zip, "),
    "no seeds": ("{seeds: 0}", "s.yaml:3:9 sweep.seeds: expected at least 1 or a list, got 0"),
    "a seed": ("{seeds: [1, -1]}", "s.yaml:3:20 sweep.seeds.1: expected at least 0, got -1"),
    "a seed twice": (
        "{seeds: [1, 2, 1]}",
        "s.yaml:3:23 sweep.seeds.2: expected each seed once, got 1 again",
    ),
    "a seed in words": ("{seeds: many}", "s.yaml:3:9 sweep.seeds: expected "),
    "too much": (
        "{seeds: 5001, grid: {spectrum.duplex: [half, full]}}",
        "s.yaml:3:1 sweep: expected at most 10000 runs",
    ),
    "too many seeds": (
        "{seeds: 100000000}",
        "s.yaml:3:9 sweep.seeds: expected at most 10000, got 100000000",
    ),
    "where: a key": (
        "{grid: {transport.mtu: [1 kB]}, where: [{transport.mtuu: 1 kB}]}",
        "s.yaml:3:49 sweep.where.0.transport.mtuu: expected a key of the scenario, "
        "got one that no point has",
    ),
    "where: a value": (
        "{grid: {transport.mtu: [1 kB]}, where: [{transport.mtu: 1 km}]}",
        "s.yaml:3:49 sweep.where.0.transport.mtu: expected a value that this key can have, "
        "got '1 km'",
    ),
    "where: a kind": (
        "{grid: {learning.method: [lora]}, where: [{learning.method: {not: loro}}]}",
        "s.yaml:3:69 sweep.where.0.learning.method.not: expected a value that this key can have, "
        "got 'loro'",
    ),
    "where: in what": (
        "{grid: {transport.mtu: [1 kB]}, where: [{transport.mtu: {in: 1 kB}}]}",
        "s.yaml:3:65 sweep.where.0.transport.mtu.in: expected a list of values, got '1 kB'",
    ),
    "where: no order": (
        "{grid: {learning.method: [lora]}, where: [{spectrum.duplex: {at_least: half}}]}",
        "s.yaml:3:69 sweep.where.0.spectrum.duplex.at_least: expected a number to compare with, "
        "got 'half'",
    ),
    "where: no such test": (
        "{grid: {transport.mtu: [1 kB]}, where: [{transport.mtu: {at_lest: 1 kB}}]}",
        "s.yaml:3:65 sweep.where.0.transport.mtu.at_lest: expected a value, or one of in, not, "
        "at_least, at_most, got 'at_lest'; did you mean 'at_least'?",
    ),
    "where: seeds": (
        "{seeds: 3, where: [{seed: 1}]}",
        "s.yaml:3:28 sweep.where.0.seed: expected a key that can be swept; list them under "
        "sweep.seeds",
    ),
    "where: no mapping": (
        "{where: [lora]}",
        "s.yaml:3:17 sweep.where.0: expected a mapping, got 'lora'",
    ),
    "a list index": (
        "{grid: {devices.3.count: [1]}}",
        "s.yaml:3:34 devices.3.count: expected an index of devices (0 to 0), got '3'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", MISTAKES)
def test_mistake_is_one_line(lines, form):
    sweep, expected = MISTAKES[form]
    (line,) = lines(sweep)
    assert expected in line


def test_all_mistakes_of_all_points_at_once(lines):
    found = lines(
        "{grid: {spectrum.bandwidth: [1 MHz, 1 s], transport.mtu: [1 W, 1 kB]}, seeds: 3}",
        base=f"{BASE}record: {{packets: 3}}\n",
    )
    assert [line.split()[1] for line in found] == [
        "record.packets:",
        "spectrum.bandwidth:",
        "transport.mtu:",
    ]
    assert "(in" not in found[0]
    assert "(in 2 of 4 points, such as spectrum.bandwidth=1 s, transport.mtu=1 W)" in found[1]


def test_what_only_some_points_contradict_says_which(lines):
    (line,) = lines("{grid: {transport.mtu: [30 B, 1 kB], transport.header: [40 B, 20 B]}}")
    assert line.startswith("s.yaml:3:64 ")
    assert "transport.header: expected less than transport.mtu (30 B)" in line
    assert "(in 1 of 4 points, such as transport.mtu=30 B, transport.header=40 B)" in line


def test_a_seed_beside_a_list_of_seeds(lines):
    assert lines("{seeds: [1, 2]}", "seed=3") == [
        "override seed=3: expected no seed beside the list sweep.seeds; write sweep.seeds=[...]"
    ]


def test_an_override_that_some_points_cannot_take(lines):
    (line,) = lines("{grid: {learning.method: [lora, lori]}}", "learning.method.density=0.3")
    assert line.startswith("override learning.method.density=0.3: expected one of kind, rank")
    assert "(in 1 of 2 points, such as learning.method=lora)" in line
