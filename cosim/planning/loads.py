"""What the links of a cluster ask of its devices, held against the limits (11a) and (11b).

The load of a device is max_j c_ij over those that it has a link with in its cluster, or with
`least` power sum_j c_ij; see `constraints` for c_ij and for what bounds it.
"""

import numpy as np

from cosim.planning.constraints import Constraints
from cosim.planning.neighbours import Rows
from cosim.planning.view import PlanView

_ROUNDING = 1.0 + 1e-9  # more than the rounding of a sum of costs


class Loads:
    """The loads of clusters, by cluster number, worked out only where a limit is in reach.

    Args:
        view: what is planned for.
        constraints: the limits.
    """

    def __init__(self, view: PlanView, constraints: Constraints) -> None:
        self._constraints = constraints
        self._adds = constraints.limits.power == "least"
        self._is_complete = constraints.limits.linkage == "complete"
        self._shared_by = view.shared_by
        self._noise = view.noise_w_per_hz.tolist()
        num_devices = view.num_devices
        heard = view.mean_gain > 0
        low, high, gain = view.low[heard], view.high[heard], view.mean_gain[heard]
        self._rows = Rows(num_devices, low, high, gain)
        self._gains: dict[int, dict[int, float]] = {}
        self._largest_cost = np.zeros(num_devices)
        np.maximum.at(self._largest_cost, low, view.noise_w_per_hz[high] / gain)
        np.maximum.at(self._largest_cost, high, view.noise_w_per_hz[low] / gain)
        self._loose: dict[int, bool] = {}
        self._exceed: dict[tuple[int, int], bool] = {}
        self._members: list[tuple[int, ...]] = [(device,) for device in range(num_devices)]
        self._parts: list[tuple[int, int]] = [(-1, -1)] * num_devices
        self._known: list[list[float] | None] = [[0.0]] * num_devices

    def gains(self, device: int) -> dict[int, float]:
        """Return the linear gain of every device that this one hears."""
        if device not in self._gains:
            self._gains[device] = self._rows.row(device)
        return self._gains[device]

    def join(self, a: int, b: int) -> tuple[int, ...]:
        """Give the union of two clusters the next number; return its devices."""
        members = self._members[a] + self._members[b]
        self._members.append(members)
        self._parts.append((a, b))
        self._known.append(None)
        return members

    def exceed(self, a: int, b: int) -> bool:
        """Return whether a load of the union is above what (11a) or (11b) allows."""
        members_a, members_b = self._members[a], self._members[b]
        size = len(members_a) + len(members_b)
        if self._is_loose(size):
            return False
        if (a, b) not in self._exceed:
            members = members_a + members_b
            loads = zip(self._of_union(a, b), self._budget(members), strict=True)
            self._exceed[a, b] = any(load > budget for load, budget in loads)
        return self._exceed[a, b]

    def _budget(self, members: tuple[int, ...]) -> list[float]:
        """Return the bound on the load of each device of a cluster."""
        if self._is_complete:
            budget = self._constraints.budget(len(members))
            return [budget[device] for device in members]
        all_members = set(members)
        links = [len(self.gains(device).keys() & all_members) for device in members]
        per_device = self._shared_by == "per_transmitter"
        sharing = links if per_device else [sum(links)] * len(members)
        each = zip(members, links, sharing, strict=True)
        return [self._constraints.budget_of(u, n)[device] for device, u, n in each]

    def _is_loose(self, size: int) -> bool:
        """Return whether no cluster of this size can overload anybody.

        The budget where all hear each other is the least: with fewer links it is no smaller.
        """
        if size not in self._loose:
            most = self._largest_cost * ((size - 1) * _ROUNDING if self._adds else 1.0)
            self._loose[size] = bool(np.all(most <= self._constraints.budget(size)))
        return self._loose[size]

    def _of(self, cluster: int) -> list[float]:
        """Return the load of each member of a cluster, of one that was merged away too."""
        loads = self._known[cluster]
        if loads is None:
            loads = self._known[cluster] = self._of_union(*self._parts[cluster])
        return loads

    def _of_union(self, a: int, b: int) -> list[float]:
        members_a, members_b = self._members[a], self._members[b]
        loads, noise = [], self._noise
        for members, others, known in (
            (members_a, members_b, self._of(a)),
            (members_b, members_a, self._of(b)),
        ):
            for device, load in zip(members, known, strict=True):
                gain = self.gains(device)
                if self._is_complete:
                    new = [noise[other] / gain[other] for other in others]
                else:
                    new = [noise[other] / gain[other] for other in others if other in gain]
                loads.append(load + sum(new) if self._adds else max([load, *new]))
        return loads
