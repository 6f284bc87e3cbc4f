"""What a scenario says of local training, device by device, as it reaches the pool."""

from dataclasses import replace

import pytest
from learner_helpers import SITES, FakePool, learner, setting, train

from cosim.learning.adapter import Layout
from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.errors import LearningError
from cosim.learning.methods.flora import Flora
from cosim.learning.methods.lora import Lora
from cosim.learning.methods.lori import Lori
from cosim.scenario.local import Local, Schedule


def learner_of(method, *local):
    pool = FakePool()
    return AdapterLearner(replace(setting(method), local=local), pool), pool


def test_each_device_trains_as_its_group_says():
    own = Local(
        steps=5, batch=2, optimizer="sgd", momentum=0.9, lr=0.1, clip=None, freeze=("layers.0",)
    )
    subject, pool = learner_of(Lora(rank=2), Local(steps=3, batch=4), own, Local(weight_decay=0.5))
    train(subject, range(3), 0)
    first, second, third = (job for jobs in pool.trained for job in jobs)
    assert [len(job.batches) for job in (first, second, third)] == [3, 5, 10]
    assert [len(job.batches[0]) for job in (first, second)] == [4, 2]
    setting_of = second.optimisation
    assert (setting_of.optimizer, setting_of.lr, setting_of.clip) == ("sgd", 0.1, None)
    assert (setting_of.momentum, third.optimisation.weight_decay) == (0.9, 0.5)
    layout = Layout(SITES, 2)
    still = [layout.slices_a[0], layout.slices_b[0]]
    assert all(first.trainable[where].all() for where in still)
    assert not any(second.trainable[where].any() for where in still)
    assert second.trainable[layout.slices_a[1]].all()
    assert subject._trainings.work(second).num_parameters == second.trainable.sum()


def test_the_schedule_goes_on_from_round_to_round():
    schedule = Schedule(fall="linear", warmup=2, steps=8)
    subject, pool = learner_of(Lora(rank=2), *[Local(steps=3, schedule=schedule)] * 3)
    for round in range(3):
        train(subject, [0], round)
    train(subject, [1], 2)
    found = [jobs[0].lr_factors for jobs in pool.trained]
    assert sum(found[:3], ()) == schedule.factors(0, 9)
    assert found[3] == schedule.factors(0, 3)


def test_an_optimiser_is_kept_or_starts_anew():
    keeps = Local(steps=3, optimizer_state="keep")
    subject, pool = learner_of(Lora(rank=2), keeps, Local(steps=3), keeps)
    for round in range(2):
        train(subject, [0, 1], round)
    train(subject, [2], 1)
    states = [job.optimiser for jobs in pool.trained for job in jobs]
    assert [state and state.num_steps for state in states] == [0, None, 3, None, 0]
    assert len(states[2].mean) == len(states[2].square) == Layout(SITES, 2).size


def test_a_dropped_training_leaves_the_optimiser_as_it_was():
    subject, pool = learner_of(Lora(rank=2), *[Local(steps=3, optimizer_state="keep")] * 3)
    subject.begin_training(0, 0)
    subject.begin_training(1, 0)
    subject.end_training(1)  # runs both
    subject.drop_training(0)
    train(subject, [0], 1)
    assert pool.trained[-1][0].optimiser.num_steps == 0
    assert pool.trained[-1][0].lr_factors == (1.0, 1.0, 1.0)


def test_a_method_of_new_factors_keeps_no_moments():
    subject, pool = learner_of(Flora(rank=2), *[Local(optimizer_state="keep")] * 3)
    for round in range(2):
        train(subject, [0], round)
    assert [jobs[0].optimiser.num_steps for jobs in pool.trained] == [0, 0]


def test_b_that_restarts_after_the_warm_up_has_no_moments_of_it():
    for restart, steps in ((True, [0, 0, 3]), (False, [0, 5, 8])):
        method = Lori(rank=2, density=0.2, warmup_steps=5, restart=restart)
        subject, pool = learner_of(method, *[Local(steps=3, optimizer_state="keep")] * 3)
        for round in range(3):
            train(subject, [0], round)
        assert [jobs[0].optimiser.num_steps for jobs in pool.trained] == steps


def test_a_layer_that_is_not_there_cannot_be_frozen():
    with pytest.raises(LearningError, match=r"freeze: 'v_proj' matches no layer .* there are"):
        learner(Lora(rank=2), freeze=("v_proj",))
