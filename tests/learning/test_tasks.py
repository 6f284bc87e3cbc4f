"""The generated tasks: distinct, split, balanced, and answered as an independent reader would."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from cosim.learning.builtin.corpus import generated_tasks
from cosim.learning.errors import LearningError
from cosim.learning.tasks import _words as word_lists
from cosim.learning.tasks._generated import split_of
from cosim.learning.tasks.base import Example
from cosim.learning.tasks.comparison import Comparison
from cosim.learning.tasks.estimation import Estimation
from cosim.learning.tasks.literal_type import LiteralType
from cosim.learning.tasks.odd_one_out import OddOneOut
from cosim.learning.tasks.reading import Reading
from cosim.learning.tasks.sentiment import Sentiment
from cosim.learning.tasks.syntax import Syntax
from cosim.learning.tasks.topic import Topic
from cosim.plugin import find, kind_of, plain

NOWHERE = Path("/no/data")
TASKS = generated_tasks()


def statement(example: Example) -> str:
    found = re.fullmatch(r"\w+: (.+)\. Answer:", example.prompt)
    assert found is not None, example.prompt
    return found.group(1)


def read_sentiment(text: str) -> str:
    words = text.split()
    positive = words[4] in word_lists.POSITIVE
    assert positive == (words[6] in word_lists.POSITIVE)
    assert positive != (words[4] in word_lists.NEGATIVE)
    return "good" if positive != (words[3] in {"not", "never", "hardly"}) else "bad"


def read_topic(text: str) -> str:
    counts = {
        topic: sum(word in nouns for word in text.split())
        for topic, nouns in word_lists.TOPICS.items()
    }
    return max(counts, key=lambda topic: counts[topic])


def read_comparison(text: str) -> str:
    first, second = text.split(" or ")
    return "first" if int(first) > int(second) else "second"


def read_estimation(text: str) -> str:
    total = sum(int(number) for number in text.split("+"))
    return "low" if total < 80 else "medium" if total < 140 else "high"


def type_of(node: ast.expr) -> str:
    match node:
        case ast.Constant():
            return type(node.value).__name__
        case ast.List():
            return "list"
        case ast.Compare():
            return "bool"
        case ast.BinOp():
            parts = {type_of(node.left), type_of(node.right)}
            return next(iter(parts - {"int"}), "int")
        case ast.Call(func=ast.Name(id=name)):
            return {"len": "int"}.get(name, name)
        case _:
            raise AssertionError(ast.dump(node))


def read_literal_type(text: str) -> str:
    (assignment,) = ast.parse(text).body
    assert isinstance(assignment, ast.Assign)
    return type_of(assignment.value)


def read_syntax(text: str) -> str:
    # The expressions are not Python (`f(x)[3]` is, `f(x)(y` is not), so only brackets are read.
    while text != (text := re.sub(r"\([^\[\]()]*\)|\[[^\[\]()]*\]", "", text)):
        pass
    return "broken" if set(text) & set("()[]") else "valid"


def read_reading(text: str) -> str:
    words = text.split()
    giving = bool({"sold", "lent", "sent", "handed", "passed"} & set(words))
    if words[0] in word_lists.PEOPLE:  # active: the subject gives to, or takes from, the other
        return words[4] if giving else words[0]
    return words[words.index("to" if giving else "by") + 1]


def read_odd_one_out(text: str) -> str:
    category = {word: name for name, words in word_lists.CATEGORIES.items() for word in words}
    words = text.split(", ")
    names = [category[word] for word in words]
    (odd,) = (word for word, name in zip(words, names, strict=True) if names.count(name) == 1)
    return odd


READERS = {
    Sentiment: read_sentiment,
    Topic: read_topic,
    Comparison: read_comparison,
    Estimation: read_estimation,
    LiteralType: read_literal_type,
    Syntax: read_syntax,
    Reading: read_reading,
    OddOneOut: read_odd_one_out,
}


def test_at_least_two_tasks_in_each_capability_group():
    groups = [task.group for task in TASKS]
    assert set(groups) == {"language", "mathematics", "code", "comprehensive"}
    assert all(groups.count(group) >= 2 for group in groups)


@pytest.mark.parametrize("task", TASKS, ids=kind_of)
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_answer_is_what_an_independent_reader_finds(task, split):
    reader = READERS[type(task)]
    for example in task.examples(split, NOWHERE):
        assert example.answer == f" {reader(statement(example))}", example


@pytest.mark.parametrize("task", TASKS, ids=kind_of)
def test_prompts_are_distinct_and_the_splits_disjoint(task):
    train, test = task.examples("train", NOWHERE), task.examples("test", NOWHERE)
    assert (len(train), len(test)) == (task.num_train, task.num_test) == (2000, 200)
    prompts = {example.prompt for example in (*train, *test)}
    assert len(prompts) == len(train) + len(test)
    assert {split_of(example.prompt) for example in train} == {"train"}
    assert {split_of(example.prompt) for example in test} == {"test"}


def test_prompts_of_different_tasks_differ_in_their_instruction():
    instructions = [task.instruction for task in TASKS]
    assert len(set(instructions)) == len(instructions)
    for task in TASKS:
        assert task.examples("test", NOWHERE)[0].prompt.startswith(f"{task.instruction}: ")


@pytest.mark.parametrize("task", TASKS, ids=kind_of)
@pytest.mark.parametrize("split", ["train", "test"])
def test_each_place_among_the_choices_is_right_equally_often(task, split):
    examples = task.examples(split, NOWHERE)
    places = [example.choices.index(example.answer) for example in examples]
    counts = [places.count(place) for place in range(task.num_answers)]
    assert {len(example.choices) for example in examples} == {task.num_answers}
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("task", TASKS, ids=kind_of)
def test_answers_follow_the_prompt_with_a_space(task):
    for example in task.examples("test", NOWHERE):
        assert example.prompt.endswith(":")
        assert example.answer in example.choices
        assert all(re.fullmatch(r" \w+", choice) for choice in example.choices)
        assert len(set(example.choices)) == len(example.choices)


@pytest.mark.parametrize("task", TASKS, ids=kind_of)
def test_a_smaller_split_is_the_beginning_of_a_larger_one(task):
    small = type(task).model_validate({"num_train": 50, "num_test": 20})
    for split, num in (("train", 50), ("test", 20)):
        assert small.examples(split, NOWHERE) == task.examples(split, NOWHERE)[:num]


def test_other_processes_see_the_same_questions():
    code = (
        "import hashlib\nfrom pathlib import Path\n"
        "from cosim.learning.builtin.corpus import generated_tasks\n"
        "splits = ('train', 'test')\n"
        "seen = [task.examples(s, Path()) for task in generated_tasks() for s in splits]\n"
        "print(hashlib.sha256(repr(seen).encode()).hexdigest())\n"
        "import sys; print('torch' in sys.modules)"
    )
    lines = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(lines) == 1
    assert lines.pop().endswith("False\n")


def test_more_questions_than_there_are_is_an_error_that_says_how_many():
    with pytest.raises(LearningError, match=r"estimation: expected 5000 distinct test.*got.*lower"):
        Estimation(num_test=5000).examples("test", NOWHERE)


@pytest.mark.parametrize("value", [0, -1, 2.5, "many"])
def test_number_of_questions_must_be_a_positive_whole_number(value):
    with pytest.raises(ValidationError):
        Sentiment.model_validate({"num_train": value})


@pytest.mark.parametrize("task", TASKS, ids=kind_of)
def test_a_task_is_found_by_its_kind(task):
    assert find("task", kind_of(task)) is type(task)
    assert plain(task) == {"kind": kind_of(task), "num_train": 2000, "num_test": 200}
