"""Collision rate against the number of devices: P1 (16), and masks that were trained.

    S(M) = 1 - (1 - s)^M - M s (1 - s)^(M - 1)        M masks of density s, drawn independently

Lines are the closed form. Points are what runs measured: the fraction of coordinates that more
than one device of a cluster trains, at the last evaluation, by the size of the cluster; mean over
clusters of one size, and over seeds with Student's 95 % t-interval. Below is the measured rate over
the closed form. Trained masks are not drawn independently, so it need not be 1: where some
coordinates are likelier than others in every mask, few masks collide more often than (16) says,
and many, which together cover fewer coordinates, less often.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from cosim.collision import collision_rate
from cosim.learning.pool.base import TrainingPool
from cosim.plugin import kind_of
from cosim.results.comparison import estimate
from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.groups import group
from cosim.results.run import Run
from cosim.scenario.tree import Scenario
from plots import _axes, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DENSITIES = (0.05, 0.1, 0.2)
MOST_DEVICES = 20
_DIGITS = 3  # to which densities count as one


class CollisionVsDevices(Figure):
    """The collision rate of M masks: closed form (16) as lines, runs as points.

    Attributes:
        densities: of the lines; None for those of the runs, or without runs 0.05, 0.1 and 0.2.
        most: the largest M; None for that of the runs, or without runs 20.
    """

    needs_runs = False
    needs_measures = True
    compares = True

    densities: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] | (
        None
    ) = None
    most: Annotated[int, Field(ge=2, le=1000)] | None = None

    def survey(self, scenarios: Sequence[Scenario]) -> None:
        """Look whether the experiments have masks."""
        _axes.survey_pools(scenarios, "masks", ", where the rate is the closed form itself")

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw the lines, and the points on or off them."""
        import pandas as pd  # noqa: PLC0415

        points = _measured(runs) if runs else None
        found = sorted(set(points["density"])) if points is not None else DENSITIES
        densities = tuple(sorted(self.densities or found))
        top = int(points["num_devices"].max()) if points is not None else MOST_DEVICES
        num_devices = np.arange(1, (self.most or max(top, 2)) + 1)
        lines = pd.concat(
            [
                pd.DataFrame(
                    {
                        "what": "closed form",
                        "density": density,
                        "num_devices": num_devices,
                        "collision_rate": [collision_rate([density] * m) for m in num_devices],
                    }
                )
                for density in densities
            ],
            ignore_index=True,
        )
        with style.page(style.COLUMN_IN, 2.4 if points is None else 3.2) as page:
            ratios = {} if points is None else {"height_ratios": (2.2, 1.0)}
            rows_of_panels = 1 if points is None else 2
            panels = page.subplots(rows_of_panels, sharex=True, squeeze=False, gridspec_kw=ratios)
            axes = panels[0, 0]
            for number, (density, line) in enumerate(lines.groupby("density")):
                look = style.line(number)
                axes.plot(
                    line["num_devices"],
                    line["collision_rate"],
                    color=look["color"],
                    linestyle=look["linestyle"],
                    linewidth=0.9,
                    label=f"P1 (16), $s$ = {density:.3g}",
                )
            if points is not None:
                _points(axes, points, densities)
                _ratios(panels[1, 0], points, densities)
            axes.set_ylabel("Collision rate")
            axes.set_ylim(bottom=0.0)
            axes.set_xlim(0.5, num_devices[-1] + 0.5)
            axes.xaxis.get_major_locator().set_params(integer=True)
            for panel in panels[:, 0]:
                panel.grid(visible=True)
            panels[-1, 0].set_xlabel("Devices in a cluster, $M$")
            page.align_ylabels()
            note = ""
            if points is not None:
                note = f"points: {_axes.interval_note(points['num_seeds'])}"
            handles, names = axes.get_legend_handles_labels()
            _axes.legend_over(page, handles, names, note)
            table = lines if points is None else pd.concat([lines, points], ignore_index=True)
            return Drawing(page, table)


