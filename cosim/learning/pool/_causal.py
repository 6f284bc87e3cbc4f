"""Causal language models: the nats of answer tokens, and the likelihood of choices.

The score of a choice is the mean log-likelihood of its tokens after the prompt. A choice of one
token needs only the prompt, so all such choices of an example share one row. Rows are padded on
the right, where causal attention never looks, so no attention mask is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from cosim.learning.errors import LearningError
from cosim.learning.pool._objective import Heads, Inputs, Objective, Sheet, answer_of
from cosim.learning.pool._tokens import Ids, Text, Tokens
from cosim.learning.tasks.base import Example

_IGNORED = -100  # label of a token that carries no loss, in transformers


@dataclass(frozen=True)
class TokenRow:
    """Tokens to read, and the tokens whose nats are wanted at places of them.

    Attributes:
        ids: [T].
        places: places in `ids`, [k].
        targets: the token that may follow at each place, [k].
    """

    ids: Ids
    places: NDArray[np.int64]
    targets: Ids

    @property
    def length(self) -> int:
        """Its tokens."""
        return len(self.ids)

    @property
    def prompt(self) -> int:
        """Its tokens before the first that is wanted."""
        return int(self.places.min()) + 1


class CausalObjective(Objective[TokenRow]):
    """Every row has one output for each wanted token: its nats."""

    task_type: str | None = "CAUSAL_LM"

    def __init__(self, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Take a model and its tokenizer.

        Raises:
            LearningError: the model has no output head.
        """
        output = network.get_output_embeddings()  # type: ignore[no-untyped-call]
        if output is None:
            raise LearningError(f"{type(network).__name__} has no output head")
        self._network, self._output = network, cast(nn.Module, output)
        self.tokens = Tokens(tokenizer, getattr(network.config, "max_position_embeddings", None))

    @property
    def output(self) -> nn.Module | None:
        return self._output

    def count(self, examples: Sequence[Example]) -> int:
        return sum(len(text.ids) for text in self.tokens.answers(examples))

    def lesson(self, examples: Sequence[Example]) -> list[TokenRow]:
        """The last token of a row is predicted, never read."""
        return [
            TokenRow(
                text.ids[:-1],
                np.arange(text.start - 1, len(text.ids) - 1),
                text.ids[text.start :],
            )
            for text in self.tokens.answers(examples)
        ]

    def num_targets(self, rows: Sequence[TokenRow]) -> int:
        return sum(len(row.targets) for row in rows)

    def collate(self, rows: Sequence[TokenRow], length: int) -> Inputs:
        ids = np.full((len(rows), length), self.tokens.pad_id, dtype=np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row.ids)] = row.ids
        wanted = np.concatenate([i * length + row.places for i, row in enumerate(rows)])
        places, numbers = np.unique(wanted, return_inverse=True)
        inputs = {
            "ids": torch.from_numpy(ids),
            "places": torch.from_numpy(places),
            "targets": torch.from_numpy(np.concatenate([row.targets for row in rows])),
        }
        if len(places) < len(wanted):  # several tokens may follow at one place
            inputs["numbers"] = torch.from_numpy(numbers.reshape(-1))
        elif not np.array_equal(places, wanted):
            inputs["places"] = torch.from_numpy(wanted)
        return inputs

    def read(self, inputs: Inputs) -> Tensor:
        logits = self._logits(inputs["ids"], inputs["places"])
        targets = inputs["targets"]
        if "numbers" not in inputs:
            return functional.cross_entropy(logits, targets, reduction="none")
        numbers = inputs["numbers"]
        return torch.logsumexp(logits, dim=1)[numbers] - logits[numbers, targets]

    def _logits(self, ids: Tensor, places: Tensor) -> Tensor:
        """Return the logits after chosen tokens; the output head sees no others.

        Args:
            ids: token ids, [rows, T].
            places: places in the flattened ids, [k].

        Returns:
            float32 [k, vocabulary].
        """

        def select(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            return (args[0].flatten(0, -2).index_select(0, places),)

        handle = self._output.register_forward_pre_hook(select)
        try:
            logits: Tensor = self._network(input_ids=ids, use_cache=False).logits
        finally:
            handle.remove()
        return logits.float()

    def nats(
        self, lessons: Sequence[Sequence[TokenRow]], outputs: Tensor, heads: Heads | None
    ) -> tuple[Tensor, Tensor]:
        counts = [self.num_targets(rows) for rows in lessons]
        owners = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
        return outputs, owners.to(outputs.device)

    def sheet(self, examples: Sequence[Example]) -> Sheet[TokenRow]:
        self.tokens.prepare(examples)
        rows: list[TokenRow] = []
        choices: list[NDArray[np.int64]] = []  # for each row the choices that its outputs are of
        first, answers = [0], []
        num_tokens: list[int] = []
        for example in examples:
            answers.append(answer_of(example))
            texts = self.tokens.choices(example)
            for row, of in _rows(texts, first[-1]):
                rows.append(row)
                choices.append(of)
            num_tokens.extend(len(text.ids) - text.start for text in texts)
            first.append(first[-1] + len(texts))
        slots, counts = np.concatenate(choices), np.array(num_tokens)

        def scores(outputs: Tensor, _: Heads | None) -> NDArray[np.float64]:
            nats = outputs.double().cpu().numpy()
            sums = np.zeros(len(counts))
            np.add.at(sums, slots, -nats)
            means: NDArray[np.float64] = sums / counts
            return means

        sizes = np.array([len(row.targets) for row in rows])
        return Sheet(rows, np.array(first), np.array(answers), sizes, scores)

    def loss(self, network: nn.Module, examples: Sequence[Example], heads: Heads | None) -> Tensor:
        """Mean negative log-likelihood of the answer tokens, by the model's own loss."""
        texts = self.tokens.answers(examples)
        ids, attention = self._pad(texts)
        labels = torch.full_like(ids, _IGNORED)
        for row, text in enumerate(texts):
            labels[row, text.start : len(text.ids)] = ids[row, text.start : len(text.ids)]
        loss: Tensor = network(input_ids=ids, attention_mask=attention, labels=labels).loss
        return loss

    def plain_scores(self, network: nn.Module, example: Example, heads: Heads | None) -> Tensor:
        texts = self.tokens.choices(example)
        ids, attention = self._pad(texts)
        logits = network(input_ids=ids, attention_mask=attention).logits
        log_likelihoods = torch.log_softmax(logits.double(), dim=-1)
        means = []
        for row, text in enumerate(texts):
            tokens = [
                log_likelihoods[row, place - 1, ids[row, place]]
                for place in range(text.start, len(text.ids))
            ]
            means.append(torch.stack(tokens).mean())
        return torch.stack(means)

    def write(self, network: nn.Module, examples: Sequence[Example], max_tokens: int) -> list[str]:
        """Greedily, by the library's own decoding; prompts are padded on the left."""
        prompts = self.tokens.prompts(examples, max_tokens)
        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), self.tokens.pad_id)
        attention = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            attention[row, longest - len(prompt) :] = 1
        greedily = GenerationConfig(  # not what the model's files say of sampling
            max_new_tokens=max_tokens,
            do_sample=False,
            pad_token_id=self.tokens.pad_id,
            eos_token_id=self.tokens.end_id,
        )  # type: ignore[no-untyped-call]
        device = self._network.device
        generate: Any = network.generate
        written = generate(
            input_ids=ids.to(device),
            attention_mask=attention.to(device),
            generation_config=greedily,
        )
        return [self.tokens.text(each[longest:].tolist()) for each in written]

    def _pad(self, texts: Sequence[Text]) -> tuple[Tensor, Tensor]:
        """Return token ids padded on the right, and the attention mask, both [rows, T]."""
        longest = max(len(text.ids) for text in texts)
        ids = torch.full((len(texts), longest), self.tokens.pad_id)
        attention = torch.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text.ids)] = torch.from_numpy(text.ids)
            attention[row, : len(text.ids)] = 1
        device = self._network.device
        return ids.to(device), attention.to(device)


def _rows(texts: Sequence[Text], first: int) -> list[tuple[TokenRow, NDArray[np.int64]]]:
    """Return the rows of one example, and of which choices their outputs are.

    Args:
        texts: its prompt with each choice.
        first: the number of its first choice.
    """
    long: list[tuple[Ids, list[tuple[int, int, int]]]] = []  # (place, target, choice)
    short: list[tuple[int, int, int]] = []
    for number, text in enumerate(texts, first):
        targets = text.ids[text.start :].tolist()
        wanted = [(text.start - 1 + i, token, number) for i, token in enumerate(targets)]
        if len(targets) == 1:
            short.extend(wanted)
        else:
            long.append((text.ids[:-1], wanted))
    if short and long:
        long[0][1].extend(short)  # every row begins with the prompt
    elif short:
        long.append((texts[0].ids[: texts[0].start], short))
    rows = []
    for ids, wanted in long:
        table = np.array(wanted, dtype=np.int64)
        rows.append((TokenRow(ids, table[:, 0], table[:, 1]), table[:, 2]))
    return rows
