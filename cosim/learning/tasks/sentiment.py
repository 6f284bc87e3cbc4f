"""Sentiment of a one-line review, with negation (as SST-2 in small)."""

from typing import ClassVar

import numpy as np

from cosim.learning.tasks._generated import GeneratedTask, Item, pick, pick_two
from cosim.learning.tasks._words import EMPHASIS, NEGATION, NEGATIVE, POSITIVE, SUBJECTS


class Sentiment(GeneratedTask):
    """`Sentiment: the film was not dull or slow. Answer:` good, bad."""

    group: ClassVar[str] = "language"
    instruction: ClassVar[str] = "Sentiment"
    num_answers: ClassVar[int] = 2

    def item(self, rng: np.random.Generator, answer: int) -> Item:
        """Draw one review; place 0 is good, place 1 is bad."""
        negated = rng.random() < 0.3
        words = POSITIVE if (answer == 0) != negated else NEGATIVE
        first, second = pick_two(rng, words)
        adverb = pick(rng, NEGATION if negated else EMPHASIS)
        joint = "or" if negated else "and"
        statement = f"the {pick(rng, SUBJECTS)} was {adverb} {first} {joint} {second}"
        return Item(statement, ("good", "bad"), answer)
