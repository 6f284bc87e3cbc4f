"""Every schema of real data sets, read from samples where they are there: none ships with cosim."""

import json
from collections import Counter
from pathlib import Path

import pytest

from cosim.learning.tasks.base import Generation
from cosim.plugin import find

DATA = Path(__file__).parents[3] / "shared" / "data"
TEXTS = {"sst2": 2, "trec": 6, "subj": 2, "mpqa": 2, "cr": 2, "ag_news": 4}
CHOICES = ("boolq", "piqa", "winogrande", "social_i_qa", "openbookqa", "ARC-Easy", "ARC-Challenge")

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no samples of real data here")


def read(kind, path, **keys):
    task = find("task", kind).model_validate({"path": path} | keys)
    train, test = (task.examples(split, DATA) for split in ("train", "test"))
    assert not {each.question for each in train} & {each.question for each in test}
    for example in (*train, *test):
        assert example.prompt == example.prompt.strip()
        assert example.answer[0].isspace()
        assert example.answer in example.choices or isinstance(example, Generation)
    return train, test


def rows(path):
    text = (DATA / path).read_text(encoding="utf-8")
    return (
        json.loads(text) if text[0] == "[" else list(map(json.loads, text.rstrip("\n").split("\n")))
    )


@pytest.mark.parametrize("name", TEXTS)
def test_text_classification(name):
    train, test = read("text_classification", f"text/{name}", skip_empty=True)
    labels = rows_of_labels(name)
    assert len(test) == 500
    assert [e.answer[1:] for e in test] == [labels[row["label"]] for row in rows_of(name, "test")]
    tested = {row["text"].strip() for row in rows_of(name, "test")}
    texts = [row["text"].strip() for row in rows_of(name, "train")]
    assert len(train) == sum(text not in tested and text != "" for text in texts)
    assert len(test[0].choices) == TEXTS[name] == len(labels)


def rows_of(name, split):
    return rows(f"text/{name}/{split}.jsonl")


def rows_of_labels(name):
    return json.loads((DATA / "text" / name / "labels.json").read_text())["labels"]


@pytest.mark.parametrize("name", CHOICES)
def test_multiple_choice(name):
    train, test = read("multiple_choice", f"llm/{name}")
    written = rows(f"llm/{name}/test.json")
    assert len(test) == len(written)
    for example, row in zip(test, written, strict=True):
        assert all(choice.strip() in row["instruction"] for choice in example.choices)
        assert "Answer format" not in example.prompt
        assert "Please choose" not in example.prompt
        labels = row["instruction"].rpartition("Answer format:")[2].strip().split("/")
        if len(example.choices) == len(labels):  # else two choices are the same
            assert example.choices.index(example.answer) == labels.index(row["answer"])
    assert sum(len(example.choices) == 1 for example in (*train, *test)) == 0


def test_gsm8k():
    train, test = read("gsm8k", "llm/gsm8k")
    assert (len(train), len(test)) == (1000, 500)
    assert all(example.judge.accepts(example.answer) for example in (*train, *test))
    wrong = sum(one.judge.accepts(other.answer) for one, other in zip(test, train, strict=False))
    assert wrong < 50  # another question's answer is rarely the same number


def test_humaneval():
    train, test = read("humaneval", "llm/humaneval", execute=True)
    assert len(train) + len(test) == 164
    assert Counter(type(example) for example in test) == {Generation: len(test)}
    for example in test[:6]:
        assert example.judge.accepts(example.answer)
        assert not example.judge.accepts("\n    return None")


def test_codealpaca():
    train, test = read("alpaca", "llm/codealpaca", skip_empty=True)
    assert 1450 < len(train) + len(test) <= 1499
    assert {len(example.choices) for example in (*train, *test)} == {4}
