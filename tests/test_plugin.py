"""Kinds: every shipped one meets its contract, and one from outside works where it is allowed."""

import inspect
import sys
from abc import ABC
from textwrap import dedent
from typing import Annotated, Any, get_args

import pytest
from pydantic import ValidationError

from cosim.plugin import FAMILIES, Kind, Plugin, Section, find, kind_of, kinds, plain
from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import load, loads
from cosim.scenario.tree import Scenario
from cosim.units import Hertz, Quantity, dimension_of

# Keys that a kind cannot do without; kinds that are not here need none.
REQUIRED = {
    ("area", "disc"): {"radius": "10 m"},
    ("area", "rectangle"): {"width": "10 m", "height": "5 m"},
    ("rate", "fixed"): {"rate": "10 Mbps"},
    ("error", "fixed"): {"rate": 0.1},
    ("fading", "rayleigh"): {"coherence_time": "1 s"},
    ("compute", "flops"): {"rate": "1 TFLOP/s"},
    ("controller", "deadline"): {"max_delay": "1 s"},
    ("compute", "paper"): {"alpha": "1 us"},
    ("mobility", "random_waypoint"): {"speed": ("1 m/s", "2 m/s")},
    ("path_loss", "log_distance"): {"exponent": 2.7},
    ("path_loss", "measured"): {"file": "gains.csv"},
    ("mobility", "circular"): {"radius": "50 m"},
    ("mobility", "sumo_fcd"): {"file": "a.xml"},
    ("mobility", "ns2"): {"file": "a.tcl"},
    ("mobility", "bonnmotion"): {"file": "a.movements.gz"},
    ("mobility", "csv_trace"): {"file": "a.csv"},
    ("planner", "from_file"): {"file": "edges.csv"},
    ("trigger", "every"): {"interval": "10 s"},
    ("trigger", "on_rounds"): {"rounds": 2},
    ("trigger", "on_change"): {"threshold": "3 dB"},
    ("figure", "channel_trace"): {"link": (0, 1)},
    ("partition", "natural"): {"key": "author"},
    ("task", "hub"): {"dataset": "google/boolq", "template": "{question} {answer}"},
    ("task", "relabelled"): {"task": "topic"},
}
FROM_FILES = ("alpaca", "cifar100", "dolly", "gsm8k", "hellaswag", "humaneval", "multiple_choice")
REQUIRED |= {("task", kind): {"path": "data"} for kind in (*FROM_FILES, "text_classification")}
SHIPPED = [(family, kind) for family in FAMILIES for kind in kinds(family)]


def build(family: str, kind: str) -> Plugin:
    return find(family, kind).model_validate(REQUIRED.get((family, kind), {}))


def test_every_family_has_kinds():
    assert {family for family, _ in SHIPPED} == set(FAMILIES)


@pytest.mark.parametrize(("family", "kind"), SHIPPED)
def test_kind_meets_its_contract(family, kind):
    cls = find(family, kind)
    base = FAMILIES[family].base()
    assert issubclass(cls, base)
    assert cls is not base
    assert not inspect.isabstract(cls)
    assert kind_of(cls) == kind, "the file is not named after the kind"
    assert cls.model_config["frozen"]
    assert cls.model_config["extra"] == "forbid"
    assert cls.__doc__, "its users see no docstring"
    assert cls.__doc__ != base.__doc__, "its docstring is its contract's"
    assert sys.modules[cls.__module__].__doc__, "its file does not say what it is for"
    assert cls.model_json_schema()["additionalProperties"] is False
    plugin = build(family, kind)
    assert plugin == build(family, kind)
    assert kind_of(plugin) == kind


@pytest.mark.parametrize(("family", "kind"), SHIPPED)
def test_kind_is_frozen_and_hashes_by_value(family, kind):
    plugin = build(family, kind)
    for name in type(plugin).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(plugin, name, getattr(plugin, name))
    assert hash(plugin) == hash(build(family, kind))


@pytest.mark.parametrize(("family", "kind"), SHIPPED)
def test_kind_reads_back_from_plain_data(family, kind):
    plugin = build(family, kind)
    written = plain(plugin)
    assert written.pop("kind") == kind
    assert type(plugin).model_validate(written) == plugin


@pytest.mark.parametrize("family", FAMILIES)
def test_contract_is_abstract_and_written_down(family):
    base = FAMILIES[family].base()
    assert issubclass(base, Plugin)
    assert issubclass(base, ABC)
    assert inspect.isabstract(base)
    assert f"family `{family}`" in (base.__doc__ or "")
    for name in base.__abstractmethods__:
        assert getattr(base, name).__doc__, f"{base.__name__}.{name} has no docstring"


def sections(cls: type[Section]) -> set[type[Section]]:
    """Return a section and all sections in it."""
    found = {cls}
    for field in cls.model_fields.values():
        for each in arguments(field.annotation):
            if isinstance(each, type) and issubclass(each, Section):
                found |= sections(each)
    return found


def arguments(annotation: Any) -> list[Any]:
    """Return everything that a type is made of."""
    return [annotation] + [part for each in get_args(annotation) for part in arguments(each)]


ALL_SECTIONS = sorted(
    {*sections(Scenario), *(each for name in SHIPPED for each in sections(find(*name)))},
    key=lambda cls: (cls.__module__, cls.__name__),
)


@pytest.mark.parametrize("cls", ALL_SECTIONS, ids=lambda cls: cls.__name__)
def test_units_of_fields_are_in_their_names(cls):
    """A quantity's field is named with its unit, and only a quantity's is."""
    for name, field in cls.model_fields.items():
        parts = [*field.metadata, *arguments(field.annotation)]
        found = {part.unit for part in parts if isinstance(part, Quantity)}
        named = dimension_of(name)
        assert found == ({named.unit} if named is not None else set()), f"{cls.__name__}.{name}"


