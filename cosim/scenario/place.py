"""A place in a scenario: the value that is written there beside what the tree allows there.

Messages and overrides both walk down a path; this is one step of that walk.
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from cosim import units
from cosim.plugin import Kind, Plugin, Section, find, plain
from cosim.units import Dimension, Quantity


class Absent:
    """The type of ABSENT, which stands for a value that is not written anywhere."""


ABSENT = Absent()


@dataclass(frozen=True)
class Place:
    """One value of a scenario.

    Attributes:
        value: what is written, or ABSENT.
        annotation: the type that the tree has here; None if the tree has no such place.
        plugins: modules that the scenario allows beside the package.
        field: the field of a section that this is, if it is one.
    """

    value: Any
    annotation: Any
    plugins: tuple[str, ...] = ()
    field: FieldInfo | None = None

    @property
    def section(self) -> type[Section] | None:
        """The section or chosen kind that is written here; None if it is neither."""
        return _section(self.annotation, self.value, self.plugins)

    @property
    def keys(self) -> list[str]:
        """The YAML keys of the section here; a kind has `kind` too."""
        section = self.section
        if section is None:
            return []
        named = [str(field.alias or name) for name, field in section.model_fields.items()]
        return ["kind", *named] if issubclass(section, Plugin) else named

    @property
    def is_kind(self) -> bool:
        """Whether one kind of a family is expected here."""
        return any(isinstance(each, Kind) for each in _parts(self.annotation))

    @property
    def family(self) -> str:
        """The family of the kinds that are expected here; empty if none are."""
        kinds = (each.family for each in _parts(self.annotation) if isinstance(each, Kind))
        return next(kinds, "")

    @property
    def is_open_list(self) -> bool:
        """Whether a list of any length is expected here."""
        return any(
            get_origin(each) is tuple and get_args(each)[-1:] == (Ellipsis,)
            for each in _branches(self.annotation)
        )

    @property
    def dimension(self) -> Dimension | None:
        """The dimension of the numbers here, if they have one."""
        return _dimension(self.annotation)

    def written_key(self, key: str) -> str:
        """Return how `key` is written here: as it is, or in its resolved form `carrier_hz`."""
        if isinstance(self.value, Mapping) and key not in self.value:
            for written in self.value:
                if isinstance(written, str) and units.yaml_key(written) == key:
                    return written
        return key

    def step(self, part: str | int) -> "Place | None":
        """Return the place one key or index on; None if neither value nor tree has it."""
        if isinstance(self.value, list | tuple):
            return self._item(part)
        section = self.section
        name, field = _field(section, part) if section is not None else (None, None)
        present = isinstance(self.value, Mapping) and part in self.value
        value = self.value[part] if present else ABSENT
        if section is not None and isinstance(self.value, section) and name is not None:
            value = getattr(self.value, name)
        if field is not None:
            return Place(value, _annotation(field), self.plugins, field)
        return Place(value, _entry(self.annotation), self.plugins) if present else None

    def _item(self, part: str | int) -> "Place | None":
        if not isinstance(part, int):
            return None
        found = (_items(each, part) for each in _branches(self.annotation))
        annotation = next((each for each in found if each is not None), None)
        value = self.value[part] if 0 <= part < len(self.value) else ABSENT
        return Place(value, annotation, self.plugins)

    def default(self) -> Any:
        """Return what stands here when nothing is written, in the form it could be written in."""
        if self.field is None or self.field.is_required():
            return ABSENT
        return _writable(self.field.get_default(call_default_factory=True))

    def filled(self) -> "Place":
        """Return this place with its value written out, so that keys can be looked up in it.

        What is not written is its default, a bare name is the kind of that name, and what is
        nothing is a mapping without keys.
        """
        value = self.default() if self.value is ABSENT else self.value
        if isinstance(value, str) and self.is_kind:
            value = {"kind": value}
        if value is ABSENT or value is None:
            value = {}
        if isinstance(value, Section):
            value = plain(value)
        return Place(value, self.annotation, self.plugins, self.field)


def _writable(value: Any) -> Any:
    """Return a default as what a user could have written: a section by what was set in it."""
    if isinstance(value, Section) and not isinstance(value, Plugin):
        return {name: _writable(getattr(value, name)) for name in sorted(value.model_fields_set)}
    if isinstance(value, tuple):
        return tuple(_writable(item) for item in value)
    return value


def _field(section: type[Section], key: str | int) -> tuple[str | None, FieldInfo | None]:
    for name, field in section.model_fields.items():
        if key in (name, field.alias):
            return name, field
    return None, None


def _annotation(field: FieldInfo) -> Any:
    annotation: Any = field.annotation
    for each in field.metadata:
        annotation = Annotated[annotation, each]
    return annotation


def _branches(annotation: Any) -> list[Any]:
    """Return the members of a union (less its Annotated wrapping), or the type alone."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return [branch for each in get_args(annotation) for branch in _branches(each)]
    if origin is Annotated and not any(isinstance(each, Kind) for each in get_args(annotation)):
        return _branches(get_args(annotation)[0])
    return [annotation]


def _parts(annotation: Any) -> list[Any]:
    """Return what a type consists of at this place, the metadata of Annotated included."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType, Annotated):
        return [part for each in get_args(annotation) for part in _parts(each)]
    return [annotation]


def _dimension(annotation: Any) -> Dimension | None:
    if isinstance(annotation, Quantity):
        return annotation.dimension
    found = (_dimension(each) for each in get_args(annotation))
    return next((each for each in found if each is not None), None)


def _items(annotation: Any, index: int) -> Any:
    arguments = get_args(annotation)
    if get_origin(annotation) is not tuple or not arguments:
        return None
    if arguments[-1] is Ellipsis:
        return arguments[0]
    return arguments[index] if 0 <= index < len(arguments) else None


def _entry(annotation: Any) -> Any:
    """Return the type of a mapping's values."""
    for each in _branches(annotation):
        if get_origin(each) in (dict, Mapping) and len(get_args(each)) == 2:
            return get_args(each)[1]
    return None


def _section(annotation: Any, value: Any, plugins: tuple[str, ...]) -> type[Section] | None:
    if isinstance(value, Section):
        return type(value)
    for branch in _branches(annotation):
        kind = next((each for each in _parts(branch) if isinstance(each, Kind)), None)
        if kind is not None:
            name = value.get("kind") if isinstance(value, Mapping) else value
            try:
                return find(kind.family, name, plugins) if isinstance(name, str) else None
            except LookupError:
                return None
        if isinstance(branch, type) and issubclass(branch, Section):
            return branch
    return None
