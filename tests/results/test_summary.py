import math
from io import StringIO

import pytest
from rich.console import Console
from synthetic import scenario

from cosim.results import render
from cosim.results.run import Run
from cosim.results.run_folder import RunFolder
from cosim.results.summary import summarise, time_to_accuracy
from cosim.results.tables import Recorder
from cosim.scenario.load import loads

# (round, time, accuracies of device 0 on a and b, of device 1 on a and b); 0 owns a, 1 owns b.
SCORES = (
    (0, 0.0, (0.2, 0.3), (0.1, 0.4)),
    (1, 10.0, (0.7, 0.3), (0.1, 0.6)),
    (2, 25.0, (0.8, 0.5), (0.3, 0.8)),
)

LOST = {"delivered": 0, "partial": 2, "expired": 4, "aborted": 1, "unfinished": 0}
UNSENT = {"delivered": 0, "partial": 0, "expired": 3, "aborted": 0, "unfinished": 9}


def write(
    tmp_path,
    scores=SCORES,
    outcomes=("delivered",),
    triggers=("on_start",),
    events=(),
    merged=(1, 1),
    of=None,
):
    with RunFolder.create(tmp_path, of or scenario()) as folder, Recorder(folder.path) as recorder:
        for round, t_s, *accuracies in scores:
            for device, pair in enumerate(accuracies):
                for task, accuracy in zip("ab", pair, strict=True):
                    recorder.add(
                        "evaluations",
                        round=round,
                        t_s=t_s,
                        device=device,
                        task=task,
                        own=task == "ab"[device],
                        accuracy=accuracy,
                        loss=0.0,
                    )
        for round in (1, 2):
            recorder.add(
                "rounds",
                round=round,
                start_s=0.0,
                t_s=15.0 * round,
                num_devices=2,
                num_trainings=2,
                num_merged=merged[round - 1],
                staleness_mean=float("nan"),
                num_plans=1,
                num_clusters=1,
                loss_mean=math.nan,
                bits_sent=1e6,  # less than the transfers: some ended after the last round
                bits_delivered=5e5,
                energy_j=20.0,
                collision_rate=0.1 * round,
                num_late=round,
                num_lost_packets=3,
            )
        for flow, outcome in enumerate(outcomes):
            end = 35.0 if outcome == "unfinished" else 1.0
            recorder.add(
                "flows",
                **dict.fromkeys(("round", "src", "dst", "num_attempts"), 1),
                **dict.fromkeys(("start_s", "payload_bits", "energy_j"), 1.0),
                end_s=end,
                air_bits=3e6 / len(outcomes),
                delivered_bits=2e6 / len(outcomes),
                flow=flow,
                kind="update",
                num_packets=10,
                num_lost=LOST[outcome],
                num_unsent=UNSENT[outcome],
                outcome="aborted" if outcome == "unfinished" else outcome,
            )
        for device, joules in enumerate((20.0, 25.0)):
            recorder.add(
                "energy",
                t_s=35.0,
                device=device,
                transmit_j=joules - 3.0,
                receive_j=1.0,
                compute_j=1.5,
                idle_j=0.5,
                left_j=math.inf,
            )
        for t_s, kind, device in events:
            recorder.add("events", t_s=t_s, kind=kind, device=device, detail="")
        for plan, trigger in enumerate(triggers):
            recorder.extend(
                "plans",
                plan=plan,
                t_s=float(plan),
                trigger=trigger,
                device=[0, 1],
                cluster=0,
                is_gateway=False,
                density=0.1,
            )
    return Run(folder.path)


def test_accuracies_by_hand(tmp_path):
    summary = summarise(write(tmp_path))
    assert (summary.own_accuracy.first, summary.own_accuracy.last) == pytest.approx((0.3, 0.8))
    assert (summary.all_accuracy.first, summary.all_accuracy.last) == pytest.approx((0.25, 0.6))
    a, b = summary.tasks
    assert (a.task, b.task) == ("a", "b")
    assert (a.own.first, a.own.last) == pytest.approx((0.2, 0.8))
    assert (a.all.first, a.all.last) == pytest.approx((0.15, 0.55))
    assert (b.own.first, b.own.last) == pytest.approx((0.4, 0.8))


def test_totals_by_hand(tmp_path):
    run = write(
        tmp_path,
        outcomes=("delivered", "partial", "expired", "aborted", "delivered", "unfinished"),
        triggers=("on_start", "on_change", "on_change"),
    )
    summary = summarise(run)
    # The rounds hold 40 J: 5 J were used after the last one had closed.
    assert (summary.bits_sent, summary.bits_delivered) == pytest.approx((3e6, 2e6))
    assert summary.energy_j == 45.0
    assert summary.collision_rate == pytest.approx(0.15)
    assert (summary.num_late, summary.num_rounds, summary.num_devices) == (3, 2, 2)
    assert summary.triggers == (("on_start", 1), ("on_change", 2))
    assert summary.num_plans == 3
    assert summary.time_s == 35.0


