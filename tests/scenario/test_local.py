"""How devices train: the schedule against torch's, and what a group does otherwise."""

import pytest
import torch

from cosim.scenario.dump import dump
from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import loads
from cosim.scenario.local import Local, OwnLocal, Schedule


def test_no_schedule_is_one_throughout():
    assert Schedule().factors(5, 3) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("fall", ["linear", "cosine"])
def test_a_fall_is_torch_s(fall):
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedulers = {
        "linear": lambda: torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=20),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20, eta_min=0.1),
    }
    scheduler, expected = schedulers[fall](), []
    for _ in range(21):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    factors = Schedule(fall=fall, steps=20, floor=0.1).factors(0, 30)
    assert factors[:21] == pytest.approx(expected, abs=1e-12)
    assert factors[21:] == pytest.approx([0.1] * 9)


def test_warm_up_rises_to_the_whole_rate_and_rounds_go_on_where_the_last_ended():
    schedule = Schedule(fall="linear", warmup=4, steps=8)
    whole = (0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0)
    assert schedule.factors(0, 10) == pytest.approx(whole)
    assert schedule.factors(0, 3) + schedule.factors(3, 7) == schedule.factors(0, 10)


def test_a_group_differs_in_what_it_says():
    text = """
devices:
  - {group: new, count: 2}
  - {group: old, count: 1, local: {steps: 3, lr: 1e-4, freeze: [q_proj]}}
learning:
  local: {batch: 5, steps: 7, optimizer_state: keep, schedule: {warmup: 2}}
"""
    new, _, old = loads(text).scenario.local_trainings()
    assert new == Local(batch=5, steps=7, optimizer_state="keep", schedule=Schedule(warmup=2))
    own = {"steps": 3, "lr": 1e-4, "freeze": ("q_proj",)}
    assert old == new.model_copy(update=own)


def test_a_group_can_do_without_clipping():
    text = "learning: {local: {clip: 0.5}}\ndevices: [{count: 1, local: {clip: null}}, {group: b}]"
    scenario = loads(text).scenario
    found = [local.clip for local in scenario.local_trainings()]
    assert found == [None] + [0.5] * 8
    assert loads(dump(scenario)).scenario == scenario


def test_nothing_own_is_as_all():
    assert OwnLocal().over(Local(steps=4)) == Local(steps=4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning: {local: {momentum: 0.9}}", "expected no momentum with optimizer: adamw"),
        (
            "learning: {local: {optimizer: sgd, momentum: 0.9}}\n"
            "devices: [{local: {optimizer: adamw}}]",
            "2:12 devices.0.local: with learning.local: expected no momentum",
        ),
        ("learning: {local: {schedule: {fall: cosine}}}", "the key 'steps', where the cosine"),
        ("learning: {local: {schedule: {steps: 10}}}", "expected no key 'steps' without a fall"),
        (
            "learning: {local: {schedule: {fall: linear, warmup: 5, steps: 5}}}",
            "after the 5 steps of the warm-up",
        ),
        ("learning: {local: {optimizer_state: kept}}", "optimizer_state"),
        ("devices: [{local: {lr: 0}}]", "devices.0.local.lr"),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(ScenarioError) as error:
        loads(text)
    assert message in str(error.value)
