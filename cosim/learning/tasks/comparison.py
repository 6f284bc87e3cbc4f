"""Which of two numbers is larger."""

from typing import ClassVar

import numpy as np

from cosim.learning.tasks._generated import GeneratedTask, Item


class Comparison(GeneratedTask):
    """`Larger: 47 or 82. Answer:` first, second."""

    group: ClassVar[str] = "mathematics"
    instruction: ClassVar[str] = "Larger"
    num_answers: ClassVar[int] = 2

    def item(self, rng: np.random.Generator, answer: int) -> Item:
        """Draw two different numbers of two digits."""
        low = 10 + int(rng.random() * 90)
        high = 10 + (low - 10 + 1 + int(rng.random() * 89)) % 90
        low, high = min(low, high), max(low, high)
        pair = (high, low) if answer == 0 else (low, high)
        return Item(f"{pair[0]} or {pair[1]}", ("first", "second"), answer)
