"""Rough size of a sum."""

from typing import ClassVar

import numpy as np

from cosim.learning.tasks._generated import GeneratedTask, Item

_SIZES = ("low", "medium", "high")
_MEDIUM_FROM, _HIGH_FROM = 80, 140


class Estimation(GeneratedTask):
    """`Sum: 47+82. Answer:` low (below 80), medium, high (140 and above)."""

    group: ClassVar[str] = "mathematics"
    instruction: ClassVar[str] = "Sum"
    num_answers: ClassVar[int] = len(_SIZES)

    def item(self, rng: np.random.Generator, answer: int) -> Item:
        """Draw two numbers of two digits until their sum has the size."""
        while True:
            first, second = 10 + int(rng.random() * 90), 10 + int(rng.random() * 90)
            size = int(first + second >= _MEDIUM_FROM) + int(first + second >= _HIGH_FROM)
            if size == answer:
                return Item(f"{first}+{second}", _SIZES, answer)
