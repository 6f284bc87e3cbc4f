"""Kinds: how a scenario names a model, and how its class is found.

A kind is one class in one file. Its fields are its YAML keys; `kind:` is the file's name:

    mobility: {kind: random_waypoint, speed: [1 m/s, 3 m/s]}
        -> class RandomWaypoint(Mobility) in cosim/world/mobility/random_waypoint.py

A new kind is a new file in its family's folder; nothing else is edited. A class from outside the
package is named `kind: my_lab.planners:Spectral`, and only when the scenario's `plugins:` list
has `my_lab.planners`. It is imported as Python imports anything, so an installed package works;
beside that, the scenario file's folder and the current directory are searched, last of all (they
are appended to `sys.path` when a scenario that has `plugins:` is loaded), so that a file next to
the scenario works too and never hides an installed module.

Looking a kind up is the one step that goes up the floors; it happens here alone, and only for the
kinds that a scenario names.
"""

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema

from cosim import units
from cosim.wording import did_you_mean, one_of, show


class Section(BaseModel):
    """A part of a scenario: frozen, no unknown keys, keys without and values with units.

    A field named with its unit (`carrier_hz`) is the key without it (`carrier: 3.5 GHz`). The
    resolved scenario of a run holds the fields as they are (`carrier_hz: 3500000000.0`), and
    reads back the same.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=units.yaml_key,
        validate_by_alias=True,
        validate_by_name=False,
        allow_inf_nan=False,
        arbitrary_types_allowed=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _read_resolved_keys(cls, data: Any) -> Any:
        """Turn `carrier_hz: 3.5e9` into `carrier: '3500000000.0 Hz'`."""
        if not isinstance(data, Mapping):
            return data
        read = dict(data)
        for name, field in cls.model_fields.items():
            if field.alias == name or field.alias is None or name not in data:
                continue
            if field.alias in data:
                raise PydanticCustomError(
                    "contradiction",
                    "expected one of the keys {alias} and {name}, which are the same, got both",
                    {"alias": field.alias, "name": name},
                )
            dimension = units.dimension_of(name)
            assert dimension is not None  # the alias differs, so the name ends with a unit
            read[field.alias] = units.with_unit(read.pop(name), dimension)
        return read


class Plugin(Section, ABC):
    """Base of every contract; a contract's concrete subclasses are its kinds."""


@dataclass(frozen=True)
class Family:
    """A folder of kinds and the contract that they meet."""

    package: str
    contract: str  # module:class

    def base(self) -> type[Plugin]:
        """Import and return the contract class."""
        module, _, name = self.contract.partition(":")
        found: type[Plugin] = getattr(importlib.import_module(module), name)
        return found


def _family(package: str, name: str) -> Family:
    return Family(package, f"{package}.base:{name}")


FAMILIES: dict[str, Family] = {
    "area": _family("cosim.world.area", "Area"),
    "mobility": _family("cosim.world.mobility", "Mobility"),
    "path_loss": _family("cosim.world.path_loss", "PathLoss"),
    "shadowing": _family("cosim.world.shadowing", "Shadowing"),
    "fading": _family("cosim.world.fading", "Fading"),
    "delay_profile": _family("cosim.world.delay_profile", "DelayProfile"),
    "compute": _family("cosim.world.compute", "Compute"),
    "rate": _family("cosim.radio.rate", "Rate"),
    "error": _family("cosim.radio.error", "PacketError"),
    "rule": _family("cosim.radio.sharing", "SharingRule"),
    "traffic": _family("cosim.radio.traffic", "Traffic"),
    "model": _family("cosim.learning.models", "ModelSource"),
    "task": _family("cosim.learning.tasks", "Task"),
    "partition": _family("cosim.learning.partitions", "Partition"),
    "inference": _family("cosim.learning.inference", "Inference"),
    "method": _family("cosim.learning.methods", "Method"),
    "pool": _family("cosim.learning.pool", "Pool"),
    "planner": _family("cosim.planning.planners", "Planner"),
    "trigger": _family("cosim.planning.triggers", "Trigger"),
    "controller": _family("cosim.planning.controllers", "Controller"),
    "protocol": _family("cosim.sim.protocols", "Protocol"),
    "figure": Family("plots", "cosim.results.figure:Figure"),
}

_NOT_KINDS = {"base", "style"}


def figures_dir() -> Path:
    """Return the folder of figure files: `plots/` of a checkout, or its installed copy."""
    return _shipped("plots")


def scenarios_dir() -> Path:
    """Return the folder of shipped scenarios: `scenarios/` of a checkout, or its copy."""
    return _shipped("scenarios")


def _shipped(name: str) -> Path:
    package = Path(__file__).parent
    checkout = package.parent / name
    return checkout if (package.parent / "pyproject.toml").exists() else package / "_shipped" / name


