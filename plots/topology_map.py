"""Map of devices, clusters and links at chosen times.

Clusters differ in colour and marker, links inside clusters are as wide as their mean gain is high,
gateway links between clusters are dashed, and a fading tail shows where a device came from. A base
station is a star in its cluster's colour. From one panel to the next, a cluster keeps its looks as
far as it keeps its members.
"""

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.run import Run
from cosim.units import Seconds
from plots import style
from plots._labels import draw_labels, place_labels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Page

Floats = NDArray[np.float64]

MAX_PANELS = 4
MAX_NUMBERED = 60  # devices; with more, numbers and tails hide the map
CROWDED_PANELS = 2  # then, by default
TRAIL_POINTS = 40
WIDTHS_PT = (0.4, 2.0)  # of the weakest and the strongest link of the figure
MARKER_PT, CROWDED_PT, STATION_PT = 4.5, 2.4, 8.0
MARKED = 3.5  # a line under a number counts once in so many points of its length
GATEWAY = (0, (3, 2))  # dashes
FLAT = 0.4  # height over width of an area from which on panels stand under each other
COLOURS = style.COLOURS[:6]  # without black, which is for gateway links


class TopologyMap(Figure):
    """Map of clusters and links, one panel per instant.

    Attributes:
        at_s: the instants; empty for those at which plans with links were made, at most four of
            them, or two where there are many devices.
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
        moments = _moments(run, self._instants(run))
        span_db = _span_db(moments)
        rows, columns, width_in = _grid(run, moments)
        with style.page(width_in, rows * (0.7 + width_in / columns)) as page:
            page.set_layout_engine("constrained", w_pad=0.05)  # keeps tick labels apart
            grid = page.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).tolist()
            panels: list[Axes] = [axes for row in grid for axes in row]
            for index, (axes, moment) in enumerate(zip(panels, moments, strict=True)):
                self._panel(axes, run, moment, span_db)
                letter = f"({'abcd'[index]}) " if len(panels) > 1 else ""
                axes.set_title(f"{letter}$t$ = {moment.t_s:.4g} s", pad=3)
            for axes in grid[-1]:
                axes.set_xlabel("$x$ (m)")
            for axes, *_ in grid:
                axes.set_ylabel("$y$ (m)")
            tails = self.trail_s > 0 and any(
                moment.t_s > 0 and not moment.crowded for moment in moments
            )
            _legend(page, span_db, moments, f"last {self.trail_s:g} s" if tails else "")
            style.fit_height(page, grid)
            for axes, moment in zip(panels, moments, strict=True):
                _number(axes, moment)
            return Drawing(page, pd.concat([_table(each) for each in moments], ignore_index=True))

    def _instants(self, run: Run) -> list[float]:
        if len(self.at_s) > MAX_PANELS:
            raise FigureError(f"at: expected at most {MAX_PANELS} times, got {len(self.at_s)}")
        if self.at_s:
            return list(self.at_s)
        plans = run.plans.drop_duplicates("plan")
        linked = plans[plans["plan"].isin(run.links["plan"])]
        made_s = (plans if linked.empty else linked)["t_s"].sort_values().to_numpy()
        devices = run.plans.loc[run.plans["cluster"] >= 0].groupby("plan").size()
        panels = MAX_PANELS if devices.max() <= MAX_NUMBERED else CROWDED_PANELS
        # Spread evenly over the plans, first and last among them.
        chosen = np.linspace(0, len(made_s) - 1, min(len(made_s), panels)).round().astype(int)
        return [float(t_s) for t_s in made_s[chosen]]

    def _panel(
        self, axes: "Axes", run: Run, moment: "_Moment", span_db: tuple[float, float]
    ) -> None:
        _area(axes, run)
        if not moment.crowded:
            self._trails(axes, run, moment)
        _links(axes, moment, span_db)
        for cluster, members in moment.devices.groupby("cluster")["device"]:
            look = moment.looks[int(cluster)]
            for station, style_of in ((False, _device(look, moment.crowded)), (True, _base(look))):
                which = [device for device in members if (device in moment.stations) == station]
                if which:
                    axes.plot(*moment.at_m[which].T, linestyle="", zorder=3 + station, **style_of)

    def _trails(self, axes: "Axes", run: Run, moment: "_Moment") -> None:
        from matplotlib.collections import LineCollection  # noqa: PLC0415

        since_s = max(moment.t_s - self.trail_s, 0.0)
        if since_s == moment.t_s:
            return
        times_s = np.linspace(since_s, moment.t_s, TRAIL_POINTS)
        alpha = np.linspace(0.0, 0.5, TRAIL_POINTS - 1)
        for row in moment.devices.itertuples():
            track_m = run.world.tracks_m(row.device, times_s)
            steps_m = np.stack([track_m[:-1], track_m[1:]], axis=1)
            colour = COLOURS[moment.looks[int(row.cluster)] % len(COLOURS)]
            axes.add_collection(
                LineCollection(list(steps_m), colors=colour, alpha=alpha, linewidths=1.4, zorder=1)
            )


@dataclass(frozen=True)
class _Moment:
    """What one panel shows.

    Attributes:
        t_s: when.
        plan: the plan in force.
        devices: its rows of the devices that take part.
        at_m: positions of all devices, [N, 2].
        pairs: links as (low, high, gain in dB); both directions are one line.
        looks: number of each cluster's looks.
        stations: devices that are base stations.
    """

    t_s: float
    plan: int
    devices: "pd.DataFrame"
    at_m: Floats
    pairs: tuple[tuple[int, int, float], ...]
    looks: Mapping[int, int]
    stations: frozenset[int]

    @property
    def crowded(self) -> bool:
        return len(self.devices) > MAX_NUMBERED


def _moments(run: Run, instants_s: Sequence[float]) -> list[_Moment]:
    roles = [group.role for group in run.scenario.devices]
    of_device = np.repeat(roles, run.scenario.group_sizes)
    stations = frozenset(np.flatnonzero(of_device == "base_station").tolist())
    moments: list[_Moment] = []
    before: dict[int, int] = {}  # looks of each device in the panel before
    for t_s in instants_s:
        plan, rows = _plan_at(run, t_s)
        rows = rows[rows["cluster"] >= 0]  # those who took part when it was made
        clusters = {
            int(cluster): members.tolist() for cluster, members in rows.groupby("cluster")["device"]
        }
        looks = _looks(clusters, before)
        before = {device: looks[number] for number, all_ in clusters.items() for device in all_}
        pairs = _pairs(run.links[run.links["plan"] == plan])
        at_m = run.world.positions_m(t_s)
        moments.append(_Moment(t_s, plan, rows, at_m, pairs, looks, stations))
    return moments


def _looks(clusters: Mapping[int, Sequence[int]], before: Mapping[int, int]) -> dict[int, int]:
    """Return each cluster's looks: those that most of its members had before, if still free."""
    looks: dict[int, int] = {}
    for cluster in sorted(clusters, key=lambda number: (-len(clusters[number]), number)):
        had = Counter(before[device] for device in clusters[cluster] if device in before)
        free = [look for look, _ in had.most_common() if look not in looks.values()]
        if free:
            looks[cluster] = free[0]
    unused = (number for number in range(len(clusters)) if number not in looks.values())
    for cluster in sorted(clusters):
        if cluster not in looks:
            looks[cluster] = next(unused)
    return looks


