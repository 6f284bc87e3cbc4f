"""The python form of CIFAR read as data: no name in the file is ever looked up or called.

The form is a pickle, and to unpickle is to run whatever the file says. Here its opcodes are read
with the disassembler of the standard library and interpreted on a stack that holds nothing but
texts, bytes, whole numbers, lists, tuples, dicts and arrays of bytes. A file names functions only
to make such arrays; the few names that it takes are told from each other, none is imported, and any
other is an error.
"""

import pickletools
from collections.abc import Callable, Iterator
from math import prod
from os import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from cosim.learning.errors import LearningError
from cosim.learning.tasks._rows import open_file


class _NotDataError(ValueError):
    """The file holds something else than data."""


class _Mark:
    """Where on the stack a list, a tuple or a dict begins."""


class _Array:
    """An array in the making, filled in by the opcode BUILD."""

    values: np.ndarray[Any, np.dtype[np.uint8]] | None = None

    def build(self, state: Any) -> None:
        """Take version, shape, type, order and bytes."""
        _, shape, dtype, is_fortran, raw = state
        raw = _bytes(raw)
        if not isinstance(dtype, _ByteType) or is_fortran or prod(shape) != len(raw):
            raise _NotDataError("an array that is not of unsigned bytes in C order")
        self.values = np.frombuffer(raw, dtype=np.uint8).reshape(shape)


class _ByteType:
    """The element type of an array of unsigned bytes."""

    def build(self, state: Any) -> None:
        """Take byte order and alignment, which a byte does not have."""


def _bytes(value: Any) -> bytes:
    # Text of Python 2 is bytes, which the disassembler decodes as Latin-1.
    return value if isinstance(value, bytes) else cast(str, value).encode("latin-1")


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise _NotDataError(f"text in the encoding {encoding!r}")
    return text.encode("latin-1")


def _byte_type(name: str, *_: Any) -> _ByteType:
    if name not in ("u1", "uint8"):
        raise _NotDataError(f"an array of the type {name!r}")
    return _ByteType()


# What names in a file stand for. `ndarray` stands only as an argument, so nothing is made of it.
_MEANT: dict[str, Callable[..., Any] | None] = {
    "numpy.core.multiarray _reconstruct": lambda *_: _Array(),
    "numpy._core.multiarray _reconstruct": lambda *_: _Array(),
    "numpy ndarray": None,
    "numpy dtype": _byte_type,
    "_codecs encode": _encoded,
}
_PUSHED = {
    *("BININT", "BININT1", "BININT2", "INT", "LONG1", "SHORT_BINSTRING", "BINSTRING"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": _Mark,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickled(path: Path) -> dict[str, Any]:
    """Return the dict that a file holds: texts as str, arrays of bytes as arrays of uint8.

    Raises:
        LearningError: there is no such file, it is cut off, or holds anything else.
    """
    with open_file(path) as file:
        try:
            found = _Machine().run(_opcodes(file))
        except _NotDataError as error:
            raise LearningError(
                f"{path}: expected the python form of CIFAR, got {error}; nothing of it was run"
            ) from None
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
            raise LearningError(
                f"{path}: expected the python form of CIFAR, got what is none or is cut off"
            ) from None
    if not isinstance(found, dict) or not all(isinstance(key, str | bytes) for key in found):
        raise LearningError(
            f"{path}: expected a dict with texts as keys, got "
            f"{'other keys' if isinstance(found, dict) else type(found).__name__}"
        )
    return {_bytes(key).decode("latin-1"): value for key, value in found.items()}


class _Bounded:
    """A file of which no more is asked for than it has: a damaged length must not take memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._size = file.seek(0, SEEK_END)
        file.seek(0)
        self._read = file.read
        self.readline = file.readline

    def read(self, count: int) -> bytes:
        """Return up to so many bytes."""
        return self._read(min(count, self._size))


def _opcodes(file: BinaryIO) -> Iterator[tuple[str, Any]]:
    for opcode, argument, _ in pickletools.genops(cast(BinaryIO, _Bounded(file))):
        yield opcode.name, argument


class _Machine:
    """A stack, and what was remembered of it."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, opcodes: Iterator[tuple[str, Any]]) -> Any:
        """Return what is on the stack in the end."""
        for name, argument in opcodes:
            if name == "STOP":
                return self._plain(self._stack.pop())
            self._step(name, argument)
        raise _NotDataError("no end")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _PUSHED:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self._memo[argument])
        elif name not in ("PROTO", "FRAME"):
            self._change(name, argument)

    def _change(self, name: str, argument: Any) -> None:
        """Do what an opcode does with what is on the stack."""
        stack = self._stack
        if name == "TUPLE":
            stack.append(tuple(self._since_mark()))
        elif name in ("APPENDS", "APPEND"):
            items = self._since_mark() if name == "APPENDS" else [stack.pop()]
            self._top(list).extend(items)
        elif name in ("SETITEMS", "SETITEM"):
            items = self._since_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            self._top(dict).update(zip(items[::2], items[1::2], strict=True))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            named = f"{stack.pop(-2)} {stack.pop()}" if name == "STACK_GLOBAL" else argument
            if named not in _MEANT:
                raise _NotDataError(f"the name {named.replace(' ', '.')!r}, which is no data")
            stack.append(_MEANT[named])
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(function(*arguments))
        elif name == "BUILD":
            state = stack.pop()
            self._top(_Array, _ByteType).build(state)
        else:
            raise _NotDataError(f"the opcode {name}")

    def _since_mark(self) -> list[Any]:
        place = max(i for i, each in enumerate(self._stack) if isinstance(each, _Mark))
        items = self._stack[place + 1 :]
        del self._stack[place:]
        return items

    def _top(self, *kinds: type) -> Any:
        if not isinstance(self._stack[-1], kinds):
            raise _NotDataError("data in no order")
        return self._stack[-1]

    def _plain(self, value: Any) -> Any:
        """Return arrays in place of arrays in the making."""
        if isinstance(value, dict):
            return {key: self._plain(each) for key, each in value.items()}
        return value.values if isinstance(value, _Array) else value