def test_packets_that_were_never_sent_are_not_lost_packets(tmp_path):
    outcomes = ("delivered", "partial", "expired", "aborted", "delivered", "unfinished")
    summary = summarise(write(tmp_path, outcomes=outcomes))
    expected = (("delivered", 2), ("partial", 1), ("expired", 1), ("aborted", 1), ("unfinished", 1))
    assert summary.transfers == expected
    # Those of the unfinished one are not known to be lost.
    assert (summary.num_lost_packets, summary.num_sent_packets) == (2 + 4 + 1, 50 - 3)
    assert summary.num_unsent_packets == 3 + 9
    lines = dict(render.rows(summary))
    assert lines["transfers"] == ("6: 2 delivered, 1 partial, 1 expired, 1 aborted, 1 unfinished")
    assert lines["lost packets"] == "7 of 47 sent"
    assert lines["unsent packets"] == "12"


def test_a_run_whose_transfers_all_ended_left_no_packet_unsent(tmp_path):
    lines = dict(render.rows(summarise(write(tmp_path))))
    assert lines["lost packets"] == "0 of 10 sent"
    assert "unsent packets" not in lines


def test_causes_that_differ_in_numbers_count_together(tmp_path):
    triggers = ("start", "link 4-5 changed by +14.3 dB", "link 0-12 changed by -3 dB")
    summary = summarise(write(tmp_path, triggers=triggers))
    assert summary.triggers == (("start", 1), ("link … changed by … dB", 2))


def test_a_cause_that_comes_again_keeps_its_numbers(tmp_path):
    summary = summarise(write(tmp_path, triggers=("start", "every 20 s", "every 20 s")))
    assert summary.triggers == (("start", 1), ("every 20 s", 2))


def test_time_to_accuracy(tmp_path):
    run = write(tmp_path)
    # Own accuracy 0.3, 0.65, 0.8; 80 % of the gain is at 0.3 + 0.8 * 0.5 = 0.7.
    default = time_to_accuracy(run)
    assert (default.target, default.time_s, default.rounds) == (pytest.approx(0.7), 25.0, 2)
    asked = time_to_accuracy(run, 0.65)
    assert (asked.time_s, asked.rounds) == (10.0, 1)
    never = time_to_accuracy(run, 0.95)
    assert math.isnan(never.time_s)
    assert never.rounds == -1


def test_a_run_that_learns_nothing_has_no_time_to_accuracy(tmp_path):
    assert summarise(write(tmp_path, scores=SCORES[:1])).time_to_accuracy is None


def test_a_run_without_learning_has_a_summary(tmp_path):
    summary = summarise(write(tmp_path, scores=(), outcomes=()))
    assert math.isnan(summary.own_accuracy.last)
    assert (summary.tasks, summary.time_to_accuracy) == ((), None)
    lines = dict(render.rows(summary))
    assert not any("accuracy" in label or "own-task" in label for label in lines)
    assert not any("nan" in value or "none" in value for value in lines.values())


def test_lines_of_runs_with_and_without_learning_stand_alike(tmp_path):
    texts = [render.text(summarise(write(tmp_path / str(i), scores=SCORES[:i]))) for i in (0, 3)]
    starts = {text.splitlines()[-1].index("/") for text in texts}
    assert starts == {render.LABEL_WIDTH + 2}


def test_text_is_one_aligned_line_each(tmp_path):
    summary = summarise(write(tmp_path, triggers=("on_start", "every")))
    lines = dict(render.rows(summary))
    assert lines["own-task accuracy"] == "30.0 % -> 80.0 %"
    assert lines["  a"] == "own 20.0 % -> 80.0 %, all 15.0 % -> 55.0 %"
    assert lines["time to own-task 70.0 %"] == "25 s, round 2"
    assert lines["sent"] == "3 Mbit"
    assert lines["energy"] == "45 J"
    assert lines["plans"] == "2: 1 x on_start, 1 x every"
    text = render.text(summary).splitlines()
    assert len(text) == len(lines)
    assert {line.index(value) for line, value in zip(text, lines.values(), strict=True)} == {25}


def test_the_table_for_a_terminal_holds_the_same(tmp_path):
    summary = summarise(write(tmp_path))
    stream = StringIO()
    Console(width=200, file=stream).print(render.table(summary))
    shown = stream.getvalue()
    for label, value in render.rows(summary):
        assert label in shown
        assert value in shown


def test_who_came_and_went_is_told(tmp_path):
    assert "devices" not in dict(render.rows(summarise(write(tmp_path / "nobody"))))
    events = [(1.0, "enter", 1), (2.0, "leave", 1), (2.5, "plan", -1), (3.0, "battery_empty", 0)]
    lines = dict(render.rows(summarise(write(tmp_path / "two", events=events))))
    assert lines["devices"] == "1 entered, 1 left, 1 ran out of battery"


def test_a_server_that_goes_is_told(tmp_path):
    text = "devices: [{role: base_station, count: 1}, {group: phones, count: 1}]\n"
    of = loads(f"{text}protocol: federated").scenario
    events = [(1.0, "leave", 1), (12.25, "battery_empty", 0)]
    lines = dict(render.rows(summarise(write(tmp_path, events=events, of=of))))
    assert lines["devices"] == (
        "1 left, 1 ran out of battery; the server, device 0, ran out of battery at 12.25 s"
    )


def test_rounds_in_which_nothing_was_merged_are_told(tmp_path):
    assert "rounds without a merge" not in dict(render.rows(summarise(write(tmp_path / "none"))))
    lines = dict(render.rows(summarise(write(tmp_path / "one", merged=(0, 3)))))
    assert lines["rounds without a merge"] == "1"
