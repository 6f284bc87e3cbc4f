"""A task: examples to train on and examples to be judged by."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from cosim.plugin import Plugin

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


class Task(Plugin):
    """Contract of family `task`.

    `group` is the capability the task belongs to: `language`, `mathematics`, `code` or
    `comprehensive` (the four groups of P1). Examples are a pure function of the task's own
    fields (and files): every device, method and seed of a study sees the same questions. Which
    device trains on which of them is the partition's choice, and the order of batches is drawn
    from the scenario's seed. No prompt of the test split is in the train split.
    """

    group: ClassVar[str]

    @abstractmethod
    def examples(self, split: Split, data_root: Path) -> Sequence[Example]:
        """Return all examples of a split, always in the same order.

        Args:
            split: `train` or `test`.
            data_root: the scenario's folder of data files; generated tasks do not read it.
        """
