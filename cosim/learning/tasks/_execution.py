"""Running a program that a model wrote, in a process that may do little.

The program runs in a Python of its own: started isolated (`-I -S`), without the environment, the
input and the open files of this process, in an empty folder that is thrown away. A first stage sets
the limits below, which the program cannot lift; a second one forbids what a program that only
computes does not need, by an audit hook of the interpreter, and runs the program.

| what | limit |
|---|---|
| processor time | `cpu_s`, then killed |
| wall time | `WALL_FACTOR` times `cpu_s`, then its whole process group is killed |
| address space | `memory_bytes`; more is a MemoryError |
| files | read: those of Python's own library only; none is made, written, moved or deleted |
| processes, signals | none |
| threads | none, but for root's, which are held by the limits above |
| output | thrown away |
| network | no sockets; none at all where an ordinary user may make a namespace for it |
| native code | none: no ctypes, no installed packages |

Behind the hook stand limits of the system: no file may grow, 32 open at a time, no core dumps; no
new processes (the kernel exempts root); what is started all the same is killed with its process
group, or with its process namespace where the system grants one.

What this does not protect from: a program that is made to get round the hook, through objects of
the interpreter or a fault of it; it could then do what you may do. So this keeps mistakes from
doing harm. It is no jail: for programs of somebody who means harm, run the whole simulation in a
container.

The verdict comes over a pipe, and not before the program has come to its end: one that ends early,
even with status 0, has not passed. The seed of Python's string hashes is fixed, so that a program's
verdict does not change from run to run; this is why the second stage leaves out `-E`, which an
environment of one variable does not need.
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
# Forbids what is not computing and runs the program; says the word only if it comes to its end.
_SECOND_STAGE = """
import os, sys, types
def guard():
    library = os.path.realpath(os.path.dirname(os.__file__)) + os.sep
    others = library + "site-packages"
    harmless = {"os.listdir", "os.scandir", "os.chdir", "os.putenv", "os.unsetenv"}
    families = {
        "os", "shutil", "subprocess", "socket", "ctypes", "signal", "_thread", "pty", "fcntl",
        "mmap", "sqlite3", "_posixsubprocess", "syslog", "_winapi", "winreg", "msvcrt",
    }
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    real, is_a, text = os.path.realpath, isinstance, str
    def is_of_the_library(name):
        plain = real(name) if is_a(name, text) else ""
        return plain.startswith(library) and not plain.startswith(others)
    def watch(event, args):
        if event == "open":
            if not is_of_the_library(args[0]) or (args[2] or 0) & writing:
                raise PermissionError("a program may not open " + repr(args[0]))
        elif event == "import":
            if args[1] is not None and not is_of_the_library(args[1]):  # native code
                raise PermissionError("a program may not load " + repr(args[1]))
        elif event not in harmless and event.partition(".")[0] in families:
            raise PermissionError("a program may not do " + event)
    sys.addaudithook(watch)
path, writer, word = sys.argv[1], int(sys.argv[2]), os.read(0, 64)
with open(path, encoding="utf-8") as file:
    program = compile(file.read(), path, "exec")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
space = {"__name__": "__main__", "__builtins__": __builtins__}
run, say = types.FunctionType(program, space), os.write
del sys.argv[1:]
guard()
run()
say(writer, word)
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
    token = secrets.token_hex(16).encode()
    reader, writer = os.pipe()
    try:
        with tempfile.TemporaryDirectory(prefix="cosim-") as folder:
            path = Path(folder) / _PROGRAM
            path.write_text(program, encoding="utf-8", errors="replace")
            _run(path, token, writer, limits)
        os.set_blocking(reader, False)
        with contextlib.suppress(BlockingIOError):
            return os.read(reader, 2 * len(token)) == token
        return False
    finally:
        os.close(reader)
        os.close(writer)


def _run(path: Path, token: bytes, writer: int, limits: Limits) -> None:
    """Run the program to its end or to its limits, and leave no process behind."""
    cpu_s = max(1, -int(-limits.cpu_s // 1))
    first = [sys.executable, "-I", "-S", "-B", "-c", _FIRST_STAGE]
    second = [sys.executable, "-P", "-s", "-S", "-B", "-c", _SECOND_STAGE, str(path), str(writer)]
    settings = [str(cpu_s), str(limits.memory_bytes)]
    process = subprocess.Popen(
        [*first, *settings, *second],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        cwd=path.parent,
        pass_fds=(writer,),
        start_new_session=True,
    )
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(token, WALL_FACTOR * limits.cpu_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_PATIENCE_S)
