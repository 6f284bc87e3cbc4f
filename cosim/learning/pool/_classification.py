"""Classification: a linear head on the pooled vector, trained and sent with the adapter.

The class of an example is the place of its answer among its choices, so all examples of all tasks
have equally many choices, in one order of classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cosim.learning.adapter import Site
from cosim.learning.errors import LearningError
from cosim.learning.pool._objective import Heads, Inputs, Objective, R, Sheet, answer_of
from cosim.learning.pool._reader import Reader
from cosim.learning.tasks.base import Example


@dataclass(frozen=True)
class ClassRow(Generic[R]):
    """What is read, and the class that it is of."""

    shown: R
    label: int

    @property
    def length(self) -> int:
        """Its tokens."""
        return self.shown.length

    @property
    def prompt(self) -> int:
        """All of its tokens."""
        return self.length


class ClassificationObjective(Objective[ClassRow[R]], Generic[R]):
    """Every row has one output, its pooled vector; the score of a class is its logit."""

    def __init__(self, network: nn.Module, reader: Reader[R], num_classes: int) -> None:
        self.task_type = reader.task_type
        self._network, self._reader, self._num_classes = network, reader, num_classes

    @property
    def head(self) -> Site | None:
        return Site("head", self._reader.width, self._num_classes)

    def count(self, examples: Sequence[Example]) -> int:
        return sum(row.length for row in self._reader.rows(examples))

    def lesson(self, examples: Sequence[Example]) -> list[ClassRow[R]]:
        labels = [self._label(example) for example in examples]
        return [
            ClassRow(row, label)
            for row, label in zip(self._reader.rows(examples), labels, strict=True)
        ]

    def _label(self, example: Example) -> int:
        if len(example.choices) != self._num_classes:
            raise LearningError(
                f"expected {self._num_classes} choices in every example of every task, as many as "
                f"learning.model.num_classes, got {len(example.choices)}: "
                f"{', '.join(map(repr, example.choices[:5]))}; set num_classes, or choose tasks of "
                "the same classes"
            )
        return answer_of(example)

    def num_targets(self, rows: Sequence[ClassRow[R]]) -> int:
        return len(rows)

    def collate(self, rows: Sequence[ClassRow[R]], length: int) -> Inputs:
        return self._reader.collate([row.shown for row in rows], length)

    def read(self, inputs: Inputs) -> Tensor:
        return self._reader.pooled(self._network, inputs)

    def nats(
        self, lessons: Sequence[Sequence[ClassRow[R]]], outputs: Tensor, heads: Heads | None
    ) -> tuple[Tensor, Tensor]:
        assert heads is not None
        device = outputs.device
        counts = [len(rows) for rows in lessons]
        parts = zip(torch.split(outputs, counts), heads.weight, heads.bias, strict=True)
        logits = torch.cat([functional.linear(x, weight, bias) for x, weight, bias in parts])
        labels = torch.tensor([row.label for rows in lessons for row in rows], device=device)
        owners = torch.from_numpy(np.repeat(np.arange(len(counts)), counts)).to(device)
        return functional.cross_entropy(logits, labels, reduction="none"), owners

    def sheet(self, examples: Sequence[Example]) -> Sheet[ClassRow[R]]:
        rows = self.lesson(examples)

        def scores(outputs: Tensor, heads: Heads | None) -> NDArray[np.float64]:
            assert heads is not None
            logits = functional.linear(
                outputs.double(), heads.weight[0].double(), heads.bias[0].double()
            )
            found: NDArray[np.float64] = logits.flatten().cpu().numpy()
            return found

        first = self._num_classes * np.arange(len(rows) + 1)
        answers = np.array([row.label for row in rows])
        return Sheet(rows, first, answers, np.ones(len(rows), dtype=np.int64), scores)

    def loss(self, network: nn.Module, examples: Sequence[Example], heads: Heads | None) -> Tensor:
        logits = self._logits(network, examples, heads)
        labels = torch.tensor([self._label(example) for example in examples], device=logits.device)
        return functional.cross_entropy(logits, labels)

    def plain_scores(self, network: nn.Module, example: Example, heads: Heads | None) -> Tensor:
        self._label(example)
        return self._logits(network, [example], heads)[0].double()

    def _logits(
        self, network: nn.Module, examples: Sequence[Example], heads: Heads | None
    ) -> Tensor:
        assert heads is not None
        rows = self._reader.rows(examples)
        inputs = self._reader.collate(rows, max(row.length for row in rows))
        device = heads.weight.device
        pooled = self._reader.pooled(network, {k: v.to(device) for k, v in inputs.items()})
        return functional.linear(pooled, heads.weight[0], heads.bias[0])
