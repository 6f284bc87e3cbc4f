"""Stars: a centre with links to and from everybody that hears it.

The centre of the first star is given, or the server, or where there is none the device that hears
the most others; of those that hear equally many, the one of best mean path gain in dB to them, then
of the lowest number. Everybody who hears it is in its star. What is left over is made into stars in
the same way, so that nobody who is alone hears a centre. Where some device hears all others there
is one star: the graph of a server that is one of the devices, and the greedy dominating set of a
graph otherwise (Chvatal, A greedy heuristic for the set-covering problem, 1979).
"""

import math
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from cosim.planning.neighbours import Rows
from cosim.planning.planners._graph import (
    Graph,
    GraphPlanner,
    loss_db,
    positions,
)
from cosim.planning.view import PlanView
from cosim.wording import counted
from cosim.world.errors import WorldError

Rank = tuple[int, float, int]  # the best is the least: -number heard, mean loss in dB, device


class Star(GraphPlanner):
    """One centre for each cluster; all its other devices have a link to and from that one.

    Attributes:
        centre: the device that is a centre first of all; None for the first server that takes part,
            and where there is none for the best.
    """

    centre: Annotated[int, Field(ge=0)] | None = None

    def survey(self, num_devices: int, data_root: Path) -> None:
        """Look whether there is such a device as `centre`.

        Raises:
            WorldError: there is not.
        """
        if self.centre is not None and self.centre >= num_devices:
            raise WorldError(
                f"planner star: expected a centre from 0 to {num_devices - 1}, got {self.centre}"
            )

    def choose(self, view: PlanView) -> Graph:
        """Return the stars' rays.

        Raises:
            WorldError: there is no such device as `centre`.
        """
        self.survey(view.num_devices, view.data_root)
        wanted = view.servers if self.centre is None else (self.centre,)
        first = next((device for device in wanted if view.alive[device]), None)
        rays = _stars(view, first)
        centres = list(dict.fromkeys(centre for centre, _ in rays))
        ends = np.array(rays, dtype=np.int64).reshape(-1, 2)
        why = [f"device {self.centre} takes no part and is no centre"]
        found = [] if self.centre is None or first is not None else why
        if centres:
            listed = ", ".join(map(str, centres[:20])) + (", ..." if len(centres) > 20 else "")
            found.append(f"{counted(len(centres), 'star')} around {listed}")
        return Graph(positions(view, ends[:, 0], ends[:, 1]), tuple(found))


def _stars(view: PlanView, first: int | None) -> list[tuple[int, int]]:
    """Return (centre, other) of every ray, centres in the order in which they are chosen."""
    heard = Rows(view.num_devices, view.low, view.high, loss_db(view)).all()
    free = view.alive.tolist()

    def rank(device: int) -> Rank:
        losses = [loss for other, loss in heard[device].items() if free[other]]
        # fsum: the same whatever the order.
        return -len(losses), math.fsum(losses) / max(len(losses), 1), device

    ranks = [rank(device) for device in range(view.num_devices)]
    if first is not None:
        ranks[first] = (-view.num_devices, 0.0, first)  # more than anybody hears
    heap = [ranks[device] for device in np.flatnonzero(view.alive).tolist()]
    heapify(heap)
    rays = []
    while heap:
        best = heappop(heap)
        centre = best[2]
        if not free[centre] or best != ranks[centre]:
            continue
        star = [other for other in sorted(heard[centre]) if free[other]]
        rays += [(centre, other) for other in star]
        for device in (centre, *star):
            free[device] = False
        changed = {near for device in star for near in heard[device] if free[near]}
        for device in sorted(changed):
            ranks[device] = rank(device)
            heappush(heap, ranks[device])
    return rays
