"""What every device does over time: training, and transfers by kind and outcome.

A device has one row. Transfers that it sends at the same time share the row's height; background
traffic has a strip of its own under them. Where nothing goes on between rounds for longer than a
round takes, the time axis is cut.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
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

Window = tuple[float, float]  # start and end, s

MAX_ROWS = 24
MANY_ROWS = 12  # with more, rows are lower
ROW_IN, LOW_ROW_IN = 0.2, 0.15
DEFAULT_ROUNDS = 3
HEIGHT = 0.8  # of a row's bars, in rows
STRIP = 0.18  # of that, for background traffic
MARGIN = 0.02  # of a cut axis, around each of its parts
GAP = 0.06  # between lanes, in rows
EDGE_PT = 0.3  # of a bar
BACKGROUND = "background"
COLOURS = {"update": style.BLUE, "exchange": style.ORANGE, BACKGROUND: style.GREEN}
# Not delivered whole: vermillion and hatched, so that grey print tells it too.
HATCHES = {"partial": "//////", "expired": "xxxxxx", "aborted": "......"}


class TransferGantt(Figure):
    """Gantt chart of training and transfers by device.

    Attributes:
        start_s: start of the window; None for the first round in which something is sent.
        length_s: its length; None for the first three rounds that end in it.
        devices: rows, by number; empty for all that do something, at most 24 of them.
    """

    start_s: Annotated[Seconds, Field(ge=0)] | None = None
    length_s: Annotated[Seconds, Field(gt=0)] | None = None
    devices: tuple[Annotated[int, Field(ge=0)], ...] = ()

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw bars by sender, round limits and plans."""
        import pandas as pd  # noqa: PLC0415

        run = runs[0]
        windows = self._windows(run)
        flows, trainings = _within(run.flows, windows), _within(run.trainings, windows)
        if flows.empty and trainings.empty:
            since_s, until_s = windows[0][0], windows[-1][1]
            raise FigureError(
                f"run {run.path} has no transfer or training in {since_s:g} to {until_s:g} s"
            )
        everyone = sorted({*flows["src"], *trainings["device"]})
        devices = list(self.devices) or everyone[:MAX_ROWS]
        flows = _lanes(flows[flows["src"].isin(devices)])
        trainings = trainings[trainings["device"].isin(devices)]
        row_in = LOW_ROW_IN if len(devices) > MANY_ROWS else ROW_IN
        with style.page(style.PAGE_IN, 0.75 + row_in * max(len(devices), 5)) as page:
            panels = _panels(page, windows)
            for axes, window in zip(panels, windows, strict=True):
                _bars(axes, _within(flows, (window,)), _within(trainings, (window,)), devices)
                _frame(axes, run, window)
            panels[0].set_yticks(range(len(devices)), list(map(str, devices)))
            panels[0].set_ylim(len(devices) - 0.4, -0.6)
            hidden = len(everyone) - len(devices)
            panels[0].set_ylabel("Device" + (f" ({hidden} more not shown)" if hidden > 0 else ""))
            page.supxlabel("Simulated time (s)", fontsize=8.0)
            handles = _handles(flows, trainings, run, windows)
            page.legend(
                handles=handles, loc="outside upper center", ncols=len(handles), columnspacing=1.2
            )
            bars = trainings.assign(kind="training", outcome="", dst=-1)
            columns = ["device", "kind", "start_s", "end_s", "dst", "round", "outcome"]
            drawn = pd.concat([bars, flows.rename(columns={"src": "device"})], ignore_index=True)
            return Drawing(page, drawn[columns])

    def _windows(self, run: Run) -> list[Window]:
        """Return the stretches of time that are drawn, one after the other."""
        start_s = self.start_s
        if start_s is None:
            sent_s = run.flows["start_s"].min() if len(run.flows) else 0.0
            begun_s = run.rounds["start_s"]
            before = begun_s[begun_s <= sent_s]
            start_s = float(before.max()) if len(before) else 0.0
        if self.length_s is not None:
            return [(start_s, start_s + self.length_s)]
        rounds = run.rounds[run.rounds["t_s"] > start_s].head(DEFAULT_ROUNDS)
        if rounds.empty:
            ends_s = [*run.flows["end_s"], *run.trainings["end_s"], start_s]
            return [(start_s, float(max(ends_s)))]
        windows: list[Window] = []
        longest_s = (rounds["t_s"] - rounds["start_s"]).max()
        for begin_s, end_s in zip(rounds["start_s"], rounds["t_s"], strict=True):
            if windows and begin_s - windows[-1][1] <= longest_s:
                windows[-1] = (windows[-1][0], end_s)
            else:
                windows.append((max(begin_s, start_s), end_s))
        return windows


def _panels(page: "Page", windows: Sequence[Window]) -> list["Axes"]:
    """Return axes side by side, all in one scale, that look like one axis with cuts."""
    pad_s = MARGIN * sum(end_s - start_s for start_s, end_s in windows) * (len(windows) > 1)
    limits_s = [
        (start_s - pad_s * (number > 0), end_s + pad_s)
        for number, (start_s, end_s) in enumerate(windows)
    ]
    widths_s = [right_s - left_s for left_s, right_s in limits_s]
    panels = page.subplots(1, len(windows), sharey=True, width_ratios=widths_s, squeeze=False)[0]
    slash = {
        "marker": [(-0.5, -1.0), (0.5, 1.0)],
        "markersize": 5,
        "color": "black",
        "linestyle": "",
        "clip_on": False,
    }
    for number, (axes, limit_s) in enumerate(zip(panels, limits_s, strict=True)):
        axes.set_xlim(limit_s)
        if number:
            axes.spines["left"].set_visible(False)
            axes.tick_params(left=False)
            axes.plot([0, 0], [0, 1], transform=axes.transAxes, **slash)
        if number < len(windows) - 1:
            axes.spines["right"].set_visible(False)
            axes.plot([1, 1], [0, 1], transform=axes.transAxes, **slash)
    return list(panels)


