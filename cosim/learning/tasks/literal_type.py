"""Type of the value that a line of Python assigns."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from cosim.learning.tasks._generated import GeneratedTask, Item, pick
from cosim.learning.tasks._words import NAMES


def _digit(rng: np.random.Generator) -> str:
    return str(int(rng.random() * 10))


def _number(rng: np.random.Generator) -> str:
    return _digit(rng) if rng.random() < 0.5 else str(10 + int(rng.random() * 90))


def _text(rng: np.random.Generator) -> str:
    return f'"{pick(rng, NAMES)}"'


def _list(rng: np.random.Generator) -> str:
    return f"[{_digit(rng)},{_digit(rng)}]" if rng.random() < 0.5 else f"[{_number(rng)}]"


_Form = Callable[[np.random.Generator], str]

_FORMS: dict[str, tuple[_Form, ...]] = {
    "int": (
        lambda rng: f"{_number(rng)}+{_digit(rng)}",
        lambda rng: f"{_number(rng)}*{_digit(rng)}",
        lambda rng: f"len({_text(rng)}+{_text(rng)})",
        lambda rng: f"len({_list(rng)})",
    ),
    "str": (
        lambda rng: f"{_text(rng)}+{_text(rng)}",
        lambda rng: f"{_text(rng)}*{_number(rng)}",
        lambda rng: f"str({_number(rng)})",
        lambda rng: f"str({_list(rng)})",
    ),
    "list": (
        _list,
        lambda rng: f"{_list(rng)}*{_digit(rng)}",
        lambda rng: f"list({_text(rng)}+{_text(rng)})",
        lambda rng: f"[{_text(rng)},{_digit(rng)}]",
    ),
    "bool": (
        lambda rng: f"{_number(rng)}<{_number(rng)}",
        lambda rng: f"{_text(rng)}=={_text(rng)}",
        lambda rng: f"{_list(rng)}=={_list(rng)}",
        lambda rng: f"{_number(rng)}=={_number(rng)}",
    ),
}
_TYPES = tuple(_FORMS)


class LiteralType(GeneratedTask):
    """`Type: x=len([3,4]). Answer:` int, str, list, bool."""

    group: ClassVar[str] = "code"
    instruction: ClassVar[str] = "Type"
    num_answers: ClassVar[int] = len(_TYPES)

    def item(self, rng: np.random.Generator, answer: int) -> Item:
        """Draw an assignment whose value has the type."""
        form = pick(rng, _FORMS[_TYPES[answer]])
        return Item(f"{pick(rng, NAMES)}={form(rng)}", _TYPES, answer)