def test_unknown_kind_names_the_nearest():
    with pytest.raises(LookupError, match=r"expected one of .*, got 'ful'; did you mean 'full'\?"):
        find("planner", "ful")


def test_base_and_helpers_are_no_kinds():
    for family, kind in SHIPPED:
        assert kind not in ("base", "style", "__init__")
        assert not kind.startswith("_"), family


class Inner(Section):
    """A section with a kind and a quantity in it."""

    rate: Annotated[Any, Kind("rate")] = None
    carrier_hz: Hertz = 1.0


def test_plain_names_kinds_and_keeps_si():
    inner = Inner.model_validate({"rate": "shannon", "carrier": "1 GHz"})
    written = plain(inner)
    assert written["carrier_hz"] == 1e9
    assert written["rate"]["kind"] == "shannon"
    assert Inner.model_validate(written) == inner


def test_a_kind_that_is_one_already_is_taken():
    shannon = build("rate", "shannon")
    assert Inner(rate=shannon).rate is shannon


MODULE = '''
    """A mobility model from outside the package."""

    from collections.abc import Iterator

    import numpy as np

    from cosim.units import Metres
    from cosim.world.mobility.base import Knots, Mobility


    class Corner(Mobility):
        """Stands at one point, always."""

        x_m: Metres = 0.0

        def max_speed_mps(self, member):
            return 0.0

        def path(self, draws, member) -> Iterator[Knots]:
            yield Knots(np.zeros(1), np.array([[self.x_m, 0.0]]))


    class Unfinished(Mobility):
        """Has no path."""


    class Other:
        """No mobility model at all."""
'''


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder with a plug-in module, a scenario's folder; the module's name is its own."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "lab_models.py").write_text(dedent(MODULE), encoding="utf-8")
    (tmp_path / "broken_models.py").write_text("1 / 0\n", encoding="utf-8")
    yield tmp_path
    for name in ("lab_models", "broken_models"):
        sys.modules.pop(name, None)


def scenario(folder, kind="lab_models:Corner", plugins="plugins: [lab_models]\n"):
    path = folder / "a.yaml"
    path.write_text(f"{plugins}devices: [{{mobility: {{kind: '{kind}'}}}}]\n", encoding="utf-8")
    return path


def test_plugin_from_outside_the_package(outside):
    """A module beside the scenario's file is found from any current directory."""
    loaded = load(scenario(outside), {"devices.0.mobility.x": "7 m"}).scenario
    mobility = loaded.devices[0].mobility
    (knots,) = mobility.path(None, None)
    assert knots.xy_m.tolist() == [[7.0, 0.0]]
    assert kind_of(mobility) == "lab_models:Corner"


def test_plugin_from_the_current_directory(outside, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(outside)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert load(scenario(elsewhere)).scenario.devices[0].mobility.x_m == 0.0


def test_plugin_moves_devices_of_a_world(outside):
    from cosim.world.build import build_world

    world = build_world(load(scenario(outside), {"devices.0.mobility.x": "7 m"}).scenario)
    assert world.positions_m(12.5).tolist() == [[7.0, 0.0]] * 8


def test_plugin_keys_are_checked_like_any_other(outside):
    path = scenario(outside)
    path.write_text(
        "plugins: [lab_models]\ndevices: [{mobility: {kind: 'lab_models:Corner', x: 7}}]\n",
        encoding="utf-8",
    )
    with pytest.raises(ScenarioError, match=r"mobility\.x: expected a length with its unit"):
        load(path)


def test_plugin_that_is_not_allowed(outside):
    with pytest.raises(ScenarioError) as caught:
        load(scenario(outside, plugins=""))
    assert str(caught.value).endswith(
        "a.yaml:1:23 devices.0.mobility.kind: expected a module that `plugins:` allows, "
        "got 'lab_models:Corner'; allow it with `plugins: [lab_models]`"
    )
    assert "lab_models" not in sys.modules, "what is not allowed must not be imported"


def test_plugin_can_be_allowed_by_an_override(outside):
    loaded = load(scenario(outside, plugins=""), ["plugins=[lab_models]"])
    assert loaded.scenario.plugins == ("lab_models",)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "lab_models:Cornr",
            "expected a class of 'lab_models', got 'Cornr'; did you mean 'Corner'?",
        ),
        (
            "lab_models:Other",
            "expected a subclass of cosim.world.mobility.base.Mobility, got 'lab_models:Other'",
        ),
        ("lab_models:", "expected a kind of the package or module:Class, got 'lab_models:'"),
        (
            "broken_models:X",
            "expected a module that can be imported, got 'broken_models': "
            "ZeroDivisionError: division by zero",
        ),
        (
            "no_models:X",
            "expected a module that can be imported, got 'no_models': "
            "ModuleNotFoundError: No module named 'no_models'",
        ),
    ],
)
def test_plugin_that_cannot_be_used(outside, kind, message):
    path = scenario(outside, kind, "plugins: [lab_models, broken_models, no_models]\n")
    with pytest.raises(ScenarioError) as caught:
        load(path)
    assert str(caught.value).endswith(f" devices.0.mobility.kind: {message}")


def test_plugin_that_is_not_finished(outside):
    with pytest.raises(ScenarioError, match=r"got 'lab_models:Unfinished' without .*path"):
        load(scenario(outside, "lab_models:Unfinished"))


def test_search_path_is_left_alone_without_plugins():
    before = list(sys.path)
    loads("seed: 1\n")
    assert sys.path == before