def _bars(
    axes: "Axes", flows: "pd.DataFrame", trainings: "pd.DataFrame", devices: Sequence[int]
) -> None:
    from matplotlib.collections import PatchCollection  # noqa: PLC0415
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    row = {device: index for index, device in enumerate(devices)}
    room = HEIGHT - STRIP if (flows["kind"] == BACKGROUND).any() else HEIGHT
    boxes: dict[tuple[str, str], list[Any]] = {}
    for bar in trainings.itertuples():
        corner = (bar.start_s, row[bar.device] - HEIGHT / 2)
        box = Rectangle(corner, bar.end_s - bar.start_s, room)
        boxes.setdefault(("training", ""), []).append(box)
    for bar in flows.itertuples():
        low, pitch = row[bar.src] - HEIGHT / 2, (room + GAP) / bar.num_lanes
        low += room + GAP if bar.kind == BACKGROUND else bar.lane * pitch
        height = STRIP if bar.kind == BACKGROUND else pitch
        box = Rectangle((bar.start_s, low), bar.end_s - bar.start_s, height - GAP)
        kind = bar.kind if bar.outcome == "delivered" else ""
        boxes.setdefault((kind, bar.outcome), []).append(box)
    for (kind, outcome), patches in boxes.items():
        axes.add_collection(PatchCollection(patches, **_looks(kind, outcome)))


def _frame(axes: "Axes", run: Run, window: Window) -> None:
    """Draw round limits, and a mark over the axes where a plan was made."""
    start_s, end_s = window
    for t_s in run.rounds["t_s"]:
        if start_s < t_s <= end_s and t_s < axes.get_xlim()[1]:
            axes.axvline(t_s, color=style.GREY, linewidth=0.6, linestyle=":")
    inside_s = _plans_s(run, (window,))
    if not inside_s:
        return
    axes.plot(
        inside_s,
        np.ones(len(inside_s)),
        "v",
        color="black",
        markersize=4,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
        zorder=5,
    )


def _plans_s(run: Run, windows: Sequence[Window]) -> list[float]:
    made_s = run.plans.drop_duplicates("plan")["t_s"]
    return [t_s for t_s in made_s if any(since <= t_s <= until for since, until in windows)]


def _within(rows: "pd.DataFrame", windows: Sequence[Window]) -> "pd.DataFrame":
    inside = np.zeros(len(rows), dtype=np.bool_)
    for start_s, end_s in windows:
        inside |= ((rows["start_s"] < end_s) & (rows["end_s"] > start_s)).to_numpy()
    return rows[inside]


def _lanes(flows: "pd.DataFrame") -> "pd.DataFrame":
    """Give concurrent transfers of one sender lanes of their own: columns lane and num_lanes.

    A transfer takes the first lane that is free; transfers that touch in time, directly or by
    others between, share the row's height equally. Background traffic has no part in it.
    """
    flows = flows.assign(aside=flows["kind"] == BACKGROUND)
    flows = flows.sort_values(["src", "aside", "start_s", "flow"])
    lanes: list[int] = []
    counts: list[int] = []
    for (_, aside), sent in flows.groupby(["src", "aside"], sort=True):
        if aside:
            lanes += [0] * len(sent)
            counts += [1] * len(sent)
            continue
        free_s: list[float] = []  # when each lane is free again
        begun = len(lanes)  # first transfer of the ones that touch
        for start_s, end_s in zip(sent["start_s"], sent["end_s"], strict=True):
            if free_s and start_s >= max(free_s):
                counts += [len(free_s)] * (len(lanes) - begun)
                begun, free_s = len(lanes), []
            lane = next((i for i, at_s in enumerate(free_s) if at_s <= start_s), len(free_s))
            free_s[lane : lane + 1] = [end_s]
            lanes.append(lane)
        counts += [len(free_s)] * (len(lanes) - begun)
    return flows.assign(lane=lanes, num_lanes=counts)


def _looks(kind: str, outcome: str) -> dict[str, Any]:
    if kind == "training":
        return {"facecolor": style.LIGHT, "edgecolor": "none"}
    if outcome == "delivered":
        # An edge of the same colour, so that the shortest transfer is seen.
        colour = COLOURS.get(kind, style.GREEN)
        return {"facecolor": colour, "edgecolor": colour, "linewidth": EDGE_PT}
    return {
        "facecolor": "white",
        "edgecolor": style.VERMILLION,
        "hatch": HATCHES.get(outcome, ""),
        "linewidth": 0.5,
    }


def _handles(
    flows: "pd.DataFrame", trainings: "pd.DataFrame", run: Run, windows: Sequence[Window]
) -> list[Any]:
    from matplotlib.lines import Line2D  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    handles: list[Any] = []
    if len(trainings):
        handles.append(Patch(**_looks("training", ""), label="training"))
    for kind in sorted(flows["kind"].unique(), reverse=True):
        handles.append(Patch(**_looks(kind, "delivered"), label=kind))
    for outcome in HATCHES:
        if (flows["outcome"] == outcome).any():
            handles.append(Patch(**_looks("", outcome), label=outcome))
    if len(run.rounds):
        handles.append(
            Line2D([], [], color=style.GREY, linewidth=0.6, linestyle=":", label="end of round")
        )
    if _plans_s(run, windows):
        handles.append(
            Line2D([], [], color="black", linestyle="", marker="v", markersize=4, label="new plan")
        )
    return handles


if __name__ == "__main__":
    sys.exit(main(TransferGantt))
