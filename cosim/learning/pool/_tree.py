"""Choices that share their prompt: one row of tokens that branches after it.

A row holds the prompt once, and after it the tokens of the choices, those that several choices
begin with once too. Every token has the place of the one before it in its text. It attends to
itself and to the tokens on its way back to the first, and its position is how many these are, so
that the model computes for it what it would in its text alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosim.learning.pool._tokens import Ids, Text

# Attention within one row is not let grow beyond this, whatever it saves (memory).
_LONGEST = 1024


@dataclass(frozen=True)
class Tree:
    """Tokens that branch, and what is wanted of them.

    Attributes:
        ids: [T]; a token comes after the one that it follows.
        before: the place of the token that each follows, -1 for the first, [T].
        wanted: place, the token that may follow there, and the choice that it is of, [k, 3].
    """

    ids: Ids
    before: NDArray[np.int64]
    wanted: NDArray[np.int64]

    @property
    def branches(self) -> bool:
        """Whether some token is not followed by the next one alone."""
        return not np.array_equal(self.before, np.arange(-1, len(self.ids) - 1))


def trees(texts: Sequence[Text], first: int, width: int | None) -> list[Tree]:
    """Return what is read to judge the choices of one example.

    A choice joins the row of those before it if that costs less than its prompt read again.

    Args:
        texts: the prompt, which is the same in all, with each choice; at least one.
        first: the number of the first choice.
        width: hidden size of the model, which says what attention costs; None: nothing branches.
    """
    found = [_Growing(texts[0])]
    for number, text in enumerate(texts, first):
        fits = (each for each in found if each.takes(text, width))
        growing = next(fits, None)
        if growing is None:
            growing = _Growing(text)
            found.append(growing)
        growing.add(text, number)
    return [each.tree() for each in found]


class _Growing:
    def __init__(self, text: Text) -> None:
        self._start = text.start
        self._ids: list[int] = text.ids[: text.start].tolist()
        self._before = list(range(-1, text.start - 1))
        self._after: dict[tuple[int, int], int] = {}  # place by (place before, token)
        self._wanted: list[tuple[int, int, int]] = []

    def takes(self, text: Text, width: int | None) -> bool:
        """Return whether a choice should be added to this row."""
        here = len(self._ids)
        more = len(text.ids) - 1 - self._shared(text)  # the last token is not read
        if more == 0 or here == self._start:
            return True
        if width is None or here + more > _LONGEST:
            return False
        alone = len(text.ids) - 1
        return _cost(here + more, width) - _cost(here, width) < _cost(alone, width)

    def _shared(self, text: Text) -> int:
        """Return how many of its tokens that are read are there already."""
        place = self._start - 1
        for count in range(self._start, len(text.ids) - 1):
            following = self._after.get((place, int(text.ids[count])))
            if following is None:
                return count
            place = following
        return max(self._start, len(text.ids) - 1)

    def add(self, text: Text, number: int) -> None:
        """Add a choice."""
        place = self._start - 1
        targets: list[int] = text.ids[text.start :].tolist()
        for i, token in enumerate(targets):
            self._wanted.append((place, token, number))
            if i == len(targets) - 1:
                break
            following = self._after.get((place, token))
            if following is None:
                following = len(self._ids)
                self._ids.append(token)
                self._before.append(place)
                self._after[place, token] = following
            place = following

    def tree(self) -> Tree:
        return Tree(
            np.array(self._ids, dtype=np.int64),
            np.array(self._before, dtype=np.int64),
            np.array(self._wanted, dtype=np.int64),
        )


def _cost(tokens: int, width: int) -> float:
    """Return what a row costs, in tokens without attention.

    A block of hidden size d multiplies about 12 d^2 times for a token and 2 d times for a pair.
    """
    return tokens * (1 + tokens / (6 * width))


def attention(
    befores: Sequence[NDArray[np.int64]], length: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the tokens' positions, [rows, T], and which tokens each attends to, [rows, T, T].

    Padding, up to `length`, attends to what is left of it, and nothing to it.
    """
    positions = np.tile(np.arange(length), (len(befores), 1))
    sees = np.tile(np.tri(length, dtype=np.bool_), (len(befores), 1, 1))
    for row, before in enumerate(befores):
        line = np.arange(-1, len(before) - 1)
        start = int(np.argmax(before != line)) if (before != line).any() else len(before)
        for place in range(start, len(before)):
            parent = before[place]
            positions[row, place] = positions[row, parent] + 1
            sees[row, place] = sees[row, parent]
            sees[row, place, place] = True
        positions[row, len(before) :] = 0
    return positions, sees


def additive(sees: NDArray[np.bool_], dtype: torch.dtype) -> Tensor:
    """Return a mask to be added to attention's logits, [rows, 1, T, T]."""
    mask = torch.zeros(sees.shape, dtype=dtype)
    return mask.masked_fill_(torch.from_numpy(~sees), torch.finfo(dtype).min)[:, None]


def branches_apart(
    logits: Callable[[Ids, NDArray[np.int64] | None], Tensor],
) -> bool:
    """Return whether a model reads each branch as if there were no other.

    Args:
        logits: returns what the model says after the last token of a row, float32. Its first
            argument is the tokens, the second what each follows (None: the one left of it).
    """
    before = np.array([-1, 0, 1, 2, 3, 1, 5])
    try:
        one, other = (logits(np.array([3, 4, *side, 5, 6]), before) for side in ([1] * 3, [2] * 3))
    except (TypeError, ValueError, RuntimeError):  # no such argument, or no mask of this shape
        return False
    alone = logits(np.array([3, 4, 5, 6]), None)
    near = (one - alone).norm() <= 0.02 * (alone - alone.mean()).norm()  # in bfloat16 too
    return torch.equal(one, other) and bool(near)
