"""Data sets through the library `datasets`, from folders that the test writes: no network."""

import json
import re
import sys

import pytest
from pydantic import ValidationError

from cosim.learning.errors import LearningError
from cosim.learning.tasks.hub import Hub

TEMPLATE = "{question}\nAnswer: {answer}"


@pytest.fixture
def datasets(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return pytest.importorskip("datasets")


def task(**keys):
    return Hub.model_validate({"dataset": "path:data", "template": TEMPLATE} | keys)


def save(datasets, folder, **splits):
    saved = {name: datasets.Dataset.from_list(rows) for name, rows in splits.items()}
    datasets.DatasetDict(saved).save_to_disk(folder / "data")


def test_a_saved_data_set(datasets, tmp_path):
    rows = [{"question": f"{i}?", "answer": i % 2 == 0, "who": f"w{i % 3}"} for i in range(9)]
    save(datasets, tmp_path, train=rows, validation=rows[:2])
    boolq = task(test="validation", choices=("no", "yes"), answer="answer")
    (first, second), train = (boolq.examples(split, tmp_path) for split in ("test", "train"))
    assert (first.prompt, first.answer, first.choices) == ("0?\nAnswer:", " yes", (" no", " yes"))
    assert second.answer == " no"
    assert [example.prompt[0] for example in train] == [str(i) for i in range(2, 9)]
    assert boolq.keys("who", tmp_path) == ("w2", "w0", "w1", "w2", "w0", "w1", "w2")
    assert boolq.title == "data"


def test_choices_in_columns(datasets, tmp_path):
    rows = [
        {
            "question": f"{i}?",
            "choices": {"text": [f"a{i}", f"b{i}"], "label": ["A", "B"]},
            "answerKey": "AB"[i % 2],
        }
        for i in range(4)
    ]
    save(datasets, tmp_path, train=rows[:2], test=rows[2:])
    arc = task(choices="choices.text", labels="choices.label", answer="answerKey")
    examples = arc.examples("test", tmp_path)
    assert [example.choices for example in examples] == [(" a2", " b2"), (" a3", " b3")]
    assert [example.answer for example in examples] == [" a2", " b3"]


def test_a_folder_of_files_and_names_of_classes(datasets, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for split, count in (("train", 40), ("test", 4)):
        lines = (json.dumps({"question": f"{split} {i}", "label": i % 2}) for i in range(count))
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    with pytest.raises(LearningError, match="column 'label' has no names of classes"):
        task().examples("test", tmp_path)
    texts = task(choices=("bad", "good")).examples("test", tmp_path)
    assert [example.answer for example in texts] == [" bad", " good", " bad", " good"]
    features = datasets.Features(
        {"question": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    rows = [{"question": f"{i}?", "label": i % 2} for i in range(50)]
    saved = datasets.Dataset.from_list(rows, features=features)
    datasets.DatasetDict({"train": saved}).save_to_disk(tmp_path / "named")
    named = task(dataset="path:named", test_fraction=0.3)
    train, test = (named.examples(split, tmp_path) for split in ("train", "test"))
    assert len(train) + len(test) == 50
    assert not {e.question for e in train} & {e.question for e in test}
    assert train[0].choices == (" bad", " good")


@pytest.mark.parametrize(
    ("row", "keys", "message"),
    [
        ({"question": "b", "label": 2}, {}, "train row 1: expected one of 'no', 'yes' or a number"),
        ({"question": "b", "label": -1}, {}, "train row 1: expected one of 'no', 'yes'"),
        ({"question": " ", "label": 1}, {}, "train row 1: expected text for 'question', got an"),
        ({"question": None, "label": 1}, {}, "train row 1: expected text for 'question', got null"),
        ({"question": "b", "label": 1}, {"answer": "lable"}, "expected the key 'lable'"),
        ({"question": "b", "label": 1}, {"template": "{qestion} {answer}"},
         "expected one of the placeholders {question}, {label}, {answer}, got {qestion}"),
        ({"question": "b", "label": 1}, {"train": "trian"}, "got 'trian'; did you mean 'train'?"),
        ({"question": "b", "label": 1}, {"choices": "question"}, "expected a list of texts"),
    ],
)  # fmt: skip
def test_rows_that_are_not_as_the_keys_say(row, keys, message, datasets, tmp_path):
    good = {"question": "a", "label": 0}
    save(datasets, tmp_path, train=[good, row], test=[{"question": "c", "label": 1}])
    with pytest.raises(LearningError, match=re.escape(message)):
        task(**({"choices": ("no", "yes")} | keys)).examples("train", tmp_path)


def test_rows_without_text_can_be_left_out(datasets, tmp_path):
    rows = [{"question": text, "label": 0} for text in ("a", "", "b")]
    save(datasets, tmp_path, train=rows, test=[{"question": "c", "label": 1}])
    some = task(choices=("no", "yes"), skip_empty=True).examples("train", tmp_path)
    assert [example.prompt[0] for example in some] == ["a", "b"]


def test_what_is_not_there(datasets, tmp_path):
    with pytest.raises(LearningError, match=r"data: expected a folder with a data set, got a path"):
        task().examples("train", tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(
        LearningError, match=r"expected a data set that can be read.*look at its files"
    ):
        task().examples("train", tmp_path)


def test_a_damaged_table_is_told_with_its_cause(datasets, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text('text,label\na,1\n"b,2\n')
    said = r"got 'path:data': ParserError: .*EOF inside string.*; look at its files"
    with pytest.raises(LearningError, match=said):
        task(template="{text} {answer}", choices=("no", "yes")).examples("train", tmp_path)


def test_a_column_named_answer_is_told_once(datasets, tmp_path):
    save(datasets, tmp_path, train=[{"question": "a", "answer": 0}])
    with pytest.raises(LearningError, match=r"placeholders \{question\}, \{answer\}, got \{x\}"):
        task(template="{x} {answer}", answer="answer").examples("train", tmp_path)


def test_without_the_library(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(LearningError, match=r"library `datasets`.*pip install datasets"):
        task().examples("train", tmp_path)


@pytest.mark.parametrize("template", ["{question}", "{answer}", "{question} {answer} {question}"])
def test_a_bad_template_is_told_when_the_scenario_is_read(template):
    with pytest.raises(ValidationError, match="expected"):
        task(template=template)
