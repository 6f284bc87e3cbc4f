import numpy as np
import pytest

from cosim.learning.errors import LearningError
from cosim.learning.partitions.iid import Iid
from cosim.learning.partitions.one_per_device import OnePerDevice
from cosim.rng import Draws

PARTITIONS = [OnePerDevice(), Iid()]


def of_task(held, task):
    return [share.examples for shares in held for share in shares if share.task == task]


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("num_devices", [3, 4, 11])
def test_every_example_is_on_one_device(partition, num_devices):
    sizes = (20, 7, 13)
    held = partition.shares(Draws(5), sizes, num_devices)
    assert len(held) == num_devices
    assert all(sum(len(share.examples) for share in shares) > 0 for shares in held)
    for task, size in enumerate(sizes):
        together = np.concatenate(of_task(held, task))
        assert together.dtype == np.int64
        assert sorted(together.tolist()) == list(range(size))


def test_one_task_each_in_turn_split_evenly():
    held = OnePerDevice().shares(Draws(1), (50, 50, 50), 8)
    assert [[share.task for share in shares] for shares in held] == [[i % 3] for i in range(8)]
    sizes = [len(shares[0].examples) for shares in held]
    assert sizes == [17, 17, 25, 17, 17, 25, 16, 16]


def test_fewer_devices_than_tasks_leave_the_last_tasks():
    held = OnePerDevice().shares(Draws(1), (5, 6, 7, 8), 2)
    assert [(shares[0].task, len(shares[0].examples)) for shares in held] == [(0, 5), (1, 6)]


def test_iid_gives_every_device_every_task_evenly():
    held = Iid().shares(Draws(1), (9, 9, 9), 4)
    assert all([share.task for share in shares] == [0, 1, 2] for shares in held)
    totals = [sum(len(share.examples) for share in shares) for shares in held]
    assert sorted(totals) == [6, 7, 7, 7]


def test_iid_with_tasks_smaller_than_the_number_of_devices():
    held = Iid().shares(Draws(1), (2, 2, 2), 5)
    assert sorted(sum(len(share.examples) for share in shares) for shares in held) == [
        1,
        1,
        1,
        1,
        2,
    ]


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_seed_alone_decides(partition):
    def split(seed):
        held = partition.shares(Draws(seed), (40, 40), 4)
        return [share.examples.tolist() for shares in held for share in shares]

    assert split(1) == split(1)
    assert split(1) != split(2)
    assert split(1)[0] != list(range(len(split(1)[0])))


def test_a_tasks_order_does_not_depend_on_other_tasks():
    one = OnePerDevice().shares(Draws(3), (10, 30), 4)
    two = OnePerDevice().shares(Draws(3), (99, 30), 4)
    np.testing.assert_array_equal(one[1][0].examples, two[1][0].examples)


def test_too_few_examples():
    with pytest.raises(LearningError, match=r"at least 2 training examples of task 1.*got 1"):
        OnePerDevice().shares(Draws(1), (9, 1), 4)
    with pytest.raises(LearningError, match=r"at least 7 training examples.*got 6"):
        Iid().shares(Draws(1), (3, 3), 7)
