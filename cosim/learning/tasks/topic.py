"""Topic of a headline, four ways, with a stray word from another topic (as AG News in small)."""

from typing import ClassVar

import numpy as np

from cosim.learning.tasks._generated import GeneratedTask, Item, pick, pick_two
from cosim.learning.tasks._words import NEWS_LINKS, NEWS_VERBS, TOPICS

_TOPICS = tuple(TOPICS)


class Topic(GeneratedTask):
    """`Topic: coach faces league after trade. Answer:` sport, money, science, politics."""

    group: ClassVar[str] = "language"
    instruction: ClassVar[str] = "Topic"
    num_answers: ClassVar[int] = len(_TOPICS)

    def item(self, rng: np.random.Generator, answer: int) -> Item:
        """Draw a headline of three nouns; at least two are of the topic."""
        nouns = [*pick_two(rng, TOPICS[_TOPICS[answer]]), pick(rng, TOPICS[pick(rng, _TOPICS)])]
        turn = int(rng.random() * 3)
        first, second, third = nouns[turn:] + nouns[:turn]
        statement = f"{first} {pick(rng, NEWS_VERBS)} {second} {pick(rng, NEWS_LINKS)} {third}"
        return Item(statement, _TOPICS, answer)
