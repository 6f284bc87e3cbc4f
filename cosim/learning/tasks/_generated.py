"""Generated tasks: miniature questions drawn from word lists, the same on every machine."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
from pydantic import PositiveInt

from cosim.learning.errors import LearningError
from cosim.learning.tasks.base import Example, Split, Task
from cosim.plugin import kind_of
from cosim.rng import Draws

Choice = TypeVar("Choice")

# The questions are part of the task, not of a study: one seed, whatever the scenario's.
_SEED = 0
# One prompt in eight may only be tested, the other seven only trained on.
_TEST_SHARE = 8
# A generator that yields no new prompt in this many draws in a row has run out of them.
_MAX_MISSES = 4000


@dataclass(frozen=True)
class Item:
    """One drawn question: what it is about, the words to choose from, and the right one."""

    statement: str
    choices: tuple[str, ...]
    answer: int


def pick(rng: np.random.Generator, options: Sequence[Choice]) -> Choice:
    """Return one of `options`, each equally likely."""
    return options[int(rng.random() * len(options))]


def pick_two(rng: np.random.Generator, options: Sequence[Choice]) -> tuple[Choice, Choice]:
    """Return two of `options` at different places, each ordered pair equally likely."""
    first = int(rng.random() * len(options))
    second = (first + 1 + int(rng.random() * (len(options) - 1))) % len(options)
    return options[first], options[second]


def split_of(prompt: str) -> Split:
    """Return the split that a prompt belongs to: a hash of its text decides, nothing else."""
    digest = hashlib.blake2b(prompt.encode(), digest_size=8).digest()
    return "test" if int.from_bytes(digest, "little") % _TEST_SHARE == 0 else "train"


class GeneratedTask(Task):
    """Base of the generated tasks: `Instruction: statement. Answer:` and one word to answer.

    Answers are balanced: in every run of `num_answers` questions each place among the choices is
    right once, in a drawn order, so a model that does not look at the statement is at chance.
    """

    instruction: ClassVar[str]
    num_answers: ClassVar[int]
    extractive: ClassVar[bool] = False  # whether the choices are words of the statement

    num_train: PositiveInt = 2000
    num_test: PositiveInt = 200

    @abstractmethod
    def item(self, rng: np.random.Generator, answer: int) -> Item:
        """Draw one question whose right choice is at place `answer`."""

    def prompt(self, item: Item, cue: str = "Answer") -> str:
        """Return the text before the answer, ending with `cue` and a colon."""
        return f"{self.instruction}: {item.statement}. {cue}:"

    def examples(self, split: Split, data_root: Path) -> Sequence[Example]:
        """Draw the questions of a split: distinct prompts, and none of the other split's.

        Raises:
            LearningError: there are not so many prompts.
        """
        wanted = self.num_train if split == "train" else self.num_test
        rng = Draws(_SEED).generator(f"task/{kind_of(self)}/{split}")
        found: dict[str, Example] = {}
        answers: list[int] = []
        misses = 0
        while len(found) < wanted:
            if misses == _MAX_MISSES:
                raise LearningError(
                    f"task {kind_of(self)}: expected {wanted} distinct {split} prompts, "
                    f"got {len(found)}; lower num_{split}"
                )
            if not answers:
                answers = [int(answer) for answer in rng.permutation(self.num_answers)]
            item = self.item(rng, answers[-1])
            prompt = self.prompt(item)
            if prompt in found or split_of(prompt) != split:
                misses += 1
                continue
            answers.pop()
            misses = 0
            choices = tuple(f" {choice}" for choice in item.choices)
            found[prompt] = Example(prompt, choices[item.answer], choices)
        return tuple(found.values())
