"""Table I of P1: how many parameters LoRA, LoRI and sparse-and-orthogonal LoRA send.

Counted from the published sizes of Qwen2.5-1.5B and 3B; it needs no run. The ticks are what P1
prints: 33.8 M for LoRA, 16.5 M for LoRI and 15 M for its proposal.

All seven linear layers of the 3B model have 16,515,072 entries of B at rank 16: LoRI's number is
that of a dense B. With A they have 15,070,004 at a density of 0.1: the proposal's number, which
counts an A that never changes and that a seed can stand for; a tenth of B alone is 1.65 M. LoRA has
29.93 M there, not 33.8 M. No choice of layers and no rank up to 512, in either model, gives both
33.8 M entries of A and B and 16.5 M of B, to the digits printed.
"""

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from cosim.learning.payload.counts import adapter_counts
from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.run import Run
from plots import style

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = {"lora": 33.8e6, "lori": 16.5e6, "sparse_orthogonal": 15e6}
_HATCHES = ("", "////")


class ParametersSent(Figure):
    """Parameters in an update, by method and model, beside those that P1 prints.

    Attributes:
        models: the architectures.
        rank: of every adapted layer.
        targets: last parts of the adapted layers' names; None for all linear layers.
        density: part of B that masks keep.
    """

    needs_runs = False
    compares = True

    models: Annotated[
        tuple[Literal["qwen2.5-1.5b", "qwen2.5-3b", "vit-base", "distilbert"], ...],
        Field(min_length=1, max_length=2),
    ] = ("qwen2.5-1.5b", "qwen2.5-3b")
    rank: Annotated[int, Field(ge=1, le=4096)] = 16
    targets: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    density: Annotated[float, Field(gt=0, le=1)] = 0.1

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Count, and draw a bar for each method and model; no run is read."""
        from matplotlib.lines import Line2D  # noqa: PLC0415

        table = self._table()
        rows = list(dict.fromkeys(table["row"]))
        height = 0.8 / len(self.models)
        with style.page(style.COLUMN_IN, 2.7) as page:
            axes = page.subplots()
            for number, model in enumerate(self.models):
                sent = table[table["model"] == model]["sent"].to_numpy() / 1e6
                places = [
                    row + (number - 0.5 * (len(self.models) - 1)) * height
                    for row in range(len(rows))
                ]
                axes.barh(
                    places,
                    sent,
                    0.9 * height,
                    label=model,
                    facecolor=style.colour(number) if number == 0 else "white",
                    edgecolor=style.colour(number),
                    hatch=_HATCHES[number],
                )
                for place, value in zip(places, sent, strict=True):
                    axes.annotate(
                        f"{value:.3g}",
                        (value, place),
                        xytext=(2, 0),
                        textcoords="offset points",
                        va="center_baseline",
                        fontsize=style.SMALL_PT,
                        path_effects=style.halo(),
                        zorder=4,
                    )
            published = table.drop_duplicates("row")["published"].to_numpy() / 1e6
            for place, value in enumerate(published):
                axes.plot([value, value], [place - 0.45, place + 0.45], **_TICK)
            axes.set_yticks(range(len(rows)), rows)
            axes.invert_yaxis()
            axes.margins(x=0.1)
            axes.set_xlabel(f"Values in an update (millions), rank {self.rank}")
            axes.grid(visible=True, axis="x")
            handles = axes.get_legend_handles_labels()[0]
            page.legend(
                handles=[*handles, Line2D([], [], label="printed in P1", **_TICK)],
                loc="outside upper center",
                ncols=3,
            )
            return Drawing(page, table)

    def _table(self) -> "pd.DataFrame":
        import pandas as pd  # noqa: PLC0415

        part = f"{100 * self.density:.3g} % of B"
        nothing, proposed = math.nan, PUBLISHED["sparse_orthogonal"]
        kinds = (  # name, method, density, whether A is frozen, whether it is sent, printed
            ("LoRA: A and B", "lora", 1.0, False, True, PUBLISHED["lora"]),
            ("LoRI: dense B", "lori", 1.0, True, False, PUBLISHED["lori"]),
            (f"LoRI: {part}", "lori", self.density, True, False, nothing),
            (f"Proposal:\nA and {part}", "sparse_orthogonal", self.density, True, True, proposed),
            (f"Proposal: {part}", "sparse_orthogonal", self.density, True, False, nothing),
        )
        rows = []
        for model in self.models:
            for name, method, density, frozen, sends_a, published in kinds:
                try:
                    of = adapter_counts(
                        model, self.rank, self.targets, frozen_a=frozen, density=density
                    )
                except ValueError as error:
                    raise FigureError(str(error)) from None
                sent = of.sent + of.a * (frozen and sends_a)
                rows.append(
                    {
                        "row": name,
                        "model": model,
                        "method": method,
                        "rank": self.rank,
                        "density": density,
                        "base": of.base,
                        "a": of.a,
                        "b": of.b,
                        "sent": sent,
                        "stored": of.stored,
                        "mask_bits_once": of.mask_bits,
                        "share_of_base": sent / of.base,
                        "published": published,
                    }
                )
        return pd.DataFrame(rows)


_TICK: dict[str, Any] = {"color": style.BLACK, "linewidth": 1.4, "solid_capstyle": "butt"}

if __name__ == "__main__":
    sys.exit(main(ParametersSent))
