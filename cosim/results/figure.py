"""A figure: one file in `plots/`, drawn from run folders only, or from nothing at all."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from cosim.plugin import Plugin
from cosim.results.run import Run
from cosim.scenario.tree import Scenario

if TYPE_CHECKING:
    import pandas as pd

PNG_DPI = 300


class FigureError(ValueError):
    """The runs do not hold what a figure needs; the message says what to do."""


class Canvas(Protocol):
    """A drawn page: a Matplotlib figure is one."""

    def savefig(
        self, fname: Any, *, format: str, dpi: float, metadata: Mapping[str, Any] | None
    ) -> None:
        """Write the page to a path or a binary stream."""


@dataclass(frozen=True)
class Drawing:
    """A drawn figure, and the numbers that are drawn.

    Attributes:
        canvas: the page.
        data: one row per thing drawn, units in the columns' names.
    """

    canvas: Canvas
    data: "pd.DataFrame"

    def save(self, stem: Path) -> tuple[Path, Path, Path]:
        """Write `stem`.pdf, .png (300 dpi) and .csv; return their paths."""
        stem.parent.mkdir(parents=True, exist_ok=True)
        pdf, png, csv = (stem.with_name(f"{stem.name}.{end}") for end in ("pdf", "png", "csv"))
        # Without its date, the file is the same each time the same runs are drawn.
        self.canvas.savefig(pdf, format="pdf", dpi=PNG_DPI, metadata={"CreationDate": None})
        self.canvas.savefig(png, format="png", dpi=PNG_DPI, metadata=None)
        self.data.to_csv(csv, index=False)
        return pdf, png, csv

    def _repr_png_(self) -> bytes:
        stream = BytesIO()
        self.canvas.savefig(stream, format="png", dpi=PNG_DPI / 2, metadata=None)
        return stream.getvalue()


class Figure(Plugin):
    """Contract of family `figure`. Fields are the figure's keys in `plots:`.

    Attributes:
        needs_runs: whether there must be a run; a figure of the models alone needs none, and
            takes what a run can tell it, such as its seed, where there is one.
        needs_packets: whether `record.packets` must have been on.
        needs_measures: whether `record.measures` must have been on.
        compares: whether several runs make one drawing; if not, each run has its own.
    """

    needs_runs: ClassVar[bool] = True
    needs_packets: ClassVar[bool] = False
    needs_measures: ClassVar[bool] = False
    compares: ClassVar[bool] = False

    def survey(self, scenarios: Sequence[Scenario]) -> None:
        """Look whether runs of some experiments can be drawn, whatever will come out of them.

        A sweep asks before its first run, so that a key that is not there does not show after the
        last one.

        Args:
            scenarios: one of each experiment, in order; seeds do not matter.

        Raises:
            FigureError: they cannot; the message says why.
        """

    @abstractmethod
    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw the runs: one, or if the figure compares, one or more; none if it needs none.

        Raises:
            FigureError: the runs do not hold what is drawn.
        """
