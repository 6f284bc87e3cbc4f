"""Instructions in the Alpaca schema, such as CodeAlpaca: `instruction`, `input` and `output`."""

from pathlib import Path
from typing import ClassVar

from cosim.learning.tasks._files import Reader
from cosim.learning.tasks._instructions import InstructionTask, with_context
from cosim.learning.tasks._rows import Row
from cosim.learning.tasks.base import Example


class Alpaca(InstructionTask):
    """An instruction, what it is about (which may be empty), and an answer in free text.

    A template may use `{instruction}` and `{input}`, or `{question}`, which is both, one after
    the other. The model is judged by whether it finds the instruction's own answer likelier than
    answers to others.
    """

    group: ClassVar[str] = "code"
    fields: ClassVar[tuple[str, ...]] = ("question", "instruction", "input")
    answers: ClassVar[tuple[str, ...]] = ("answer",)

    def _reader(self, data_root: Path) -> Reader:
        template = self._template(data_root)

        def read(row: Row) -> Example:
            instruction, about = row.text("instruction"), row.maybe_text("input")
            texts = {
                "question": with_context(instruction, about),
                "instruction": instruction.strip(),
                "input": about.strip(),
            }
            answer = template.reply({"answer": row.text("output").strip()})
            return Example(template.ask(texts), answer, (answer,))

        return read
