"""A task: examples to train on and examples to be judged by."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from cosim.learning.errors import LearningError
from cosim.plugin import Plugin, kind_of

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Example:
    """One question: the model reads `prompt` and is judged by which choice it finds likeliest.

    `prompt` ends without a space; `answer` and every choice begin with what follows it, a space
    where words are separated. `answer` is one of `choices`.
    """

    prompt: str
    answer: str
    choices: tuple[str, ...]

    @property
    def question(self) -> Hashable:
        """What is asked: two examples that ask the same are never in different splits."""
        return self.prompt


@dataclass(frozen=True)
class ImageExample(Example):
    """A picture to be told: `choices` are the names of all classes, in order, `answer` is one.

    Attributes:
        pixels: unsigned bytes in the order of `shape`.
        shape: channels, height, width.
    """

    pixels: bytes = field(repr=False)
    shape: tuple[int, int, int]

    @property
    def question(self) -> Hashable:
        """What is asked: the picture."""
        return self.prompt, self.shape, self.pixels


class Judge(ABC):
    """Says whether a generated text is right; frozen and hashable, a pure function of the text."""

    @abstractmethod
    def accepts(self, text: str) -> bool:
        """Return whether `text`, which the model wrote after the prompt, is right."""


@dataclass(frozen=True)
class Generation(Example):
    """A question that the model answers in its own words; `choices` is empty.

    `answer` is what training teaches. The text to be judged is what the model writes after
    `prompt`, likeliest token by likeliest token, up to the first of `stops` (which is cut off), the
    end-of-text token or `max_tokens`.
    """

    judge: Judge
    max_tokens: int
    stops: tuple[str, ...] = ()


class Task(Plugin):
    """Contract of family `task`.

    `group` is the capability the task belongs to: `language`, `mathematics`, `code` or
    `comprehensive` (the four groups of P1), or `vision`. Examples are a pure function of the
    task's own fields (and files): every device, method and seed of a study sees the same questions.
    Which device trains on which of them is the partition's choice, and the order of batches is
    drawn from the scenario's seed. No question of the test split is in the train split.
    """

    group: ClassVar[str]

    @property
    def title(self) -> str:
        """What tables and figures call the task: its kind, unless it has a name of its own."""
        return kind_of(self)

    @abstractmethod
    def examples(self, split: Split, data_root: Path) -> Sequence[Example]:
        """Return all examples of a split, always in the same order.

        Args:
            split: `train` or `test`.
            data_root: the scenario's folder of data files; generated tasks do not read it.

        Raises:
            LearningError: a file cannot be used; the message says which line and what is wrong.
        """

    def keys(self, key: str, data_root: Path) -> Sequence[str]:
        """Return the value of a data file's key for each training example, as text.

        Args:
            key: a key of the file's rows that need not be part of the example, such as `author`.
            data_root: the scenario's folder of data files.

        Raises:
            LearningError: the task has no files, or a row has no such key.
        """
        raise LearningError(
            f"task {self.title}: expected a task that is read from a file, whose rows have the "
            f"key {key!r}, got one that has no rows"
        )
