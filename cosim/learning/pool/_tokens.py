"""Examples as token ids: the prompt, and what follows it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cosim.learning.errors import LearningError
from cosim.learning.tasks.base import Example, ImageExample

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Text:
    """A prompt and its continuation: `ids[start:]` is the continuation, both have tokens."""

    ids: Ids = field(repr=False)
    start: int


def refuse_pictures(examples: Sequence[Example]) -> None:
    """Raise LearningError if there is a picture among what a model of texts is to read."""
    if any(isinstance(example, ImageExample) for example in examples):
        raise LearningError(
            "expected texts for a model that reads text, got pictures; they are read by a model of "
            "kind image"
        )


class Tokens:
    """Token ids of prompts with continuations, each text tokenised once."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", longest: int | None) -> None:
        """Take a tokenizer and the most tokens that the model reads (None: no limit)."""
        self.pad_id = int(tokenizer.pad_token_id)
        self._tokenizer = tokenizer
        self._longest = longest
        self._known: dict[tuple[str, str], Text] = {}

    def answers(self, examples: Sequence[Example]) -> list[Text]:
        """Return each example's prompt with its answer."""
        refuse_pictures(examples)
        return self._texts([(example.prompt, example.answer) for example in examples])

    def choices(self, example: Example) -> list[Text]:
        """Return the example's prompt with each of its choices."""
        return self._texts([(example.prompt, choice) for choice in example.choices])

    def prompts(self, examples: Sequence[Example], room: int) -> list[list[int]]:
        """Return each example's prompt, which leaves room for so many tokens more.

        Raises:
            LearningError: one has no tokens, or does not leave that room.
        """
        found = self._ids([example.prompt for example in examples])
        for example, ids in zip(examples, found, strict=True):
            if not ids:
                raise LearningError(
                    f"expected a prompt of at least one token, got {example.prompt!r}"
                )
            if self._longest is not None and room >= self._longest:
                raise LearningError(
                    f"expected max_tokens below {self._longest}, all that the model reads, the "
                    f"prompt included, got {room}; lower max_tokens or choose a model that reads "
                    "more"
                )
            if self._longest is not None and len(ids) + room > self._longest:
                raise LearningError(
                    f"expected a prompt of at most {self._longest - room} tokens, so that the "
                    f"model can write {room} more, got {len(ids)} ({example.prompt[:60]!r}...); "
                    "lower max_tokens, leave out long examples (`max_chars:` of tasks from files), "
                    "or choose a model that reads more"
                )
        return found

    def text(self, ids: list[int]) -> str:
        """Return the text of tokens, without special ones."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    @property
    def end_id(self) -> int | None:
        """The token that ends a text; None if there is none."""
        end: int | None = self._tokenizer.eos_token_id
        return end

    def prepare(self, examples: Sequence[Example]) -> None:
        """Tokenise these examples' choices at once, which is faster than one by one."""
        refuse_pictures(examples)
        self._texts([(e.prompt, choice) for e in examples for choice in e.choices])

    def _texts(self, pairs: Sequence[tuple[str, str]]) -> list[Text]:
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
        if new:
            self._encode(new)
        return [self._known[pair] for pair in pairs]

    def _encode(self, pairs: Sequence[tuple[str, str]]) -> None:
        prompts = list(dict.fromkeys(prompt for prompt, _ in pairs))
        heads = dict(zip(prompts, self._ids(prompts), strict=True))
        wholes = self._ids([prompt + answer for prompt, answer in pairs])
        for pair, whole in zip(pairs, wholes, strict=True):
            head = heads[pair[0]]
            if whole[: len(head)] != head:  # a token reaches over the prompt's end
                whole = head + self._ids([pair[1]], special=False)[0]
            self._check(pair, len(head), len(whole))
            self._known[pair] = Text(np.array(whole, dtype=np.int64), len(head))

    def _ids(self, texts: list[str], special: bool = True) -> list[list[int]]:
        ids: list[list[int]] = self._tokenizer(texts, add_special_tokens=special)["input_ids"]
        return ids

    def _check(self, pair: tuple[str, str], start: int, end: int) -> None:
        prompt, answer = pair
        if start == 0 or end == start:
            part, text = ("a prompt", prompt) if start == 0 else ("an answer", answer)
            raise LearningError(
                f"expected {part} of at least one token, got {text!r} (prompt {prompt!r})"
            )
        if self._longest is not None and end > self._longest:
            raise LearningError(
                f"expected a prompt and answer of at most {self._longest} tokens together, all "
                f"that the model reads, got {end} ({prompt[:60]!r}...); leave out long examples "
                "(`max_chars:` of tasks from files) or choose a model with a longer context"
            )
