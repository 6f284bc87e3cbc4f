"""Compiled blocks train as those that are not compiled, once compiled for all stacks."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch._inductor.config
from pool_helpers import adapter, job, labelled, picture, save_encoder, save_model, save_vit
from torch import nn
from torch._dynamo.utils import counters
from torch._inductor import cpp_builder
from torch._inductor.utils import fresh_cache

from cosim.learning.errors import LearningError
from cosim.learning.model_pool import EvaluationJob
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.models.encoder import Encoder
from cosim.learning.models.image import Image
from cosim.learning.pool._memory import _Kept
from cosim.learning.pool.stacked import Stacked
from cosim.scenario.load import load


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return CausalLm(source=f"path:{save_model(tmp_path_factory.mktemp('causal'))}")


@pytest.fixture(scope="module")
def plain(source):
    return Stacked().open(source)


@pytest.fixture(scope="module")
def compiled(source):
    return Stacked(compile=True).open(source)


def assert_same(found, expected, atol=1e-5):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.losses, other.losses, rtol=0, atol=atol)
        np.testing.assert_allclose(one.vector, other.vector, rtol=0, atol=atol)


def equal(sites, head=None, shown=None):
    return [job(sites, i, head=head, shown=shown, prompt=(2, 12)) for i in range(3)]


def ragged(sites, head=None, shown=None):
    """Devices of several ranks, rows, lengths, masks and steps; one does not train A."""
    one = partial(job, sites, head=head, shown=shown)
    return [
        one(0, rank=2, rows=2, steps=4, density=0.2, weight_decay=0.1, clip=0.3),
        one(1, rank=5, rows=6, steps=2, train_a=False, prompt=(2, 20)),
        one(2, rank=3, rows=3, steps=5, clip=1.0, lr=3e-3),
        one(3, rank=3, rows=3, steps=5, optimizer="sgd", lr=0.02),
    ]


@pytest.mark.parametrize("jobs_of", [equal, ragged])
def test_compiled_blocks_train_the_same(jobs_of, plain, compiled):
    jobs = jobs_of(plain.sites)
    counters.clear()
    found = compiled.train(jobs)
    assert_same(found, plain.train(jobs))
    for done, asked in zip(found, jobs, strict=True):
        assert not np.array_equal(done.vector, asked.adapter.vector)
    assert not counters["graph_break"]


def test_coordinates_outside_the_mask_keep_their_bits(compiled):
    jobs = ragged(compiled.sites)
    for done, asked in zip(compiled.train(jobs), jobs, strict=True):
        kept = ~asked.trainable
        np.testing.assert_array_equal(done.vector[kept], asked.adapter.vector[kept])


def test_what_others_train_changes_nothing(compiled):
    jobs = ragged(compiled.sites)
    alone = [compiled.train([one])[0] for one in jobs]
    assert_same(compiled.train(jobs), alone)


def test_blocks_are_not_compiled_again_for_other_adapters(compiled):
    """Nor for other rows, lengths or ranks: one device after another, and all together."""
    compiled.train(equal(compiled.sites))
    jobs = [job(compiled.sites, i, rank=6 + i, rows=2 + i, prompt=(3, 17)) for i in range(4)]
    counters.clear()
    for asked in (jobs[1:], jobs[:1], jobs):
        compiled.train(asked)
    assert counters["stats"]["unique_graphs"] == 0


def test_compiled_blocks_run_again_in_the_backward(source, plain):
    pool = Stacked(compile=True, checkpointing=True).open(source)
    for jobs in (equal(plain.sites), ragged(plain.sites)):
        assert_same(pool.train(jobs), plain.train(jobs))


@pytest.mark.parametrize("train_a", [True, False])
def test_no_more_is_kept_for_the_backward(train_a, plain, compiled):
    """So a limit of memory that holds without compiling holds with it."""
    jobs = [job(plain.sites, 0, train_a=train_a, steps=1)]
    compiled.train(jobs)
    totals = []
    for pool in (plain, compiled):
        kept = _Kept({id(parameter) for parameter in pool._model.network.parameters()})
        with kept.counting(()):
            pool.train(jobs)
        totals.append(kept.plain())
    assert totals[1] <= totals[0]


@pytest.mark.parametrize("kind", ["cosine", "image"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_other_models_train_the_same(kind, checkpointing, tmp_path, monkeypatch):
    """What is compiled here is run as it was traced: the traces are what differs by model."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    sources = {
        "cosine": lambda: Encoder(source=f"path:{save_encoder(tmp_path)}"),
        "image": lambda: Image(source=f"path:{save_vit(tmp_path)}", num_classes=4),
    }
    source, shown = sources[kind](), {"cosine": labelled, "image": picture}[kind]
    plain = Stacked().open(source)
    compiled = Stacked(compile=True, checkpointing=checkpointing).open(source)
    for jobs_of in (equal, ragged):
        jobs = jobs_of(plain.sites, plain.head, shown)
        counters.clear()
        assert_same(compiled.train(jobs), plain.train(jobs))
        assert not counters["graph_break"]


def test_afterwards_the_model_is_as_it_was(plain, compiled):
    (one,) = equal(compiled.sites)[:1]
    compiled.train([one])
    model = compiled._model
    assert all(type(linear) is nn.Linear for linear in model.linears)
    assert not any("site" in vars(linear) for linear in model.linears)
    assert not any("forward" in vars(block) for block in model.blocks)
    asked = EvaluationJob(adapter(compiled.sites, 4, 7), one.batches[0])
    assert compiled.evaluate([asked]) == plain.evaluate([asked])


@pytest.mark.parametrize("key", ["checkpointing", "compile"])
def test_a_model_without_blocks_is_not_compiled(key, source, monkeypatch):
    monkeypatch.setattr("cosim.learning.pool._frozen._blocks", lambda *_: ())
    with pytest.raises(LearningError, match=f"pool.{key}: expected .* list of blocks"):
        Stacked(**{key: True}).open(source)


@pytest.mark.parametrize(
    ("pool", "expected"), [("{kind: stacked, compile: true}", True), ("stacked", False)]
)
def test_key_of_a_scenario(pool, expected):
    file = Path(__file__).parents[2] / "scenarios" / "quickstart.yaml"
    assert load(file, [f"learning.pool={pool}"]).scenario.learning.pool.compile is expected


def test_without_a_compiler_a_message_says_what_to_do(source, monkeypatch):
    torch.compiler.reset()  # what is compiled already needs none
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("/nowhere/g++",))
    cpp_builder.cpp_compiler_search.cache_clear()
    try:
        with fresh_cache(), pytest.raises(LearningError, match=r"(?s)pool\.compile.*g\+\+.*false"):
            Stacked(compile=True).open(source)
    finally:
        cpp_builder.cpp_compiler_search.cache_clear()
