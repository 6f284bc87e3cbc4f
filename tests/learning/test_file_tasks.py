"""Tasks that are read from files: schemas, splits, templates, and messages for bad files."""

import json
import re
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cosim.learning.errors import LearningError
from cosim.learning.tasks.alpaca import Alpaca
from cosim.learning.tasks.base import Generation
from cosim.learning.tasks.dolly import Dolly
from cosim.learning.tasks.gsm8k import Gsm8k, final_number
from cosim.learning.tasks.hellaswag import Hellaswag
from cosim.learning.tasks.humaneval import Humaneval
from cosim.learning.tasks.multiple_choice import MultipleChoice
from cosim.learning.tasks.text_classification import TextClassification
from cosim.plugin import find, plain

LABELS = {"labels": ["bad film", "good film"]}


def lines(rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def put(folder, **files):
    """Write files, each given as rows, or as anything else that JSON holds."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        stem, _, suffix = name.rpartition("_")
        text = lines(content) if suffix == "jsonl" else json.dumps(content)
        (folder / f"{stem}.{suffix}").write_text(text, encoding="utf-8")
    return folder


def reviews(count, prefix="film", **more):
    return [{"text": f"{prefix} {i}", "label": i % 2} | more for i in range(count)]


def arc(number, answer="answer2", question=None):
    question = question or f"Which lays eggs {number}"
    return {
        "instruction": (
            f"Please choose the correct answer to the question: {question}\n\n"
            f"Answer1: dogs Answer2: emus {number} Answer3: a: b\n\n"
            "Answer format: answer1/answer2/answer3"
        ),
        "input": "",
        "output": f"the correct answer is {answer}",
        "answer": answer,
    }


def asked(examples):
    return {example.question for example in examples}


# Splits


def test_train_and_test_files_are_the_splits(tmp_path):
    put(tmp_path / "sst", train_jsonl=reviews(6), test_jsonl=reviews(3, "x"), labels_json=LABELS)
    task = TextClassification(path="sst")
    train, test = task.examples("train", tmp_path), task.examples("test", tmp_path)
    assert [example.prompt for example in train] == [f"film {i}" for i in range(6)]
    assert [example.prompt for example in test] == ["x 0", "x 1", "x 2"]
    assert train[1].answer == "\ngood film"
    assert train[1].choices == ("\nbad film", "\ngood film")
    assert task.title == "sst"


def test_a_training_row_that_asks_what_a_test_row_asks_is_left_out(tmp_path):
    twice = [*reviews(4), *reviews(2)]
    put(tmp_path, train_jsonl=twice, test_jsonl=reviews(1), labels_json=LABELS)
    train = TextClassification(path=".").examples("train", tmp_path)
    # Duplicates among training rows stay.
    assert [example.prompt for example in train] == ["film 1", "film 2", "film 3", "film 1"]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(st.text("abc ", min_size=1).filter(str.strip), min_size=40, max_size=80),
    fraction=st.sampled_from((0.1, 0.5, 0.9)),
    template=st.sampled_from(("{text}\n{label}", "Review: {text}. It is a {label}.")),
)
def test_no_prompt_of_the_test_split_is_in_the_train_split(texts, fraction, template, tmp_path):
    rows = [{"text": text, "label": i % 2, "id": i} for i, text in enumerate(texts)]
    put(tmp_path, all_jsonl=rows, labels_json=LABELS)
    task = TextClassification(path="all.jsonl", test_fraction=fraction, template=template)
    train, test = (set(), set())
    with suppress(LearningError):  # of few rows, many of them the same, a split may be empty
        test = asked(task.examples("test", tmp_path))
        train = asked(task.examples("train", tmp_path))
        before, after = template.split("{label}")[0].rstrip().split("{text}")
        assert train | test == {before + text.strip() + after for text in texts}
    assert not train & test


def test_a_single_file_is_split_by_the_fraction_and_by_nothing_else(tmp_path):
    """n = 2,000 rows at 0.25: 500 +- 4 standard deviations (19.4), false alarm 6e-5."""
    put(tmp_path, train_jsonl=reviews(2000), labels_json=LABELS)
    task = TextClassification(path=".", test_fraction=0.25)
    test = asked(task.examples("test", tmp_path))
    assert abs(len(test) - 500) < 78
    assert len(task.examples("train", tmp_path)) == 2000 - len(test)
    put(tmp_path / "b", train_jsonl=reviews(2000)[::-2], labels_json=LABELS)
    half = TextClassification(path="b", test_fraction=0.25).examples("test", tmp_path)
    assert asked(half) < test


@pytest.mark.parametrize("other", ["train.csv", "train.jsonl.gz", "train.parquet"])
def test_a_test_file_alone_is_not_trained_on(other, tmp_path):
    put(tmp_path, test_jsonl=reviews(9), labels_json=LABELS)
    (tmp_path / other).write_text("text,label")
    said = (
        rf"expected train.json or .* got test.jsonl \(beside {other}: unpack them, or read tables"
    )
    with pytest.raises(LearningError, match=said):
        TextClassification(path=".").examples("train", tmp_path)


def test_a_label_may_be_given_by_name(tmp_path):
    named = [{"text": f"film {i}", "label": LABELS["labels"][i % 2]} for i in range(6)]
    put(tmp_path, train_jsonl=named, test_jsonl=reviews(2, "x"), labels_json=LABELS)
    train = TextClassification(path=".").examples("train", tmp_path)
    assert [example.answer for example in train[:2]] == ["\nbad film", "\ngood film"]
    put(tmp_path, train_jsonl=[{"text": "a", "label": "good flm"}])
    said = r"train.jsonl:1: .*or its number for 'label', got 'good flm'; did you mean 'good film'"
    with pytest.raises(LearningError, match=said):
        TextClassification(path=".").examples("train", tmp_path)


def test_names_that_are_digits_are_names(tmp_path):
    labels = {"labels": ["1", "0"]}
    put(tmp_path, train_jsonl=[{"text": "a", "label": "1"}, {"text": "b", "label": 1}])
    put(tmp_path, test_jsonl=reviews(1), labels_json=labels)
    train = TextClassification(path=".").examples("train", tmp_path)
    assert [example.answer for example in train] == ["\n1", "\n0"]


def test_labels_without_names(tmp_path):
    put(tmp_path, train_jsonl=reviews(4), test_jsonl=reviews(2, "x"))
    with pytest.raises(LearningError, match=r"labels.json: .*does not exist; write it, or list"):
        TextClassification(path=".").examples("train", tmp_path)
    inline = TextClassification(path=".", labels=("bad", "good")).examples("test", tmp_path)
    assert [example.answer for example in inline] == ["\nbad", "\ngood"]


def test_rows_are_not_kept(tmp_path):
    """Of a file of rows no more than the examples and one row is in memory."""
    rows = reviews(1000, note="x" * 10_000)
    put(tmp_path, train_jsonl=rows, test_jsonl=reviews(2, "x"))
    task = TextClassification(path=".", labels=("bad", "good"))
    tracemalloc.start()
    try:
        assert len(task.examples("train", tmp_path)) == 1000
        assert tracemalloc.get_traced_memory()[1] < 1000 * 10_000 / 3
    finally:
        tracemalloc.stop()


def test_files_may_have_other_names(tmp_path):
    put(tmp_path, a_jsonl=reviews(3), b_jsonl=reviews(2, "x"), labels_json=LABELS)
    task = TextClassification(path="a.jsonl", test_path="b.jsonl", name="mine")
    assert (len(task.examples("train", tmp_path)), len(task.examples("test", tmp_path))) == (3, 2)
    assert task.title == "mine"
    with pytest.raises(LearningError, match=r"got one of a\.jsonl, b\.jsonl; name the files"):
        TextClassification(path=".").examples("train", tmp_path)


def test_the_first_so_many_rows(tmp_path):
    put(tmp_path, train_jsonl=reviews(9), test_jsonl=reviews(5, "x"), labels_json=LABELS)
    all_of_it, some = (
        TextClassification(path="."),
        TextClassification(path=".", num_train=4, num_test=2),
    )
    for split, count in (("train", 4), ("test", 2)):
        assert some.examples(split, tmp_path) == all_of_it.examples(split, tmp_path)[:count]


def test_long_rows_can_be_left_out(tmp_path):
    long = {"text": "y" * 100, "label": 0}
    put(tmp_path, train_jsonl=[*reviews(3), long], test_jsonl=reviews(1, "x"), labels_json=LABELS)
    assert len(TextClassification(path=".").examples("train", tmp_path)) == 4
    assert len(TextClassification(path=".", max_chars=50).examples("train", tmp_path)) == 3


def test_keys_go_with_the_training_examples(tmp_path):
    rows = [row | {"author": f"who {i}", "age": i} for i, row in enumerate(reviews(5))]
    put(tmp_path, train_jsonl=rows, test_jsonl=rows[2:3], labels_json=LABELS)
    task = TextClassification(path=".")
    assert task.keys("author", tmp_path) == ("who 0", "who 1", "who 3", "who 4")
    assert task.keys("age", tmp_path) == ("0", "1", "3", "4")
    with pytest.raises(LearningError, match=r"train\.jsonl:1: expected the key 'autor'"):
        task.keys("autor", tmp_path)


def test_generated_tasks_have_no_keys():
    with pytest.raises(LearningError, match="task sentiment: expected a task that is read from"):
        find("task", "sentiment")().keys("author", Path())


# Bad files


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "a", "label": 2}], "train.jsonl:1: expected 0 to 1 for 'label' (the labels), "
                                      "got 2"),
        ([{"text": "a", "label": 0}, {"text": "b"}], "train.jsonl:2: expected the key 'label'"),
        ([{"text": 5, "label": 0}], "train.jsonl:1: expected text for 'text', got 5"),
        ([{"text": " ", "label": 0}], "train.jsonl:1: expected text for 'text', got an empty one"),
        ([{"text": "a", "label": "no"}], "train.jsonl:1: expected one of 'bad film', 'good"),
        ([{"text": "a", "label": 1.0}], "train.jsonl:1: expected a whole number for 'label'"),
        ([{"text": "a", "label": 2}], "train.jsonl:1: expected 0 to 1 for 'label'"),
        ([], "train.jsonl: expected at least one row, got an empty file"),
    ],
)  # fmt: skip
def test_bad_rows_are_said_with_file_and_line(rows, message, tmp_path):
    put(tmp_path, train_jsonl=rows, test_jsonl=reviews(1), labels_json=LABELS)
    with pytest.raises(LearningError, match=re.escape(message)):
        TextClassification(path=".").examples("train", tmp_path)


def test_rows_without_text_can_be_left_out(tmp_path):
    rows = [{"text": "", "label": 0}, *reviews(2), {"text": "\n", "label": 9}]
    put(tmp_path, train_jsonl=rows[:3], test_jsonl=reviews(1, "x"), labels_json=LABELS)
    task = TextClassification(path=".", skip_empty=True)
    assert len(task.examples("train", tmp_path)) == 2
    put(tmp_path, train_jsonl=rows)
    with pytest.raises(LearningError, match=r"train\.jsonl:4: expected 0 to 1"):
        task.examples("train", tmp_path)


def test_a_task_without_test_rows(tmp_path):
    put(tmp_path, train_jsonl=reviews(3), test_jsonl=[], labels_json=LABELS)
    with pytest.raises(LearningError, match=r"test\.jsonl: expected at least one row"):
        TextClassification(path=".").examples("train", tmp_path)
    put(tmp_path / "b", train_jsonl=reviews(1), labels_json=LABELS)
    with pytest.raises(LearningError, match=r"expected at least one .* row.*change test_fraction"):
        TextClassification(path="b").examples("train", tmp_path)
    put(tmp_path / "c", train_jsonl=reviews(1), test_jsonl=reviews(1), labels_json=LABELS)
    with pytest.raises(LearningError, match="one train row that no test row asks, got none"):
        TextClassification(path="c").examples("train", tmp_path)


def test_a_path_that_is_not_there(tmp_path):
    put(tmp_path / "sst2", train_jsonl=reviews(3), labels_json=LABELS)
    with pytest.raises(LearningError, match=r"does not exist; did you mean 'sst2'\? \(data are"):
        TextClassification(path="sst").examples("train", tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(LearningError, match=r"expected train\.json or train\.jsonl.*got nothing"):
        TextClassification(path="none").examples("train", tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"names": ["a", "b"]}, 'expected {"labels": [...]}'),
        ({"labels": ["a", 3]}, 'expected {"labels": [...]}'),
        ({"labels": ["a"]}, "expected at least 2 labels"),
        ({"labels": ["a", "a"]}, "each with a name of its own"),
        (["a", "b"], 'expected {"labels": [...]}'),
    ],
)
def test_bad_label_names(labels, message, tmp_path):
    put(tmp_path, train_jsonl=reviews(3), test_jsonl=reviews(1, "x"), labels_json=labels)
    with pytest.raises(LearningError, match=rf"labels\.json: .*{re.escape(message)}"):
        TextClassification(path=".").examples("test", tmp_path)


def test_labels_may_be_in_the_scenario(tmp_path):
    rows = [{"sentence": "a", "y": 1}, {"sentence": "b", "y": 0}]
    put(tmp_path, train_json=rows, test_json=rows[:1])
    keys = {"path": ".", "labels": ("no", "yes"), "text_key": "sentence", "label_key": "y"}
    (example,) = TextClassification(**keys).examples("test", tmp_path)
    assert (example.prompt, example.answer) == ("a", "\nyes")
    with pytest.raises(ValidationError, match="a name of its own for each label"):
        TextClassification.model_validate(keys | {"labels": ("no", "no")})


# Templates


def test_templates_are_the_users_to_write(tmp_path):
    put(tmp_path, train_json=[arc(i) for i in range(30)])
    (tmp_path / "own.txt").write_text("Q: {question}\nA: {label}\n", encoding="utf-8")
    of_file = MultipleChoice(path="train.json", template_file="own.txt")
    example = of_file.examples("test", tmp_path)[0]
    assert re.fullmatch(r"Q: Which lays eggs \d+\nA:", example.prompt)
    assert (example.answer, example.choices) == (" answer2", (" answer1", " answer2", " answer3"))
    inline = "{{x}} {instruction}\n\nthe answer is {label}: {choice}."
    example = MultipleChoice(path="train.json", template=inline).examples("test", tmp_path)[0]
    assert example.prompt.startswith("{x} Please choose")
    assert example.prompt.endswith("answer2/answer3\n\nthe answer is")
    assert re.fullmatch(r" answer2: emus \d+\.", example.answer)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{questoin} {choice}", "placeholders {question}, {instruction}, {choice}, {label}, got "
                                "{questoin}; did you mean 'question'?"),
        ("{question}", "expected one of {choice}, {label}, where the answer is to stand"),
        ("{choice}", "expected a prompt before the answer"),
        ("{question} {choice} {question}", "nothing but the answer after {choice}, {label}"),
        ("{question} } {choice}", "a lone '}'"),
        ("{question.__class__} {choice}", "got {question.__class__}"),
        ("{0} {choice}", "got {0}"),
    ],
)  # fmt: skip
def test_a_bad_template_is_told_when_the_scenario_is_read(template, message, tmp_path):
    with pytest.raises(ValidationError, match=re.escape(message)):
        MultipleChoice(path=".", template=template)
    (tmp_path / "own.txt").write_text(template, encoding="utf-8")
    put(tmp_path, train_json=[arc(1)], test_json=[arc(2)])
    with pytest.raises(LearningError, match=re.escape(message)):
        MultipleChoice(path=".", template_file="own.txt").examples("train", tmp_path)


def test_two_templates_or_none_at_the_place(tmp_path):
    with pytest.raises(ValidationError, match="expected template or template_file, got both"):
        MultipleChoice(path=".", template="{question} {label}", template_file="a.txt")
    put(tmp_path, train_json=[arc(1)], test_json=[arc(2)])
    with pytest.raises(LearningError, match=r"own\.txt: expected a file with a prompt template"):
        MultipleChoice(path=".", template_file="own.txt").examples("train", tmp_path)


def test_braces_in_the_data_stay_as_they_are(tmp_path):
    rows = [{"instruction": f"f{{x}} {i}", "input": "{question}", "output": f"{{{i}}}"}
            for i in range(40)]  # fmt: skip
    put(tmp_path, train_json=rows)
    example = Alpaca(path="train.json").examples("train", tmp_path)[0]
    assert re.search(r"f\{x\} \d+\n\n\{question\}", example.prompt)
    assert re.fullmatch(r"\n\{\d+\}", example.answer)


# Schemas


def test_choices_are_found_in_an_instruction(tmp_path):
    tricky = arc(7, question="Answer1: is what? Please say: Answer2:")
    put(tmp_path, train_json=[arc(1)], test_json=[arc(3), tricky])
    first, second = MultipleChoice(path=".").examples("test", tmp_path)
    assert first.prompt == "Which lays eggs 3\nAnswer:"
    assert first.choices == (" dogs", " emus 3", " a: b")
    assert first.answer == " emus 3"
    assert second.prompt == "Answer1: is what? Please say: Answer2:\nAnswer:"
    assert second.choices == (" dogs", " emus 7", " a: b")


def test_true_and_false_are_choices_themselves(tmp_path):
    def boolq(i):
        return {
            "instruction": "Please answer the following question with true or false, question: "
            f"is {i} odd?\n\nAnswer format: true/false",
            "answer": "true",
        }

    put(tmp_path, train_json=[boolq(1)], test_json=[boolq(3)])
    (example,) = MultipleChoice(path=".").examples("test", tmp_path)
    assert (example.prompt, example.choices) == ("is 3 odd?\nAnswer:", (" true", " false"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (arc(1, answer="answer4"), "expected one of 'answer1', 'answer2', 'answer3' for 'answer'"),
        ({"instruction": "What?", "answer": "a"}, "ends with 'Answer format:'"),
        ({"instruction": "What? Answer format: a", "answer": "a"}, "ends with 'Answer format:'"),
        ({"instruction": "Q? Answer1: x Answer format: answer1/answer2", "answer": "answer1"},
         "expected 'Answer2:' with a choice"),
        ({"instruction": "Q? Answer1: Answer2: x Answer format: answer1/answer2",
          "answer": "answer1"}, "expected a choice after 'Answer1:', got nothing"),
        ({"instruction": "Answer1: y Answer2: x Answer format: answer1/answer2",
          "answer": "answer1"}, "expected a question before the choices"),
        ({"instruction": "Q? Answer1: x Answer2: x Answer format: answer1/answer2",
          "answer": "answer1"}, "expected choices that differ"),
        ({"instruction": "Q?"}, "expected the key 'answer'"),
    ],
)  # fmt: skip
def test_an_instruction_without_choices(row, message, tmp_path):
    put(tmp_path, train_json=[arc(1)], test_json=[arc(2), row])
    with pytest.raises(LearningError, match=rf"test\.json:1: .*{re.escape(message)}"):
        MultipleChoice(path=".").examples("test", tmp_path)


def test_hellaswag(tmp_path):
    def row(i, label=1):
        return {
            "ind": i, "activity_label": "Roof", "ctx": f"A man {i}", "split": "val",
            "endings": ["falls.", "rips it off.", "eats.", "sings."], "label": label,
        }  # fmt: skip

    put(tmp_path, hellaswag_train_jsonl=[row(1)], hellaswag_val_jsonl=[row(2), row(3, "3")])
    task = Hellaswag(path="hellaswag_train.jsonl", test_path="hellaswag_val.jsonl")
    first, second = task.examples("test", tmp_path)
    assert first.prompt == "Roof: A man 2"
    assert first.choices == (" falls.", " rips it off.", " eats.", " sings.")
    assert (first.answer, second.answer) == (" rips it off.", " sings.")
    put(tmp_path, hellaswag_val_jsonl=[row(2), row(3, 4)])
    with pytest.raises(LearningError, match=r":2: expected 0 to 3 for 'label' \(the endings\)"):
        task.examples("test", tmp_path)


@pytest.mark.parametrize(
    ("kind", "about", "answer"), [(Alpaca, "input", "output"), (Dolly, "context", "response")]
)
def test_a_free_answer_stands_among_those_of_others(kind, about, answer, tmp_path):
    rows = [
        {"instruction": f"Do {i}", about: "" if i % 2 else f"with {i}", answer: f"Done {i}"}
        for i in range(60)
    ]
    put(tmp_path, train_json=rows)
    task = kind(path="train.json", num_choices=3)
    splits = {split: task.examples(split, tmp_path) for split in ("train", "test")}
    assert sum(map(len, splits.values())) == 60
    places = set()
    for examples in splits.values():
        answers = {example.answer for example in examples}
        for example in examples:
            number = int(re.search(r"Do (\d+)", example.prompt)[1])
            assert example.answer == f"\nDone {number}"
            assert (f"with {number}" in example.prompt) == (number % 2 == 0)
            assert len(set(example.choices)) == 3
            assert answers.issuperset(example.choices)
            places.add(example.choices.index(example.answer))
    assert places == {0, 1, 2}
    assert splits["train"] == task.examples("train", tmp_path)
    with pytest.raises(LearningError, match="test: expected at least 50 different answers"):
        kind(path="train.json", num_choices=50).examples("test", tmp_path)


def test_gsm8k(tmp_path):
    rows = [{"question": f"How many {i}?", "answer": f"It is {i}.\n#### {i},000"} for i in (1, 2)]
    put(tmp_path, train_jsonl=rows[:1], test_jsonl=rows[1:])
    (example,) = Gsm8k(path=".", max_tokens=99).examples("test", tmp_path)
    assert isinstance(example, Generation)
    assert example.prompt == "Question: How many 2?\nAnswer:"
    assert example.answer == " It is 2.\n#### 2,000"
    assert (example.choices, example.max_tokens) == ((), 99)
    for text, right in (
        (" so\n#### 2000", True),
        ("#### $2,000.00 in all", True),
        ("####2000.\n\n#### 3", True),
        ("#### 200", False),
        ("#### -2000", False),
        ("2000", False),
        ("#### two thousand, or 2000", False),
        ("", False),
    ):
        assert example.judge.accepts(text) is right, text
    assert hash(example) == hash(Gsm8k(path=".", max_tokens=99).examples("test", tmp_path)[0])
    put(tmp_path, train_jsonl=[rows[0] | {"answer": "It is 1."}])
    with pytest.raises(LearningError, match=r"train\.jsonl:1: .*ends with '####' and a number"):
        Gsm8k(path=".").examples("train", tmp_path)


@pytest.mark.parametrize("text", ["#### -7", "####  -7.0", "x #### -7\n#### 8"])
def test_final_number(text):
    assert final_number(text) == -7


def program(i):
    return {
        "task_id": f"T/{i}",
        "prompt": f'\n\ndef add{i}(x):\n    """Add {i}."""\n',
        "canonical_solution": f"    return x + {i}\n",
        "test": f"def check(f):\n    assert f(1) == {1 + i}\n",
        "entry_point": f"add{i}",
    }


def test_humaneval_executes_nothing_unless_it_is_told_to(tmp_path):
    put(tmp_path, HumanEval_jsonl=[program(i) for i in range(1, 41)])
    quiet = Humaneval(path=".")
    test = quiet.examples("test", tmp_path)
    assert not any(isinstance(example, Generation) for example in test)
    assert {len(example.choices) for example in test} == {4}
    example = Humaneval(path=".", execute=True).examples("test", tmp_path)[0]
    assert isinstance(example, Generation)
    assert (example.prompt, example.answer) == (test[0].prompt, test[0].answer)
    assert re.fullmatch(r'def add\d+\(x\):\n    """Add \d+\."""', example.prompt)
    assert re.fullmatch(r"\n    return x \+ \d+", example.answer)
    assert example.judge.accepts(example.answer)
    assert not example.judge.accepts("\n    return x")
    assert not example.judge.accepts("\n    return x +")
    assert not example.judge.accepts("\n    import os; os._exit(0)")


def test_a_program_without_a_name(tmp_path):
    put(tmp_path, HumanEval_jsonl=[program(i) | {"entry_point": "f(x)"} for i in range(20)])
    with pytest.raises(LearningError, match=r":\d+: expected the name of a function"):
        Humaneval(path=".").examples("test", tmp_path)


@pytest.mark.parametrize(
    "kind",
    [
        "text_classification",
        "multiple_choice",
        "hellaswag",
        "alpaca",
        "dolly",
        "gsm8k",
        "humaneval",
    ],
)
def test_a_file_tasks_kind_reads_back(kind):
    task = find("task", kind).model_validate({"path": "a/b.jsonl"})
    assert task.title == "b"
    written = plain(task)
    assert written.pop("kind") == kind
    assert find("task", kind).model_validate(written) == task
