"""Reading comprehension: who has the thing in the end (as bAbI's three-argument relations)."""

from typing import ClassVar

import numpy as np

from cosim.learning.tasks._generated import GeneratedTask, Item, pick, pick_two
from cosim.learning.tasks._words import GIVING, PEOPLE, TAKING, THINGS


class Reading(GeneratedTask):
    """`Owner: map sold by Anna to Tom. Answer:` Anna, Tom."""

    group: ClassVar[str] = "comprehensive"
    instruction: ClassVar[str] = "Owner"
    num_answers: ClassVar[int] = 2
    extractive: ClassVar[bool] = True

    def item(self, rng: np.random.Generator, answer: int) -> Item:
        """Draw two people in the order in which they are named, and what one has of the other."""
        people, thing = pick_two(rng, PEOPLE), pick(rng, THINGS)
        giving = rng.random() < 0.5
        verb = pick(rng, GIVING if giving else TAKING)
        owner_link, other_link = ("to", "by") if giving else ("by", "from")
        active = rng.random() < 0.5 and giving == (answer == 1)
        if active:  # the giver is named first, or the taker is
            statement = f"{people[0]} {verb} {thing} {'to' if giving else 'from'} {people[1]}"
        else:
            links = (owner_link, other_link) if answer == 0 else (other_link, owner_link)
            statement = f"{thing} {verb} {links[0]} {people[0]} {links[1]} {people[1]}"
        return Item(statement, people, answer)
