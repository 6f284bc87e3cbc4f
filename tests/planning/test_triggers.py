import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_oracle import make_view
from pydantic import ValidationError

from cosim.planning.planners.agnes import Agnes
from cosim.planning.triggers.base import START, TriggerView, ticks
from cosim.planning.triggers.every import Every
from cosim.planning.triggers.on_change import OnChange
from cosim.planning.triggers.on_churn import OnChurn
from cosim.planning.triggers.on_rounds import OnRounds
from cosim.planning.triggers.on_start import OnStart
from cosim.plugin import find, kinds

PLAN_T_S, PLAN_ROUND = 12.5, 3  # of make_view
GAINS = {(0, 1): 1e-8, (1, 2): 1e-9, (0, 2): 2e-9, (2, 3): 1e-10}


def plan(gains=GAINS):
    """Clusters {0, 1, 2} and {3}; 2-3 is the gateway."""
    density = np.array([0.1, 0.1, 0.1, 1.0])
    made = Agnes().plan(make_view(4, gains, density=density))
    assert (made.t_s, made.round) == (PLAN_T_S, PLAN_ROUND)
    return made


def ask(
    trigger, t_s, *, round_=PLAN_ROUND, round_begins=False, made=None, now=GAINS, alive=(True,) * 4
):
    def mean_gain(src, dst):
        pairs = zip(src.tolist(), dst.tolist(), strict=True)
        return np.array([now[min(i, j), max(i, j)] for i, j in pairs])

    return trigger.reason(TriggerView(t_s, round_, round_begins, made, np.array(alive), mean_gain))


@pytest.mark.parametrize("kind", kinds("trigger"))
def test_every_trigger_asks_for_the_first_plan(kind):
    trigger = find("trigger", kind)()
    assert ask(trigger, 0.0, round_=1, round_begins=True) == START
    assert trigger.next_check_s(5.0) > 5.0
    assert ask(trigger, PLAN_T_S, made=plan()) is None  # and no other at the same instant


def test_kinds_are_found_by_name():
    names = {"on_start": OnStart, "every": Every, "on_rounds": OnRounds, "on_change": OnChange}
    for name, cls in names.items():
        assert find("trigger", name) is cls


def test_on_start_never_asks_again():
    assert OnStart().next_check_s(0.0) == math.inf
    assert ask(OnStart(), 1e6, round_=99, round_begins=True, made=plan()) is None


def test_every_fires_once_per_multiple():
    every = Every.model_validate({"interval": "20 s"})
    assert every.next_check_s(0.0) == 20.0
    assert every.next_check_s(19.9) == 20.0
    assert every.next_check_s(20.0) == 40.0
    assert ask(every, 19.9, made=plan()) is None
    assert ask(every, 20.0, made=plan()) == "every 20 s"
    assert ask(every, 31.0, round_begins=True, made=plan()) == "every 20 s"  # missed at 20


@settings(derandomize=True)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3))
def test_multiples_are_met_whatever_the_rounding(n, interval_s):
    every = Every().model_copy(update={"interval_s": interval_s})
    assert ticks(n * interval_s, interval_s) == n
    assert every.next_check_s(n * interval_s) == (n + 1) * interval_s


def test_on_rounds_counts_from_the_plan_in_force():
    on_rounds = OnRounds(rounds=2)
    made = plan()
    assert ask(on_rounds, 20.0, round_=4, round_begins=True, made=made) is None
    assert ask(on_rounds, 30.0, round_=5, round_begins=False, made=made) is None
    assert ask(on_rounds, 30.0, round_=5, round_begins=True, made=made) == "every 2 rounds"
    assert ask(on_rounds, 99.0, round_=9, round_begins=True, made=made) == "every 2 rounds"
    assert ask(OnRounds(), 30.0, round_=4, round_begins=True, made=made) == "every round"
    assert on_rounds.next_check_s(3.0) == math.inf


@pytest.mark.parametrize(
    ("pair", "change_db", "reason"),
    [
        ((1, 2), 4.1, "link 1-2 changed by +4.1 dB"),
        ((0, 1), -3.5, "link 0-1 changed by -3.5 dB"),
        ((2, 3), -6.0, "link 2-3 changed by -6.0 dB"),  # a gateway
        ((0, 1), 2.9, None),
        ((0, 1), -2.9, None),
    ],
)
def test_on_change_names_the_link(pair, change_db, reason):
    on_change = OnChange.model_validate({"threshold": "3 dB", "min_interval": "20 s"})
    now = GAINS | {pair: GAINS[pair] * 10 ** (change_db / 10)}
    assert ask(on_change, PLAN_T_S + 20.0, made=plan(), now=now) == reason


def test_on_change_names_the_largest_change():
    now = GAINS | {(0, 1): 1e-8 * 2.5, (0, 2): 2e-9 / 10}
    assert ask(OnChange(), 40.0, made=plan(), now=now) == "link 0-2 changed by -10.0 dB"


def test_on_change_waits_for_the_minimum_interval():
    on_change = OnChange.model_validate({"min_interval": "20 s"})
    now = {pair: 10 * gain for pair, gain in GAINS.items()}
    assert ask(on_change, PLAN_T_S + 19.9, made=plan(), now=now) is None
    assert ask(on_change, PLAN_T_S + 20.0, made=plan(), now=now) is not None
    assert on_change.next_check_s(12.5) == 20.0
    assert on_change.next_check_s(20.0) == 40.0


def test_on_change_of_a_plan_without_links_is_silent():
    assert ask(OnChange(), 100.0, made=plan({}), now={}) is None


def test_on_change_survives_a_channel_that_is_gone():
    now = GAINS | {(0, 1): 0.0}
    assert "link 0-1 changed by -" in ask(OnChange(), 40.0, made=plan(), now=now)


@pytest.mark.parametrize(
    ("cls", "keys"),
    [
        (Every, {"interval": "0 s"}),
        (Every, {"interval": 20}),
        (OnRounds, {"rounds": 0}),
        (OnChange, {"threshold": "0 dB"}),
        (OnChange, {"min_interval": "0 s"}),
    ],
)
def test_keys_out_of_range_are_refused(cls, keys):
    with pytest.raises(ValidationError):
        cls.model_validate(keys)


def test_on_churn_counts_who_entered_and_left_since_the_plan():
    trigger, made = OnChurn(), plan()
    assert ask(trigger, 20.0, made=made) is None
    assert ask(trigger, 20.0, made=made, alive=(True, False, True, False)) == (
        "0 entered and 2 left"
    )
    absent = dataclasses.replace(made, cluster=np.array([0, 0, 0, -1]))
    assert ask(trigger, 20.0, made=absent) == "1 entered and 0 left"
    assert ask(trigger, 20.0, made=absent, alive=(False, True, True, True)) == (
        "1 entered and 1 left"
    )


def test_on_churn_looks_at_multiples_of_its_interval():
    trigger = OnChurn(min_interval_s=4.0)
    assert [trigger.next_check_s(t_s) for t_s in (0.0, 3.9, 4.0)] == [4.0, 4.0, 8.0]
