"""A run, opened from its folder: tables as DataFrames, its scenario, its world.

    run = Run("runs/quickstart-1f0c93ab-s1")
    run.rounds[["t_s", "loss_mean"]]

Nothing is read before it is asked for.
"""

from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from cosim.results.run_folder import MANIFEST, SCENARIO, Manifest
from cosim.scenario.load import load
from cosim.scenario.tree import Scenario
from cosim.world.build import build_world
from cosim.world.world import World

if TYPE_CHECKING:
    import pandas as pd


class RunError(ValueError):
    """A folder that is no run, or a run that lacks what is asked for."""


class Run:
    """A run folder, for reading.

    Args:
        path: the folder, `<name>-<hash>-s<seed>`.
        label: what tells its experiment from the others of the sweep that it is opened as a part
            of; empty of a run by itself.

    Raises:
        RunError: the folder is not that of a run.
    """

    def __init__(self, path: str | Path, label: str = "") -> None:
        self.path = Path(path)
        self.label = label
        try:
            self._manifest = Manifest.read(self.path)
        except OSError:
            raise RunError(_no_run(self.path)) from None
        except ValueError as error:
            raise RunError(str(error)) from None

    @property
    def manifest(self) -> Manifest:
        """Versions, seed, command, wall time and outcome."""
        return self._manifest

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self._manifest.name

    @property
    def seed(self) -> int:
        """The scenario's seed."""
        return self._manifest.seed

    @cached_property
    def scenario(self) -> Scenario:
        """The resolved scenario."""
        return load(self.path / SCENARIO).scenario

    @cached_property
    def world(self) -> World:
        """The world that the run took place in, rebuilt: positions and gains at any time."""
        return build_world(self.scenario)

    @cached_property
    def rounds(self) -> "pd.DataFrame":
        """One row per round, or per evaluation instant of an asynchronous protocol."""
        return self.table("rounds")

    @cached_property
    def evaluations(self) -> "pd.DataFrame":
        """One row per evaluation instant, device and task."""
        return self.table("evaluations")

    @cached_property
    def plans(self) -> "pd.DataFrame":
        """One row per plan and device."""
        return self.table("plans")

    @cached_property
    def links(self) -> "pd.DataFrame":
        """One row per plan and directed link, gateway links among them."""
        return self.table("links")

    @cached_property
    def flows(self) -> "pd.DataFrame":
        """One row per transfer."""
        return self.table("flows")

    @cached_property
    def merges(self) -> "pd.DataFrame":
        """One row per update and device that aggregated it."""
        return self.table("merges")

    @cached_property
    def controls(self) -> "pd.DataFrame":
        """One row per round and device that a controller has decided on."""
        return self.table("controls")

    @cached_property
    def packets(self) -> "pd.DataFrame":
        """One row per packet; empty unless `record.packets` was on."""
        return self.table("packets")

    @cached_property
    def trainings(self) -> "pd.DataFrame":
        """One row per local training."""
        return self.table("trainings")

    @cached_property
    def measures(self) -> "pd.DataFrame":
        """One row per evaluation instant and device; empty unless `record.measures` was on."""
        return self.table("measures")

    @cached_property
    def layers(self) -> "pd.DataFrame":
        """One row per evaluation instant, device and layer; empty as `measures`."""
        return self.table("layers")

    @cached_property
    def energy(self) -> "pd.DataFrame":
        """One row per device: what it has used, and for what."""
        return self.table("energy")

    @cached_property
    def positions(self) -> "pd.DataFrame":
        """One row per position sample and device; empty unless `record.positions` was on."""
        return self.table("positions")

    @cached_property
    def events(self) -> "pd.DataFrame":
        """One row per event that was worth a line."""
        return self.table("events")

    def table(self, name: str) -> "pd.DataFrame":
        """Read a table from disk.

        Raises:
            RunError: there is no such table, which is so while a run goes on and after its
                process was killed; or the file is no table any more.
        """
        import pandas as pd  # noqa: PLC0415  half a second, and naming a figure needs no table

        path = self.path / f"{name}.parquet"
        if not path.exists():
            outcome = self._manifest.outcome
            why = "tables appear when a run ends, so wait for it, or run the scenario again"
            if outcome == "finished":
                why = f"{path.name} was taken away, so run the scenario again"
            raise RunError(f"{self.path} has no table {name!r}: its outcome is {outcome!r}; {why}")
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise RunError(
                f"expected a Parquet table, got {path}, which cannot be read; "
                f"run the scenario again ({error})"
            ) from None

    def __repr__(self) -> str:
        return "\n".join(f"{key:<9}{value}" for key, value in self._facts().items())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(key)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for key, value in self._facts().items()
        )
        return f"<table>{rows}</table>"

    def _facts(self) -> dict[str, str]:
        manifest = self._manifest
        ended = f" after {manifest.wall_s:.1f} s of wall time" if manifest.ended else ""
        facts = {
            "run": manifest.name,
            "seed": str(manifest.seed),
            "outcome": manifest.outcome + ended,
            "folder": str(self.path),
        }
        return facts | ({"error": manifest.error} if manifest.error else {})


def _no_run(path: Path) -> str:
    if not path.exists():
        return f"expected a run folder, got {path}, which does not exist"
    if not path.is_dir():
        return f"expected a run folder, got {path}, which is a file"
    inside = sorted(found.parent.name for found in path.glob(f"*/{MANIFEST}"))
    if inside:
        more = f" and {len(inside) - 3} more" if len(inside) > 3 else ""
        names = ", ".join(inside[:3])
        return f"expected a run folder, got {path}, which holds runs: {names}{more}; name one"
    return f"expected a run folder, got {path}, which has no {MANIFEST}"
