"""How transfers ended, and how long they took, where the end of a run cut some of them off."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cosim.results.run import Run

if TYPE_CHECKING:
    import pandas as pd

_ROUNDING = 1e-9  # of an instant


def end_s(run: Run) -> float:
    """Return the simulated time at which a run ended; 0 if nothing happened."""
    times = (run.energy["t_s"], run.rounds["t_s"], run.evaluations["t_s"], run.flows["end_s"])
    return max((float(each.max()) for each in times if len(each)), default=0.0)


def cut_by_end(run: Run) -> "pd.Series":
    """Return for each row of `flows` whether the transfer was in flight when the run ended."""
    last_s = end_s(run)
    flows = run.flows
    return (flows["outcome"] == "aborted") & (flows["end_s"] >= last_s * (1.0 - _ROUNDING))


def delay_distribution(
    delay_s: NDArray[np.float64], num_never: int, cut_s: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distribution of delays, from transfers of which some were cut by the run's end.

    Kaplan and Meier's estimate (J. Am. Stat. Assoc. 53, 1958), with those that were never
    delivered as infinitely late:

        F(t) = 1 - prod over delays d_i <= t of (1 - 1 / n_i),

    n_i the transfers that were neither delivered nor cut at a delay below d_i. Without transfers
    that were cut it is the empirical distribution function.

    Args:
        delay_s: delays of those delivered, [D].
        num_never: those that failed for good.
        cut_s: how long those that were cut had taken until then, [C].

    Returns:
        Delays in order and F at each of them, [D].
    """
    delays_s, cuts_s = np.sort(delay_s), np.sort(cut_s)
    at_risk = len(delays_s) + num_never + len(cuts_s) - np.arange(len(delays_s))
    at_risk = at_risk - np.searchsorted(cuts_s, delays_s, side="left")
    survive = np.cumprod(1.0 - 1.0 / at_risk)
    return delays_s, np.asarray(1.0 - survive, dtype=np.float64)
