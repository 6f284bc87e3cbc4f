"""Rows of data files: one JSON object after the other, read in pieces, errors with file and line.

A file is a JSON list of objects, or has one object on each line (JSONL); its first character tells
which. Only the row that is being read is in memory.
"""

import json
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cosim.learning.errors import LearningError
from cosim.wording import did_you_mean, one_of, show

# A row that is longer is none: its end was lost, and looking for it would fill the memory.
LONGEST_ROW = 2**24
JSON_SUFFIXES = (".json", ".jsonl")
# How files of other forms begin, what they are, and what helps.
_OTHER_FORMS = (
    (b"\x1f\x8b", "a gzip file", "unpack it"),
    (b"PK\x03\x04", "a zip file", "unpack it"),
    (b"PAR1", "a Parquet table", "tables are read by task kind hub"),
    (BOM_UTF16_LE, "text in UTF-16", "save it in UTF-8"),
    (BOM_UTF16_BE, "text in UTF-16", "save it in UTF-8"),
)
_MARK_BYTES = 4
_NEAR = 20  # characters on both sides that show a place
_LONGEST_NUMBER = 9  # digits of a label that is published as text
_PIECE = 2**16
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


class EmptyTextError(LearningError):
    """A text that must not be blank is."""


@dataclass(frozen=True)
class Row:
    """One row: its keys and values, and where it stands (`path:line`)."""

    where: str
    values: Mapping[str, Any]

    def error(self, message: str) -> LearningError:
        """Return an error of this row."""
        return LearningError(f"{self.where}: {message}")

    def value(self, key: str) -> Any:
        """Return a value as it is.

        Raises:
            LearningError: the row has no such key.
        """
        if key not in self.values:
            raise self.error(
                f"expected the key {key!r}, got a row with {_keys(self.values)}"
                f"{did_you_mean(key, self.values)}"
            )
        return self.values[key]

    def text(self, key: str) -> str:
        """Return a text that is not blank.

        Raises:
            LearningError: it is missing, blank (EmptyTextError) or no text.
        """
        value = self.maybe_text(key)
        if not value.strip():
            raise self._empty(key)
        return value

    def maybe_text(self, key: str) -> str:
        """Return a text that may be empty.

        Raises:
            LearningError: it is missing or no text.
        """
        return self._as_text(key, self.value(key))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, none of them blank.

        Raises:
            LearningError: it is missing or something else, or one is blank (EmptyTextError).
        """
        value = self.value(key)
        if not isinstance(value, list | tuple) or not value:
            raise self.error(f"expected a list of texts for {key!r}, got {show(value)}")
        for each in value:
            if not self._as_text(key, each).strip():
                raise self._empty(key)
        return tuple(value)

    def whole(self, key: str, below: int, what: str) -> int:
        """Return a whole number from 0.

        Args:
            key: where it is.
            below: it must be smaller than this.
            what: what there are so many of, for the message.

        Raises:
            LearningError: it is missing or something else.
        """
        value = self.value(key)
        if (
            isinstance(value, str)
            and value.isascii()
            and value.isdigit()
            and len(value) <= _LONGEST_NUMBER
        ):
            value = int(value)  # some publish labels as text
        if type(value) is not int:
            raise self.error(f"expected a whole number for {key!r}, got {show(value)}")
        if not 0 <= value < below:
            raise self.error(f"expected 0 to {below - 1} for {key!r} ({what}), got {show(value)}")
        return value

    def _empty(self, key: str) -> EmptyTextError:
        return EmptyTextError(
            f"{self.where}: expected text for {key!r}, got an empty one; complete or remove the "
            "row, or leave out such rows with `skip_empty: true`"
        )

    def _as_text(self, key: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self.error(f"expected text for {key!r}, got {show(value)}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.error(
                f"expected text for {key!r}, got half of a surrogate pair in it"
            ) from None
        return value


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file.

    Raises:
        LearningError: there is no such file, or it is no list of JSON objects; it is raised when
            the iteration gets there.
    """
    with open_file(path) as file:
        start = file.read(_MARK_BYTES)
        for mark, form, remedy in _OTHER_FORMS:
            if start.startswith(mark):
                raise LearningError(f"{path}:1: expected JSON or JSON lines, got {form}; {remedy}")
        file.seek(len(BOM_UTF8) if start.startswith(BOM_UTF8) else 0)
        first, before = _first(file)
        if first == b"[":
            yield from _listed(path, file, before)
        elif first not in (b"{", b"") and path.suffix not in JSON_SUFFIXES:
            raise LearningError(
                f"{path}:{before + 1}: expected a JSON list of objects, or one object on each "
                f"line, got a file that begins with {first!r}; tables (CSV, Parquet) are read by "
                "task kind hub"
            )
        else:
            yield from _lines(path, file, before)


