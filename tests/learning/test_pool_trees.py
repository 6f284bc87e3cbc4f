"""Rows that branch: what of the choices shares a row, who attends to what, and which models can."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pool_helpers import Loaded, adapter, example, save_made, save_model, save_tokenizer
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from cosim.learning.model_pool import EvaluationJob
from cosim.learning.pool._tokens import Text
from cosim.learning.pool._tree import additive, attention, branches_apart, trees
from cosim.learning.pool.sequential import Sequential
from cosim.learning.pool.stacked import Stacked
from cosim.learning.tasks.base import Example

USUAL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "initializer_range": 0.15,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
FAMILIES = {
    "llama": (LlamaForCausalLM, LlamaConfig, USUAL | {"num_key_value_heads": 2}),
    "gpt_neox": (GPTNeoXForCausalLM, GPTNeoXConfig, USUAL),
    "mistral": (
        MistralForCausalLM,
        MistralConfig,
        USUAL | {"num_key_value_heads": 2, "sliding_window": 4},
    ),
}


def texts(prompt, *choices):
    return [Text(np.array([*prompt, *choice]), len(prompt)) for choice in choices]


def test_choices_share_the_prompt_and_what_they_begin_with():
    (tree,) = trees(texts([1, 2], [3, 4, 5], [3, 4, 6], [7], [3, 8, 9], [3]), 10, 64)
    # The last token of a choice is not read.
    assert tree.ids.tolist() == [1, 2, 3, 4, 8]
    assert tree.before.tolist() == [-1, 0, 1, 2, 2]
    assert tree.wanted.tolist() == [
        *([1, 3, 10], [2, 4, 10], [3, 5, 10]),
        *([1, 3, 11], [2, 4, 11], [3, 6, 11]),
        [1, 7, 12],
        *([1, 3, 13], [2, 8, 13], [4, 9, 13]),
        [1, 3, 14],
    ]
    assert tree.branches
    (tree,) = trees(texts([1, 2], [3], [4]), 0, 64)
    assert (tree.ids.tolist(), tree.branches) == ([1, 2], False)


def test_without_branches_every_long_choice_has_a_row():
    found = trees(texts([1, 2], [3, 4], [5], [6, 7], [3, 9]), 0, None)
    assert [tree.ids.tolist() for tree in found] == [[1, 2, 3], [1, 2, 6]]
    assert not any(tree.branches for tree in found)
    assert [sorted(set(tree.wanted[:, 2].tolist())) for tree in found] == [[0, 1, 3], [2]]


def test_a_row_does_not_grow_where_its_attention_costs_more_than_the_prompt():
    many = [[10 + i] * 30 for i in range(40)]
    short = trees(texts([1], *many), 0, 32)
    long = trees(texts([1] * 60, *many), 0, 32)
    wide = trees(texts([1], *many), 0, 10**6)
    assert len(wide) == 2  # the longest row that there is
    assert len(short) > len(long) >= 2
    for found in (short, long, wide):
        assert sum(len(tree.wanted) for tree in found) == 40 * 30
        assert max(len(tree.ids) for tree in found) <= 1024


def test_tokens_attend_to_their_own_text_alone():
    (tree,) = trees(texts([1, 2], [3, 4, 5], [6, 7, 8], [3, 9, 1]), 0, 64)
    positions, sees = attention([tree.before, np.arange(-1, 2)], 8)
    assert positions[0].tolist() == [0, 1, 2, 3, 2, 3, 3, 0]
    ways = [{0}, {0, 1}, {0, 1, 2}, {0, 1, 2, 3}, {0, 1, 4}, {0, 1, 4, 5}, {0, 1, 2, 6}]
    for place, way in enumerate(ways):
        assert set(np.flatnonzero(sees[0, place])) == way
    assert positions[1, :3].tolist() == [0, 1, 2]
    assert np.array_equal(sees[1], np.tri(8, dtype=bool))
    mask = additive(sees, torch.bfloat16)
    assert mask.shape == (2, 1, 8, 8)
    assert mask.dtype == torch.bfloat16
    assert np.array_equal((mask == 0).numpy()[:, 0], sees)


def test_a_model_that_sees_other_branches_is_found_out():
    def reads(seen):
        """A model whose logits are the sum of what the last token of a row sees."""

        def logits(ids, before):
            places = seen(len(ids), before)
            return torch.nn.functional.one_hot(torch.tensor(ids[places]), 7).sum(0)[None].float()

        return logits

    def way(last, before):
        place, places = last - 1, []
        while place >= 0:
            places.append(place)
            place = place - 1 if before is None else before[place]
        return places

    def refuses(last, before):
        if before is not None:
            raise TypeError("unexpected keyword argument 'position_ids'")
        return range(last)

    assert branches_apart(reads(way))
    assert not branches_apart(reads(lambda last, before: list(range(last))))
    assert not branches_apart(reads(refuses))
    assert not branches_apart(reads(lambda last, before: way(last, before)[: 4 - (before is None)]))


def ragged(seed: int, n: int = 10) -> tuple[Example, ...]:
    """Prompts and choices of unequal lengths; some begin alike, some are one token."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        many = int(rng.integers(2, 6))
        base = example(rng, int(rng.integers(1, 14)), answer=1, choices=2 * many)
        words = base.choices
        choices = tuple(
            words[0] * int(rng.integers(0, 2)) + "".join(words[1 : int(rng.integers(2, many + 2))])
            if i % 2
            else "".join(rng.permutation(words)[: int(rng.integers(1, 5))])
            for i in range(many)
        )
        found.append(Example(base.prompt, choices[int(rng.integers(many))], choices))
    # The prompt's last word and this choice are one unknown word together.
    joined = Example("w3 w1", "w2 w5 w6", ("w2 w5 w6", " w2 w5 w7", " w4"))
    return (*found, joined)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    found = {"qwen2": save_model(tmp_path_factory.mktemp("qwen2"))}
    for name, (architecture, config, options) in FAMILIES.items():
        folder = tmp_path_factory.mktemp(name)
        size = save_tokenizer(folder)
        found[name] = save_made(architecture, config(vocab_size=size, **options), folder)
    return found


