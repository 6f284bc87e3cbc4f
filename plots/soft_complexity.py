"""What choosing an update's coordinates costs: SOFT's scores against singular value decompositions.

    SOFT       sigma_j = ||a_j|| ||b_j||                            O(r (d_in + d_out))
    SVD        of the product B A, formed first       O(d_in d_out (r + min(d_in, d_out)))
    SVD by QR  of the same product by its factors                  O(r^2 (d_in + d_out))

It is P3's figure of complexity, and needs no run: `python plots/soft_complexity.py`. Each way
divides one layer's budget over its components by sigma_j and takes the largest entries of each,
with the code by which SOFT does it in a run. SOFT takes the factors as they are. The others take
U S and V^T, the components of the decomposed product, of which sigma_j is a singular value. P3
compares with the first of them. The second is how `flexlora` decomposes: what a product needs of
which the factors are known.

Times are medians over repeats on the machine that draws, in as many threads as its BLAS takes
(OPENBLAS_NUM_THREADS=1 for one), between quartiles. Operations are counts: Golub and Van Loan,
Matrix Computations (4th ed., 2013), sections 5.2 and 8.6, and four comparisons an entry for finding
the largest by selection and marking them [own estimate].
"""

import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from cosim.learning.adapter import Adapter, Layout, Mask, Site, Vector
from cosim.learning.methods._products import truncated
from cosim.learning.methods.soft import strongest
from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure
from cosim.results.run import Run
from cosim.rng import Draws
from plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Width = Annotated[int, Field(ge=4, le=8192)]
Rank = Annotated[int, Field(ge=1, le=1024)]

SECONDS_A_POINT = 0.1  # cheap ways are repeated for as long as this
MOST_REPEATS = 200
ROOM = 0.45  # above the lines, for the legend, over what they take up
SYMBOLS = {"width": "d", "rank": "r"}
FITTED = 3  # points of a line, the largest, that its exponent is of


def by_soft(layout: Layout, vector: Vector, drop: float) -> Mask:
    """Return what SOFT sends."""
    return strongest(layout, vector, drop)


def by_svd(layout: Layout, vector: Vector, drop: float) -> Mask:
    """Return the same of the components of a decomposed product, in float32."""
    components = np.zeros_like(vector)
    for site in range(len(layout.sites)):
        product = layout.b(vector, site) @ layout.a(vector, site)
        u, s, vt = np.linalg.svd(product, full_matrices=False)
        layout.a(components, site)[:] = vt[: layout.rank]
        layout.b(components, site)[:] = u[:, : layout.rank] * s[: layout.rank]
    return strongest(layout, components, drop)


def by_factors(layout: Layout, vector: Vector, drop: float) -> Mask:
    """Return the same, with the decomposition by QR of the factors, in float64."""
    components = truncated(Adapter(layout, vector, 1.0), layout, layout.rank, 1.0, vector)
    return strongest(layout, components, drop)


def _chosen(rank: int, width: int) -> float:
    """Count: norms, then the largest of each component's 2 d entries."""
    entries = 2 * width
    return rank * entries * (2 + _COMPARISONS)


def _svd_chosen(rank: int, width: int) -> float:
    """Count: the product, its thin decomposition (14 m n^2 + 8 n^3), the choice."""
    return 2.0 * rank * width**2 + 22.0 * width**3 + _chosen(rank, width)


def _factors_chosen(rank: int, width: int) -> float:
    """Count: two QR with their Q, the core and its decomposition, both Q times it, the choice."""
    qr = 4 * rank**2 * (width - rank / 3)
    return 2 * qr + 24 * rank**3 + 4 * width * rank**2 + _chosen(rank, width)


_COMPARISONS = 4

Way = tuple[str, Callable[[Layout, Vector, float], Mask], Callable[[int, int], float]]
WAYS: tuple[Way, ...] = (
    ("SOFT", by_soft, _chosen),
    ("SVD of the product", by_svd, _svd_chosen),
    ("SVD by the factors", by_factors, _factors_chosen),
)


