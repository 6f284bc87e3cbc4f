"""Ranks that differ from device to device: the key `ranks` beside `rank`, their largest."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

Rank = Annotated[int, Field(ge=1, le=1024)]


def with_largest(data: Any) -> Any:
    """Return a method's keys with `rank` taken from `ranks` where it is not given."""
    if not isinstance(data, Mapping) or "rank" in data:
        return data
    ranks = data.get("ranks")
    if isinstance(ranks, tuple) and ranks and all(isinstance(each, int) for each in ranks):
        return {**data, "rank": max(ranks)}
    return data


def check_largest(rank: int, ranks: Sequence[int]) -> None:
    """Raise ValueError unless `rank` is the largest of `ranks`."""
    if ranks and max(ranks) != rank:
        raise ValueError(
            f"expected a rank that is the largest of ranks, {max(ranks)}, got {rank}; leave `rank` "
            "out"
        )
