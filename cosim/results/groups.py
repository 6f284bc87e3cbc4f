"""Runs that belong together: the seeds of one experiment, and what tells experiments apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from cosim.results.labels import labels
from cosim.results.run import Run


@dataclass(frozen=True)
class Group:
    """Runs of one experiment, which differ in their seeds only.

    Attributes:
        label: what tells it from the other groups, for a legend.
        runs: its runs, by seed.
    """

    label: str
    runs: tuple[Run, ...]


def group(runs: Sequence[Run]) -> tuple[Group, ...]:
    """Return the experiments among some runs, in the order in which they first appear."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        members = groups.setdefault(run.manifest.hash, [])
        if run.seed not in {member.seed for member in members}:
            members.append(run)
    ordered = [tuple(sorted(members, key=lambda run: run.seed)) for members in groups.values()]
    told = [members[0].label for members in ordered]
    if not all(told) or len(set(told)) < len(told):
        hashes = [members[0].manifest.hash for members in ordered]
        told = labels([members[0].scenario for members in ordered], marks=hashes)
    return tuple(Group(label, members) for label, members in zip(told, ordered, strict=True))
