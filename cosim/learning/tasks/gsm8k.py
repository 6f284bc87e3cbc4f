"""GSM8K (Cobbe et al., 2021): grade-school mathematics, judged by the number at the end."""

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

from pydantic import PositiveInt

from cosim.learning.tasks._files import Reader, TemplatedTask
from cosim.learning.tasks._rows import Row
from cosim.learning.tasks.base import Generation, Judge

_FINAL = re.compile(r"####\s*\$?\s*(-?[\d,]*\.?\d+)")


@dataclass(frozen=True)
class FinalNumber(Judge):
    """The number after the first `####` is this one, however it is written (`1,000`, `1000.0`)."""

    number: Decimal

    def accepts(self, text: str) -> bool:
        """Return whether the text gives the number."""
        return final_number(text) == self.number


def final_number(text: str) -> Decimal | None:
    """Return the number after the first `####` of a text; None if there is none."""
    found = _FINAL.search(text)
    return None if found is None else Decimal(found[1].replace(",", ""))


class Gsm8k(TemplatedTask):
    """Rows of `question` and `answer`: a solution in words that ends with `####` and a number.

    The model writes its own solution, of at most `max_tokens` tokens, and is right if the number
    at the end is. It is trained on the whole solution. A model that reads little, such as
    `builtin:tiny` with its 256 tokens, needs fewer: `max_tokens: 100` and `max_chars: 300`.
    """

    group: ClassVar[str] = "mathematics"
    fields: ClassVar[tuple[str, ...]] = ("question",)
    answers: ClassVar[tuple[str, ...]] = ("answer",)

    max_tokens: PositiveInt = 256

    def _reader(self, data_root: Path) -> Reader:
        template = self._template(data_root)

        def read(row: Row) -> Generation:
            answer = row.text("answer").strip()
            number = final_number(answer)
            if number is None:
                raise row.error(
                    f"expected an answer that ends with '####' and a number, got {answer[-40:]!r}"
                )
            return Generation(
                prompt=template.ask({"question": row.text("question").strip()}),
                answer=template.reply({"answer": answer}),
                choices=(),
                judge=FinalNumber(number),
                max_tokens=self.max_tokens,
                stops=("\n\n",),
            )

        return read
