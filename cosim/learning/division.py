"""The tasks of a scenario, and which device holds which of their training examples."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cosim.learning.partitions.base import Partition, Share, TaskData
from cosim.learning.tasks._generated import GeneratedTask
from cosim.learning.tasks.base import Task
from cosim.plugin import find, kinds
from cosim.rng import Draws

if TYPE_CHECKING:
    from cosim.scenario.tree import Scenario, Tasks


@dataclass(frozen=True)
class Division:
    """Who holds what.

    Attributes:
        tasks: the scenario's.
        data: their names, all different, and their training examples.
        shares: what each device holds of them; servers hold nothing.
    """

    tasks: tuple[Task, ...]
    data: tuple[TaskData, ...]
    shares: tuple[tuple[Share, ...], ...] = field(repr=False)


def divide(
    section: "Tasks",
    data_root: Path,
    draws: Draws,
    num_devices: int,
    servers: frozenset[int] = frozenset(),
) -> Division:
    """Read the training examples and divide them; the same each time it is asked.

    Args:
        section: `learning.tasks` of a scenario.
        data_root: folder that data files are looked up in.
        draws: the learning half's random numbers, `Draws(seed).child("learning")`.
        num_devices: number of devices.
        servers: those that hold no data; the others share it as if there were no more.

    Raises:
        LearningError: the data cannot be used, or cannot be divided so.
    """
    tasks = _tasks(section)
    data = tuple(
        TaskData(name, task.examples("train", data_root), partial(task.keys, data_root=data_root))
        for name, task in zip(_names(tasks), tasks, strict=True)
    )
    partition: Partition = section.partition
    held = iter(partition.shares(draws.child("partition"), data, num_devices - len(servers)))
    shares = tuple(() if device in servers else next(held) for device in range(num_devices))
    return Division(tasks, data, shares)


def division_of(scenario: "Scenario") -> Division:
    """Return who holds what in a run of a scenario.

    Raises:
        LearningError: the data cannot be used, or cannot be divided so.
    """
    draws = Draws(scenario.seed).child("learning")
    root = Path(scenario.data_root)
    return divide(scenario.learning.tasks, root, draws, scenario.num_devices, scenario.servers)


def _tasks(section: "Tasks") -> tuple[Task, ...]:
    """The scenario's tasks; `builtin` is every generated one, by name."""
    if section.use != "builtin":
        return section.use
    shipped = (find("task", kind) for kind in kinds("task"))
    return tuple(cast(Task, cls()) for cls in shipped if issubclass(cls, GeneratedTask))


def _names(tasks: Sequence[Task]) -> tuple[str, ...]:
    """A name for each task: its title, and a number if there are more of the title."""
    titles = [task.title for task in tasks]
    names: list[str] = []
    for title in titles:
        numbered = (f"{title}-{number}" for number in count(1))
        free = (name for name in numbered if name not in titles and name not in names)
        names.append(title if titles.count(title) == 1 else next(free))
    return tuple(names)