class SoftComplexity(Figure):
    """Time and operations of SOFT's choice and of two decompositions, over width and over rank.

    Attributes:
        widths: d_in = d_out of the layer, at `rank`.
        ranks: at `width`.
        drop: the fraction that is not sent.
        repeats: of each measurement, at least.
        seed: of the factors, entries N(0, 1).
    """

    needs_runs = False

    widths: Annotated[tuple[Width, ...], Field(min_length=3)] = (64, 128, 256, 512, 1024)
    ranks: Annotated[tuple[Rank, ...], Field(min_length=3)] = (2, 4, 8, 16, 32, 64)
    width: Width = 512
    rank: Rank = 8
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.5
    repeats: Annotated[int, Field(ge=1, le=1000)] = 3
    seed: Annotated[int, Field(ge=0)] = 1

    @model_validator(mode="after")
    def _ranks_fit(self) -> Self:
        for rank, width in ((max(self.ranks), self.width), (self.rank, min(self.widths))):
            if rank > width:
                raise ValueError(f"expected a rank of at most the width, {width}, got {rank}")
        return self

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Measure and draw; no run is read."""
        import pandas as pd  # noqa: PLC0415

        widths, ranks = sorted(set(self.widths)), sorted(set(self.ranks))
        over_width = self._table("width", [(self.rank, width) for width in widths])
        over_rank = self._table("rank", [(rank, self.width) for rank in ranks])
        with style.page(style.PAGE_IN, 4.3) as page:
            panels = page.subplots(2, 2, sharex="col")
            for column, (along, table, title) in enumerate(
                (
                    ("width", over_width, f"Rank {self.rank}"),
                    ("rank", over_rank, f"Width {self.width}"),
                )
            ):
                _panel(panels[0, column], table, along, "median_s")
                _panel(panels[1, column], table, along, "operations")
                panels[0, column].set_title(f"{title}; powers: of the last {FITTED} points")
            panels[0, 0].set_ylabel("Time (s)")
            panels[1, 0].set_ylabel("Operations")
            panels[1, 0].set_xlabel(r"Width of the layer, $d_\mathrm{in}=d_\mathrm{out}$")
            panels[1, 1].set_xlabel("Rank, $r$")
            return Drawing(page, pd.concat([over_width, over_rank], ignore_index=True))

    def _table(self, along: str, cases: Sequence[tuple[int, int]]) -> "pd.DataFrame":
        """Return a row for each case and way."""
        import pandas as pd  # noqa: PLC0415

        rows = []
        for rank, width in cases:
            layout = Layout((Site("layer", width, width),), rank)
            draws = Draws(self.seed).child("soft_complexity")
            factors = draws.generator("factors", rank, width).standard_normal(layout.size)
            vector = factors.astype(np.float32)
            for name, way, count in WAYS:
                mask = way(layout, vector, self.drop)  # not timed: what is loaded once
                times_s = _timed(lambda: way(layout, vector, self.drop), self.repeats)  # noqa: B023
                low_s, median_s, high_s = np.percentile(times_s, (25, 50, 75)).tolist()
                rows.append(
                    {
                        "along": along,
                        "method": name,
                        "width": width,
                        "rank": rank,
                        "chosen": int(mask.sum()),
                        "median_s": median_s,
                        "low_s": low_s,
                        "high_s": high_s,
                        "repeats": len(times_s),
                        "operations": count(rank, width),
                    }
                )
        table = pd.DataFrame(rows)
        for measure in ("median_s", "operations"):
            exponents = {
                name: exponent(lines[along].to_numpy(), lines[measure].to_numpy())
                for name, lines in table.groupby("method")
            }
            table[f"{measure}_exponent"] = table["method"].map(exponents)
        return table


def _timed(call: Callable[[], object], repeats: int) -> list[float]:
    """Return how long each call took, in s: `repeats` of them, or more where they are short."""
    times_s: list[float] = []
    while len(times_s) < repeats or (
        sum(times_s) < SECONDS_A_POINT and len(times_s) < MOST_REPEATS
    ):
        begun_s = perf_counter()
        call()
        times_s.append(perf_counter() - begun_s)
    return times_s


def exponent(x: NDArray[np.generic], y: NDArray[np.generic]) -> float:
    """Return p of y ~ x^p by least squares of logarithms, over the largest points, [n] each."""
    at = np.log(x[-FITTED:].astype(np.float64))
    return float(np.polyfit(at, np.log(y[-FITTED:].astype(np.float64)), 1)[0])


def _panel(axes: "Axes", table: "pd.DataFrame", along: str, measure: str) -> None:
    for index, (name, _, _) in enumerate(WAYS):
        points = table[table["method"] == name]
        power = points[f"{measure}_exponent"].iloc[0]
        axes.plot(
            points[along],
            points[measure],
            label=f"{name}, $\\sim {SYMBOLS[along]}^{{{power:.2f}}}$",
            **style.line(index),
        )
        if measure == "median_s":
            axes.fill_between(
                points[along],
                points["low_s"],
                points["high_s"],
                color=style.colour(index),
                alpha=0.2,
                linewidth=0,
            )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(top=high * (high / low) ** ROOM)
    values = sorted(table[along].unique())
    axes.set_xticks(values, [str(value) for value in values])
    axes.minorticks_off()
    axes.grid(visible=True)
    axes.legend(loc="upper left")


if __name__ == "__main__":
    sys.exit(main(SoftComplexity))
