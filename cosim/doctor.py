"""What can keep cosim from running or drawing on this machine, looked at one thing at a time.

Heavy libraries are tried in processes of their own: a broken one is a finding, not a crash, and
none is loaded here.
"""

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

_LIMIT_S = 120

_TORCH = """
import torch
gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
print(f"{torch.get_num_threads()} threads;", ", ".join(gpus) if gpus else "no CUDA device")
"""
_FONTS = """
from matplotlib import font_manager, rcParams
from plots.style import page
with page(1, 1):
    family = rcParams["font.family"][0]
print(family, "at", font_manager.findfont(family, fallback_to_default=False))
"""
_MODEL = """
from cosim.learning.models.causal_lm import CausalLm
model = CausalLm().load()
print("builtin:tiny,", sum(p.numel() for p in model.network.parameters()), "parameters")
"""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: it is good, worth a warning, or bad."""

    verdict: Literal["good", "warn", "bad"]
    subject: str
    detail: str


def examine() -> Iterator[Finding]:
    """Look at everything, the quick things first."""
    yield _python()
    yield from _packages()
    yield Finding("good", "processors", f"{os.cpu_count()} seen, {_usable()} usable")
    yield _writable(Path.cwd())
    yield _tried("torch", _TORCH)
    yield _tried("fonts", _FONTS)
    yield _tried("shipped model", _MODEL)


def _python() -> Finding:
    found = f"{platform.python_version()} at {sys.executable}"
    return Finding("good" if sys.version_info >= (3, 11) else "bad", "python", found)


def _packages() -> Iterator[Finding]:
    """Compare what is installed with what the package asks for."""
    for line in metadata.requires("cosim") or ():
        wanted, _, marker = line.partition(";")
        if "extra" in marker:
            continue
        name = wanted.strip().partition(">")[0].partition("=")[0].partition("<")[0].strip()
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding("bad", name, f"is missing; expected {wanted.strip()}")
            continue
        least = wanted.partition(">=")[2].partition(",")[0].strip()
        verdict: Literal["good", "bad"] = "good" if _numbers(version) >= _numbers(least) else "bad"
        yield Finding(verdict, name, f"{version} (expected {wanted.strip()})")


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: `2.13.0+cpu` gives (2, 13, 0)."""
    numbers = []
    for part in version.partition("+")[0].split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _usable() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _writable(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding("good", "current folder", f"{folder} can be written to")
    except OSError as error:
        remedy = "run elsewhere, or give --out"
        return Finding("warn", "current folder", f"{folder}: {error.strerror}; {remedy}")


def _tried(subject: str, script: str) -> Finding:
    # `plots` may be a folder beside the package or inside it; plugin.py knows.
    prelude = "from cosim.plugin import kinds; kinds('figure')\n" if "plots" in script else ""
    command = [sys.executable, "-c", prelude + script]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding("bad", subject, f"took longer than {_LIMIT_S} s")
    if done.returncode == 0:
        return Finding("good", subject, done.stdout.strip())
    lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    return Finding("bad", subject, lines[-1])