def _package(family: Family) -> ModuleType:
    if family.package != "plots":
        return importlib.import_module(family.package)
    if "plots" not in sys.modules:
        init = figures_dir() / "__init__.py"
        spec = importlib.util.spec_from_file_location(
            "plots", init, submodule_search_locations=[str(init.parent)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["plots"] = module
        spec.loader.exec_module(module)
    return sys.modules["plots"]


def kinds(family: str) -> list[str]:
    """Return the names of a family's shipped kinds, sorted."""
    package = _package(FAMILIES[family])
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name for name in names if name not in _NOT_KINDS and not name.startswith("_"))


def find(family: str, kind: str, allowed: tuple[str, ...] = ()) -> type[Plugin]:
    """Return the class of a kind.

    Args:
        family: a key of FAMILIES.
        kind: the name of a shipped kind, or `module:Class` from outside the package.
        allowed: modules that the scenario's `plugins:` list allows.

    Raises:
        LookupError: there is no such kind, or its module is not allowed; the message says what
            there is and the nearest name.
    """
    base = FAMILIES[family].base()
    if ":" in kind:
        return _find_outside(base, kind, allowed)
    names = kinds(family)
    if kind not in names:
        raise LookupError(f"expected {one_of(names)}, got {show(kind)}{did_you_mean(kind, names)}")
    module = importlib.import_module(f"{_package(FAMILIES[family]).__name__}.{kind}")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and issubclass(value, base)
        and not inspect.isabstract(value)
    ]
    if len(found) != 1:
        raise LookupError(f"{module.__name__} must define one {base.__name__}, found {len(found)}")
    return found[0]


def _find_outside(base: type[Plugin], kind: str, allowed: tuple[str, ...]) -> type[Plugin]:
    module_name, _, class_name = kind.partition(":")
    if not module_name or not class_name.isidentifier():
        raise LookupError(f"expected a kind of the package or module:Class, got {kind!r}")
    if module_name not in allowed:
        raise LookupError(
            f"expected a module that `plugins:` allows, got {kind!r}; "
            f"allow it with `plugins: [{module_name}]`"
        )
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a plug-in is the user's code: whatever it raises is a message
        raise LookupError(
            f"expected a module that can be imported, got {module_name!r}: "
            f"{type(error).__name__}: {error}"
        ) from error
    found = getattr(module, class_name, None)
    if found is None:
        names = [name for name, value in vars(module).items() if isinstance(value, type)]
        raise LookupError(
            f"expected a class of {module_name!r}, got {class_name!r}"
            f"{did_you_mean(class_name, names)}"
        )
    if not (isinstance(found, type) and issubclass(found, base)):
        raise LookupError(f"expected a subclass of {base.__module__}.{base.__name__}, got {kind!r}")
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise LookupError(
            f"expected all methods of {base.__name__}, got {kind!r} without {', '.join(missing)}"
        )
    return found


def search_in(folder: Path) -> None:
    """Let plug-in modules be imported from a folder, when nothing installed has their name."""
    for each in (str(folder.resolve()), str(Path.cwd())):
        if each not in sys.path:
            sys.path.append(each)
    importlib.invalidate_caches()


def kind_of(plugin: Plugin | type[Plugin]) -> str:
    """Return the name by which a scenario names this class."""
    cls = plugin if isinstance(plugin, type) else type(plugin)
    package, _, module = cls.__module__.rpartition(".")
    shipped = {family.package for family in FAMILIES.values()}
    return module if package in shipped else f"{cls.__module__}:{cls.__qualname__}"


FAMILY_MARK = "x-cosim-family"


@dataclass(frozen=True)
class Kind:
    """Pydantic annotation of a field that holds one kind of a family.

    Only the kind that is named gets imported and validated. The validation context may hold
    `plugins`, the modules that are allowed beside the package.
    """

    family: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        # Kinds may hold kinds, so their schemas are not nested here: `scenario/schema.py` puts a
        # reference to the family's definition in place of this mark.
        return {FAMILY_MARK: self.family}

    def _read(self, value: Any, info: core_schema.ValidationInfo) -> Any:
        if isinstance(value, FAMILIES[self.family].base()):
            return value
        if isinstance(value, str):  # a bare name is a kind with its defaults
            value = {"kind": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("kind", ""), str):
            found = value.get("kind") if isinstance(value, Mapping) else value
            raise PydanticCustomError(
                "kind",
                "expected {kinds}, got {value}",
                {"kinds": one_of(kinds(self.family)), "value": show(found)},
            )
        if "kind" not in value:
            raise PydanticCustomError(
                "kind_missing",
                "expected the key 'kind' with {kinds}, got {value}",
                {"kinds": one_of(kinds(self.family)), "value": show(value)},
            )
        context = info.context or {}
        try:
            cls = find(self.family, value["kind"], tuple(context.get("plugins", ())))
        except LookupError as error:
            raise PydanticCustomError("kind", "{reason}", {"reason": str(error)}) from None
        rest = {key: item for key, item in value.items() if key != "kind"}
        return cls.model_validate(rest, context=info.context)


def plain(value: Any) -> Any:
    """Return a validated section as plain data in SI units, kinds by name.

    `Section.model_validate` of the result gives an equal section.
    """
    if isinstance(value, Section):
        fields = {name: plain(getattr(value, name)) for name in type(value).model_fields}
        return {"kind": kind_of(value)} | fields if isinstance(value, Plugin) else fields
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, units.Span):
        return str(value)
    return value
