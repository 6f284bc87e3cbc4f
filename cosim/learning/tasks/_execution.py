"""Running a program that a model wrote, in a process that may do little.

The program runs in a Python of its own: started isolated (`-I -S`), without the environment, the
input and the open files of this process, in an empty folder that is thrown away. A first stage sets
the limits below, which the program cannot lift, and only then becomes the program.

| what | limit |
|---|---|
| processor time | `cpu_s`, then killed |
| wall time | `WALL_FACTOR` times `cpu_s`, then its whole process group is killed |
| address space | `memory_bytes`; more is a MemoryError |
| files | none may grow (size 0), 32 open at a time, no core dumps |
| processes and threads | none beside its own |
| output | thrown away |
| network | none, where the system lets an ordinary user make a namespace for it |

The user root is exempt from the limit of processes, by the kernel; what root's program starts is
killed with its process group, or with its process namespace where the system grants one. Where
neither a network nor a process namespace is to be had (some containers, other systems than Linux),
those two lines do not hold. Files that the user may read can be read. So this keeps mistakes from
doing harm; it is not made to hold somebody who means harm.

The verdict comes over a pipe: a program that ends early, even with status 0, has not passed. The
seed of Python's string hashes is fixed, so that a program's verdict does not change from run to
run; this is why the second stage leaves out `-E`, which an environment of one variable does not
need.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cosim.learning.errors import LearningError

WALL_FACTOR = 2.0

_PROGRAM = "program.py"
_PATIENCE_S = 10.0  # for a killed process to be gone
# Sets the limits and becomes the program. As first process of a namespace its end ends all in it.
_FIRST_STAGE = """
import ctypes, os, resource, sys
cpu_s, memory, *command = sys.argv[1:]
NEW_USER, NEW_PID, NEW_NET = 0x10000000, 0x20000000, 0x40000000
PARENT_DEATH_SIGNAL, KILL = 1, 9
unshare = getattr(ctypes.CDLL(None), "unshare", None)
def alone():
    if unshare is None:
        return False
    if unshare(NEW_USER | NEW_PID | NEW_NET) == 0:
        return True
    unshare(NEW_USER | NEW_NET)
    return False
if alone():
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, KILL)
def limit(what, most):
    resource.setrlimit(what, (most, most))
limit(resource.RLIMIT_CPU, int(cpu_s))
limit(resource.RLIMIT_AS, int(memory))
limit(resource.RLIMIT_FSIZE, 0)
limit(resource.RLIMIT_CORE, 0)
limit(resource.RLIMIT_NOFILE, 32)
limit(resource.RLIMIT_NPROC, 0)
os.execve(command[0], command, {"PYTHONHASHSEED": "0"})
"""


@dataclass(frozen=True)
class Limits:
    """What a program may use: processor time (whole seconds, rounded up) and address space."""

    cpu_s: float
    memory_bytes: int


def succeeds(program: str, limits: Limits) -> bool:
    """Run a program; return whether it comes to its end within the limits.

    Raises:
        LearningError: the system has no POSIX resource limits.
    """
    if os.name != "posix":
        raise LearningError(
            "execute: expected a system with POSIX resource limits to run programs under, got "
            f"{sys.platform}; leave `execute` out"
        )
    token = secrets.token_hex(16)
    reader, writer = os.pipe()
    try:
        with tempfile.TemporaryDirectory(prefix="cosim-") as folder:
            path = Path(folder) / _PROGRAM
            verdict = f"\nimport os as _os; _os.write({writer}, b'{token}')\n"
            path.write_text(program + verdict, encoding="utf-8", errors="replace")
            _run(path, writer, limits)
        os.set_blocking(reader, False)
        with contextlib.suppress(BlockingIOError):
            return os.read(reader, 2 * len(token)) == token.encode()
        return False
    finally:
        os.close(reader)
        os.close(writer)


def _run(path: Path, writer: int, limits: Limits) -> None:
    """Run the program to its end or to its limits, and leave no process behind."""
    cpu_s = max(1, -int(-limits.cpu_s // 1))
    first = [sys.executable, "-I", "-S", "-B", "-c", _FIRST_STAGE]
    second = [sys.executable, "-P", "-s", "-S", "-B", str(path)]
    settings = [str(cpu_s), str(limits.memory_bytes)]
    process = subprocess.Popen(
        [*first, *settings, *second],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        cwd=path.parent,
        pass_fds=(writer,),
        start_new_session=True,
    )
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(WALL_FACTOR * limits.cpu_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_PATIENCE_S)
