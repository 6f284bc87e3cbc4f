"""What every device does over time: training, and transfers by kind and outcome.

A device has one row. Transfers that it sends at the same time share the row's height.
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

MAX_ROWS = 24
DEFAULT_ROUNDS = 3
HEIGHT = 0.8  # of a row's bars, in rows
COLOURS = {"update": style.BLUE, "exchange": style.ORANGE}
# Not delivered whole: vermillion and hatched, so that grey print tells it too.
HATCHES = {"partial": "//////", "expired": "xxxxxx", "aborted": "......"}


class TransferGantt(Figure):
    """Gantt chart of training and transfers by device.

    Attributes:
        start_s: start of the window.
        length_s: its length; None for the first three rounds that end in it.
        devices: rows, by number; empty for all, at most 24 of them.
    """

    start_s: Annotated[Seconds, Field(ge=0)] = 0.0
    length_s: Annotated[Seconds, Field(gt=0)] | None = None
    devices: tuple[Annotated[int, Field(ge=0)], ...] = ()

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw bars by sender, round limits and plans."""
        import pandas as pd  # noqa: PLC0415

        run = runs[0]
        end_s = self._end(run)
        flows = _within(run.flows, self.start_s, end_s)
        trainings = _within(run.trainings, self.start_s, end_s)
        if flows.empty and trainings.empty:
            raise FigureError(
                f"run {run.path} has no transfer or training in {self.start_s:g} to {end_s:g} s"
            )
        everyone = sorted({*run.flows["src"], *run.trainings["device"]})
        devices = list(self.devices) or everyone[:MAX_ROWS]
        flows = flows[flows["src"].isin(devices)]
        trainings = trainings[trainings["device"].isin(devices)]
        row = {device: index for index, device in enumerate(devices)}
        flows = _lanes(flows)
        with style.page(style.PAGE_IN, 0.75 + 0.2 * max(len(devices), 5)) as page:
            axes = page.subplots()
            for bar in trainings.itertuples():
                axes.broken_barh(
                    [(bar.start_s, bar.end_s - bar.start_s)],
                    (row[bar.device] - HEIGHT / 2, HEIGHT),
                    facecolor=style.LIGHT,
                    linewidth=0,
                )
            for bar in flows.itertuples():
                _transfer(axes, bar, row[bar.src])
            self._frame(axes, run, end_s)
            axes.set_yticks(range(len(devices)), list(map(str, devices)))
            axes.set_ylim(len(devices) - 0.4, -0.6)
            hidden = len(everyone) - len(devices)
            axes.set_ylabel("Device" + (f" ({hidden} more not shown)" if hidden > 0 else ""))
            style.legend_above(axes, _handles(flows, trainings, run), columns=8)
            bars = trainings.assign(kind="training", outcome="")
            columns = ["device", "kind", "start_s", "end_s", "dst", "round", "outcome"]
            drawn = pd.concat([bars, flows.rename(columns={"src": "device"})], ignore_index=True)
            return Drawing(page, drawn[columns] if "dst" in drawn else drawn)

    def _end(self, run: Run) -> float:
        if self.length_s is not None:
            return self.start_s + self.length_s
        ends_s = run.rounds["t_s"]
        later_s = ends_s[ends_s > self.start_s].head(DEFAULT_ROUNDS)
        if len(later_s):
            return float(later_s.iloc[-1])
        return float(max([*run.flows["end_s"], *run.trainings["end_s"], self.start_s]))

    def _frame(self, axes: "Axes", run: Run, end_s: float) -> None:
        """Draw round limits, and a mark over the axes where a plan was made."""
        axes.set_xlim(self.start_s, end_s)
        axes.set_xlabel("Simulated time (s)")
        for t_s in run.rounds["t_s"]:
            if self.start_s < t_s < end_s:
                axes.axvline(t_s, color=style.GREY, linewidth=0.6, linestyle=":")
        plans_s = run.plans.drop_duplicates("plan")["t_s"]
        inside_s = plans_s[(plans_s >= self.start_s) & (plans_s <= end_s)]
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


def _within(rows: "pd.DataFrame", start_s: float, end_s: float) -> "pd.DataFrame":
    return rows[(rows["start_s"] < end_s) & (rows["end_s"] > start_s)]


def _lanes(flows: "pd.DataFrame") -> "pd.DataFrame":
    """Give concurrent transfers of one sender lanes of their own: columns lane and num_lanes.

    A transfer takes the first lane that is free; transfers that touch in time, directly or by
    others between, share the row's height equally.
    """
    flows = flows.sort_values(["src", "start_s", "flow"])
    lanes: list[int] = []
    counts: list[int] = []
    for _, sent in flows.groupby("src", sort=True):
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


def _transfer(axes: "Axes", bar: Any, row: int) -> None:
    height = HEIGHT / bar.num_lanes
    axes.broken_barh(
        [(bar.start_s, bar.end_s - bar.start_s)],
        (row - HEIGHT / 2 + bar.lane * height, height),
        **_looks(bar.kind, bar.outcome),
    )


def _looks(kind: str, outcome: str) -> dict[str, Any]:
    colour = COLOURS.get(kind, style.GREEN)
    if outcome == "delivered":
        return {"facecolor": colour, "edgecolor": "white", "linewidth": 0.3}
    return {
        "facecolor": "white",
        "edgecolor": style.VERMILLION,
        "hatch": HATCHES.get(outcome, ""),
        "linewidth": 0.5,
    }


def _handles(flows: "pd.DataFrame", trainings: "pd.DataFrame", run: Run) -> list[Any]:
    from matplotlib.lines import Line2D  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    handles: list[Any] = []
    if len(trainings):
        handles.append(Patch(facecolor=style.LIGHT, label="training"))
    for kind in sorted(flows["kind"].unique(), reverse=True):
        handles.append(Patch(**_looks(kind, "delivered"), label=kind))
    for outcome in HATCHES:
        if (flows["outcome"] == outcome).any():
            handles.append(Patch(**_looks("", outcome), label=outcome))
    if len(run.rounds):
        handles.append(
            Line2D([], [], color=style.GREY, linewidth=0.6, linestyle=":", label="end of round")
        )
    handles.append(
        Line2D([], [], color="black", linestyle="", marker="v", markersize=4, label="new plan")
    )
    return handles


if __name__ == "__main__":
    sys.exit(main(TransferGantt))
