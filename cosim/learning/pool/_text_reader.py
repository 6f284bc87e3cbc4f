"""Reading texts with a bidirectional encoder: every text is a row of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cosim.learning.errors import LearningError
from cosim.learning.pool._objective import Inputs
from cosim.learning.pool._reader import Pooling, Reader, pool
from cosim.learning.pool._tokens import Ids, refuse_pictures
from cosim.learning.tasks.base import Example


@dataclass(frozen=True)
class TextRow:
    """The tokens of one text, those that the tokenizer adds included."""

    ids: Ids

    @property
    def length(self) -> int:
        """Its tokens."""
        return len(self.ids)

    @property
    def prompt(self) -> int:
        """All of its tokens."""
        return self.length


class TextReader(Reader[TextRow]):
    """Padding is on the right and masked, so it changes nothing; each text is tokenised once."""

    task_type: str | None = "FEATURE_EXTRACTION"

    def __init__(
        self, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pooling: Pooling
    ) -> None:
        self.width = int(network.config.hidden_size)
        self._pooling = pooling
        self._tokenizer = tokenizer
        positions = getattr(network.config, "max_position_embeddings", None)
        self._longest = min(int(tokenizer.model_max_length), positions or 10**30)
        self._known: dict[str, TextRow] = {}

    def rows(self, examples: Sequence[Example]) -> list[TextRow]:
        refuse_pictures(examples)
        return self.texts([example.prompt for example in examples])

    def texts(self, texts: Sequence[str]) -> list[TextRow]:
        """Return one row for each text."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            all_ids: list[list[int]] = self._tokenizer(new)["input_ids"]
            for text, ids in zip(new, all_ids, strict=True):
                self._check(text, len(ids))
                self._known[text] = TextRow(np.array(ids, dtype=np.int64))
        return [self._known[text] for text in texts]

    def _check(self, text: str, length: int) -> None:
        if not length:
            raise LearningError(f"expected a text of at least one token, got {text!r}")
        if length > self._longest:
            raise LearningError(
                f"expected a text of at most {self._longest} tokens, all that the model reads, "
                f"got {length} ({text[:60]!r}...); leave out long examples "
                "(`max_chars:` of tasks from files) or choose a model that reads more"
            )

    def collate(self, rows: Sequence[TextRow], length: int) -> Inputs:
        ids = np.full((len(rows), length), int(self._tokenizer.pad_token_id), dtype=np.int64)
        attention = np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : row.length] = row.ids
            attention[i, : row.length] = 1
        inputs = {"input_ids": torch.from_numpy(ids)}
        if not attention.all():
            inputs["attention_mask"] = torch.from_numpy(attention)
        return inputs

    def pooled(self, network: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
        hidden = network(**inputs).last_hidden_state
        return pool(hidden, self._pooling, inputs.get("attention_mask"))
