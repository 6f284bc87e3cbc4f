"""What a person sees of a sweep."""

import io

import pytest
from rich.console import Console

from cosim.sweep import progress as module
from cosim.sweep.executor import Ended, Progress, Started
from cosim.sweep.job import Job, Outcome
from cosim.sweep.progress import SweepProgress, duration


@pytest.fixture
def clock(monkeypatch):
    """Time that goes on only when it is told to."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def job(label, seed):
    return Job(label, seed, f"{label}-s{seed}", "", "", "", "")


JOBS = [job(label, seed) for seed in (1, 2) for label in ("fast", "slow")]


@pytest.fixture
def shown(tmp_path, clock):
    def make(slots=2, terminal=False):
        file = io.StringIO()
        console = Console(file=file, force_terminal=terminal, width=100, color_system=None)
        return SweepProgress(list(JOBS), slots, console, tmp_path / "log.txt"), file

    return make


def test_plain_lines_and_the_log(shown, tmp_path):
    progress, file = shown()
    with progress:
        progress.see(Started(JOBS[0]))
        progress.see(Started(JOBS[1]))
        progress.see(Ended(JOBS[0], Outcome("finished", "", 10.0)))
        progress.see(Ended(JOBS[1], Outcome("failed", "no [bold] power", 3.0)))
        progress.refresh()
    assert file.getvalue().splitlines() == [
        "[1/4] fast, seed 1: finished after 10 s; about 15 s to go",
        "[2/4] slow, seed 1: failed after 3.0 s: no [bold] power; about 10 s to go",
    ]
    log = [line.split("  ", 1) for line in (tmp_path / "log.txt").read_text("utf-8").splitlines()]
    assert [text for _, text in log][:2] == ["fast, seed 1: started", "slow, seed 1: started"]
    assert all(time.endswith("+00:00") for time, _ in log)


def test_the_rest_takes_what_like_runs_took(shown, clock):
    progress, _ = shown(slots=2)
    assert progress.remaining_s() is None
    progress.see(Started(JOBS[0]))
    progress.see(Started(JOBS[1]))
    assert progress.remaining_s() is None, "nothing is known yet"
    progress.see(Ended(JOBS[0], Outcome("finished", "", 10.0)))
    progress.see(Ended(JOBS[1], Outcome("finished", "", 30.0)))
    assert progress.remaining_s() == pytest.approx((10.0 + 30.0) / 2)
    clock[0] = 100.0
    progress.see(Started(JOBS[3]))
    clock[0] = 110.0
    progress.see(Progress(JOBS[3], 0.25))
    # It takes 40 s in all, so 30 s more, and the other fits beside it.
    assert progress.remaining_s() == pytest.approx(30.0)


def test_a_run_that_fails_says_nothing_of_the_others(shown):
    progress, _ = shown()
    progress.see(Started(JOBS[0]))
    progress.see(Ended(JOBS[0], Outcome("failed", "", 0.1)))
    assert progress.remaining_s() is None


def test_a_live_table_of_what_runs(shown, clock):
    progress, file = shown(terminal=True)
    with progress:
        progress.see(Started(JOBS[0]))
        clock[0] = 8.0
        progress.see(Progress(JOBS[0], 0.5))
        progress.see(Started(JOBS[1]))
        progress.see(Ended(JOBS[1], Outcome("failed", "", 3.0)))
        progress.refresh()
    text = file.getvalue()
    assert "[1/4] slow, seed 1: failed after 3.0 s\n" in text
    assert "1 of 4 runs over, 1 failed, 2 waiting, about 20 s to go" in text
    assert "fast, seed 1" in text
    assert "50%" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (200.4, "3 min 20 s"),
        (601.0, "10 min"),
        (3599.0, "60 min"),
        (7500.0, "2 h 5 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds, words):
    assert duration(seconds) == words
