"""Whether the brackets of an expression match."""

from typing import ClassVar

import numpy as np

from cosim.learning.tasks._generated import GeneratedTask, Item, pick
from cosim.learning.tasks._words import FUNCTIONS, NAMES

_PAIRS = (("(", ")"), ("[", "]"))
_ATOMS = (*NAMES, *"0123456789")
_CLOSING = {")": "]", "]": ")"}


def _balanced(rng: np.random.Generator) -> list[str]:
    """Draw an expression of two or three nested or neighbouring pairs of brackets."""
    open_1, close_1 = pick(rng, _PAIRS)
    open_2, close_2 = pick(rng, _PAIRS)
    inner = [open_2, pick(rng, _ATOMS), close_2]
    shape = int(rng.random() * 3)
    if shape == 0:
        return [pick(rng, FUNCTIONS), open_1, pick(rng, FUNCTIONS), *inner, close_1]
    if shape == 1:
        return [pick(rng, FUNCTIONS), open_1, pick(rng, _ATOMS), close_1, *inner]
    open_3, close_3 = pick(rng, _PAIRS)
    return [open_1, pick(rng, FUNCTIONS), open_3, *inner, close_3, close_1]


class Syntax(GeneratedTask):
    """`Syntax: f(g[x]). Answer:` valid, broken."""

    group: ClassVar[str] = "code"
    instruction: ClassVar[str] = "Syntax"
    num_answers: ClassVar[int] = 2

    def item(self, rng: np.random.Generator, answer: int) -> Item:
        """Draw an expression; a broken one has a closing bracket of the wrong kind or none."""
        tokens = _balanced(rng)
        if answer == 1:
            place = pick(rng, [i for i, token in enumerate(tokens) if token in _CLOSING])
            tokens[place] = _CLOSING[tokens[place]] if rng.random() < 0.5 else ""
        return Item("".join(tokens), ("valid", "broken"), answer)
