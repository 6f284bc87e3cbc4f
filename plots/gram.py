"""Gram matrices of adapters: whether the rank components of A, and those of B, are orthogonal.

    |cos|_ij = |<a_i, a_j>| / (||a_i|| ||a_j||)        P3's A^T A and B B^T, normalised

a_i are the columns of the paper's A (rows of PEFT's), b_i the rows of its B. Drawn is the mean over
adapted layers, or one layer, of one device's adapter as it is saved at the end of a run; for
several experiments, such as with and without P3's penalty, side by side. Above each is the mean off
the diagonal, with Student's 95 % t-interval over seeds; the map is that of the first seed. Beside
n-dimensional random directions it is about sqrt(2 / (pi n)).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.results.comparison import estimate
from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.groups import Group, group
from cosim.results.run import Run
from cosim.scenario.tree import Scenario
from plots import _axes, style

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

HEIGHTS_IN = (2.0, 3.6, 4.6, 3.8)  # of the page with one experiment, two, ...
MOST_EXPERIMENTS = len(HEIGHTS_IN)
TITLES = {"A": r"$\mathbf{A}^\top\mathbf{A}$", "B": r"$\mathbf{B}\,\mathbf{B}^\top$"}


class Gram(Figure):
    """Heat maps of A^T A and B B^T, normalised, one column for each experiment.

    Attributes:
        device: whose adapter; None for the first that has one.
        layer: end of a layer's name, or a part of it; None for the mean over all.
    """

    compares = True

    device: Annotated[int, Field(ge=0)] | None = None
    layer: Annotated[str, Field(min_length=1)] | None = None

    def survey(self, scenarios: Sequence[Scenario]) -> None:
        """Look whether the experiments are few enough, and train."""
        if len(scenarios) > MOST_EXPERIMENTS:
            raise FigureError(
                f"expected at most {MOST_EXPERIMENTS} experiments side by side, "
                f"got {len(scenarios)}"
            )
        _axes.survey_pools(scenarios, "adapters")

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw the maps, A above B."""
        import pandas as pd  # noqa: PLC0415

        groups = group(runs)
        self.survey([each.runs[0].scenario for each in groups])
        grams = [[self._of_run(run) for run in each.runs] for each in groups]
        single = [each.label for each in groups if len(each.runs) == 1]
        _axes.warn_of_single("gram", single)
        width_in = style.COLUMN_IN if len(groups) < 3 else style.PAGE_IN
        with style.page(width_in, HEIGHTS_IN[len(groups) - 1]) as page:
            shape = (2, len(groups)) if len(groups) > 1 else (1, 2)
            panels = page.subplots(*shape, squeeze=False)
            tables = []
            for column, (each, of_seeds) in enumerate(zip(groups, grams, strict=True)):
                for row, factor in enumerate("AB"):
                    axes = panels[row, column] if len(groups) > 1 else panels[0, row]
                    matrix = of_seeds[0][factor]
                    rank = len(matrix)
                    image = axes.imshow(matrix, vmin=0.0, vmax=1.0, cmap="Greys")
                    off = estimate([off_diagonal(seed[factor]) for seed in of_seeds])
                    half = "" if off.num < 2 else f" $\\pm$ {off.half_width:.2f}"
                    above = f"{each.label}\n" if len(groups) > 1 and row == 0 else ""
                    axes.set_title(
                        f"{above}{TITLES[factor]}, off diagonal {off.mean:.2f}{half}",
                        fontsize=style.SMALL_PT,
                        pad=3,
                    )
                    ticks = sorted({0, rank // 2, rank - 1})
                    axes.set_xticks(ticks, [str(tick + 1) for tick in ticks])
                    axes.set_yticks(ticks, [str(tick + 1) for tick in ticks])
                    axes.tick_params(length=0)
                    if column == 0 and (len(groups) > 1 or row == 0):
                        axes.set_ylabel("Rank component")
                    if row == 1 or len(groups) == 1:
                        axes.set_xlabel("Rank component")
                    tables.append(_table(each, factor, of_seeds, off.mean, off.half_width))
            bar = page.colorbar(image, ax=panels, shrink=0.6, aspect=25, pad=0.02)
            bar.set_label("$|\\cos|$ of two components")
            bar.outline.set_linewidth(0.6)
            if len(single) < len(groups):
                nums = [len(each.runs) for each in groups if len(each.runs) > 1]
                note = f"mean and 95 % $t$-interval over {_axes.seeds_of(nums)} seeds"
                _axes.legend_over(page, [], [], f"maps of the first seed; off diagonal: {note}")
            return Drawing(page, pd.concat(tables, ignore_index=True))

    def _of_run(self, run: Run) -> dict[str, Floats]:
        """Return the mean over layers of the normalised Gram matrices, [rank, rank] each."""
        from cosim.learning.errors import LearningError  # noqa: PLC0415
        from cosim.learning.peft_tensors import factors  # noqa: PLC0415  reads safetensors

        folder = self._folder(run.path / "adapters", run)
        try:
            layers = factors(folder)
        except LearningError as error:
            raise FigureError(str(error)) from None
        chosen = {name: each for name, each in layers.items() if (self.layer or "") in name}
        if not chosen:
            names = ", ".join(layers)
            raise FigureError(f"{folder}: expected a layer of {names}, got {self.layer!r}")
        return {
            "A": np.mean([cosines(a) for a, _ in chosen.values()], axis=0),
            "B": np.mean([cosines(b.T) for _, b in chosen.values()], axis=0),
        }

    def _folder(self, adapters: Path, run: Run) -> Path:
        if self.device is not None:
            folder = adapters / f"device-{self.device}"
            if not folder.is_dir():
                raise FigureError(f"run {run.path} has no adapter of device {self.device}")
            return folder
        found = list(adapters.glob("device-*"))
        if not found:
            raise FigureError(f"run {run.path} has no adapters; they are saved at its end")
        return min(found, key=lambda path: int(path.name.removeprefix("device-")))


def cosines(components: NDArray[np.floating]) -> Floats:
    """Return |cos| of all pairs of rows of [rank, n], [rank, rank]; 0 beside a row of zeros."""
    rows = components.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    gram: Floats = np.abs(rows @ rows.T) * np.outer(scale, scale)
    return gram


def off_diagonal(gram: Floats) -> float:
    """Return the mean of a matrix off its diagonal; 0 of a single component."""
    num = len(gram) * (len(gram) - 1)
    return float((gram.sum() - np.trace(gram)) / num) if num else 0.0


def _table(
    of: Group, factor: str, seeds: Sequence[dict[str, Floats]], mean: float, half_width: float
) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415

    matrix = seeds[0][factor]
    i, j = np.indices(matrix.shape)
    return pd.DataFrame(
        {
            "experiment": of.label,
            "factor": factor,
            "i": i.ravel() + 1,
            "j": j.ravel() + 1,
            "cosine": matrix.ravel(),
            "off_diagonal_mean": mean,
            "off_diagonal_half_width": half_width,
            "num_seeds": len(seeds),
        }
    )


if __name__ == "__main__":
    sys.exit(main(Gram))
