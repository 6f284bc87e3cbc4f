"""The JSON Schema: sound in itself, complete, and in agreement with the loader."""

import re

import pytest

from cosim.plugin import FAMILIES, kinds, scenarios_dir
from cosim.scenario.document import parse
from cosim.scenario.schema import json_schema

SCHEMA = json_schema()


def nodes(node):
    """Yield every mapping of the schema."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for item in node:
            yield from nodes(item)


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def test_every_reference_leads_somewhere():
    references = {node["$ref"] for node in nodes(SCHEMA) if isinstance(node.get("$ref"), str)}
    assert references
    assert references <= {f"#/$defs/{name}" for name in SCHEMA["$defs"]}


def test_every_kind_is_there_by_name():
    for family in FAMILIES:
        variants = SCHEMA["$defs"][family]["anyOf"]
        assert [each["$ref"] for each in variants if "$ref" in each] == [
            f"#/$defs/{family}.{kind}" for kind in kinds(family)
        ]
        for kind in kinds(family):
            body = SCHEMA["$defs"][f"{family}.{kind}"]
            assert body["properties"]["kind"] == {"const": kind}
            assert body["additionalProperties"] is False
            assert "kind" in body["required"]


def test_no_family_mark_and_no_si_default_is_left():
    for node in nodes(SCHEMA):
        assert "x-cosim-family" not in node
        assert node.get("type") != "string" or "minimum" not in node


def test_keys_are_those_of_yaml():
    channel = SCHEMA["$defs"]["Channel"]["properties"]
    assert "carrier" in channel
    assert "carrier_hz" not in channel
    assert re.search(channel["carrier"]["pattern"], "3.5 GHz")
    assert not re.search(channel["carrier"]["pattern"], "3.5 m")
    assert "extends" in SCHEMA["properties"]


def validator():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


@pytest.mark.parametrize(
    "path", sorted(scenarios_dir().rglob("*.yaml")), ids=lambda path: path.stem
)
def test_shipped_scenarios_are_valid(path):
    document = parse(path.read_text(encoding="utf-8"), path.name)
    assert not [error.message for error in validator().iter_errors(plain(document.data))]


@pytest.mark.parametrize(
    "text",
    [
        "chanel: {}",
        "channel: {carrier: 5}",
        "channel: {fading: rayleig}",
        "channel: {fading: {kind: rayleigh, x: 1}}",
        "seed: -1",
        "devices: []",
        "transport: {engine: x}",
        "duration: 5",
        "devices: [{mobility: {kind: random_waypoint, speed: [1 m/s, 2]}}]",
    ],
)
def test_mistakes_are_invalid(text):
    assert not validator().is_valid(plain(parse(text, "x").data))
