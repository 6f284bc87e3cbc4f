"""The channel and mobility models against their closed forms, under a run's own seed.

Random numbers are addressed by the seed, so these are the tables, places and phases that the run
itself drew from. It needs no run: `python plots/closed_forms.py seed=3`. Below each panel stands
how far each point is from its closed form, in standard errors: one in twenty should leave the grey
band. Points have samples of their own, except for the distribution of the power: there the points
of one curve share theirs, and neighbours deviate alike.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure
from cosim.results.run import Run
from cosim.rng import Draws
from plots import _laws, style
from plots._laws import Points

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Page

SEED = 1  # without a run, and unless one is asked for
BAND, BAND_COLOUR = 1.96, "#E6E6E6"  # standard errors that 95 % of the points keep within
MOST_SIGMA = 4.0  # shown in the strips; a point further away is drawn at the edge


class ClosedForms(Figure):
    """Fading, capacity and random waypoint against their closed forms, under a run's seed.

    Attributes:
        seed: the seed; None for the run's, or 1 without a run.
    """

    needs_runs = False

    seed: Annotated[int, Field(ge=0)] | None = None

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Measure and draw the four panels; no table of a run is read."""
        if self.seed is not None:
            return _draw(self.seed)
        return _draw(runs[0].seed if runs else SEED)


def _draw(seed: int) -> Drawing:
    import pandas as pd  # noqa: PLC0415

    draws = Draws(seed)
    panels = (
        ("autocorrelation", _autocorrelation, _laws.autocorrelation(draws)),
        ("power", _power, _laws.power_laws(draws)),
        ("waypoint", _waypoint, _laws.waypoint_density(draws)),
        ("capacity", _capacity, _laws.rayleigh_rate(draws)),
    )
    with style.page(style.PAGE_IN, 4.8) as page:
        page.set_layout_engine("constrained", w_pad=0.06, h_pad=0.01, hspace=0.0, wspace=0.0)
        # Panel, its strip, and a gap; panel and strip again.
        grid = page.add_gridspec(5, 2, height_ratios=(3.4, 1.0, 0.12, 3.4, 1.0))
        for place, (_, draw_panel, curves) in enumerate(panels):
            row, column = divmod(place, 2)
            axes = page.add_subplot(grid[3 * row, column])
            strip = page.add_subplot(grid[3 * row + 1, column], sharex=axes)
            draw_panel(axes, curves)
            _deviations(strip, curves)
            strip.set_xlabel(axes.get_xlabel())
            axes.set_xlabel("")
            axes.set_title(f"({'abcd'[place]}) {axes.get_title()}", pad=3)
            axes.tick_params(labelbottom=False)
        page.align_ylabels()
        _legend(page)
        tables = [_table(name, points) for name, _, curves in panels for points in curves]
        return Drawing(page, pd.concat(tables, ignore_index=True).assign(seed=seed))


def _legend(page: "Page") -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    line = Line2D([], [], color=style.BLACK, label="closed form")
    mark = Line2D(
        [], [], color=style.BLACK, linestyle="none", marker="o", markersize=3.0,
        markerfacecolor="white", markeredgewidth=0.7, label="cosim, 95 % interval",
    )  # fmt: skip
    band = Patch(
        facecolor=BAND_COLOUR, label=f"holds 95 % of the points, $\\pm${BAND} standard errors"
    )
    page.legend(handles=[line, mark, band], loc="outside lower center", ncols=3, columnspacing=2.0)


def _autocorrelation(axes: "Axes", curves: tuple[Points, ...]) -> None:
    from scipy.special import j0  # noqa: PLC0415  scipy is slow to load

    lag = np.linspace(0.0, 2.55, 500)
    correlation = j0(2.0 * np.pi * lag)
    axes.axhline(0.0, color=style.LIGHT, linewidth=0.6)
    labels = ("$h$: $J_0(2\\pi f_\\mathrm{D}\\tau)$", "$|h|^2$: $J_0^2(2\\pi f_\\mathrm{D}\\tau)$")
    for index, line in enumerate((correlation, correlation**2)):
        _curve(axes, index, labels[index], lag, line, curves[index])
    axes.set_xlim(lag[0], lag[-1])
    axes.set_ylim(-0.5, 1.05)
    axes.set_title("Fading over time, Jakes spectrum")
    axes.set_xlabel("Lag in Doppler cycles, $f_\\mathrm{D}\\tau$")
    axes.set_ylabel("Correlation")
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, 0.9))
    style.tag(axes, f"$n$ = {curves[0].n:,} links at each lag", "upper right")


def _power(axes: "Axes", curves: tuple[Points, ...]) -> None:
    level_db = np.linspace(-41.5, 8.0, 400)
    laws = _laws.power_distributions()
    for index, points in enumerate(curves):
        law = laws[points.curve](10.0 ** (level_db / 10.0))
        _curve(axes, index, points.curve, level_db, law, points)
    axes.set_yscale("log")
    axes.set_xlim(level_db[0], level_db[-1])
    axes.set_ylim(1e-5, 5.0)
    axes.minorticks_off()
    axes.set_title("Fading power: how often it is below a level")
    axes.set_xlabel("Level over the mean power (dB)")
    axes.set_ylabel("$P(|h|^2 <$ level$)$")
    axes.legend(loc="lower right", handlelength=2.0, fontsize=style.SMALL_PT, labelspacing=0.2)
    style.tag(axes, f"$n$ = {curves[0].n:,}, {_laws.NUM_FADES} instants of each link", "upper left")


