"""Another task with some of its answers rotated: two devices that contradict each other.

    topic:              team -> sport, bank -> money, planet -> science, vote -> politics
    relabelled, moved 2: team -> money, bank -> sport, planet -> science, vote -> politics

Devices with the one and devices with the other see the same questions, prompts and choices, and
nothing in them says which answer is wanted. They disagree on the share of questions whose answer
is among the first `moved`: moved / n, where n answers are equally frequent. One model for both is
wrong on each of these for at least one side, so where both sides are equally many its own-task
accuracy, averaged over devices, is at most 1 - moved / (2 n).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from cosim.learning.errors import LearningError
from cosim.learning.tasks.base import Example, Split, Task
from cosim.plugin import Kind
from cosim.wording import show


class Relabelled(Task):
    """The questions of `task`; of its answers the first `moved` are rotated among themselves.

    Where an answer was the i-th choice, i < moved, choice (i + 1) mod moved is right. With `moved`
    0 the task is as it was, which is what a sweep of `moved` is held against. The task must have
    the same choices for all questions, in one order.
    """

    group: ClassVar[str] = "comprehensive"  # what is asked is of the other task's group

    task: Annotated[Any, Kind("task")]
    moved: Annotated[int, Field(ge=0)] = 2

    @field_validator("moved")
    @classmethod
    def _moves_something(cls, moved: int) -> int:
        if moved == 1:
            raise ValueError(
                "expected 0, or at least 2 answers to rotate among themselves, got 1, which "
                "moves nothing"
            )
        return moved

    @property
    def title(self) -> str:
        """The other task's name, marked."""
        return f"{self.task.title}_relabelled"

    def examples(self, split: Split, data_root: Path) -> Sequence[Example]:
        """Return the other task's questions with their new answers, in its order.

        Raises:
            LearningError: the other task cannot be read, has not the same choices for all
                questions, or fewer than `moved`.
        """
        examples = self.task.examples(split, data_root)
        choices = self._choices(examples)
        if self.moved > len(choices):
            raise LearningError(
                f"task {self.title}: expected moved: {len(choices)} or less, as "
                f"{self.task.title} has the answers {show(choices)}, got {self.moved}"
            )
        order = [*range(1, self.moved), 0] if self.moved else []
        becomes = {choices[place]: choices[after] for place, after in enumerate(order)}
        return tuple(
            replace(each, answer=becomes.get(each.answer, each.answer)) for each in examples
        )

    def keys(self, key: str, data_root: Path) -> Sequence[str]:
        """Return the value of a key of the other task's files."""
        found: Sequence[str] = self.task.keys(key, data_root)
        return found

    def _choices(self, examples: Sequence[Example]) -> tuple[str, ...]:
        choices = examples[0].choices if examples else ()
        other = next((each.choices for each in examples if each.choices != choices), choices)
        if other == choices and choices:
            return choices
        got = f"{show(choices)} and {show(other)}" if choices else "answers in free words"
        raise LearningError(
            f"task {self.title}: expected a task with the same choices for all questions, to "
            f"rotate answers, such as topic or text_classification, got {self.task.title} with "
            f"{got}"
        )
