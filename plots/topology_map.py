"""Map of devices, clusters and links at chosen times.

Clusters differ in colour and marker, links inside clusters are as wide as their mean gain is high,
gateway links between clusters are dashed, and a fading tail shows where a device came from.
"""

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.run import Run
from cosim.units import Seconds
from plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Page

MAX_PANELS = 4
MAX_NUMBERED = 60  # devices; with more, numbers hide the map
TRAIL_POINTS = 40
WIDTHS_PT = (0.4, 2.0)  # of the weakest and the strongest link of the figure


class TopologyMap(Figure):
    """Map of clusters and links, one panel per instant.

    Attributes:
        at_s: the instants; empty for those at which plans were made, at most four of them.
        trail_s: how far back the tails reach.
    """

    at_s: tuple[Annotated[Seconds, Field(ge=0)], ...] = ()
    trail_s: Annotated[Seconds, Field(ge=0)] = 20.0

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw up to four panels."""
        import pandas as pd  # noqa: PLC0415

        run = runs[0]
        if run.plans.empty:
            raise FigureError(f"run {run.path} made no plan, so there is no topology to draw")
        instants_s = self._instants(run)
        gains_db = run.links["mean_gain_db"]
        gains_db = gains_db[np.isfinite(gains_db)]
        span_db = (gains_db.min(), gains_db.max()) if len(gains_db) else (0.0, 0.0)
        columns = min(len(instants_s), 4 if len(instants_s) > 2 else 2)
        width_in = style.PAGE_IN if columns > 2 else style.COLUMN_IN
        x_min, y_min, x_max, y_max = run.world.area.extent_m()
        shape = (y_max - y_min) / (x_max - x_min)
        panel_in = (width_in - 0.45) / columns - 0.12  # less the labels of the y axis, and gaps
        height_in = panel_in * min(max(shape, 0.3), 2.0) + 0.75  # title, x axis, legend
        with style.page(width_in, height_in) as page:
            page.set_layout_engine(
                "constrained", w_pad=0.05
            )  # keeps tick labels of neighbours apart
            panels = page.subplots(1, columns, sharey=True, squeeze=False)[0]
            tables = []
            for index, (axes, t_s) in enumerate(zip(panels, instants_s, strict=True)):
                tables.append(self._panel(axes, run, t_s, span_db))
                axes.set_xlabel("$x$ (m)")
                letter = f"({'abcd'[index]}) " if columns > 1 else ""
                axes.set_title(f"{letter}$t$ = {t_s:.4g} s", pad=3)
            panels[0].set_ylabel("$y$ (m)")
            _legend(page, span_db)
            return Drawing(page, pd.concat(tables, ignore_index=True))

    def _instants(self, run: Run) -> list[float]:
        if len(self.at_s) > MAX_PANELS:
            raise FigureError(f"at: expected at most {MAX_PANELS} times, got {len(self.at_s)}")
        if self.at_s:
            return list(self.at_s)
        made_s = run.plans.drop_duplicates("plan")["t_s"].sort_values().to_numpy()
        # Spread evenly over the plans, first and last among them.
        chosen = np.linspace(0, len(made_s) - 1, min(len(made_s), MAX_PANELS)).round().astype(int)
        return [float(t_s) for t_s in made_s[chosen]]

    def _panel(
        self, axes: "Axes", run: Run, t_s: float, span_db: tuple[float, float]
    ) -> "pd.DataFrame":
        plan, devices = _plan_at(run, t_s)
        devices = devices[devices["cluster"] >= 0]  # those who took part when it was made
        at_m = run.world.positions_m(t_s)
        clusters = devices.set_index("device")["cluster"]
        _area(axes, run)
        for device, cluster in clusters.items():
            self._trail(axes, run, int(device), t_s, _colour(int(cluster)))
        links = run.links[run.links["plan"] == plan]
        for low, high, gain_db in _pairs(links):
            inside = clusters[low] == clusters[high]
            axes.plot(
                *at_m[[low, high]].T,
                color=_colour(int(clusters[low])) if inside else "black",
                linestyle="-" if inside else (0, (3, 2)),
                linewidth=_width_pt(gain_db, span_db),
                solid_capstyle="butt",
                alpha=0.75,
                zorder=2,
            )
        for device, cluster in clusters.items():
            axes.plot(
                *at_m[device],
                marker=_marker(int(cluster)),
                markersize=4.5,
                color=_colour(int(cluster)),
                markeredgecolor="white",
                markeredgewidth=0.5,
                zorder=3,
            )
            if len(clusters) <= MAX_NUMBERED:
                axes.annotate(
                    str(device),
                    at_m[device],
                    xytext=(3.2, 3.2),
                    textcoords="offset points",
                    fontsize=style.SMALL_PT,
                    path_effects=style.halo(),
                    zorder=4,
                )
        index = devices["device"].to_numpy()
        return devices[["plan", "device", "cluster", "is_gateway"]].assign(
            t_s=t_s, x_m=at_m[index, 0], y_m=at_m[index, 1]
        )

    def _trail(self, axes: "Axes", run: Run, device: int, t_s: float, colour: str) -> None:
        from matplotlib.collections import LineCollection  # noqa: PLC0415

        since_s = max(t_s - self.trail_s, 0.0)
        if since_s == t_s:
            return
        track_m = run.world.tracks_m(device, np.linspace(since_s, t_s, TRAIL_POINTS))
        steps_m = np.stack([track_m[:-1], track_m[1:]], axis=1)
        alpha = np.linspace(0.0, 0.5, len(steps_m))
        axes.add_collection(
            LineCollection(list(steps_m), colors=colour, alpha=alpha, linewidths=1.4, zorder=1)
        )


def _plan_at(run: Run, t_s: float) -> tuple[int, "pd.DataFrame"]:
    """Return the plan in force at `t_s`, and its rows."""
    made = run.plans[run.plans["t_s"] <= t_s]
    if made.empty:
        first_s = run.plans["t_s"].min()
        raise FigureError(f"run {run.path} had no plan at {t_s} s; the first is at {first_s} s")
    plan = int(made["plan"].max())
    return plan, made[made["plan"] == plan]


def _pairs(links: "pd.DataFrame") -> list[tuple[int, int, float]]:
    """Return links as pairs (low, high, gain in dB): both directions are one line."""
    pairs = {
        (min(link.src, link.dst), max(link.src, link.dst)): link.mean_gain_db
        for link in links.itertuples()
    }
    return [(low, high, gain_db) for (low, high), gain_db in pairs.items()]


def _area(axes: "Axes", run: Run) -> None:
    outline_m: NDArray[np.float64] = run.world.area.outline_m()
    axes.plot(*outline_m.T, color=style.GREY, linewidth=0.6, zorder=0)
    low, high = outline_m.min(axis=0), outline_m.max(axis=0)
    margin = 0.04 * (high - low).max()
    axes.set_xlim(low[0] - margin, high[0] + margin)
    axes.set_ylim(low[1] - margin, high[1] + margin)
    axes.set_aspect("equal")


def _colour(cluster: int) -> str:
    return style.LIGHT if cluster < 0 else style.colour(cluster)


def _marker(cluster: int) -> str:
    return "x" if cluster < 0 else style.MARKERS[cluster % len(style.MARKERS)]


def _width_pt(gain_db: float, span_db: tuple[float, float]) -> float:
    low, high = span_db
    share = (gain_db - low) / (high - low) if high > low and math.isfinite(gain_db) else 0.5
    return WIDTHS_PT[0] + share * (WIDTHS_PT[1] - WIDTHS_PT[0])


def _legend(page: "Page", span_db: tuple[float, float]) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415

    low, high = span_db
    shown = [high, low] if high > low else [high]
    handles = [
        Line2D(
            [],
            [],
            color=style.GREY,
            linewidth=_width_pt(gain, span_db),
            label=f"{gain:.0f} dB".replace("-", "\u2212"),
        )
        for gain in shown
    ]
    handles.append(
        Line2D([], [], color="black", linestyle=(0, (3, 2)), linewidth=0.9, label="gateway link")
    )
    page.legend(handles=handles, loc="outside lower center", ncols=len(handles))


if __name__ == "__main__":
    sys.exit(main(TopologyMap))
