"""Ranks that differ from device to device: the key `ranks` beside `rank`, their largest."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from cosim.learning.adapter import Mask
from cosim.learning.methods.base import Arrival

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


def cut(arrivals: Sequence[Arrival], held: Mask) -> list[Arrival]:
    """Return of each what is of the ranks that a device holds (truncation)."""
    updates = [arrival.update for arrival in arrivals]
    within = [held[update.coordinates] for update in updates]
    kept = [
        replace(update, coordinates=update.coordinates[at], values=update.values[at])
        for update, at in zip(updates, within, strict=True)
    ]
    return [replace(each, update=update) for each, update in zip(arrivals, kept, strict=True)]
