"""What moving, fading, sending, planning and recording cost beside the training of real adapters.

    python tests/benchmarks/bench_overhead.py [SCENARIO ...]

Each scenario is run three times with wall time taken by part, as `--profile` shows it; the models
are judged once, at the end, on one example a task, so that learning is training and merging.
Overhead is everything else over learning, but for set-up (loading model and data), which is shown
beside it: the ratio is of parts of one run, and so holds on a busy machine too. Medians.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import cosim
from cosim.results.profile import Profile
from cosim.scenario.load import load
from cosim.sim.run import simulate

SCENARIOS = ("quickstart", "dfl", "gossip", "federated", "federated_async", "control_tsfa")
OVERRIDES = {"evaluate": {"every": "1000 rounds", "examples": 1}, "plots": ()}
REPEATS = 3
PARTS = ("channel", "event loop, network", "planning", "recording")


def main(names: list[str]) -> None:
    """Print the table."""
    folder = Path(cosim.__file__).parents[1] / "scenarios"
    print(
        f"{'scenario':<18}{'set-up':>10}{'learning':>12}"
        + "".join(f"{part:>21}" for part in PARTS),
        "overhead",
    )
    for name in names or SCENARIOS:
        path = Path(name) if name.endswith(".yaml") else folder / f"{name}.yaml"
        seconds = [profiled(path) for _ in range(REPEATS)]
        set_up_s, learning_s = (
            statistics.median(each[part] for each in seconds) for part in ("set-up", "learning")
        )
        shares = [sum(each.get(p, 0.0) for p in PARTS) / each["learning"] for each in seconds]
        parts_s = [statistics.median(each.get(part, 0.0) for each in seconds) for part in PARTS]
        print(
            f"{path.stem:<18}{set_up_s:>8.2f} s{learning_s:>10.2f} s"
            + "".join(f"{part_s:>19.3f} s" for part_s in parts_s)
            + f"{100 * statistics.median(shares):>7.2f} %"
        )


def profiled(path: Path) -> dict[str, float]:
    """Run a scenario; return wall seconds by part."""
    profile = Profile()
    with tempfile.TemporaryDirectory() as folder:
        simulate(load(path, OVERRIDES).scenario, Path(folder), profile=profile)
    return profile.seconds


if __name__ == "__main__":
    main(sys.argv[1:])
