"""Processes for runs: each dies for itself, and what it says arrives."""

import os
import signal
from dataclasses import replace
from pathlib import Path

from cosim.results.run_folder import Manifest
from cosim.sweep.executor import Ended, Progress, Started
from cosim.sweep.local import LocalProcesses
from cosim.sweep.plan import plan_sweep


def executor_and_jobs(file, slots=2):
    plan = plan_sweep(file, (), Path("runs"))
    plan.write("")
    return LocalProcesses(slots, plan.folder / "logs", learning=False), plan.jobs("typed"), plan


def carried_out(executor, jobs):
    for job in jobs:
        executor.submit(job)
    events = []
    while sum(isinstance(each, Ended) for each in events) < len(jobs):
        events += executor.wait(60.0)
    return events


def outcomes(events):
    return {e.job.label: e.outcome for e in events if isinstance(e, Ended)}


def test_one_that_dies_and_one_that_fails_leave_the_others_alone(lab):
    executor, jobs, plan = executor_and_jobs(lab("die", "fail", "print", "nothing"))
    events = carried_out(executor, jobs)
    found = outcomes(events)
    logs = plan.folder / "logs"
    died = found["do=die"]
    folders = {job.label: job.folder for job in jobs}
    log = logs / f"{folders['do=die']}.txt"
    assert died.status == "failed"
    assert died.message == (
        "its process was killed by SIGKILL; perhaps there was not enough memory; "
        f"what it printed is in {log}"
    )
    assert log.read_text(encoding="utf-8") == "last words\n"
    assert found["do=fail"].status == "failed"
    assert found["do=fail"].message == "RuntimeError: the antenna fell off"
    assert "Traceback" in (logs / f"{folders['do=fail']}.txt").read_text(encoding="utf-8")
    assert found["do=print"].status == found["do=nothing"].status == "finished"
    printed = (logs / f"{folders['do=print']}.txt").read_text(encoding="utf-8")
    assert printed == "something to read\n"
    assert not (logs / f"{folders['do=nothing']}.txt").exists(), "nothing was printed"
    manifests = {label: Manifest.read(Path("runs") / folder) for label, folder in folders.items()}
    assert manifests["do=die"].outcome == "running"
    assert not manifests["do=die"].is_going_on()
    assert manifests["do=fail"].outcome == "failed"
    assert manifests["do=nothing"].outcome == "finished"
    assert manifests["do=nothing"].command == "typed"
    assert manifests["do=nothing"].pid != os.getpid()


def test_events_come_in_order_and_no_more_run_than_there_is_room_for(lab):
    file = lab("nothing", seeds="4")
    executor, jobs, _ = executor_and_jobs(file, slots=1)
    events = carried_out(executor, jobs)
    sorts = [type(each) for each in events]
    assert sorts == [Started, Progress, Ended] * 4
    assert [each.share for each in events if isinstance(each, Progress)] == [1.0] * 4
    assert [each.job for each in events if isinstance(each, Ended)] == jobs


def test_stop_interrupts_what_runs_and_forgets_what_waits(lab):
    os.mkfifo("begun")
    executor, jobs, _ = executor_and_jobs(lab("wait", "nothing"), slots=1)
    for job in jobs:
        executor.submit(job)
    (started,) = executor.wait(60.0)
    pid = int(Path("begun").read_text(encoding="utf-8"))
    executor.stop()
    events = carried_out(executor, jobs[:0]) or [*executor.wait(60.0)]
    assert started.job == jobs[0]
    assert [(type(each), each.outcome.status) for each in events] == [(Ended, "interrupted")]
    assert executor.wait(0.0) == []
    manifest = Manifest.read(Path("runs") / jobs[0].folder)
    assert (manifest.outcome, manifest.pid) == ("interrupted", pid)
    assert (Path("runs") / jobs[0].folder / "rounds.parquet").exists()
    assert not (Path("runs") / jobs[1].folder).exists()


def test_stop_at_once_kills(lab):
    os.mkfifo("begun")
    executor, jobs, _ = executor_and_jobs(lab("wait"))
    executor.submit(jobs[0])
    executor.wait(60.0)
    Path("begun").read_text(encoding="utf-8")
    executor.stop(at_once=True)
    (ended,) = executor.wait(60.0)
    assert ended.outcome.status == "interrupted"
    assert Manifest.read(Path("runs") / jobs[0].folder).outcome == "running"


def test_a_run_that_is_terminated_writes_down_what_it_has(lab):
    os.mkfifo("begun")
    executor, jobs, _ = executor_and_jobs(lab("wait"))
    executor.submit(jobs[0])
    executor.wait(60.0)
    os.kill(int(Path("begun").read_text(encoding="utf-8")), signal.SIGTERM)
    (ended,) = executor.wait(60.0)
    assert ended.outcome.status == "interrupted"
    assert Manifest.read(Path("runs") / jobs[0].folder).outcome == "interrupted"


def test_a_changed_scenario_is_not_run_under_the_old_name(lab):
    executor, jobs, _ = executor_and_jobs(lab("nothing"))
    changed = jobs[0].text.replace("mtu_bytes: 1500.0", "mtu_bytes: 900.0")
    assert changed != jobs[0].text
    events = carried_out(executor, [replace(jobs[0], text=changed)])
    (outcome,) = outcomes(events).values()
    assert outcome.status == "failed"
    assert outcome.message.startswith(f"expected the run {jobs[0].folder}, got lab-")
