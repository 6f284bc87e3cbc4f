"""Tasks of a scenario, by name, and what devices hold of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from cosim.learning.division import divide
from cosim.learning.errors import LearningError
from cosim.rng import Draws
from cosim.scenario.tree import Tasks


def section(**keys):
    return Tasks.model_validate(keys)


def small(kind, **keys):
    return {"kind": kind, "num_train": 20, "num_test": 5} | keys


def test_builtin_is_every_generated_task():
    division = divide(section(), Path(), Draws(1), 8)
    names = [data.name for data in division.data]
    assert names == sorted(names)
    assert {"sentiment", "topic", "reading"} < set(names)
    assert not {"digits", "text_classification", "hub"} & set(names)
    assert [shares[0].task for shares in division.shares] == list(range(8))


def test_names_are_kinds_titles_and_numbers():
    use = (small("topic"), small("sentiment"), small("topic"))
    division = divide(section(use=use), Path(), Draws(1), 3)
    assert [data.name for data in division.data] == ["topic-1", "sentiment", "topic-2"]


def test_a_name_that_looks_numbered_is_nobody_elses(tmp_path):
    for name in ("a", "b/a", "a-1"):
        (tmp_path / name).mkdir(parents=True)
        for split in ("train", "test"):
            row = {"text": split, "label": 0}
            (tmp_path / name / f"{split}.jsonl").write_text(json.dumps(row))
    keys = {"kind": "text_classification", "labels": ("no", "yes")}
    use = tuple(keys | {"path": name} for name in ("a", "b/a", "a-1"))
    division = divide(section(use=use), tmp_path, Draws(1), 3)
    assert [data.name for data in division.data] == ["a-2", "a-3", "a-1"]


def test_devices_hold_what_the_partition_says():
    use = (small("topic"), small("sentiment"))
    partition = {"kind": "dirichlet", "alpha": 0.3}
    asked = section(use=use, partition=partition)
    first, second = (divide(asked, Path(), Draws(7), 4) for _ in range(2))
    assert [data.num_examples for data in first.data] == [20, 20]
    direct = asked.partition.shares(Draws(7).child("partition"), first.data, 4)
    for one, other, mine in zip(first.shares, second.shares, direct, strict=True):
        for a, b, c in zip(one, other, mine, strict=True):
            assert a.task == b.task == c.task
            np.testing.assert_array_equal(a.examples, b.examples)
            np.testing.assert_array_equal(a.examples, c.examples)


def test_authors_of_files(tmp_path):
    rows = [{"text": f"t{i}", "label": i % 2, "author": f"w{i % 4}"} for i in range(40)]
    (tmp_path / "all.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = {"kind": "text_classification", "path": "all.jsonl", "labels": ("no", "yes")}
    natural = {"kind": "natural", "key": "author"}
    division = divide(section(use=(task,), partition=natural), tmp_path, Draws(1), 4)
    seen = []
    for (share,) in division.shares:
        texts = [division.data[0].examples[i].prompt for i in share.examples]
        (author,) = {int(text[1:]) % 4 for text in texts}
        seen.append(author)
    assert sorted(seen) == [0, 1, 2, 3]
    with pytest.raises(LearningError, match="task sentiment: expected a task that is read from a"):
        divide(section(use=(small("sentiment"),), partition=natural), tmp_path, Draws(1), 2)
