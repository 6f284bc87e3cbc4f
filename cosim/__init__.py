"""A discrete-event network-plus-learning co-simulator for moving wireless devices.

    import cosim

    run = cosim.run("scenarios/quickstart.yaml", {"learning.local.steps": 5})
    run.rounds  # a DataFrame

Importing this loads nothing heavy; each function loads what it needs.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosim.version import VERSION

if TYPE_CHECKING:
    from cosim.results.run import Run
    from cosim.scenario.tree import Scenario

__version__ = VERSION
__all__ = ["__version__", "load", "run"]


def load(path: str | Path, overrides: Iterable[str] | Mapping[str, Any] = ()) -> "Scenario":
    """Read and validate a scenario file.

    Args:
        path: a YAML file.
        overrides: `key.sub=value` texts, or a mapping of such keys to values.

    Raises:
        cosim.scenario.errors.ScenarioError: all mistakes of the file at once, one line each.
    """
    from cosim.scenario.load import load as load_file  # noqa: PLC0415

    return load_file(path, overrides).scenario


def run(
    path: str | Path,
    overrides: Iterable[str] | Mapping[str, Any] = (),
    *,
    out: str | Path = "runs",
    force: bool = False,
) -> "Run":
    """Run a scenario file and return its results.

    Args:
        path: a YAML file.
        overrides: `key.sub=value` texts, or a mapping of such keys to values.
        out: the folder that run folders are made in.
        force: run again even if there is a finished run of this scenario.

    Raises:
        cosim.scenario.errors.ScenarioError: all mistakes of the file at once, one line each.
        cosim.results.run_folder.RunExists: there is a finished run and no `force`.
        cosim.learning.errors.LearningError: the model or its data cannot be used, or a loss is
            not finite.
    """
    from cosim.sim.run import simulate  # noqa: PLC0415

    return simulate(load(path, overrides), Path(out), command="", force=force)
