"""Bad data and models as a user meets them: status 2, one message, and nothing left behind."""

import json

import pytest
from pool_helpers import save_encoder, save_vit

from cosim.cli.app import main
from cosim.learning.batches import longest
from cosim.learning.errors import InputError
from cosim.learning.tasks.base import Example
from cosim.results.run_folder import RunFolder
from cosim.scenario.load import loads

SCENARIO = """
name: small
duration: 1 rounds
devices: [{{group: a, count: {count}, mobility: {{kind: static}}}}]
learning:
  model: {model}
  tasks: {{use: [{task}], partition: {partition}}}
  method: {{kind: lora, rank: 2}}
  local: {{steps: 1, batch: 2}}
evaluate: {{examples: 4}}
data_root: data
"""
TEXTS = "{kind: text_classification, path: ., labels: [bad, good]}"
GENERATED = "{kind: topic, num_train: 20, num_test: 5}"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(task, model="{kind: causal_lm}", partition="iid", count=2):
        scenario = SCENARIO.format(task=task, model=model, partition=partition, count=count)
        (tmp_path / "a.yaml").write_text(scenario, encoding="utf-8")
        capsys.readouterr()
        status = main(["run", "a.yaml", "--quiet"])
        assert not list((tmp_path / "runs").glob("*/*")) or status != 2
        return status, capsys.readouterr().err

    return run


def write(folder, train, test=None):
    folder.mkdir(exist_ok=True)
    test = [{"text": f"x {i}", "label": i % 2} for i in range(4)] if test is None else test
    for name, rows in (("train", train), ("test", test)):
        text = "".join(row if isinstance(row, str) else f"{json.dumps(row)}\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


def films(count):
    return [{"text": f"film {i}", "label": i % 2} for i in range(count)]


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ([*films(3), '{"text": "a", "lab'], None, "data/train.jsonl:4: expected a JSON object on"),
        ([*films(3), {"text": "a", "label": 2}], None, "data/train.jsonl:4: expected 0 to 1 for"),
        (films(3), [*films(1), {"label": 0}], "data/test.jsonl:2: expected the key 'text'"),
        (films(3), [], "data/test.jsonl: expected at least one row, got an empty file"),
        (films(3), films(3), "train.jsonl: expected at least one train row that no test row asks"),
        ([*films(9), {"text": "word " * 400, "label": 0}], None, "expected a prompt and answer of"),
        (films(9), [{"text": "word " * 400, "label": 0}], "expected a prompt and answer of"),
    ],
)
def test_data_that_cannot_be_used(train, test, said, run, tmp_path):
    write(tmp_path / "data", train, test)
    status, message = run(TEXTS)
    assert status == 2
    assert said in message
    assert len(message.splitlines()) == 1


def test_good_data_do_run(run, tmp_path):
    write(tmp_path / "data", films(9))
    assert run(TEXTS) == (0, "")
    assert len(list((tmp_path / "runs").glob("small-*/manifest.json"))) == 1


@pytest.mark.parametrize(
    ("partition", "said"),
    [
        ("iid", "expected at least 5 training examples"),
        ("one_per_device", "expected at least 5 training examples of task data"),
        ("{kind: shards, per_device: 1}", "expected at least 5 training examples"),
        ("{kind: dirichlet, alpha: 0.1}", "expected at least 5 training examples"),
        ("{kind: natural, key: author}", "data/train.jsonl:1: expected the key 'author'"),
        ("{kind: natural, key: label}", "expected at least 5 values of 'label'"),
    ],
)
def test_a_device_that_would_hold_nothing(partition, said, run, tmp_path):
    write(tmp_path / "data", films(3))
    task = TEXTS.replace("}", ", name: data}")
    status, message = run(task, partition=partition, count=5)
    assert (status, said in message) == (2, True), message


def test_few_examples_and_a_small_alpha_leave_no_device_empty(run, tmp_path):
    write(tmp_path / "data", films(5))
    assert run(TEXTS, partition="{kind: dirichlet, alpha: 0.001}", count=5) == (0, "")


def test_models_that_cannot_be_used(run, tmp_path):
    save_encoder(tmp_path / "bert")
    bert = "kind: encoder, source: 'path:bert', head: classification"
    for model, said in (
        ("{kind: causal_lm, source: 'path:brt'}", "got brt, which does not exist; did you mean 'b"),
        ("{kind: causal_lm, source: 'path:bert'}", "expected a causal language model, got 'bert'"),
        ("{kind: causal_lm, targets: [q_pro]}", "matches no linear layer of the Qwen2ForCausalLM"),
        ("{kind: causal_lm, blocks: [99]}", "blocks: expected numbers from 0 to"),
        (f"{{{bert}, num_classes: 3}}", "as many as learning.model.num_classes, got 4"),
        ("{kind: image}", "expected images for a model of kind image"),
    ):
        status, message = run(GENERATED, model)
        assert (status, said in message) == (2, True), message


def test_questions_answered_in_words_need_a_model_that_writes(run, tmp_path):
    save_encoder(tmp_path / "bert")
    (tmp_path / "data").mkdir()
    rows = [{"question": f"What is {i}?", "answer": f"It is {i}\n#### {i}"} for i in range(40)]
    (tmp_path / "data" / "all.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for model in (
        "{kind: encoder, source: 'path:bert'}",
        "{kind: encoder, source: 'path:bert', head: classification, num_classes: 2}",
    ):
        status, message = run("{kind: gsm8k, path: .}", model)
        assert status == 2
        assert "that are answered in words" in message or "is answered in words" in message
    status, message = run("{kind: gsm8k, path: .}")
    assert status == 2
    assert "expected max_tokens below 256, all that the model reads" in message


def test_pictures_need_a_model_that_sees(run, tmp_path):
    pytest.importorskip("sklearn")
    save_encoder(tmp_path / "bert")
    for model in ("{kind: causal_lm}", "{kind: encoder, source: 'path:bert'}"):
        status, message = run("{kind: digits, num_train: 20, num_test: 5}", model)
        assert status == 2
        assert "they are read by a model of kind image" in message
    save_vit(tmp_path / "vit")
    assert run("{kind: digits, num_train: 20, num_test: 5}", "{kind: image}") == (0, "")


def test_the_folder_of_a_run_that_cannot_begin_is_deleted(tmp_path):
    scenario = loads("name: small").scenario
    folder = RunFolder.create(tmp_path, scenario)
    assert list(tmp_path.iterdir()) == [folder.path]
    with pytest.raises(InputError), folder:
        raise InputError("no data")
    assert list(tmp_path.iterdir()) == []


def test_the_longest_texts():
    examples = [Example("a" * (i * 37 % 101), " b", (" b",)) for i in range(1, 101)]
    found = longest(examples)
    assert sorted(len(e.prompt) for e in found) == list(range(37, 101))
    assert longest(examples[:3]) == tuple(sorted(examples[:3], key=lambda e: -len(e.prompt)))