def _points(axes: "Axes", points: "pd.DataFrame", densities: Sequence[float]) -> None:
    for name, rows in points.groupby("label", sort=False):
        axes.errorbar(
            rows["num_devices"],
            rows["collision_rate"],
            _axes.bars(list(rows["half_width"]), 1.0),
            label=str(name),
            **_look(points, rows, densities),
            **_axes.BAR,
        )


def _ratios(axes: "Axes", points: "pd.DataFrame", densities: Sequence[float]) -> None:
    """Draw how many times the closed form is measured."""
    axes.axhline(1.0, color=style.BLACK, linewidth=0.5)
    for _, rows in points.groupby("label", sort=False):
        factors = [1.0 / closed for closed in rows["closed_form"]]
        halves = [half * factor for half, factor in zip(rows["half_width"], factors, strict=True)]
        axes.errorbar(
            rows["num_devices"],
            rows["collision_rate"] * factors,
            _axes.bars(halves, 1.0),
            **_look(points, rows, densities),
            **_axes.BAR,
        )
    axes.set_ylabel("Ratio to (16)")


def _look(
    points: "pd.DataFrame", rows: "pd.DataFrame", densities: Sequence[float]
) -> dict[str, Any]:
    """Return colours as of the line of the same density, and marks by method."""
    density = float(rows["density"].iloc[0])
    number = densities.index(density) if density in densities else len(densities)
    place = list(dict.fromkeys(points["what"])).index(rows["what"].iloc[0])
    look = style.line(number)
    return look | {
        "linestyle": "none",
        "marker": style.MARKERS[(place + number) % len(style.MARKERS)],
        "markersize": 3.0 + 1.5 * place,
        "markerfacecolor": "none" if place else look["color"],
    }


def _measured(runs: Sequence[Run]) -> "pd.DataFrame":
    """Return a row for each density and size of a cluster."""
    import pandas as pd  # noqa: PLC0415

    found = []
    for each in group(runs):
        for run in each.runs:
            method = kind_of(type(run.scenario.learning.method))
            found.append(_of_run(run).assign(seed=run.seed, method=method))
    clusters = pd.concat(found, ignore_index=True)
    rows = []
    several = clusters["method"].nunique() > 1
    for (method, density, size), some in clusters.groupby(["method", "density", "num_devices"]):
        name = method if several else "measured"
        of = estimate(list(some.groupby("seed")["collision_rate"].mean()))
        rows.append(
            {
                "what": method,
                "label": f"{name}, $s$ = {density:.3g}",
                "density": density,
                "num_devices": size,
                "collision_rate": of.mean,
                "half_width": of.half_width,
                "num_seeds": of.num,
                "closed_form": collision_rate([float(density)] * int(size)),
            }
        )
    table = pd.DataFrame(rows)
    single = [
        f"{row.what}, s = {row.density:g}, M = {row.num_devices}"
        for row in table.itertuples()
        if row.num_seeds == 1
    ]
    _axes.warn_of_single("collision_vs_devices", single)
    return table


def _of_run(run: Run) -> "pd.DataFrame":
    """Return density, num_devices and collision_rate of each cluster at the last evaluation."""
    if not isinstance(run.scenario.learning.pool, TrainingPool):
        raise FigureError(
            f"run {run.path} has no masks, and its collision rate is the closed form itself; "
            "choose a pool that trains"
        )
    measures = run.measures
    last = measures[measures["round"] == measures["round"].max()]
    clusters = last[last["num_devices"] > 1].drop_duplicates("cluster")
    if clusters.empty:
        raise FigureError(f"run {run.path} has no cluster of two or more at its last evaluation")
    densities = run.plans[run.plans["plan"] == run.plans["plan"].max()]
    of_cluster = densities.groupby("cluster")["density"].mean().round(_DIGITS)
    return clusters[["num_devices", "collision_rate"]].assign(
        density=clusters["cluster"].map(of_cluster)
    )


if __name__ == "__main__":
    sys.exit(main(CollisionVsDevices))
