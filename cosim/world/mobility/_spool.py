"""Knots of many paths, written in any order and read path by path, on disk.

Knots wait in memory, by path, until there are many; then they go to an unnamed temporary file as
one block for each path. So memory does not grow with the length of a trace, and a path is read in
a few pieces. The file is in the folder of temporary files (TMPDIR), 24 bytes a knot.
"""

import os
import tempfile
import weakref
from array import array
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_MOST_WAITING = 2**18  # knots, 6 MiB
_STRETCH = 4096  # knots that are read at once, about
_KNOT_BYTES = 24  # t_s, x_m, y_m as float64


class Spool:
    """The knots of paths, which are numbered as they are opened.

    Reading does not move a position in the file, so that processes that were forked may share it.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="cosim-trace-")  # noqa: SIM115  for its life
        weakref.finalize(self, self._file.close)
        self._offset = 0
        # For each path, (offset, length) in bytes of its blocks, one after the other.
        self._blocks: list[array[int]] = []
        self._waiting: list[array[float] | None] = []
        self._num_waiting = 0

    def open(self) -> int:
        """Return the number of a new path."""
        self._blocks.append(array("q"))
        self._waiting.append(None)
        return len(self._blocks) - 1

    def add(self, path: int, t_s: float, x_m: float, y_m: float) -> None:
        """Append a knot to a path."""
        waiting = self._waiting[path]
        if waiting is None:
            waiting = self._waiting[path] = array("d")
        waiting.extend((t_s, x_m, y_m))
        self._num_waiting += 1
        if self._num_waiting == _MOST_WAITING:
            self._write()

    def finish(self) -> None:
        """Write what is waiting, so that all knots can be read."""
        self._write()
        self._file.flush()

    def read(self, path: int) -> Iterator[NDArray[np.float64]]:
        """Yield a path's knots in order: stretches [K, 3] of t_s, x_m, y_m."""
        blocks = self._blocks[path]
        read, size = [], 0
        for offset, length in zip(blocks[::2], blocks[1::2], strict=True):
            read.append(os.pread(self._file.fileno(), length, offset))
            size += length
            if size >= _STRETCH * _KNOT_BYTES:
                yield _knots(read)
                read, size = [], 0
        if read:
            yield _knots(read)

    def _write(self) -> None:
        for path, waiting in enumerate(self._waiting):
            if waiting is not None:
                self._file.write(waiting)
                length = len(waiting) * waiting.itemsize
                self._blocks[path].extend((self._offset, length))
                self._offset += length
                self._waiting[path] = None
        self._num_waiting = 0


def _knots(read: list[bytes]) -> NDArray[np.float64]:
    return np.frombuffer(b"".join(read)).reshape(-1, 3)
