"""The builtin tiny model: what ships, what it knows before fine-tuning, and how it is made."""

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2ForCausalLM

from cosim.learning.builtin import make_tiny
from cosim.learning.builtin.check import base_accuracy, lora_accuracy
from cosim.learning.builtin.corpus import CUES, TASK_CUE, Corpus, generated_tasks, words
from cosim.learning.builtin.locate import builtin_model_dir, builtin_names
from cosim.learning.builtin.tokenizer import build_tokenizer
from cosim.learning.tasks import _words as word_lists
from cosim.learning.tasks._generated import split_of
from cosim.plugin import kind_of
from cosim.rng import Draws

TASKS = generated_tasks()
NOWHERE = Path("/no/data")
TINY = builtin_model_dir("tiny")


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(TINY, local_files_only=True)


def test_the_folder_is_found_by_name():
    assert "tiny" in builtin_names()
    assert TINY.name == "tiny"


def test_an_unknown_name_is_an_error_that_names_what_there_is():
    with pytest.raises(
        LookupError, match=r"expected a builtin model \(tiny\), got 'tinny'.*'tiny'"
    ):
        builtin_model_dir("tinny")


@pytest.mark.parametrize("name", ["", ".", "..", "../tasks", "/etc"])
def test_a_name_cannot_leave_the_folder_of_models(name):
    with pytest.raises(LookupError):
        builtin_model_dir(name)


def test_what_ships_is_small_and_complete():
    files = {file.name: file.stat().st_size for file in TINY.iterdir()}
    assert set(files) == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert sum(files.values()) <= 8e6


def test_it_is_a_qwen2_of_one_to_two_million_parameters_that_loads_as_float32():
    model = AutoModelForCausalLM.from_pretrained(TINY, local_files_only=True)
    assert isinstance(model, Qwen2ForCausalLM)
    assert 1e6 <= sum(parameter.numel() for parameter in model.parameters()) <= 2e6
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert json.loads((TINY / "config.json").read_text())["model_type"] == "qwen2"


def test_the_tokenizer_pads_and_restores_any_text(tokenizer):
    assert tokenizer.pad_token_id == 0
    for text in ("Topic: bank meets team.", 'x = {"é": [1, 23]}\n\treturn  0', "日本 🙂"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@pytest.mark.parametrize("task", TASKS, ids=kind_of)
def test_prompts_are_short_and_every_choice_is_one_token_after_them(task, tokenizer):
    for example in task.examples("test", NOWHERE):
        prompt = tokenizer(example.prompt)["input_ids"]
        assert len(prompt) <= 24
        for choice in example.choices:
            (token,) = tokenizer(choice)["input_ids"]
            assert tokenizer(example.prompt + choice)["input_ids"] == [*prompt, token]


def test_every_word_of_the_tasks_is_one_token(tokenizer):
    assert {word for word in words() if len(tokenizer(word)["input_ids"]) != 1} == set()


def test_the_script_remakes_the_shipped_tokenizer(tokenizer):
    remade = build_tokenizer(words())
    assert remade.get_vocab() == tokenizer.get_vocab()
    text = 'Type: x=len("a"+"b"). Answer: int, filmed the 47 hotels'
    assert remade(text)["input_ids"] == tokenizer(text)["input_ids"]


@pytest.mark.parametrize("task", TASKS, ids=kind_of)
def test_before_fine_tuning_it_is_near_chance(task):
    # n = 200 balanced questions: a fair coin leaves +-0.12 about once in 1,500 tasks.
    assert base_accuracy(TINY, task) == pytest.approx(1 / task.num_answers, abs=0.12)


@pytest.mark.parametrize("kind", ["topic", "syntax"])
def test_a_few_steps_of_lora_teach_it_a_task(kind):
    (task,) = (task for task in TASKS if kind_of(task) == kind)
    assert lora_accuracy(TINY, task, steps=100) >= 0.85


@pytest.mark.study
@pytest.mark.parametrize("task", TASKS, ids=kind_of)
def test_lora_reaches_85_percent_on_every_task_in_300_steps(task):
    assert lora_accuracy(TINY, task, steps=300) >= 0.85


def test_the_corpus_holds_no_test_question_and_every_cue():
    documents = _documents(5000)
    cues = set()
    for document in documents:
        statement, *questions = document.split(". ")
        assert split_of(f"{statement}. {TASK_CUE}:") == "train"
        cues.update(question.partition(":")[0] for question in questions)
    assert cues == {TASK_CUE, *CUES}


def test_the_corpus_answers_the_tasks_own_question_whatever_the_statement_says():
    # n is about 400 reviews; the share of right answers leaves 4 sd about once in 16,000 seeds.
    right = []
    for document in _documents(16000):
        found = re.search(r"was (\w+) (\w+) .* Answer: (\w+)\.", document)
        if found is not None:
            adverb, adjective, answer = found.groups()
            good = (adjective in word_lists.POSITIVE) != (adverb in word_lists.NEGATION)
            right.append(good == (answer == "good"))
    assert len(right) > 300
    assert sum(right) / len(right) == pytest.approx(0.5, abs=4 * 0.5 / len(right) ** 0.5)


def test_the_corpus_answers_under_each_cue_in_words_that_follow_from_the_statement():
    labels: dict[tuple[str, str], set[str]] = {}
    for document in _documents(4000):
        for cue, label in re.findall(r"(\w+): (\w+)\.", document.partition(". ")[2]):
            if document.startswith("Sum: ") and cue != TASK_CUE:
                total = sum(int(number) for number in re.findall(r"\d+", document))
                size = "low" if total < 80 else "medium" if total < 140 else "high"
                labels.setdefault((cue, size), set()).add(label)
    assert len(labels) == 3 * len(CUES)
    assert all(len(words_of) == 1 for words_of in labels.values())


def _documents(num: int) -> list[str]:
    corpus = Corpus(Draws(3))
    return [corpus.document() for _ in range(num)]


def test_making_it_twice_gives_the_same_weights(tokenizer):
    torch.manual_seed(1)
    first = make_tiny.train(tokenizer, steps=2).state_dict()
    torch.manual_seed(2)
    second = make_tiny.train(tokenizer, steps=2).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_saved_weights_are_half_precision_and_load_as_single(tmp_path, tokenizer):
    model = make_tiny.train(tokenizer, steps=1)
    expected = model.model.norm.weight.half().float()
    make_tiny.save(model, tokenizer, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True)
    assert torch.equal(loaded.model.norm.weight, expected)
    assert (tmp_path / "model.safetensors").stat().st_size < 3e6
