"""Rings: every device has a link to and from the one before and the one after it.

The order is that of the devices' numbers, or a short tour: from the lowest number on always to the
nearest that is left, then made shorter by exchanging two links for two others (2-opt; Croes, A
method for solving traveling-salesman problems, 1958) until no exchange helps. The length of a tour
is its path loss in dB, since that is what a planner sees of distance.
"""

from typing import Literal

import numpy as np

from cosim.planning.neighbours import Rows
from cosim.planning.planners._graph import (
    Graph,
    GraphPlanner,
    components,
    groups,
    in_reach,
    loss_db,
)
from cosim.planning.view import Ints, PlanView

# A pair out of range in a tour, in dB: far more than any that is in range.
_FAR_DB = 1e6
# What an exchange has to gain in dB, so that rounding does not turn a tour in circles.
_GAIN_DB = 1e-9


class Ring(GraphPlanner):
    """One ring of all devices that can be reached from each other; a pair out of range is a gap.

    Attributes:
        order: by `number`, or a short `tour`, which has fewer gaps and better links.
    """

    order: Literal["number", "tour"] = "number"

    def choose(self, view: PlanView) -> Graph:
        """Return the links from each device to the next."""
        rings = groups(components(view))
        if self.order == "tour":
            heard = Rows(view.num_devices, view.low, view.high, loss_db(view)).all()
            rings = [_tour(ring.tolist(), heard) for ring in rings]
        rings = [ring for ring in rings if len(ring) > 1]
        nobody = np.empty(0, dtype=np.int64)
        a = np.concatenate([nobody, *rings])
        b = np.concatenate([nobody, *(np.roll(ring, -1) for ring in rings)])
        return Graph(*in_reach(view, a, b, "a ring"))


def _tour(devices: list[int], heard: list[dict[int, float]]) -> Ints:
    """Return the devices in the order of a short tour.

    Args:
        devices: ascending.
        heard: to each device those in range, and the loss in dB.
    """
    tour = _nearest_first(devices, heard)
    at = {device: place for place, device in enumerate(tour)}
    near = {i: [j for _, j in sorted((loss, j) for j, loss in heard[i].items())] for i in devices}
    shorter = len(tour) > 3
    while shorter:
        shorter = False
        for device in devices:
            while _exchange(device, tour, at, heard, near[device]):
                shorter = True
    return np.array(tour, dtype=np.int64)


def _nearest_first(devices: list[int], heard: list[dict[int, float]]) -> list[int]:
    left = dict.fromkeys(devices)
    tour: list[int] = []
    while left:
        near = heard[tour[-1]] if tour else {}
        found = [(loss, other) for other, loss in near.items() if other in left]
        tour.append(min(found)[1] if found else next(iter(left)))
        del left[tour[-1]]
    return tour


def _exchange(
    a: int, tour: list[int], at: dict[int, int], heard: list[dict[int, float]], near: list[int]
) -> bool:
    """Exchange a link of `a` for a better one, if that makes the tour shorter; say whether.

    Links (a, b) and (c, d) become (a, c) and (b, d), where b and d both follow, or both precede.
    An exchange that helps has a new link that is better than the old one at one of its ends, so
    that trying from every device only those that are nearer than its neighbour misses none.
    """
    n = len(tour)
    for step in (1, -1):
        b = tour[(at[a] + step) % n]
        old = heard[a].get(b, _FAR_DB)
        for c in near:
            if heard[a][c] >= old:
                break
            d = tour[(at[c] + step) % n]
            gained = old + heard[c].get(d, _FAR_DB) - heard[a][c] - heard[b].get(d, _FAR_DB)
            if gained <= _GAIN_DB:
                continue
            # What lies between the two links is walked the other way round.
            ends = (at[b], at[c]) if step == 1 else (at[a], at[d])
            first, last = ends if ends[0] <= ends[1] else (ends[1] + 1, ends[0] - 1)
            tour[first : last + 1] = tour[first : last + 1][::-1]
            at.update((tour[place], place) for place in range(first, last + 1))
            return True
    return False
