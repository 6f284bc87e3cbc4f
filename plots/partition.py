"""Which device holds how many training examples of which task or label.

A run's tables do not hold this: it is worked out again from the scenario, which gives the same
division each time. So tasks that are read from files need their files, where the run found them.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from cosim.learning.division import Division, division_of
from cosim.learning.errors import LearningError
from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.run import Run
from plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Counts = NDArray[np.int64]

MAX_NARROW = 16  # devices in one column of a page
MIN_CELL_PT = 15.0  # width of a cell that a number of four digits fits into
PLOT_PART = 0.6  # of a page's width that is left beside the names, about
MAX_NUMBERED = 30  # classes; with more, cells are too low for their numbers
MAX_NAMED = 60  # classes; with more, cells are too low for their names
LONGEST_NAME, NAME_HEAD = 28, 9  # characters; names differ more often at their ends
PALEST = 0.15  # of the colour scale is left out, so that one example is told from none
DARK = 0.5  # above this share of the colour scale, light text reads better


class Partition(Figure):
    """Devices x tasks, or x labels, in training examples; above, how many each device has.

    Attributes:
        by: what a row stands for; by default a task, or with one task alone a label. Tasks whose
            choices differ from question to question have no labels.
    """

    by: Literal["task", "label"] | None = None

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw devices as columns, and tasks or labels as rows."""
        import pandas as pd  # noqa: PLC0415

        run = runs[0]
        try:
            division = division_of(run.scenario)
        except LearningError as error:
            raise FigureError(
                f"run {run.path}: its division cannot be worked out again: {error} (its data_root "
                f"is {run.scenario.data_root!r}, from the folder that it was started in)"
            ) from None
        by = self.by or ("task" if len(division.tasks) > 1 else "label")
        try:
            names, counts = _counted(division, by)
        except LearningError as error:
            raise FigureError(f"run {run.path}: {error}") from None
        rows = [
            (device, *names[row], int(counts[row, device]))
            for row, device in np.argwhere(counts).tolist()
        ]
        table = pd.DataFrame(rows, columns=["device", "task", "label", "examples"])
        num_rows, num_devices = counts.shape
        width_in = style.COLUMN_IN if num_devices <= MAX_NARROW else style.PAGE_IN
        with style.page(width_in, min(1.3 + 0.16 * num_rows, 6.5)) as page:
            above, below = page.subplots(
                2, 1, sharex=True, height_ratios=[0.6, max(0.16 * num_rows, 0.4)]
            )
            above.bar(range(num_devices), counts.sum(axis=0), width=0.75, color=style.GREY)
            above.set_ylabel("Examples")
            above.margins(x=0)
            for side in ("top", "right"):
                above.spines[side].set_visible(False)
            shown = np.ma.masked_equal(counts, 0)
            most = int(counts.max())
            image = below.imshow(
                shown, cmap="Blues", aspect="auto", interpolation="nearest", vmin=-PALEST * most
            )
            above.tick_params(axis="x", length=0)
            below.set_xlabel("Device")
            below.tick_params(length=0)
            if num_rows <= MAX_NAMED:
                below.set_yticks(range(num_rows), _labels(names))
            else:
                below.set_ylabel("Label" if by == "label" else "Task")
                below.locator_params(axis="y", integer=True)
            if num_devices <= MAX_NARROW:
                below.set_xticks(range(num_devices))
            else:
                below.locator_params(axis="x", integer=True)
            cell_pt = 72.0 * PLOT_PART * width_in / num_devices
            if cell_pt >= MIN_CELL_PT and num_rows <= MAX_NUMBERED:
                _number(below, counts)
            bar = page.colorbar(image, ax=below, pad=0.02, aspect=25)
            bar.set_label("Examples")
            bar.ax.set_ylim(0, most)
            bar.outline.set_linewidth(0.5)
            return Drawing(page, table)


def _counted(division: Division, by: str) -> tuple[list[tuple[str, str]], Counts]:
    """Return the classes as (task, label), and how many examples each device has of them.

    Raises:
        LearningError: by label, and a task has none.
    """
    names: list[tuple[str, str]] = []
    blocks = []
    for task, data in enumerate(division.data):
        labels: tuple[str, ...] = ("",)
        of_example = np.zeros(data.num_examples, dtype=np.int64)
        if by == "label":
            labels, of_example = data.examples[0].choices, data.labels()
        counts = np.zeros((len(labels), len(division.shares)), dtype=np.int64)
        for device, shares in enumerate(division.shares):
            for share in shares:
                if share.task == task:
                    held = of_example[share.examples]
                    counts[:, device] += np.bincount(held, minlength=len(labels))
        names.extend((data.name, label.strip()) for label in labels)
        blocks.append(counts)
    return names, np.concatenate(blocks)


def _labels(names: Sequence[tuple[str, str]]) -> list[str]:
    """Return the rows' names; a task that is the only one need not be named."""
    several = len({task for task, _ in names}) > 1
    found = []
    for task, label in names:
        shown = task.replace("_", " ")
        text = f"{shown}: {label}" if several and label else label or shown
        if len(text) > LONGEST_NAME:
            text = f"{text[:NAME_HEAD]}…{text[NAME_HEAD + 1 - LONGEST_NAME :]}"
        found.append(text)
    return found


def _number(axes: "Axes", counts: Counts) -> None:
    dark = DARK * counts.max()
    for (row, device), count in np.ndenumerate(counts):
        if count:
            axes.text(
                device,
                row,
                str(count),
                ha="center",
                va="center_baseline",
                fontsize=style.SMALL_PT,
                color="white" if count > dark else "black",
            )


if __name__ == "__main__":
    sys.exit(main(Partition))
