"""Programs that a model wrote, held to each of their limits."""

import os
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from cosim.learning.tasks._execution import WALL_FACTOR, Limits, succeeds

LIMITS = Limits(cpu_s=1.0, memory_bytes=200 * 2**20)
AS_ROOT = os.name == "posix" and os.geteuid() == 0

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX resource limits")


@pytest.mark.parametrize(
    "program",
    [
        "assert 1 + 1 == 2",
        "import typing, math, re, collections, itertools, hashlib, functools",
        "print('x' * 10**7)",  # output is thrown away
        "x = bytearray(50 * 2**20)",
        "import sys; assert sys.stdin.read() == ''",
    ],
)
def test_what_is_well_passes(program):
    assert succeeds(program, LIMITS)


@pytest.mark.parametrize(
    "program",
    [
        "assert 1 + 1 == 3",
        "1 +",
        "raise SystemExit(0)",  # an early end is no success, whatever its status
        "import os; os._exit(0)",
        "x = bytearray(2**30)",
        "x = []\nwhile True: x.append(bytearray(2**20))",
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (60, 60))",
        "f = open('file', 'w'); f.write('x'); f.close()",
        "open('/tmp/file', 'w').write('x' * 2**20)",
        "files = [open('/dev/null') for _ in range(64)]",
        "import numpy",  # no installed packages
        "def f(): f()\nf()",
        "import os; os.fork()",
        "import os; os.kill(os.getpid(), 0)",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', ''])",
        "import os; os.system('true')",
        "import socket; socket.socket()",
        "import ctypes; ctypes.CDLL(None)",
        "open(__file__ if '__file__' in globals() else 'program.py')",
        "\ud800",
        "\x00",
    ],
)
def test_what_goes_beyond_its_limits_fails(program):
    started = time.monotonic()
    assert not succeeds(program, LIMITS)
    assert time.monotonic() - started < WALL_FACTOR * LIMITS.cpu_s + 2.0


@pytest.mark.parametrize("program", ["while True: pass", "while True: print('x' * 10**6)"])
def test_an_endless_loop_is_killed_by_its_processor_time(program):
    started = time.monotonic()
    assert not succeeds(program, Limits(cpu_s=1.0, memory_bytes=LIMITS.memory_bytes))
    assert time.monotonic() - started < 10.0


def test_one_that_waits_is_killed_by_the_wall_clock():
    started = time.monotonic()
    assert not succeeds("import time; time.sleep(60)", Limits(0.3, LIMITS.memory_bytes))
    assert time.monotonic() - started < 10.0


@pytest.mark.parametrize(
    "harm",
    [
        "os.remove({0!r})",
        "os.rename({0!r}, {0!r} + '2')",
        "os.truncate({0!r}, 0)",
        "os.chmod({0!r}, 0)",
        "os.mkdir({0!r} + '2')",
        "os.symlink('/etc', {0!r} + '2')",
        "os.open({0!r}, os.O_RDWR)",
        "open({0!r}, 'w')",
        "open({0!r}, 'r')",
        "open({0!r} + '2', 'x')",
        "shutil.rmtree(os.path.dirname({0!r}))",
        "pathlib.Path({0!r}).unlink()",
        "os.listdir('/proc') and open('/proc/self/environ').read()",
    ],
)
def test_it_touches_and_reads_no_file_of_the_user(harm, tmp_path):
    victim = tmp_path / "thesis.txt"
    victim.write_text("all of it")
    harm = f"import os, pathlib, shutil\n{harm.format(str(victim))}"
    assert not succeeds(harm, LIMITS)
    # Even if the program looks away.
    succeeds(f"try:\n    {harm.replace(chr(10), chr(10) + '    ')}\nexcept OSError: pass", LIMITS)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]
    assert victim.read_text() == "all of it"
    assert victim.stat().st_mode & 0o600 == 0o600


def test_no_native_code_but_that_of_the_library(tmp_path):
    native = [find_spec(module).origin for module in ("_bisect", "_heapq", "_json")]
    shared = [Path(each) for each in native if each and each.endswith(".so")]
    if not shared:
        pytest.skip("this interpreter has its modules built in")
    name = shared[0].name.partition(".")[0]
    (tmp_path / shared[0].name).write_bytes(shared[0].read_bytes())
    program = f"import sys; sys.modules.pop({name!r}, None); {{}}import {name}"
    assert succeeds(program.format(""), LIMITS)
    assert not succeeds(program.format(f"sys.path.insert(0, {str(tmp_path)!r}); "), LIMITS)


def test_its_own_text_does_not_hold_the_verdict():
    """Neither a look at its own program nor words on every open file pass a test."""
    guess = "import os\nfor each in range(20):\n try: os.write(each, b'0' * 32)\n except OSError: 0"
    assert not succeeds(f"{guess}\nraise SystemExit(0)", LIMITS)


@pytest.mark.skipif(AS_ROOT, reason="the kernel exempts root from the limit of processes")
def test_no_process_beside_its_own():
    assert not succeeds("import os; os.fork() or os._exit(0)", LIMITS)


def running(mark):
    """Return the processes whose command line has the mark."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in each.read_bytes():
                found.append(each.parent.name)
        except OSError:  # it has ended meanwhile
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
@pytest.mark.parametrize("ends", ["", "import time; time.sleep(60)"])
def test_nothing_that_it_started_is_left(ends):
    mark = f"cosim-test-{os.getpid()}-{len(ends)}"
    program = (
        "import os, sys\n"
        "try:\n"
        "    for _ in range(3):\n"
        "        if os.fork() == 0:\n"
        f"            os.execv(sys.executable, [sys.executable, '-c', 'while 1: pass', '{mark}'])\n"
        "except OSError:\n"
        "    pass\n"
    )
    succeeds(program + ends, Limits(0.3, LIMITS.memory_bytes))
    deadline = time.monotonic() + 5.0
    while running(mark) and time.monotonic() < deadline:  # killed, but not gone yet
        pass
    assert running(mark) == []


def test_it_knows_nothing_of_the_environment(monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_USER", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    program = (
        "import os, sys\n"
        "assert set(os.environ) <= {'PYTHONHASHSEED', 'LC_CTYPE'}\n"
        f"assert {str(Path(__file__).parent)!r} not in sys.path\n"
        "assert os.listdir('.') == ['program.py']\n"
        "assert sys.flags.no_site and sys.flags.safe_path and sys.flags.no_user_site\n"
    )
    assert succeeds(program, LIMITS)


def test_a_verdict_does_not_hang_on_the_hash_seed():
    ask = [sys.executable, "-c", "print(hash('cosim'))"]
    known = subprocess.run(ask, env={"PYTHONHASHSEED": "0"}, capture_output=True, check=True)
    assert succeeds(f"assert hash('cosim') == {int(known.stdout)}", LIMITS)


def namespaces_are_granted():
    ask = ["unshare", "--user", "--net", "true"]
    try:
        return subprocess.run(ask, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not namespaces_are_granted(), reason="no network namespace for this user")
def test_no_network_where_it_can_be_taken_away():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)"
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
        assert not succeeds(program, LIMITS)


def open_files():
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_no_folder_and_no_open_file_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = open_files()
    for program in ("assert True", "while True: pass"):
        succeeds(program, Limits(0.2, LIMITS.memory_bytes))
    assert list(tmp_path.iterdir()) == []
    assert open_files() == before
