"""Label matching: the choice whose text's embedding is nearest to the prompt's is the answer.

The score of choice c for prompt x is cos(e(x), e(c)) / temperature, where e is the pooled
embedding by the device's own adapter; the loss is the cross-entropy over the example's choices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cosim.learning.pool._objective import Heads, Inputs, Objective, Sheet, answer_of
from cosim.learning.pool._text_reader import TextReader, TextRow
from cosim.learning.tasks.base import Example


@dataclass(frozen=True)
class MatchRow:
    """A prompt, with its choices and answer, or the text of a choice.

    Attributes:
        choices: places of the choices' rows in the lesson; empty in a choice's own row.
        answer: the place of the answer among them.
    """

    text: TextRow
    choices: tuple[int, ...] = ()
    answer: int = 0

    @property
    def length(self) -> int:
        """Its tokens."""
        return self.text.length

    @property
    def prompt(self) -> int:
        """All of its tokens."""
        return self.length


class CosineObjective(Objective[MatchRow]):
    """Every row has one output, its embedding; a lesson holds each choice's text once."""

    coupled: ClassVar[bool] = True
    task_type: str | None = TextReader.task_type

    def __init__(self, network: nn.Module, reader: TextReader, temperature: float) -> None:
        self._network, self._reader, self._temperature = network, reader, temperature

    def count(self, examples: Sequence[Example]) -> int:
        return sum(row.length for row in self.lesson(examples))

    def lesson(self, examples: Sequence[Example]) -> list[MatchRow]:
        prompts, labels = self._rows(examples)
        return [*prompts, *labels]

    def _rows(self, examples: Sequence[Example]) -> tuple[list[MatchRow], list[MatchRow]]:
        """Return a row for each prompt and a row for each distinct text of a choice."""
        answers = [answer_of(example) for example in examples]
        texts = [tuple(map(_label, example.choices)) for example in examples]
        place = {text: i for i, text in enumerate(dict.fromkeys(t for ts in texts for t in ts))}
        prompts = [
            MatchRow(row, tuple(len(examples) + place[text] for text in of), answer)
            for row, of, answer in zip(self._reader.rows(examples), texts, answers, strict=True)
        ]
        return prompts, [MatchRow(row) for row in self._reader.texts(list(place))]

    def num_targets(self, rows: Sequence[MatchRow]) -> int:
        return sum(1 for row in rows if row.choices)

    def collate(self, rows: Sequence[MatchRow], length: int) -> Inputs:
        return self._reader.collate([row.text for row in rows], length)

    def read(self, inputs: Inputs) -> Tensor:
        return functional.normalize(self._reader.pooled(self._network, inputs), dim=1)

    def nats(
        self, lessons: Sequence[Sequence[MatchRow]], outputs: Tensor, heads: Heads | None
    ) -> tuple[Tensor, Tensor]:
        prompts: list[int] = []
        choices: list[list[int]] = []
        answers: list[int] = []
        owners: list[int] = []
        start = 0
        for lesson, rows in enumerate(lessons):
            for place, row in enumerate(rows):
                if row.choices:
                    prompts.append(start + place)
                    choices.append([start + choice for choice in row.choices])
                    answers.append(row.answer)
                    owners.append(lesson)
            start += len(rows)
        device = outputs.device
        cosines, there = _cosines(outputs, np.array(prompts), choices)
        logits = (cosines / self._temperature).masked_fill(~there, -torch.inf)
        nats = functional.cross_entropy(
            logits, torch.tensor(answers, device=device), reduction="none"
        )
        return nats, torch.tensor(owners, device=device)

    def sheet(self, examples: Sequence[Example]) -> Sheet[MatchRow]:
        prompts, labels = self._rows(examples)
        rows = [*prompts, *labels]
        choices = [list(row.choices) for row in prompts]
        first = np.cumsum([0, *map(len, choices)])

        def scores(outputs: Tensor, _: Heads | None) -> NDArray[np.float64]:
            cosines, there = _cosines(outputs.double(), np.arange(len(prompts)), choices)
            found: NDArray[np.float64] = (cosines[there] / self._temperature).cpu().numpy()
            return found

        answers = np.array([row.answer for row in prompts])
        return Sheet(rows, first, answers, np.ones(len(rows), dtype=np.int64), scores)

    def loss(self, network: nn.Module, examples: Sequence[Example], heads: Heads | None) -> Tensor:
        losses = [
            -torch.log_softmax(self._logits(network, example), dim=0)[answer_of(example)]
            for example in examples
        ]
        return torch.stack(losses).mean()

    def plain_scores(self, network: nn.Module, example: Example, heads: Heads | None) -> Tensor:
        return self._logits(network, example).double()

    def _logits(self, network: nn.Module, example: Example) -> Tensor:
        """Return the scores of one example's choices, its texts read by themselves."""
        rows = self._reader.texts([example.prompt, *map(_label, example.choices)])
        inputs = self._reader.collate(rows, max(row.length for row in rows))
        device = next(network.parameters()).device
        pooled = self._reader.pooled(network, {k: v.to(device) for k, v in inputs.items()})
        return functional.cosine_similarity(pooled[:1], pooled[1:], dim=1) / self._temperature


def _label(choice: str) -> str:
    """Return the text of a choice without the space that joins it to a prompt."""
    return choice.lstrip(" ")


def _cosines(
    embeddings: Tensor, prompts: NDArray[np.int64], choices: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """Return the cosine of each prompt and each of its choices, and which places are choices.

    Args:
        embeddings: of length 1, [rows, d].
        prompts: rows, [n].
        choices: for each prompt the rows of its choices.

    Returns:
        Both [n, most choices].
    """
    most = max(map(len, choices))
    table = np.zeros((len(choices), most), dtype=np.int64)
    there = np.zeros((len(choices), most), dtype=np.bool_)
    for i, of in enumerate(choices):
        table[i, : len(of)] = of
        there[i, : len(of)] = True
    device = embeddings.device
    one = embeddings.index_select(0, torch.from_numpy(prompts).to(device))
    others = embeddings.index_select(0, torch.from_numpy(table.ravel()).to(device))
    cosines = torch.bmm(others.view(len(table), most, -1), one[:, :, None])[:, :, 0]
    return cosines, torch.from_numpy(there).to(device)
