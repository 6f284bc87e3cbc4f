"""What kinds of traffic share: whole sizes, and stretches of packets that grow."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from cosim.units import Bytes

_FIRST, _MOST = 8, 512


def _whole(size_bytes: float) -> float:
    if size_bytes < 1 or size_bytes != int(size_bytes):
        raise PydanticCustomError(
            "size_not_whole",
            "expected a whole number of bytes, at least 1, got {size} B",
            {"size": size_bytes},
        )
    return size_bytes


WholeBytes = Annotated[Bytes, AfterValidator(_whole)]


def stretches() -> Iterator[int]:
    """Yield how many packets to work out at once: ever more, so that few cost little."""
    num = _FIRST
    while True:
        yield num
        num = min(2 * num, _MOST)
