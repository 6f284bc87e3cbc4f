"""Why a plan is as it is, in sentences for a person to read."""

from collections import Counter

import numpy as np

from cosim.planning.formation import Formation, Merge

# With more devices than this, merges and lone devices are counted instead of named.
_FEW = 50


def reasons(formation: Formation) -> tuple[str, ...]:
    """Return why these clusters formed, and why some devices are alone."""
    lone = sorted(members[0] for members in formation.members.values() if len(members) == 1)
    cluster_of = {
        device: cluster for cluster, members in formation.members.items() for device in members
    }
    why = {device: _why_alone(formation, cluster_of, device) for device in lone}
    if len(cluster_of) <= _FEW:
        limit = formation.constraints.limits.max_collision
        merged = [_merged(merge, limit) for merge in formation.merges]
        return (*merged, *(f"device {device} is alone: {text}" for device, text in why.items()))
    return (*_merged_in_all(formation), *_alone_in_all(Counter(why.values())))


def _merged(merge: Merge, max_collision: float) -> str:
    gain_db = 10.0 * np.log10(merge.best_gain)
    return (
        f"merged {_braces(merge.a)} and {_braces(merge.b)}: S {merge.collision_rate:.4g} <= "
        f"{max_collision:g}, best gain {gain_db:.1f} dB"
    )


def _braces(devices: tuple[int, ...]) -> str:
    return "{" + ", ".join(map(str, sorted(devices))) + "}"


def _why_alone(formation: Formation, cluster_of: dict[int, int], device: int) -> str:
    """Return what keeps a device from each cluster that it hears someone of."""
    if not formation.eligible[device]:
        return "over the compute limit"
    neighbours = formation.loads.gains(device)
    if not neighbours:
        return "no neighbour in range"
    found = set()
    for cluster in {cluster_of[neighbour] for neighbour in neighbours}:
        members = formation.members[cluster]
        if not all(formation.eligible[member] for member in members):
            found.add("the neighbour's compute limit")
        elif formation.is_complete and not all(member in neighbours for member in members):
            found.add("a member out of range")
        else:
            found.add(f"the {formation.obstacle(device, cluster)} limit")
    return "kept from its neighbours' clusters by " + ", ".join(sorted(found))


def _merged_in_all(formation: Formation) -> list[str]:
    sizes = [len(members) for members in formation.members.values() if len(members) > 1]
    if not sizes:
        return []
    largest = max(merge.collision_rate for merge in formation.merges)
    limit = formation.constraints.limits.max_collision
    return [
        f"{len(formation.merges)} merges made {len(sizes)} clusters of {min(sizes)} to "
        f"{max(sizes)} devices: S at most {largest:.4g} <= {limit:g}"
    ]


def _alone_in_all(why: Counter[str]) -> list[str]:
    return [f"{count} devices are alone: {text}" for text, count in sorted(why.items())]
