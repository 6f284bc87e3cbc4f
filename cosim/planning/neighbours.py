"""Who hears whom: the pairs of a graph, row by row."""

from itertools import pairwise

import numpy as np

from cosim.planning.view import Floats, Ints


class Rows:
    """A symmetric sparse matrix: to each number those that it is paired with, and a value each.

    Args:
        num_rows: how many numbers there are.
        a, b: the pairs, each once, [E].
        value: of each pair, [E].
    """

    def __init__(self, num_rows: int, a: Ints, b: Ints, value: Floats) -> None:
        row = np.concatenate([a, b])
        order = np.argsort(row)
        self._others = np.concatenate([b, a])[order]
        self._values = np.concatenate([value, value])[order]
        self._ends = np.searchsorted(row[order], np.arange(num_rows + 1))

    def row(self, number: int) -> dict[int, float]:
        """Return the value by partner of one row."""
        part = slice(self._ends[number], self._ends[number + 1])
        return dict(zip(self._others[part].tolist(), self._values[part].tolist(), strict=True))

    def all(self) -> list[dict[int, float]]:
        """Return every row."""
        others, values, ends = self._others.tolist(), self._values.tolist(), self._ends.tolist()
        return [dict(zip(others[i:j], values[i:j], strict=True)) for i, j in pairwise(ends)]