def _plan_at(run: Run, t_s: float) -> tuple[int, "pd.DataFrame"]:
    """Return the plan in force at `t_s`, and its rows."""
    made = run.plans[run.plans["t_s"] <= t_s]
    if made.empty:
        first_s = run.plans["t_s"].min()
        raise FigureError(f"run {run.path} had no plan at {t_s} s; the first is at {first_s} s")
    plan = int(made["plan"].max())
    return plan, made[made["plan"] == plan]


def _pairs(links: "pd.DataFrame") -> tuple[tuple[int, int, float], ...]:
    pairs = {
        (min(link.src, link.dst), max(link.src, link.dst)): link.mean_gain_db
        for link in links.itertuples()
    }
    return tuple((low, high, gain_db) for (low, high), gain_db in pairs.items())


def _span_db(moments: Sequence[_Moment]) -> tuple[float, float]:
    """Return the least and the greatest gain of the links that are drawn."""
    gains_db = [gain_db for moment in moments for _, _, gain_db in moment.pairs]
    known = [gain_db for gain_db in gains_db if math.isfinite(gain_db)]
    return (min(known), max(known)) if known else (math.nan, math.nan)


def _grid(run: Run, moments: Sequence[_Moment]) -> tuple[int, int, float]:
    """Return rows and columns of panels, and the page's width in inches."""
    x_min, y_min, x_max, y_max = run.world.area.extent_m()
    shape, num = (y_max - y_min) / (x_max - x_min), len(moments)
    if shape < FLAT:
        return num, 1, style.COLUMN_IN if shape > FLAT**2 else style.PAGE_IN
    if num <= 2 and not any(moment.crowded for moment in moments):
        return 1, num, style.COLUMN_IN
    return 1, num, style.COLUMN_IN if shape > 1.0 / FLAT else style.PAGE_IN


def _links(axes: "Axes", moment: _Moment, span_db: tuple[float, float]) -> None:
    from matplotlib.collections import LineCollection  # noqa: PLC0415

    cluster = dict(zip(moment.devices["device"], moment.devices["cluster"], strict=True))
    for inside in (True, False):
        pairs = [pair for pair in moment.pairs if (cluster[pair[0]] == cluster[pair[1]]) == inside]
        looks = [moment.looks[cluster[low]] for low, _, _ in pairs]
        colours = [COLOURS[look % len(COLOURS)] for look in looks]
        axes.add_collection(
            LineCollection(
                [moment.at_m[[low, high]] for low, high, _ in pairs],
                colors=colours if inside else "black",
                linestyles="-" if inside else [GATEWAY],
                linewidths=[_width_pt(gain_db, span_db) for _, _, gain_db in pairs],
                alpha=0.75,
                zorder=2,
            )
        )


