"""One style for all figures: IEEE column widths, 8 pt, colours that survive grey print.

Lines differ in colour, dash and marker at once, so that no reader needs the colour. Fonts are
embedded as TrueType (fonttype 42). Matplotlib is loaded when a page is opened, not when a figure
is named in a scenario.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Page

COLUMN_IN = 3.5  # one column of an IEEE page
PAGE_IN = 7.16  # both columns

# Okabe & Ito, "Color Universal Design" (2008), darker ones first; yellow is too light for lines.
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, BLACK = "#56B4E9", "#CC79A7", "#000000"
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY, LIGHT = "#767676", "#D9D9D9"

SMALL_PT = 6.5  # labels inside the axes

_RC: dict[Any, Any] = {
    "font.family": "STIXGeneral",  # Times-like, shipped with Matplotlib
    "mathtext.fontset": "stix",
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "patch.linewidth": 0.5,
    "hatch.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "grid.linewidth": 0.4,
    "grid.color": LIGHT,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.borderaxespad": 0.3,
    "legend.labelspacing": 0.3,
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.w_pad": 0.02,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
}


@contextmanager
def page(width_in: float, height_in: float) -> Iterator["Page"]:
    """Open a page in this style; the user's own Matplotlib settings are left as they are."""
    import matplotlib  # noqa: PLC0415

    with matplotlib.rc_context(_RC):
        yield _page_class()(figsize=(width_in, height_in), layout="constrained")


@cache
def _page_class() -> type["Page"]:
    import matplotlib  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    class StyledPage(Figure):
        """A page that keeps its style when it is saved: layout and fonts are settled then."""

        def savefig(self, fname: Any, **kwargs: Any) -> None:
            with matplotlib.rc_context(_RC):
                super().savefig(fname, **kwargs)

    return StyledPage


def line(index: int) -> dict[str, Any]:
    """Return colour, dash and marker of the `index`-th line of a figure.

    Every other marker is hollow, so that of two lines that meet both are seen.
    """
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
        "markerfacecolor": "none" if index % 2 else COLOURS[index % len(COLOURS)],
        "markersize": 4.5 if index % 2 else 3.2,
    }


def colour(index: int) -> str:
    """Return the colour of the `index`-th thing of a figure."""
    return COLOURS[index % len(COLOURS)]


def tag(axes: "Axes", text: str, where: str = "upper left") -> None:
    """Write a short text into a corner of the axes, on a white ground."""
    vertical, _, horizontal = where.partition(" ")
    axes.annotate(
        text,
        xy=(0.0 if horizontal == "left" else 1.0, 1.0 if vertical == "upper" else 0.0),
        xycoords="axes fraction",
        xytext=(3 if horizontal == "left" else -3, -3 if vertical == "upper" else 3),
        textcoords="offset points",
        ha=horizontal,
        va="top" if vertical == "upper" else "bottom",
        fontsize=SMALL_PT,
        bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"},
        zorder=10,
    )


def count_rounds(axes: "Axes", title: str = "Round") -> None:
    """Make the horizontal axis one of rounds, with ticks at whole numbers."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(title)


def halo() -> list[Any]:
    """Return path effects that set a text off from the lines that it lies on."""
    from matplotlib.patheffects import withStroke  # noqa: PLC0415

    return [withStroke(linewidth=1.5, foreground="white")]


def fit_height(page: "Page", grid: Sequence[Sequence["Axes"]], most_in: float = 5.5) -> None:
    """Make panels show both directions in one scale, as wide as they are now.

    Args:
        page: the page, whose height follows; afterwards its layout is settled.
        grid: its rows of axes, all with the same limits.
        most_in: the height that a panel has at most.
    """
    left, right = grid[0][0].get_xlim()
    bottom, top = grid[0][0].get_ylim()
    for _ in range(2):  # other ticks at another height may change the width a little
        page.draw_without_rendering()
        place, (width_in, height_in) = grid[0][0].get_position(), page.get_size_inches()
        wanted_in = min(place.width * width_in * (top - bottom) / (right - left), most_in)
        page.set_figheight(height_in + len(grid) * (wanted_in - place.height * height_in))
    for axes in chain.from_iterable(grid):
        axes.set_aspect("equal")
    page.draw_without_rendering()


def legend_above(axes: "Axes", handles: Sequence[Any] | None = None, columns: int = 4) -> None:
    """Put the legend over the axes, where it hides nothing."""
    given = {} if handles is None else {"handles": handles}
    axes.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=columns,
        columnspacing=1.2,
        handletextpad=0.5,
        **given,
    )