def _waypoint(axes: "Axes", curves: tuple[Points, ...]) -> None:
    radius = np.linspace(0.0, 1.0, 400)
    axes.axhline(1.0, color=style.GREY, linewidth=0.6, linestyle=(0, (4, 2)))
    axes.annotate(
        "uniform", (0.02, 1.0), xytext=(0, 2), textcoords="offset points",
        color=style.GREY, fontsize=style.SMALL_PT,
    )  # fmt: skip
    law = _laws.radial_density(radius)
    axes.plot(radius, law, color=style.BLACK, label="stationary law")
    for index, points in enumerate(curves):
        _marks(axes, index, points, points.curve, aside=(-0.005, 0.005)[index])
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 2.9)
    axes.set_title("Random waypoint on a disc: where devices are")
    axes.set_xlabel("Distance from the middle, $\\rho=r/R$")
    axes.set_ylabel("Density over uniform")
    axes.legend(loc="lower left")
    style.tag(axes, f"$n$ = {curves[0].n:,} devices in {curves[0].x.size} rings", "upper right")


def _capacity(axes: "Axes", curves: tuple[Points, ...]) -> None:
    snr_db = np.linspace(-11.0, 31.0, 300)
    snr = 10.0 ** (snr_db / 10.0)
    axes.plot(
        snr_db, np.log2(1.0 + snr), color=style.GREY, linewidth=0.7, linestyle=(0, (4, 2)),
        label="no fading",
    )  # fmt: skip
    labels = (
        "$e^{1/\\gamma}E_1(1/\\gamma)/\\ln 2$",
        f"with a gap of {_laws.QAM_GAP_DB:g} dB to capacity",
    )
    for index, gap_db in enumerate((0.0, _laws.QAM_GAP_DB)):
        law = _laws.ergodic_capacity(snr, 10.0 ** (gap_db / 10.0))
        _curve(axes, index, labels[index], snr_db, law, curves[index])
    axes.set_xlim(snr_db[0], snr_db[-1])
    axes.set_ylim(-0.4, 10.5)
    axes.set_title("Mean rate under Rayleigh fading")
    axes.set_xlabel("Mean SNR, $\\gamma$ (dB)")
    axes.set_ylabel("Rate (bit/s/Hz)")
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, 0.9))
    style.tag(axes, f"$n$ = {curves[0].n:,} links at each point", "upper left")


def _curve(axes: "Axes", index: int, label: str, x: Any, law: Any, points: Points) -> None:
    """Draw a closed form as a line, and what was measured as marks on it."""
    look = style.line(index)
    axes.plot(x, law, color=look["color"], linestyle=look["linestyle"], linewidth=0.8)
    _marks(axes, index, points)
    # One entry for both: the line, with its marker.
    axes.plot([], [], label=label, **look | {"markersize": 3.0, "markerfacecolor": "white"})


def _marks(
    axes: "Axes", index: int, points: Points, label: str | None = None, aside: float = 0.0
) -> None:
    around = (points.measured - points.low, points.high - points.measured)
    axes.errorbar(
        points.x + aside, points.measured, np.array(around), label=label, color=style.colour(index),
        linestyle="none", marker=style.MARKERS[index], markersize=3.0, markerfacecolor="white",
        markeredgewidth=0.7, elinewidth=0.7, zorder=3,
    )  # fmt: skip


def _deviations(strip: "Axes", curves: tuple[Points, ...]) -> None:
    """Draw how many standard errors each point is from its closed form."""
    strip.axhspan(-BAND, BAND, color=BAND_COLOUR, linewidth=0)
    strip.axhline(0.0, color=style.BLACK, linewidth=0.5)
    for index, points in enumerate(curves):
        sigmas = np.clip(_sigmas(points), -MOST_SIGMA, MOST_SIGMA)
        strip.plot(
            points.x, sigmas, color=style.colour(index), linestyle="none",
            marker=style.MARKERS[index], markersize=2.2, clip_on=False,
        )  # fmt: skip
    strip.set_ylim(-MOST_SIGMA, MOST_SIGMA)
    strip.set_yticks((-2.0, 0.0, 2.0))
    strip.set_ylabel("Dev. ($\\sigma$)")


def _sigmas(points: Points) -> Any:
    return (points.measured - points.expected) / points.sigma


def _table(panel: str, points: Points) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415

    columns = ("x", "measured", "low", "high", "expected")
    table = pd.DataFrame({name: getattr(points, name) for name in columns})
    table = table.assign(deviation_sigmas=_sigmas(points), n=points.n)
    table.insert(0, "curve", points.curve.replace("$", ""))
    table.insert(0, "panel", panel)
    return table


if __name__ == "__main__":
    sys.exit(main(ClosedForms))
