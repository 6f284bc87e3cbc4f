"""How many coordinates fit into the room that is left in a packet, and in which coding.

Codings of the positions are gaps as wide as the chunk's widest, a bitmap, and the Rice code that
is shortest for the update as a whole.
"""

import numpy as np
from numpy.typing import NDArray

from cosim.learning.payload import _positions
from cosim.learning.payload._chunk import MAX_COUNT, Source, is_range
from cosim.learning.payload._positions import RICE

_TRIES = 4  # of how many values fit under an entropy code; most settle at the second or third
_SETTLED_BYTES = 6  # room that is not worth another try


class Cut:
    """Cuts one update into chunks that fit."""

    def __init__(self, source: Source, entropy: bool) -> None:
        self._source = source
        self._counts = np.arange(MAX_COUNT + 1)
        self._entropy = entropy
        self._pressed_bytes = float(source.value_bytes)  # of a value, in the chunk before
        self._widths: NDArray[np.uint8] | None = None  # of the gaps; None for a dense range
        self._quotients: dict[int, NDArray[np.int64]] = {}  # by Rice's k: gaps over 2^k, summed up
        if not is_range(source.positions):
            between = _positions.gaps(source.positions)
            self._widths = _positions.widths(between)
            for k in {0, _positions.rice_parameter(between)}:
                self._quotients[k] = np.cumsum(between >> k)

    def chunk(self, start: int, room: int) -> tuple[int, bytes]:
        """Return how many coordinates from `start` fit into a chunk of `room` bytes, and it."""
        source = self._source
        count, coding = self._longest(start, room, source.value_bytes)
        if self._entropy:
            found, shorter, values = self._pressed(start, room)
            num_bytes = len(values) + self._num_bytes(shorter, start, found)
            plain = source.scale_bytes + count * source.value_bytes
            plain += self._num_bytes(coding, start, count)
            # At the end of an update both hold all that is left.
            if (found, -num_bytes) > (count, -plain):
                return found, source.chunk(start, found, shorter, values, pressed=True)
        return count, source.chunk(start, count, coding, source.plain(start, count))

    def _pressed(self, start: int, room: int) -> tuple[int, int, bytes]:
        """The most coordinates that a few tries with an entropy code find to fit.

        Returns:
            How many (1 where none was found), the coding of their positions, and their values.
        """
        source, guess = self._source, self._pressed_bytes
        left, free = len(source.positions) - start, room - source.frame_bytes
        best = (1, 0, source.plain(start, 1))  # no better than without an entropy code
        for _ in range(_TRIES):
            count, coding = self._longest(start, room, guess)
            if count <= best[0]:
                break
            values = source.pressed(start, count)
            needed = (len(values) - source.scale_bytes) / count
            unused = free - len(values) - self._num_bytes(coding, start, count)
            if unused >= 0:
                best, self._pressed_bytes, guess = (count, coding, values), needed, needed
                if count == left or unused < _SETTLED_BYTES:
                    break
            else:
                guess = max(needed, guess) + 1.0 / count
        return best

    def _longest(self, start: int, room: int, value_bytes: float) -> tuple[int, int]:
        """Return the most coordinates from `start` that fit, and the coding of their positions.

        Of codings that hold as many it is the one of fewest bytes.
        """
        free = min(room, MAX_COUNT) - self._source.frame_bytes - self._source.scale_bytes
        left = len(self._source.positions) - start
        most = min(int(free / value_bytes), left, MAX_COUNT)
        if self._widths is None or most < 1:
            return most, 0
        values = np.ceil(value_bytes * self._counts[1 : most + 1])
        widest = self._widths[start : start + most].astype(np.int64)
        widest[0] = 0  # the gap to the chunk before is not sent
        np.maximum.accumulate(widest, out=widest)
        count = self._fitting(widest * self._counts[:most], values, free)
        if count == 0:
            return 0, 0
        best = self._ranked(start, count, int(widest[count - 1]))
        for k, quotients in self._quotients.items():
            bits = quotients[start : start + most] - quotients[start]
            count = self._fitting(bits + (k + 1) * self._counts[:most], values, free)
            best = max(best, self._ranked(start, count, RICE + k))
        return best[0], best[2]

    @staticmethod
    def _fitting(bits: NDArray[np.int64], values: NDArray[np.float64], free: int) -> int:
        """How many coordinates fit whose positions take so many bits, and values so many bytes."""
        return int(np.searchsorted(((bits + 7) >> 3) + values, free, side="right"))

    def _ranked(self, start: int, count: int, coding: int) -> tuple[int, int, int]:
        """A coding, by what makes it better than another."""
        return count, -self._num_bytes(coding, start, count), coding

    def _num_bytes(self, coding: int, start: int, count: int) -> int:
        quotients = 0
        if coding >= RICE:
            total = self._quotients[coding - RICE]
            quotients = int(total[start + count - 1] - total[start])
        return _positions.num_bytes(coding, count, quotients)