def open_file(path: Path) -> BinaryIO:
    """Open a data file.

    Raises:
        LearningError: there is none at the path, or it cannot be read.
    """
    try:
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise missing(path, "a data file") from None
    except IsADirectoryError:
        raise LearningError(f"{path}: expected a data file, got a folder") from None
    except OSError as error:
        raise LearningError(
            f"{path}: expected a data file that can be read, got {error.strerror}"
        ) from None


def missing(path: Path, what: str) -> LearningError:
    """Return the error of a path that does not exist."""
    here, lost = path.parent, path
    while not here.exists() and here != here.parent:
        here, lost = here.parent, here
    names = [each.name for each in here.iterdir()] if here.is_dir() else []
    if here.is_dir():
        first = "" if lost == path else f": there is no {lost}"
    else:
        first = f": {here} is a file"
    return LearningError(
        f"{path}: expected {what}, got a path that does not exist{first}"
        f"{did_you_mean(lost.name, names)} (data are looked up in `data_root:`)"
    )


def read_json(path: Path) -> Any:
    """Return what a small JSON file holds.

    Raises:
        LearningError: there is no such file, or it is no JSON.
    """
    with open_file(path) as file:
        data = file.read(LONGEST_ROW)
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise LearningError(f"{path}: expected JSON, got what is none: {_why(error)}") from None


def _first(file: BinaryIO) -> tuple[bytes, int]:
    """Go to the first character that is no space; return it, and the line ends before it."""
    lines = 0
    while byte := file.read(1):
        if byte not in (b" ", b"\t", b"\r", b"\n"):
            file.seek(-1, 1)
            return byte, lines
        lines += byte == b"\n"
    return b"", lines


def _lines(path: Path, file: BinaryIO, before: int) -> Iterator[Row]:
    """Yield the rows of a file of lines, of which `before` have been read."""
    number, name = before, str(path)
    while line := file.readline(LONGEST_ROW):
        number += 1
        if len(line) == LONGEST_ROW:
            raise LearningError(f"{name}:{number}: expected rows shorter than {LONGEST_ROW} bytes")
        text = line.strip()
        if not text:
            continue
        try:
            value = _loaded(text.decode())
        except (ValueError, RecursionError) as error:
            hint = ""
            if number == before + 1 and text == b"{":
                hint = " (one object over several lines is none of both: make it a list of rows)"
            elif not line.endswith(b"\n") and not str(error).startswith("Extra data"):
                hint = " (the file ends here: it may be cut off)"
            raise LearningError(
                f"{name}:{number}: expected a JSON object on this line, got what is none: "
                f"{_why(error)}{hint}"
            ) from None
        yield _row(f"{name}:{number}", value)


def _loaded(text: str) -> Any:
    """Return what a text without spaces around it holds, as json.loads but faster."""
    value, end = _DECODER.raw_decode(text)
    if end < len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


