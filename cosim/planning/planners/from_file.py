"""A topology from a file: who has a link with whom, and perhaps in which cluster.

    src,dst,cluster          [{"src": 0, "dst": 1, "cluster": "west"},
    0,1,west                  {"src": 1, "dst": 2, "cluster": "west"}]
    1,2,west

CSV with a header, or JSON (a name that ends with .json). An edge is a link both ways, and may
stand in the file once or once each way. `cluster` is left out, or given with every edge: then both
of its ends are in that cluster. Edges between clusters have no place here; the best pair between
two clusters are their gateways, as with every planner.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from cosim.on_disk import OnDisk
from cosim.planning.edge_list import Edges, read_edges
from cosim.planning.planners._graph import Graph, GraphPlanner, in_reach, named
from cosim.planning.view import Ints, PlanView


class FromFile(GraphPlanner):
    """Links from a file; devices are numbered as in the scenario, group after group from 0.

    An edge has a link while both devices take part and are in range. The clusters are those of the
    file, or what the links connect. A device that the file does not have is a cluster of its own.

    Attributes:
        file: path of the file, looked up under `data_root`.
    """

    file: Annotated[str, Field(min_length=1), OnDisk()]

    def survey(self, num_devices: int, data_root: Path) -> None:
        """Look whether the file has edges between these devices.

        Raises:
            WorldError: it has not; the message says in which line.
        """
        read_edges(data_root / self.file, num_devices)

    def choose(self, view: PlanView) -> Graph:
        """Return the file's edges between devices that take part.

        Raises:
            WorldError: the file cannot be used; the message says in which line.
        """
        edges = read_edges(view.data_root / self.file, view.num_devices)
        ends = np.array(edges.pairs, dtype=np.int64)
        taking_part = view.alive[ends].all(axis=1)
        a, b = ends[taking_part].T
        at, why = in_reach(view, a, b, self.file)
        left_out = np.setdiff1d(np.flatnonzero(view.alive), ends)
        if left_out.size:
            why = (*why, f"not in {self.file}: {named(left_out)}")
        return Graph(at, why, _clusters(view, edges) if edges.label else None)


def _clusters(view: PlanView, edges: Edges) -> Ints:
    """Return the number of each device's cluster, by lowest device, -1 for the dead, [N]."""
    number: dict[str | int, int] = {}
    found = np.full(view.num_devices, -1, dtype=np.int64)
    for device in np.flatnonzero(view.alive).tolist():
        found[device] = number.setdefault(edges.label.get(device, device), len(number))
    return found
