"""The file of a trace: opened, unpacked if gzip, read in pieces; what is wrong is said with where.

A file is gzip if it starts like one (RFC 1952: the bytes 1f 8b), whatever its name.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from cosim.wording import did_you_mean
from cosim.world.errors import WorldError

_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"  # Apache Parquet file format
_LONGEST_LINE = 2**16  # bytes; a longer one is no line of a text format, and would fill the memory


class TraceError(WorldError):
    """A trace that cannot be used; the text says where, what was expected and what was found."""


class Source:
    """A trace file that is open for reading.

    Attributes:
        path: the file.
        file: its bytes, unpacked.
        line_now: says which line is being read, from 1; 0 for none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = _opened(path)
        self._line = 0
        self.line_now: Callable[[], int] = lambda: self._line

    def __enter__(self) -> "Source":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.file.close()
        if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile):
            raise self.error(
                f"expected a whole gzip file, got one that is cut off or broken ({error})"
            ) from None

    def error(self, message: str) -> TraceError:
        """Return the error of what is being read."""
        line = self.line_now()
        return TraceError(f"{self.path}:{line}: {message}" if line else f"{self.path}: {message}")

    def lines(self) -> Iterator[bytes]:
        """Yield the lines, each with its end.

        Raises:
            TraceError: a line has no end within 64 KiB.
        """
        while line := self.file.readline(_LONGEST_LINE):
            self._line += 1
            if len(line) == _LONGEST_LINE:
                raise self.error(
                    f"expected lines of text shorter than {_LONGEST_LINE} bytes, got a longer one"
                )
            yield line

    def next_line(self) -> None:
        """Count a line that was not read by `lines`."""
        self._line += 1

    def number(self, text: str | bytes, what: str) -> float:
        """Return a number as it is written.

        Raises:
            TraceError: it is none.
        """
        try:
            return float(text)
        except ValueError:
            shown = text.decode(errors="replace") if isinstance(text, bytes) else text
            raise self.error(f"expected a number for {what}, got {shown!r}") from None


def _opened(path: Path) -> BinaryIO:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        here = path.parent
        names = [each.name for each in here.iterdir()] if here.is_dir() else []
        raise TraceError(
            f"{path}: expected a trace file, got a path that does not exist"
            f"{did_you_mean(path.name, names)} (files are looked up in `data_root:`)"
        ) from None
    except IsADirectoryError:
        raise TraceError(f"{path}: expected a trace file, got a directory") from None
    with file:
        magic = file.read(4)
    if magic == _PARQUET_MAGIC:
        raise TraceError(
            f"{path}: expected a trace in text, got a Parquet table; write it as CSV, such as with "
            "`pandas.read_parquet(FILE).to_csv(OTHER, index=False)`, for `kind: csv_trace`"
        )
    is_gzip = magic.startswith(_GZIP_MAGIC)
    return cast(BinaryIO, gzip.open(path)) if is_gzip else path.open("rb")