class _Text:
    """The text of a file as far as it has been read; what has been used is dropped in time."""

    def __init__(self, path: Path, file: BinaryIO, before: int) -> None:
        self._path, self._file = path, file
        self._decode = getincrementaldecoder("utf-8")().decode
        self._text, self._at = "", 0
        self._line = before + 1  # of the place that has been come to
        self._at_end = False

    def next(self) -> str:
        """Pass over spaces; return the next character, or nothing at the end of the file."""
        while True:
            space = _SPACE.match(self._text, self._at)
            assert space is not None  # it matches nothing, too
            self._pass_to(space.end())
            if self._at < len(self._text) or self._at_end:
                return self._text[self._at : self._at + 1]
            self._more()

    def skip(self) -> None:
        """Pass over the next character."""
        self._pass_to(self._at + 1)

    def error(self, message: str, place: int | None = None) -> LearningError:
        """Return the error of a place in the text, or of the one that has been come to."""
        ahead = 0 if place is None else self._text.count("\n", self._at, place)
        return LearningError(f"{self._path}:{self._line + ahead}: {message}")

    def object(self) -> Row:
        """Return the object that begins here, and pass over it."""
        where = f"{self._path}:{self._line}"
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if not self._at_end and len(self._text) - self._at < LONGEST_ROW:
                    self._more()
                    continue
                raise self._broken(error) from None
            self._pass_to(end)
            return _row(where, value)

    def _broken(self, error: Exception) -> LearningError:
        """Return the error of the object that begins here."""
        last = len(self._text.rstrip())
        place, why = self._at, _why(error)
        if isinstance(error, json.JSONDecodeError):  # its column is that of what is left of a line
            place = error.pos
            near = self._text[max(place - _NEAR, self._at) : place + _NEAR]
            why = f"{error.msg.removesuffix(' at')} near {near!r}"
        is_open = isinstance(error, json.JSONDecodeError) and error.msg.startswith("Unterminated")
        at_end = place >= last or is_open
        cut = " (the file ends before this row does: it may be cut off)" if at_end else ""
        return self.error(f"expected a JSON object, got what is none: {why}{cut}", min(place, last))

    def _pass_to(self, place: int) -> None:
        self._line += self._text.count("\n", self._at, place)
        self._at = place

    def _more(self) -> None:
        """Read as much again as is left, or one piece."""
        left = self._text[self._at :]
        piece = self._file.read(max(_PIECE, len(left)))
        self._at_end = not piece
        try:
            self._text, self._at = left + self._decode(piece, self._at_end), 0
        except UnicodeDecodeError as error:
            ahead = left.count("\n") + error.object[: error.start].count(b"\n")
            where = f"{self._path}:{self._line + ahead}"
            raise LearningError(f"{where}: expected text in UTF-8, got {error.reason}") from None


def _listed(path: Path, file: BinaryIO, before: int) -> Iterator[Row]:
    """Yield the rows of a JSON list, which begins here."""
    text = _Text(path, file, before)
    text.next()
    text.skip()  # the bracket
    found = text.next()
    while found != "]":
        if found != "{":
            raise text.error(f"expected a JSON object or the list's end, got {_shown(found)}")
        yield text.object()
        found = text.next()
        if found == ",":
            text.skip()
            found = text.next()
            if found == "]":
                raise text.error("expected a row after the comma, got ']'")
        elif found != "]":
            raise text.error(f"expected ',' or ']' after a row, got {_shown(found)}")
    text.skip()
    if found := text.next():
        raise text.error(f"expected nothing after the list, got {found!r}")


def _shown(found: str) -> str:
    return repr(found) if found else "the end of the file: it is cut off"


def _row(where: str, value: Any) -> Row:
    if not isinstance(value, dict):
        raise LearningError(f"{where}: expected a JSON object, got {show(value)}")
    return Row(where, value)


def _keys(values: Mapping[str, Any]) -> str:
    return one_of(map(repr, values)) if values else "no keys"


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.removesuffix(' at')} at column {error.colno}"
    if isinstance(error, RecursionError):
        return "brackets nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"no UTF-8 ({error.reason})"
    return str(error).partition(";")[0]
