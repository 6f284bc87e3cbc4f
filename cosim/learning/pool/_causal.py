"""Causal language models: the nats of answer tokens, and the likelihood of choices.

The score of a choice is the mean log-likelihood of its tokens after the prompt. The choices of an
example share one row, which branches after the prompt (`_tree`); choices of one token need only the
prompt. Rows are padded on the right, where causal attention never looks, so that rows which do not
branch need no attention mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from cosim.learning.errors import LearningError
from cosim.learning.pool._decoding import decode, decodes, is_settled, parts
from cosim.learning.pool._objective import Heads, Inputs, Objective, Sheet, answer_of
from cosim.learning.pool._tokens import Ids, Text, Tokens
from cosim.learning.pool._tree import additive, attention, branches_apart, trees
from cosim.learning.tasks.base import Example, Generation

_IGNORED = -100  # label of a token that carries no loss, in transformers


@dataclass(frozen=True)
class TokenRow:
    """Tokens to read, and the tokens whose nats are wanted at places of them.

    Attributes:
        ids: [T].
        places: places in `ids`, [k].
        targets: the token that may follow at each place, [k].
        before: the place of the token that each follows, [T]; None: of the one left of it.
    """

    ids: Ids
    places: NDArray[np.int64]
    targets: Ids
    before: NDArray[np.int64] | None = None

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
        if any(row.before is not None for row in rows):
            befores = [
                np.arange(-1, row.length - 1) if row.before is None else row.before for row in rows
            ]
            positions, sees = attention(befores, length)
            inputs["positions"] = torch.from_numpy(positions)
            inputs["mask"] = additive(sees, self._network.dtype)
        return inputs

    def read(self, inputs: Inputs) -> Tensor:
        logits = self._logits(inputs)
        targets = inputs["targets"]
        if "numbers" not in inputs:
            return functional.cross_entropy(logits, targets, reduction="none")
        numbers = inputs["numbers"]
        return torch.logsumexp(logits, dim=1)[numbers] - logits[numbers, targets]

    def _logits(self, inputs: Inputs) -> Tensor:
        """Return the logits after chosen tokens, float32 [k, vocabulary].

        The output head sees no others.
        """
        places = inputs["places"]

        def select(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            return (args[0].flatten(0, -2).index_select(0, places),)

        branching = {}
        if "mask" in inputs:
            branching = {"position_ids": inputs["positions"], "attention_mask": inputs["mask"]}
        handle = self._output.register_forward_pre_hook(select)
        try:
            found = self._network(input_ids=inputs["ids"], use_cache=False, **branching)
        finally:
            handle.remove()
        logits: Tensor = found.logits
        return logits.float()

    def nats(
        self, lessons: Sequence[Sequence[TokenRow]], outputs: Tensor, heads: Heads | None
    ) -> tuple[Tensor, Tensor]:
        counts = [self.num_targets(rows) for rows in lessons]
        owners = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
        return outputs, owners.to(outputs.device)

    @cached_property
    def _width(self) -> int | None:
        """The model's hidden size; None if it cannot read rows that branch.

        Whether it can is tried: what one branch holds must not change another, and a branch must
        be read as if it followed the prompt at once. Where attention looks back over a window
        only, a short trial would not show it.
        """
        config = self._network.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ())
        window = getattr(config, "sliding_window", None)
        if kinds - {"full_attention"} or (window and getattr(config, "use_sliding_window", True)):
            return None
        return int(config.hidden_size) if branches_apart(self._trial) else None

    def _trial(self, ids: Ids, before: NDArray[np.int64] | None) -> Tensor:
        """Return the logits after the last token of a row."""
        last = np.array([len(ids) - 1])
        row = TokenRow(ids, last, last, before)
        inputs = self.collate([row], row.length)
        with torch.no_grad():
            return self._logits(
                {name: each.to(self._network.device) for name, each in inputs.items()}
            )

    def sheet(self, examples: Sequence[Example]) -> Sheet[TokenRow]:
        self.tokens.prepare(examples)
        rows: list[TokenRow] = []
        choices: list[NDArray[np.int64]] = []  # for each row the choices that its outputs are of
        first, answers = [0], []
        num_tokens: list[int] = []
        for example in examples:
            answers.append(answer_of(example))
            texts = self.tokens.choices(example)
            for tree in trees(texts, first[-1], self._width):
                before = tree.before if tree.branches else None
                rows.append(TokenRow(tree.ids, tree.wanted[:, 0], tree.wanted[:, 1], before))
                choices.append(tree.wanted[:, 2])
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

    def write(self, questions: Sequence[Generation], max_tokens: int) -> list[str]:
        network = self._network
        if not decodes(network):
            return [self.plain_write(network, question) for question in questions]
        prompts = [ids for each in questions for ids in self._prompts(each)]
        room = [question.max_tokens for question in questions]
        texts = [""] * len(questions)
        for part in parts(list(map(len, prompts)), room, max_tokens):

            def has_ended(number: int, ids: list[int], part: Sequence[int] = part) -> bool:
                stops = questions[part[number]].stops
                return bool(stops) and is_settled(self.tokens.text(ids), stops)

            written = decode(
                network,
                [prompts[number] for number in part],
                [room[number] for number in part],
                has_ended,
                self.tokens.pad_id,
                self.tokens.end_id,
            )
            for number, ids in zip(part, written, strict=True):
                texts[number] = self.tokens.text(ids)
        return texts

    def plain_write(self, network: nn.Module, question: Generation) -> str:
        """By the library's own decoding."""
        prompt = torch.tensor(self._prompts(question), device=self._network.device)
        greedily = GenerationConfig(  # not what the model's files say of sampling
            max_new_tokens=question.max_tokens,
            do_sample=False,
            pad_token_id=self.tokens.pad_id,
            eos_token_id=self.tokens.end_id,
        )  # type: ignore[no-untyped-call]
        generate: Any = network.generate
        (written,) = generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), generation_config=greedily
        )
        return self.tokens.text(written[prompt.shape[1] :].tolist())

    def _prompts(self, question: Generation) -> list[list[int]]:
        return self.tokens.prompts([question], question.max_tokens)

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
