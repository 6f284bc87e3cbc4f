"""HumanEval (Chen et al., 2021): a function is to be written from its head and docstring."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, PositiveInt

from cosim.learning.tasks._execution import Limits, succeeds
from cosim.learning.tasks._files import Reader, TemplatedTask
from cosim.learning.tasks._instructions import among_others
from cosim.learning.tasks._rows import Row
from cosim.learning.tasks.base import Example, Generation, Judge, Split
from cosim.units import Bytes, Seconds

# What begins something new after the function (Chen et al., section 2.1).
_STOPS = ("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(")


@dataclass(frozen=True)
class PassesTests(Judge):
    """The program that the text completes passes its tests, run in a limited process.

    Attributes:
        head: the program up to where the text goes on.
        tests: what comes after the text.
        limits: what the process may use.
    """

    head: str = field(repr=False)
    tests: str = field(repr=False)
    limits: Limits

    def accepts(self, text: str) -> bool:
        """Run the program with its tests; return whether it ends well."""
        return succeeds(f"{self.head}{text}\n{self.tests}\n", self.limits)


class Humaneval(TemplatedTask):
    """Rows of `prompt`, `canonical_solution`, `test` and `entry_point`.

    With `execute: true` the model writes the function, of at most `max_tokens` tokens, and is right
    if the function passes the published tests (pass@1, greedy). This runs programs that a model
    wrote: each in a process of its own that has `cpu_time` and `memory`, no further processes, no
    environment, no network, no files but those of Python's own library, and these only to read.
    That keeps a model's mistakes from doing harm. It is no jail for programs that are made to do
    harm: where that is to be feared, run the whole simulation in a container.

    Without it nothing is executed, and the model is judged by whether it finds the published
    solution likelier than solutions of other functions, `num_choices` in all.
    """

    group: ClassVar[str] = "code"
    fields: ClassVar[tuple[str, ...]] = ("program",)
    answers: ClassVar[tuple[str, ...]] = ("answer",)

    execute: bool = False
    max_tokens: PositiveInt = 384
    cpu_time_s: Annotated[Seconds, Field(ge=0.1, le=60)] = 5.0
    memory_bytes: Annotated[Bytes, Field(ge=64 * 2**20)] = 512 * 2.0**20
    num_choices: Annotated[int, Field(ge=2)] = 4

    def examples(self, split: Split, data_root: Path) -> Sequence[Example]:
        """Read the examples of a split."""
        found = super().examples(split, data_root)
        if self.execute:
            return found
        return among_others(found, self.num_choices, f"task {self.title}, {split}")

    def _reader(self, data_root: Path) -> Reader:
        template = self._template(data_root)
        limits = Limits(cpu_s=self.cpu_time_s, memory_bytes=int(self.memory_bytes))

        def read(row: Row) -> Example:
            head, solution = row.text("prompt"), row.text("canonical_solution")
            entry, test = row.text("entry_point"), row.text("test")
            if not entry.isidentifier():
                raise row.error(f"expected the name of a function for 'entry_point', got {entry!r}")
            prompt = template.ask({"program": head.strip("\n")})
            answer = template.reply({"answer": solution.rstrip()})
            if not self.execute:
                return Example(prompt, answer, (answer,))
            return Generation(
                prompt=prompt,
                answer=answer,
                choices=(),
                judge=PassesTests(head.rstrip(), f"{test}\ncheck({entry})", limits),
                max_tokens=self.max_tokens,
                stops=_STOPS,
            )

        return read
