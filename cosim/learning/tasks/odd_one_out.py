"""Odd one out: the word of another category."""

from typing import ClassVar

import numpy as np

from cosim.learning.tasks._generated import GeneratedTask, Item, pick, pick_two
from cosim.learning.tasks._words import CATEGORIES

_CATEGORIES = tuple(CATEGORIES)


class OddOneOut(GeneratedTask):
    """`Odd: lion, apple, bear. Answer:` lion, apple, bear."""

    group: ClassVar[str] = "comprehensive"
    instruction: ClassVar[str] = "Odd"
    extractive: ClassVar[bool] = True
    num_answers: ClassVar[int] = 3

    def item(self, rng: np.random.Generator, answer: int) -> Item:
        """Draw two words of one category and one of another."""
        common, other = pick_two(rng, _CATEGORIES)
        words = list(pick_two(rng, CATEGORIES[common]))
        words.insert(answer, pick(rng, CATEGORIES[other]))
        return Item(", ".join(words), tuple(words), answer)
