"""Accuracy of every device on every task at the last evaluation; own tasks are outlined."""

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.run import Run
from cosim.scenario.tree import Scenario
from plots import _axes, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

MAX_LABELLED = 16  # devices or tasks; with more, cells are too small for their numbers
ROUNDING = 1e-9  # of a mean of accuracies
PALE = 0.6  # above this share of the colour scale, dark text reads better


class TaskDeviceHeatmap(Figure):
    """Heat map of device x task accuracy at the last evaluation, or at another one.

    Attributes:
        round: the evaluation after this many rounds; None for the last.
    """

    round: int | None = None

    def survey(self, scenarios: Sequence[Scenario]) -> None:
        """Look whether there are models that are judged."""
        _axes.survey_metrics(("own_accuracy",), scenarios)

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw devices as rows and tasks as columns."""
        rows = _at(runs[0], self.round)
        accuracy = rows.pivot_table(index="device", columns="task", values="accuracy")
        own = rows.pivot_table(index="device", columns="task", values="own").reindex_like(accuracy)
        # Tasks in the order of the devices that own them: own tasks run along the diagonal.
        first_owner = own.eq(1).to_numpy().argmax(axis=0)
        order = accuracy.columns[np.argsort(first_owner, kind="stable")]
        accuracy, own = accuracy[order], own[order]
        values = 100.0 * accuracy.to_numpy()
        num_devices, num_tasks = values.shape
        height_in = min(max(1.05 + 0.2 * num_devices, 1.6), 6.0)
        with style.page(style.COLUMN_IN, height_in) as page:
            axes = page.subplots()
            image = axes.imshow(values, cmap="cividis", aspect="auto", interpolation="nearest")
            low, high = image.get_clim()
            axes.set_xticks(
                range(num_tasks),
                [str(task).replace("_", " ") for task in order],
                rotation=35,
                ha="right",
                rotation_mode="anchor",
            )
            if num_devices <= MAX_LABELLED:
                axes.set_yticks(range(num_devices), list(map(str, accuracy.index)))
            axes.tick_params(length=0)
            axes.set_ylabel("Device")
            axes.set_xlabel("Task")
            labelled = max(num_devices, num_tasks) <= MAX_LABELLED
            for (row, column), value in np.ndenumerate(values):
                if labelled and np.isfinite(value):
                    dark = (value - low) > PALE * (high - low)
                    axes.text(
                        column,
                        row,
                        str(math.floor(value + 0.5 + ROUNDING)),  # halves up, as in tables
                        ha="center",
                        va="center",
                        fontsize=style.SMALL_PT,
                        color="black" if dark else "white",
                    )
                if own.to_numpy()[row, column] == 1:
                    axes.add_patch(_outline(row, column, labelled))
            _legend(axes, labelled)
            bar = page.colorbar(image, ax=axes, pad=0.02, aspect=30)
            bar.set_label("Accuracy (%)")
            bar.outline.set_linewidth(0.5)
            return Drawing(page, rows[["t_s", "round", "device", "task", "own", "accuracy"]])


def _at(run: Run, round: int | None) -> "pd.DataFrame":
    rows = run.evaluations
    if rows.empty:
        raise FigureError(f"run {run.path} has no evaluations; give it a learning pool")
    if round is None:
        return rows[rows["t_s"] == rows["t_s"].max()]
    found = rows[rows["round"] == round]
    if found.empty:
        there = ", ".join(map(str, sorted(rows["round"].unique())))
        raise FigureError(f"run {run.path}: no evaluation after round {round}; there are {there}")
    return found


def _legend(axes: "Axes", labelled: bool) -> None:
    from matplotlib.patches import Patch  # noqa: PLC0415

    width_pt = _width_pt(labelled)
    own = Patch(fill=False, edgecolor=style.VERMILLION, linewidth=width_pt, label="own task")
    style.legend_above(axes, [own], columns=1)


def _width_pt(labelled: bool) -> float:
    return 1.2 if labelled else 0.6


def _outline(row: int, column: int, labelled: bool) -> "Rectangle":
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    return Rectangle(
        (column - 0.44, row - 0.44),
        0.88,
        0.88,
        fill=False,
        edgecolor=style.VERMILLION,
        linewidth=_width_pt(labelled),
    )


if __name__ == "__main__":
    sys.exit(main(TaskDeviceHeatmap))
