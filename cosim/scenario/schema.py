"""JSON Schema (draft 2020-12) of a scenario file, for completion in editors.

It has every shipped kind. Values with units are texts that match the accepted units. It is for
files as users write them; the resolved keys of a run folder (`carrier_hz: 3.5e9`) are not in it.
"""

from typing import Any

from cosim.plugin import FAMILIES, FAMILY_MARK, find, kinds
from cosim.scenario.tree import Scenario

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_OUTSIDE = {
    "type": "object",
    "properties": {"kind": {"type": "string", "pattern": "^[^:]+:[^:]+$"}},
    "required": ["kind"],
    "description": "a class from a module that `plugins:` allows",
}
# What only makes sense for the numbers behind texts with units, or for whom Python is the reader.
_DROPPED = ("exclusiveMinimum", "exclusiveMaximum", "minimum", "maximum")


def json_schema() -> dict[str, Any]:
    """Return the schema: the tree, and one definition for each kind and each family."""
    definitions: dict[str, Any] = {}
    root = _hoisted(Scenario.model_json_schema(), "", definitions)
    for family in FAMILIES:
        names = kinds(family)
        variants = []
        for kind in names:
            name = f"{family}.{kind}"
            body = _hoisted(find(family, kind).model_json_schema(), f"{name}.", definitions)
            definitions[name] = _named(body, kind)
            variants.append({"$ref": f"#/$defs/{name}"})
        bare = {"type": "string", "enum": names} if names else {"type": "string"}
        definitions[family] = {"anyOf": [bare, *variants, _OUTSIDE]}
    root["properties"]["extends"] = {
        "type": "string",
        "description": "another scenario file, relative to this one, that this one changes",
    }
    root |= {"$schema": _DRAFT, "title": "cosim scenario", "$defs": definitions}
    return root


def _named(body: dict[str, Any], kind: str) -> dict[str, Any]:
    properties = {"kind": {"const": kind}} | body.get("properties", {})
    return body | {"properties": properties, "required": ["kind", *body.get("required", [])]}


def _hoisted(schema: dict[str, Any], prefix: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Move a schema's own definitions up under a prefix and return the rest."""
    for name, body in schema.pop("$defs", {}).items():
        definitions[prefix + name] = _rewritten(body, prefix)
    rewritten: dict[str, Any] = _rewritten(schema, prefix)
    return rewritten


def _rewritten(node: Any, prefix: str) -> Any:
    """Point references at their new places, and put families where they are marked."""
    if isinstance(node, list):
        return [_rewritten(item, prefix) for item in node]
    if not isinstance(node, dict):
        return node
    if FAMILY_MARK in node:
        about = {"description": node["description"]} if "description" in node else {}
        return {"$ref": f"#/$defs/{node[FAMILY_MARK]}"} | about
    kept = {key: value for key, value in node.items() if not _is_noise(key, node)}
    if "$ref" in kept:
        kept["$ref"] = kept["$ref"].replace("#/$defs/", f"#/$defs/{prefix}")
    if "properties" in kept:  # its keys are the user's, not the schema's
        named = kept.pop("properties").items()
        kept = {key: _rewritten(value, prefix) for key, value in kept.items()}
        return kept | {"properties": {key: _rewritten(value, prefix) for key, value in named}}
    return {key: _rewritten(value, prefix) for key, value in kept.items()}


def _is_noise(key: str, node: dict[str, Any]) -> bool:
    if key == "default":  # held in SI, which is not how a user writes it
        return True
    return key in _DROPPED and node.get("type") == "string"
