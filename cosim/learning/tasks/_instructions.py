"""Tasks of instructions with free answers: which of some answers is this question's?

There is no right or wrong of a free text that a program could tell. What can be told is whether the
model finds the question's own answer likelier, token by token, than answers to other questions of
the same split, which are drawn once and for all by address. Chance is one in `num_choices`, and the
loss is that of the answer among them.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from cosim.learning.errors import LearningError
from cosim.learning.tasks._files import TemplatedTask
from cosim.learning.tasks.base import Example, Split
from cosim.rng import Draws

# The choices are part of the task, not of a study: one seed, whatever the scenario's.
_SEED = 0


class InstructionTask(TemplatedTask):
    """Base of the tasks whose answers are free texts.

    Each question's own answer stands among `num_choices`, the others being answers to other
    questions of the same split.
    """

    num_choices: Annotated[int, Field(ge=2)] = 4

    def examples(self, split: Split, data_root: Path) -> Sequence[Example]:
        """Read the examples of a split, each with answers of others beside its own."""
        return among_others(
            super().examples(split, data_root), self.num_choices, f"task {self.title}, {split}"
        )


def among_others(examples: Sequence[Example], num_choices: int, what: str) -> tuple[Example, ...]:
    """Return the examples, each with answers of others as further choices, in drawn order.

    Args:
        examples: whose choices do not count.
        num_choices: how many choices each is to have.
        what: whose examples they are, for the message.

    Raises:
        LearningError: there are fewer different answers than that.
    """
    answers = list(dict.fromkeys(example.answer for example in examples))
    if len(answers) < num_choices:
        raise LearningError(
            f"{what}: expected at least {num_choices} different answers to choose from, got "
            f"{len(answers)}; lower num_choices or take more rows"
        )
    draws = Draws(_SEED)
    found = []
    for number, example in enumerate(examples):
        rng = draws.generator("task/answers", number)
        choices = {example.answer: None}
        while len(choices) < num_choices:
            choices[answers[int(rng.random() * len(answers))]] = None
        listed = tuple(choices)
        order = rng.permutation(num_choices).tolist()
        found.append(replace(example, choices=tuple(listed[place] for place in order)))
    return tuple(found)


def with_context(instruction: str, context: str) -> str:
    """Return an instruction and what it is about, if anything."""
    parts = (instruction.strip(), context.strip())
    return "\n\n".join(part for part in parts if part)
