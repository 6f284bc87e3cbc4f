"""Partitions: nobody empty, nothing twice, nothing lost, and the skew that each kind promises."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from cosim.learning.errors import LearningError
from cosim.learning.partitions.base import TaskData
from cosim.learning.partitions.dirichlet import Dirichlet
from cosim.learning.partitions.iid import Iid
from cosim.learning.partitions.natural import Natural
from cosim.learning.partitions.one_per_device import OnePerDevice
from cosim.learning.partitions.shards import Shards
from cosim.learning.tasks.base import Example
from cosim.rng import Draws

CHOICES = (" a", " b", " c")
EVERY = [OnePerDevice(), Iid(), Dirichlet(), Dirichlet(by="task"), Shards(), Natural(key="author")]
DEALT = [OnePerDevice(), Iid()]  # these look at nothing but numbers


def task(size, name="t", labels=None, authors=12):
    labels = [i % 3 for i in range(size)] if labels is None else labels
    examples = [Example(f"{name} {i}?", CHOICES[c], CHOICES) for i, c in enumerate(labels)]
    return TaskData(name, examples, lambda key: [f"{key} {i % authors}" for i in range(size)])


def tasks(*sizes):
    return [task(size, f"t{number}") for number, size in enumerate(sizes)]


def of_task(held, number):
    return [share.examples for shares in held for share in shares if share.task == number]


def totals(held):
    return [sum(len(share.examples) for share in shares) for shares in held]


def check_invariants(held, sizes, num_devices):
    assert len(held) == num_devices
    assert min(totals(held)) > 0
    for shares in held:
        assert [share.task for share in shares] == sorted({share.task for share in shares})
        for share in shares:
            assert share.examples.dtype == np.int64
            assert len(share.examples) > 0
            assert (np.diff(share.examples) > 0).all()
    for number, size in enumerate(sizes):
        together = of_task(held, number)
        assert sorted(np.concatenate(together).tolist() if together else []) == list(range(size))


@pytest.mark.parametrize("partition", EVERY, ids=repr)
@pytest.mark.parametrize("num_devices", [3, 4, 11])
def test_every_example_is_on_one_device(partition, num_devices):
    sizes = (20, 7, 13)
    check_invariants(partition.shares(Draws(5), tasks(*sizes), num_devices), sizes, num_devices)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    num_devices=st.integers(1, 12),
    alpha=st.sampled_from((1e-3, 0.05, 1.0, 1e6)),
    seed=st.integers(0, 2**32),
)
def test_every_example_is_on_one_device_whatever_the_sizes(sizes, num_devices, alpha, seed):
    total = sum(sizes)
    for partition, fewest in (
        (Iid(), 1),
        (Dirichlet(alpha=alpha), 1),
        (Dirichlet(alpha=alpha, by="task", min_examples=2), 2),
        (Shards(per_device=3), 3),
    ):
        if total < fewest * num_devices:
            with pytest.raises(LearningError, match=f"got {total};"):
                partition.shares(Draws(seed), tasks(*sizes), num_devices)
            continue
        held = partition.shares(Draws(seed), tasks(*sizes), num_devices)
        check_invariants(held, sizes, num_devices)
        if isinstance(partition, Dirichlet):
            assert min(totals(held)) >= partition.min_examples


@pytest.mark.parametrize("partition", EVERY, ids=repr)
def test_the_seed_alone_decides(partition):
    def split(seed):
        held = partition.shares(Draws(seed), tasks(40, 40), 4)
        return [(share.task, share.examples.tolist()) for shares in held for share in shares]

    assert split(1) == split(1)
    assert split(1) != split(2)


# one_per_device, iid


def test_one_task_each_in_turn_split_evenly():
    held = OnePerDevice().shares(Draws(1), tasks(50, 50, 50), 8)
    assert [[share.task for share in shares] for shares in held] == [[i % 3] for i in range(8)]
    assert totals(held) == [17, 17, 25, 17, 17, 25, 16, 16]


def test_fewer_devices_than_tasks_leave_the_last_tasks():
    held = OnePerDevice().shares(Draws(1), tasks(5, 6, 7, 8), 2)
    assert [(shares[0].task, len(shares[0].examples)) for shares in held] == [(0, 5), (1, 6)]


def test_iid_gives_every_device_every_task_evenly():
    held = Iid().shares(Draws(1), tasks(9, 9, 9), 4)
    assert all([share.task for share in shares] == [0, 1, 2] for shares in held)
    assert sorted(totals(held)) == [6, 7, 7, 7]


def test_iid_with_tasks_smaller_than_the_number_of_devices():
    assert sorted(totals(Iid().shares(Draws(1), tasks(2, 2, 2), 5))) == [1, 1, 1, 1, 2]


@pytest.mark.parametrize("partition", DEALT, ids=repr)
def test_examples_are_dealt_at_random(partition):
    first = partition.shares(Draws(1), tasks(40, 40), 4)[0][0].examples.tolist()
    assert first != list(range(len(first)))


def test_a_tasks_order_does_not_depend_on_other_tasks():
    one = OnePerDevice().shares(Draws(3), tasks(10, 30), 4)
    two = OnePerDevice().shares(Draws(3), tasks(99, 30), 4)
    np.testing.assert_array_equal(one[1][0].examples, two[1][0].examples)


def test_too_few_examples():
    with pytest.raises(LearningError, match=r"at least 2 training examples of task t1.*got 1"):
        OnePerDevice().shares(Draws(1), tasks(9, 1), 4)
    with pytest.raises(LearningError, match=r"at least 7 training examples.*got 6"):
        Iid().shares(Draws(1), tasks(3, 3), 7)


# dirichlet

ALPHA, DEVICES, SEEDS = 0.4, 5, 300


@pytest.fixture(scope="module")
def parts():
    """Parts of a class of 20,000 on each device, [seeds x classes, devices]; n = 300 x 2."""
    size = 20_000
    data = [task(2 * size, labels=[i % 2 for i in range(2 * size)])]
    found = []
    for seed in range(SEEDS):
        held = Dirichlet(alpha=ALPHA).shares(Draws(seed), data, DEVICES)
        odd = [sum((share.examples % 2).sum() for share in shares) for shares in held]
        found.append(np.array(odd) / size)
        found.append((np.array(totals(held)) - odd) / size)
    return np.array(found)


def test_a_devices_part_of_a_class_is_beta_distributed(parts):
    """Kolmogorov-Smirnov on n = 600 for each of two devices; false alarm 2 x 5e-4."""
    law = stats.beta(ALPHA, (DEVICES - 1) * ALPHA)
    for device in (0, DEVICES - 1):
        assert stats.kstest(parts[:, device], law.cdf).pvalue > 5e-4


def test_the_concentration_of_a_class_is_that_of_the_law(parts):
    """E[sum p^2] = (alpha + 1) / (N alpha + 1); n = 600, 4 standard errors, false alarm 6e-5."""
    squares = (parts**2).sum(axis=1)
    expected = (ALPHA + 1) / (DEVICES * ALPHA + 1)
    assert abs(squares.mean() - expected) < 4 * squares.std() / math.sqrt(len(squares))


def test_classes_are_spread_independently(parts):
    """Correlation of two classes' parts on a device; n = 300, |r| < 4 / sqrt(n), 6e-5."""
    first, second = parts[::2, 0], parts[1::2, 0]
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / math.sqrt(SEEDS)


