"""How many threads libraries use beside the pool, which has `learning.pool.threads`.

Sums over arrays can differ in their last bits with the number of threads, and NumPy's libraries
take as many as there are cores. So everything but the pool has one: tables are the same on any
machine, in a sweep and alone, and runs side by side do not take each other's cores. What the
network half does with arrays is small and would not be faster with more.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it loads NumPy, which has to be told before
    from cosim.scenario.tree import Scenario

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)


def one_thread_beside_the_pool() -> None:
    """Tell libraries that are loaded from now on, here and in processes that this one starts."""
    for name in _VARIABLES:
        os.environ[name] = "1"


def threads_of(scenario: "Scenario") -> int:
    """Return how many threads a run keeps busy."""
    threads: int = getattr(scenario.learning.pool, "threads", 1)
    return threads


def num_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
