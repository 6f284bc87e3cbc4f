"""Deterministic property tests: the same examples on every machine and every run."""

import os

from hypothesis import settings

# Workers side by side must not fight for the cores; before anything loads torch.
os.environ["OMP_NUM_THREADS"] = "1"

settings.register_profile("cosim", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("cosim")