def test_a_large_alpha_gives_all_the_same_mix():
    held = Dirichlet(alpha=1e6).shares(Draws(1), tasks(3000), 4)
    for shares in held:
        counts = np.bincount(shares[0].examples % 3)
        assert counts.tolist() == pytest.approx([250] * 3, abs=2)


def test_a_small_alpha_gives_each_class_to_one_device():
    held = Dirichlet(alpha=1e-3).shares(Draws(1), tasks(3000), 2)
    most = [max(np.bincount(shares[0].examples % 3)) for shares in held]
    assert max(most) == 1000


def test_by_task_spreads_tasks():
    held = Dirichlet(alpha=1e-3, by="task").shares(Draws(4), tasks(500, 500), 2)
    for number in range(2):
        assert max(map(len, of_task(held, number))) >= 499


def test_those_with_too_few_take_from_the_fullest():
    held = Dirichlet(alpha=1e-3, min_examples=10).shares(Draws(1), tasks(300), 8)
    check_invariants(held, (300,), 8)
    assert min(totals(held)) == 10


def test_choices_that_differ_are_no_labels():
    examples = [Example(f"{i}?", f" {i}", (f" {i}", " no")) for i in range(20)]
    odd = TaskData("odd", examples, list)
    for partition in (Dirichlet(), Shards()):
        with pytest.raises(LearningError, match=r"task odd: .*choices that differ.*`by: task`"):
            partition.shares(Draws(1), [odd], 2)
        by_task = partition.model_copy(update={"by": "task"})
        check_invariants(by_task.shares(Draws(1), [odd], 2), (20,), 2)


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan, math.inf])
def test_alpha_is_a_positive_number(alpha):
    with pytest.raises(ValidationError):
        Dirichlet(alpha=alpha)


# shards


def test_two_shards_hold_few_labels():
    labels = [i // 100 for i in range(300)]
    held = Shards(per_device=2).shares(Draws(1), [task(300, labels=labels)], 6)
    assert totals(held) == [50] * 6
    assert all(len({labels[i] for i in shares[0].examples}) <= 2 for shares in held)


def test_a_shard_is_a_run_of_one_label_in_drawn_order():
    held = Shards(per_device=1).shares(Draws(1), [task(300)], 3)
    for shares in held:
        assert len({i % 3 for i in shares[0].examples.tolist()}) == 1
    halves = Shards(per_device=1).shares(Draws(1), [task(300)], 6)
    assert halves[0][0].examples.tolist() != sorted(range(300), key=lambda i: i % 3)[:50]


def test_each_shard_is_as_likely_on_each_device():
    """Chi-square of the label on device 0 over n = 600 seeds, 3 labels; false alarm 1e-3."""
    counts = Counter(
        int(Shards(per_device=1).shares(Draws(seed), [task(9)], 3)[0][0].examples[0]) % 3
        for seed in range(600)
    )
    assert stats.chisquare([counts[label] for label in range(3)]).pvalue > 1e-3


# natural


def test_an_author_is_on_one_device_over_all_tasks():
    held = Natural(key="author").shares(Draws(1), tasks(40, 25), 5)
    check_invariants(held, (40, 25), 5)
    owners = {}
    for device, shares in enumerate(held):
        for share in shares:
            for example in share.examples.tolist():
                owners.setdefault(example % 12, set()).add(device)
    assert all(len(devices) == 1 for devices in owners.values())
    counts = Counter(next(iter(devices)) for devices in owners.values())
    assert sorted(counts.values()) == [2, 2, 2, 3, 3]


def test_fewer_authors_than_devices():
    with pytest.raises(LearningError, match=r"at least 13 values of 'author'.*got 12"):
        Natural(key="author").shares(Draws(1), tasks(40), 13)


def test_keys_are_read_only_when_they_are_asked_for():
    def keys(key):
        raise AssertionError(key)

    data = [TaskData("t", task(20).examples, keys)]
    for partition in EVERY[:-1]:
        partition.shares(Draws(1), data, 2)
    with pytest.raises(AssertionError, match="author"):
        EVERY[-1].shares(Draws(1), data, 2)
