"""Tasks with rotated answers: which answers move, what stays, and what cannot be rotated."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import ValidationError

from cosim.learning.errors import LearningError
from cosim.learning.tasks.base import Generation, Judge, Task
from cosim.learning.tasks.relabelled import Relabelled
from cosim.learning.tasks.topic import Topic
from cosim.plugin import plain
from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import loads

NOWHERE = Path("/no/data")
SPLITS = ("train", "test")

# By hand, of topic's answers in their order: sport, money, science, politics.
ROTATIONS = {
    0: {},
    2: {" sport": " money", " money": " sport"},
    3: {" sport": " money", " money": " science", " science": " sport"},
    4: {" sport": " money", " money": " science", " science": " politics", " politics": " sport"},
}


class Anything(Judge):
    def accepts(self, text):
        return True


class Writing(Task):
    group: ClassVar[str] = "language"

    def examples(self, split, data_root):
        return (Generation("Say: a.", " a", (), Anything(), 4),)


def relabelled(task, moved):
    return Relabelled.model_validate({"task": task, "moved": moved})


@pytest.mark.parametrize("moved", ROTATIONS)
@pytest.mark.parametrize("split", SPLITS)
def test_the_first_answers_are_rotated_and_nothing_else(moved, split):
    before = Topic().examples(split, NOWHERE)
    after = relabelled("topic", moved).examples(split, NOWHERE)
    becomes = ROTATIONS[moved]
    assert after == tuple(
        replace(each, answer=becomes.get(each.answer, each.answer)) for each in before
    )


@pytest.mark.parametrize("task", ["topic", "literal_type"])
@pytest.mark.parametrize("moved", ROTATIONS)
@pytest.mark.parametrize("split", SPLITS)
def test_the_share_of_questions_in_conflict_is_that_of_the_answers_moved(task, moved, split):
    before = relabelled(task, 0).examples(split, NOWHERE)
    after = relabelled(task, moved).examples(split, NOWHERE)
    differ = [one.answer != other.answer for one, other in zip(before, after, strict=True)]
    assert sum(differ) / len(differ) == moved / 4


def test_the_best_that_one_model_can_do_for_both_sides_is_the_bound():
    # Per question the one model may answer what most sides want; sides are two, equally many.
    for moved in (2, 4):
        sides = [relabelled("topic", each).examples("test", NOWHERE) for each in (0, moved)]
        answers_of = [[each.answer for each in side] for side in sides]
        wanted = [Counter(answers) for answers in zip(*answers_of, strict=True)]
        best = sum(max(votes.values()) for votes in wanted) / (2 * len(wanted))
        assert best == 1 - moved / 8


def test_train_and_test_agree_on_what_an_answer_becomes():
    moves = []
    for split in SPLITS:
        pairs = zip(
            Topic().examples(split, NOWHERE),
            relabelled("topic", 3).examples(split, NOWHERE),
            strict=True,
        )
        moves.append({(one.answer, other.answer) for one, other in pairs})
    assert moves[0] == moves[1]
    assert len(moves[0]) == 4


def test_labels_of_a_file_rotate_in_their_order_and_its_keys_are_passed_on(tmp_path):
    for split in SPLITS:
        rows = [{"text": f"{split} {n}", "label": n, "author": f"a{n}"} for n in range(3)]
        (tmp_path / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    names = ("yes", "no", "maybe")
    task = relabelled({"kind": "text_classification", "path": ".", "labels": names}, 3)
    for split in SPLITS:
        answers = [each.answer.strip() for each in task.examples(split, tmp_path)]
        assert answers == ["no", "maybe", "yes"]
    assert list(task.keys("author", tmp_path)) == ["a0", "a1", "a2"]
    with pytest.raises(LearningError, match="task topic: expected a task that is read from a file"):
        relabelled("topic", 2).keys("author", tmp_path)


def test_a_rotation_may_be_rotated_again():
    twice = relabelled({"kind": "relabelled", "task": "topic", "moved": 4}, 4)
    two_on = {" sport": " science", " money": " politics", " science": " sport"}
    for one, other in zip(
        Topic().examples("test", NOWHERE), twice.examples("test", NOWHERE), strict=True
    ):
        assert other.answer == two_on.get(one.answer, " money")
    assert twice.title == "topic_relabelled_relabelled"


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("task", "moved", "message"),
    [
        ("odd_one_out", 2, r"same choices for all questions.*, got odd_one_out with \["),
        ("reading", 0, "such as topic or text_classification, got reading with"),
        ("sentiment", 3, r"expected moved: 2 or less, as sentiment has .*' good'.*, got 3"),
        ("topic", 5, "task topic_relabelled: expected moved: 4 or less"),
    ],
)
def test_what_cannot_be_rotated_is_a_message(task, moved, message, split):
    with pytest.raises(LearningError, match=message):
        relabelled(task, moved).examples(split, NOWHERE)


def test_answers_in_free_words_cannot_be_rotated():
    with pytest.raises(LearningError, match="got test_relabelled:Writing with answers in free"):
        Relabelled(task=Writing()).examples("test", NOWHERE)


def test_one_answer_alone_cannot_be_moved():
    with pytest.raises(ValidationError, match=r"at least 2 answers to rotate.*got 1, which moves"):
        relabelled("topic", 1)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        relabelled("topic", -1)


TEXT = "learning: {tasks: {use: [topic, {kind: relabelled, task: %s, moved: %s}]}}"


def test_a_scenario_with_it_is_read_without_pytorch():
    code = (
        "import sys; from cosim.scenario.load import loads\n"
        f"print(loads({TEXT % ('topic', 4)!r}).scenario.learning.tasks.use[1].moved)\n"
        "print([name for name in ('torch', 'transformers', 'peft') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["4", "[]"]


@pytest.mark.parametrize(
    ("task", "moved", "message"),
    [
        ("topik", 2, "use.1.task: expected one of .*got 'topik'; did you mean 'topic'"),
        ("topic", 1, "use.1.moved: expected 0, or at least 2 answers"),
        ("{kind: topic, num_test: 0}", 2, "use.1.task.num_test: expected"),
    ],
)
def test_mistakes_are_told_at_their_key(task, moved, message):
    with pytest.raises(ScenarioError, match=message):
        loads(TEXT % (task, moved))


def test_it_reads_back_as_it_was_written():
    task = relabelled("topic", 4)
    written = plain(task)
    assert written.pop("kind") == "relabelled"
    assert Relabelled.model_validate(written) == task