def _area(axes: "Axes", run: Run) -> None:
    outline_m: Floats = run.world.area.outline_m()
    axes.plot(*outline_m.T, color=style.GREY, linewidth=0.6, zorder=0)
    low, high = outline_m.min(axis=0), outline_m.max(axis=0)
    margin = 0.04 * (high - low).max()
    axes.set_xlim(low[0] - margin, high[0] + margin)
    axes.set_ylim(low[1] - margin, high[1] + margin)


def _number(axes: "Axes", moment: _Moment) -> None:
    """Write the devices' numbers, once the layout is settled."""
    if moment.crowded:
        return
    devices = moment.devices["device"].to_numpy()
    corner, far = axes.get_window_extent().get_points()
    to_pt = 72.0 / axes.figure.dpi
    seen_pt = (axes.transData.transform(moment.at_m) - corner) * to_pt
    lines_pt = [np.empty((0, 2))]
    for low, high, _ in moment.pairs:
        length_pt = np.hypot(*(seen_pt[high] - seen_pt[low]))
        lines_pt.append(np.linspace(seen_pt[low], seen_pt[high], int(length_pt / MARKED) + 2))
    points_pt, texts = seen_pt[devices], [str(device) for device in devices]
    width_pt, height_pt = (far - corner) * to_pt
    middles = place_labels(points_pt, texts, (width_pt, height_pt), np.concatenate(lines_pt))
    draw_labels(axes, moment.at_m[devices], texts, middles - points_pt)


def _device(look: int, crowded: bool) -> dict[str, Any]:
    return {
        "marker": style.MARKERS[look % len(style.MARKERS)],
        "markersize": CROWDED_PT if crowded else MARKER_PT,
        "color": COLOURS[look % len(COLOURS)],
        "markeredgecolor": "white",
        "markeredgewidth": 0.2 if crowded else 0.5,
    }


def _base(look: int | None) -> dict[str, Any]:
    """Return the looks of a base station; `None` for those of its entry in the legend."""
    return {
        "marker": "*",
        "markersize": STATION_PT,
        "color": "white" if look is None else COLOURS[look % len(COLOURS)],
        "markeredgecolor": "black",
        "markeredgewidth": 0.6,
    }


def _width_pt(gain_db: float, span_db: tuple[float, float]) -> float:
    low, high = span_db
    share = (gain_db - low) / (high - low) if high > low and math.isfinite(gain_db) else 0.5
    return WIDTHS_PT[0] + share * (WIDTHS_PT[1] - WIDTHS_PT[0])


def _legend(
    page: "Page", span_db: tuple[float, float], moments: Sequence[_Moment], tail: str
) -> None:
    from matplotlib.legend_handler import HandlerTuple  # noqa: PLC0415
    from matplotlib.lines import Line2D  # noqa: PLC0415

    used = sorted({look for moment in moments for look in moment.looks.values()})[:3]
    handles: list[Any] = [
        tuple(Line2D([], [], linestyle="", **_device(look, crowded=False)) for look in used)
    ]
    labels = ["cluster" if len(used) == 1 else "clusters"]
    if any(moment.stations & set(moment.devices["device"]) for moment in moments):
        handles.append(Line2D([], [], linestyle="", **_base(None)))
        labels.append("base station")
    if math.isfinite(span_db[0]):
        for gain_db in dict.fromkeys(reversed(span_db)):
            width_pt = _width_pt(gain_db, span_db)
            handles.append(Line2D([], [], color=style.GREY, linewidth=width_pt))
            labels.append(f"link, {gain_db:.0f} dB".replace("-", "\u2212"))
    if any(_joins_clusters(moment) for moment in moments):
        handles.append(Line2D([], [], color="black", linestyle=GATEWAY, linewidth=0.9))
        labels.append("gateway link")
    if tail:
        handles.append(Line2D([], [], color=style.GREY, linewidth=1.4, alpha=0.4))
        labels.append(tail)
    columns = len(labels) if page.get_figwidth() > style.COLUMN_IN else math.ceil(len(labels) / 2)
    page.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        columnspacing=1.4,
        handler_map={tuple: HandlerTuple(ndivide=None)},
    )


def _joins_clusters(moment: _Moment) -> bool:
    cluster = dict(zip(moment.devices["device"], moment.devices["cluster"], strict=True))
    return any(cluster[low] != cluster[high] for low, high, _ in moment.pairs)


def _table(moment: _Moment) -> "pd.DataFrame":
    index = moment.devices["device"].to_numpy()
    return moment.devices[["plan", "device", "cluster", "is_gateway"]].assign(
        t_s=moment.t_s,
        x_m=moment.at_m[index, 0],
        y_m=moment.at_m[index, 1],
        base_station=np.isin(index, list(moment.stations)),
    )


if __name__ == "__main__":
    sys.exit(main(TopologyMap))