@pytest.mark.parametrize(
    ("family", "branches"),
    [("qwen2", True), ("llama", True), ("gpt_neox", True), ("mistral", False)],
)
def test_families_score_as_peft_does_one_by_one(family, branches, folders):
    source = Loaded(folder=str(folders[family]))
    stacked, sequential = Stacked(threads=1).open(source), Sequential(threads=1).open(source)
    assert (stacked._model.objective._width is not None) is branches
    jobs = [EvaluationJob(adapter(stacked.sites, 3 + i, i), ragged(i)) for i in range(2)]
    for found, expected in zip(stacked.evaluate(jobs), sequential.evaluate(jobs), strict=True):
        assert found.accuracy == expected.accuracy
        assert found.loss == pytest.approx(expected.loss, abs=1e-5)


def test_rows_branch_in_bfloat16_too(folders):
    source = Loaded(folder=str(folders["qwen2"]))
    coarse = Stacked(threads=1, dtype="bfloat16").open(source)
    assert coarse._model.objective._width == 32
    jobs = [EvaluationJob(adapter(coarse.sites, 4, 0), ragged(5))]
    (found,), (fine,) = coarse.evaluate(jobs), Stacked(threads=1).open(source).evaluate(jobs)
    assert found.loss == pytest.approx(fine.loss, rel=0.03)


def test_a_prompt_is_read_once(folders):
    objective = Stacked(threads=1).open(Loaded(folder=str(folders["qwen2"])))._model.objective
    asked = [example(np.random.default_rng(i), 12, answer=3, choices=4) for i in range(3)]
    rows = objective.sheet(asked).rows
    assert len(rows) == 3
    assert all(12 + 2 <= row.length <= 12 + 4 * 2 for row in rows)
    assert all(row.prompt == 12 for row in rows)
    objective.__dict__["_width"] = None
    assert len(objective.sheet(asked).rows) == 12


def test_a_network_whose_config_names_layers_of_other_kinds_is_not_tried(folders):
    objective = Stacked(threads=1).open(Loaded(folder=str(folders["qwen2"])))._model.objective
    config = objective._network.config
    for kinds in (["full_attention", "linear_attention"], ["sliding_attention"] * 2):
        other = SimpleNamespace(hidden_size=32, layer_types=kinds, sliding_window=None)
        config.__dict__["get_text_config"] = lambda other=other: other
        objective.__dict__.pop("_width", None)
        assert objective._width is None
