"""Multiple choice as instructions: BoolQ, PIQA, SocialIQA, ARC, OpenBookQA, WinoGrande, HellaSwag.

The schema is that of the LLM-Adapters collection (Hu et al., EMNLP 2023): rows of `instruction`,
`input`, `output` and `answer`, where the instruction holds the question, the choices and their
names:

    Please choose the correct answer to the question: Which animal lays eggs

    Answer1: emus Answer2: dogs

    Answer format: answer1/answer2
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cosim.learning.tasks._files import Reader, TemplatedTask
from cosim.learning.tasks._rows import Row
from cosim.learning.tasks.base import Example
from cosim.wording import one_of

_FORMAT = "Answer format:"
_REQUEST = re.compile(r"Please [^:\n]*: *")
_NUMBERED = re.compile(r"[A-Za-z]+\d+")


@dataclass(frozen=True)
class _Question:
    """What an instruction holds: choices by label, a label such as `answer1` or `true`."""

    text: str
    choices: dict[str, str]


class MultipleChoice(TemplatedTask):
    r"""Which of a question's choices is right.

    A template may use `{question}` or the whole `{instruction}`, and for the answer the text of a
    choice, `{choice}`, or its name, `{label}`. The answers as the collection writes them are

        template: "{instruction}\n\nthe correct answer is {label}"
    """

    group: ClassVar[str] = "comprehensive"
    fields: ClassVar[tuple[str, ...]] = ("question", "instruction")
    answers: ClassVar[tuple[str, ...]] = ("choice", "label")

    def _reader(self, data_root: Path) -> Reader:
        template = self._template(data_root)

        def read(row: Row) -> Example:
            instruction, answer = row.text("instruction").strip(), row.text("answer").strip()
            question = _question(row, instruction)
            if answer not in question.choices:
                labels = one_of(map(repr, question.choices))
                raise row.error(f"expected {labels} for 'answer', got {answer!r}")
            replies = {
                label: template.reply({"choice": choice, "label": label})
                for label, choice in question.choices.items()
            }
            choices = tuple(dict.fromkeys(replies.values()))
            if len(choices) == 1:
                raise row.error(
                    f"expected choices that differ, got {choices[0].strip()!r} for all of "
                    f"{', '.join(replies)}"
                )
            prompt = template.ask({"question": question.text, "instruction": instruction})
            return Example(prompt, replies[answer], choices)

        return read


def _question(row: Row, instruction: str) -> _Question:
    """Find question and choices in an instruction.

    Raises:
        LearningError: they are not there.
    """
    body, found, names = instruction.rpartition(_FORMAT)
    labels = [label.strip() for label in names.split("/")]
    if not found or len(labels) < 2 or not all(labels):
        raise row.error(
            f"expected an instruction that ends with '{_FORMAT}' and the names of the choices, "
            f"such as 'answer1/answer2', got {instruction[-60:]!r}"
        )
    choices = {}
    if all(_NUMBERED.fullmatch(label) for label in labels):
        # From the last to the first, so that a question may hold what looks like a choice.
        for label in reversed(labels):
            mark = f"{label[0].upper()}{label[1:]}:"
            body, found, choice = body.rpartition(mark)
            if not found:
                raise row.error(f"expected {mark!r} with a choice in the instruction, got none")
            if not choice.strip():
                raise row.error(f"expected a choice after {mark!r}, got nothing")
            choices[label] = choice.strip()
        choices = dict(reversed(choices.items()))
    else:  # the names are the choices, as true and false are
        choices = {label: label for label in labels}
    question = _REQUEST.sub("", body, count=1).strip()
    if not question:
        raise row.error(f"expected a question before the choices, got {body.strip()!r}")
    return _Question(question, choices)
