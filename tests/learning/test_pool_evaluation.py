"""Scores of both pools against one forward per choice, written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pool_helpers import (
    LABELS,
    Loaded,
    adapter,
    example,
    labelled,
    picture,
    save_encoder,
    save_model,
    save_vit,
)

from cosim.learning.adapter import Adapter, Layout, concatenate
from cosim.learning.errors import LearningError
from cosim.learning.model_pool import EvaluationJob
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.models.encoder import Encoder
from cosim.learning.models.image import Image
from cosim.learning.pool._below import blocks_below
from cosim.learning.pool.sequential import Sequential
from cosim.learning.pool.stacked import Stacked
from cosim.learning.tasks.base import Example


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return Loaded(folder=str(save_model(tmp_path_factory.mktemp("model"))))


@pytest.fixture(scope="module", params=["stacked", "sequential"])
def pool(request, source):
    kinds = {"stacked": Stacked, "sequential": Sequential}
    return kinds[request.param](threads=1).open(source)


@pytest.fixture(scope="module")
def stacked(source):
    return Stacked(threads=1).open(source)


def examples(seed: int, n: int = 12, **lengths) -> tuple[Example, ...]:
    rng = np.random.default_rng(seed)
    return tuple(example(rng, int(rng.integers(2, 12)), **lengths) for _ in range(n))


def mixed(seed: int, n: int = 12) -> tuple[Example, ...]:
    """Choices of one, two and three tokens in the same example."""
    rng = np.random.default_rng(seed)
    found = []
    for base in examples(seed, n, answer=1, choices=4):
        one, *rest = base.choices
        choices = (one, f"{rest[0]}{rest[1]}", rest[1], f"{rest[2]}{one}{rest[0]}")
        found.append(Example(base.prompt, choices[int(rng.integers(4))], choices))
    return tuple(found)


def oracle(folder: str, job: EvaluationJob) -> tuple[float, float]:
    """Add the product to a copy of the weights; one forward of prompt and choice each."""
    base = Loaded(folder=folder).load()
    layout = job.adapter.layout
    for i, site in enumerate(layout.sites):
        product = layout.b(job.adapter.vector, i) @ layout.a(job.adapter.vector, i)
        base.network.get_submodule(site.name).weight += job.adapter.scale * torch.from_numpy(
            product
        )
    correct, nats = [], []
    for e in job.examples:
        scores = []
        for choice in e.choices:
            start = len(base.tokenizer(e.prompt)["input_ids"])
            ids = base.tokenizer(e.prompt + choice, return_tensors="pt")["input_ids"]
            with torch.no_grad():
                logs = base.network(ids).logits[0].double().log_softmax(-1)
            tokens = range(start, ids.shape[1])
            scores.append(np.mean([float(logs[t - 1, ids[0, t]]) for t in tokens]))
        answer = e.choices.index(e.answer)
        correct.append(int(np.argmax(scores)) == answer)
        nats.append(np.log(np.sum(np.exp(scores))) - scores[answer])
    return float(np.mean(correct)), float(np.mean(nats))


SETS = {
    "one token": lambda: examples(1),
    "two choices": lambda: examples(2, choices=2),
    "three tokens": lambda: examples(3, answer=3),
    "mixed": lambda: mixed(4),
}


@pytest.mark.parametrize("case", SETS)
def test_scores_equal_one_forward_per_choice(case, pool, source):
    jobs = [EvaluationJob(adapter(pool.sites, 3 + i, i), SETS[case]()) for i in range(2)]
    for score, job in zip(pool.evaluate(jobs), jobs, strict=True):
        accuracy, loss = oracle(source.folder, job)
        assert score.accuracy == accuracy
        assert score.loss == pytest.approx(loss, abs=1e-5)


def test_jobs_keep_their_order_and_do_not_mix(stacked):
    one, two = adapter(stacked.sites, 4, 0), adapter(stacked.sites, 4, 1)
    sets = [examples(1), mixed(2), examples(3, answer=2)]
    jobs = [EvaluationJob(a, e) for e in sets for a in (one, two)]
    jobs += [jobs[0], EvaluationJob(replace(one, scale=0.1), sets[0])]
    together = stacked.evaluate(jobs)
    alone = [stacked.evaluate([job])[0] for job in jobs]
    assert [s.accuracy for s in together] == [s.accuracy for s in alone]
    np.testing.assert_allclose([s.loss for s in together], [s.loss for s in alone], atol=1e-6)
    assert len({round(s.loss, 4) for s in together}) == len(jobs) - 1  # only one was asked twice


def test_concatenated_adapters_are_the_sum_of_products(stacked):
    parts = [
        (adapter(stacked.sites, r, r, scale=1.5), w) for r, w in ((2, 0.7), (5, -0.4), (3, 1.1))
    ]
    both = concatenate(parts)
    assert both.layout.rank == 10
    # Oracle: the sum of the products as one full-rank adapter, B = sum, A = identity.
    widest = max(site.d_in for site in stacked.sites)
    layout = Layout(stacked.sites, widest)
    vector = np.zeros(layout.size, np.float32)
    for i, site in enumerate(stacked.sites):
        layout.a(vector, i)[: site.d_in] = np.eye(site.d_in)
        layout.b(vector, i)[:, : site.d_in] = sum(
            w * p.scale * p.layout.b(p.vector, i) @ p.layout.a(p.vector, i) for p, w in parts
        )
    questions = examples(5, answer=2)
    found, expected = stacked.evaluate(
        [EvaluationJob(both, questions), EvaluationJob(Adapter(layout, vector, 1.0), questions)]
    )
    assert found.accuracy == expected.accuracy
    assert found.loss == pytest.approx(expected.loss, abs=1e-5)
    single = stacked.evaluate([EvaluationJob(parts[0][0], questions)])[0]
    assert abs(single.loss - found.loss) > 1e-3


def calls_of(module, monkeypatch) -> list[int]:
    """Note every call of a module's own forward."""
    calls = []
    forward = type(module).forward

    def noted(*args, **options):
        calls.append(1)
        return forward(module, *args, **options)

    monkeypatch.setattr(module, "forward", noted, raising=False)
    return calls


@pytest.mark.parametrize("kind", ["causal", "bert", "distilbert", "image"])
def test_blocks_below_the_first_adapted_one_are_read_once_for_all(
    kind, source, tmp_path, monkeypatch
):
    asked = [examples(1), mixed(2)]
    if kind == "causal":
        model = CausalLm(source=f"path:{source.folder}", blocks=(1,))
    elif kind == "image":
        model = Image(source=f"path:{save_vit(tmp_path)}", num_classes=4, blocks=(1,))
        rng = np.random.default_rng(0)
        asked = [tuple(picture(rng, 0) for _ in range(5))]
    else:
        model = Encoder(source=f"path:{save_encoder(tmp_path, kind)}", blocks=(1,))
    stacked, sequential = Stacked(threads=1).open(model), Sequential(threads=1).open(model)
    adapters = [adapter(stacked.sites, 4, i, head=stacked.head) for i in range(3)]
    jobs = [EvaluationJob(one, some) for one in adapters for some in asked]
    stacked.evaluate(jobs[:1])  # finds out whether the model reads rows that branch
    network = stacked._model.network
    lists = [each for each in network.modules() if isinstance(each, torch.nn.ModuleList)]
    below, above = (calls_of(block, monkeypatch) for block in lists[0])
    found = stacked.evaluate(jobs)
    assert 3 * len(below) == len(above) > 0
    for one, other in zip(found, sequential.evaluate(jobs), strict=True):
        assert one.accuracy == other.accuracy
        assert one.loss == pytest.approx(other.loss, abs=1e-5)
    assert len({round(score.loss, 5) for score in found}) == len(found)


def test_an_encoder_reads_each_label_once_for_all_examples(tmp_path):
    model = Encoder(source=f"path:{save_encoder(tmp_path)}")
    objective = Stacked(threads=1).open(model)._model.objective
    rng = np.random.default_rng(0)
    rows = objective.sheet([labelled(rng, 5) for _ in range(20)]).rows
    assert len(rows) == 20 + len(LABELS)


def test_where_no_block_is_below(source):
    network = CausalLm(source=f"path:{source.folder}").load().network
    assert blocks_below(network, ["model.layers.1.mlp.up_proj"]) == [network.model.layers[0]]
    assert blocks_below(network, ["model.layers.0.mlp.up_proj"]) == []
    assert blocks_below(network, ["model.layers.1.mlp.up_proj", "project_in"]) == []
    network.config.num_hidden_layers = 12  # blocks that run more than once
    assert blocks_below(network, ["model.layers.1.mlp.up_proj"]) == []


@pytest.mark.parametrize("max_tokens", [1, 25])
def test_splitting_for_memory_changes_rounding_only(max_tokens, stacked, source):
    jobs = [EvaluationJob(adapter(stacked.sites, 4, 0), mixed(i)) for i in range(2)]
    small = Stacked(threads=1, max_tokens=max_tokens).open(source).evaluate(jobs)
    for found, expected in zip(small, stacked.evaluate(jobs), strict=True):
        assert found.accuracy == expected.accuracy
        assert found.loss == pytest.approx(expected.loss, abs=1e-5)


def test_the_same_bits_again_and_an_untouched_base(stacked):
    jobs = [EvaluationJob(adapter(stacked.sites, 4, i), mixed(i)) for i in range(3)]
    before = {k: v.clone() for k, v in stacked._model.network.state_dict().items()}
    assert stacked.evaluate(jobs) == stacked.evaluate(jobs)
    after = stacked._model.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_bfloat16_follows_float32(source, stacked):
    jobs = [EvaluationJob(adapter(stacked.sites, 4, i), mixed(i)) for i in range(2)]
    coarse = Stacked(threads=1, dtype="bfloat16").open(source).evaluate(jobs)
    for found, expected in zip(coarse, stacked.evaluate(jobs), strict=True):
        assert found.loss == pytest.approx(expected.loss, rel=0.03)


def test_a_broken_adapter_is_never_right(pool):
    broken = adapter(pool.sites, 4, 0)
    broken.vector[-1] = np.nan
    (score,) = pool.evaluate([EvaluationJob(broken, examples(1))])
    assert score.accuracy == 0.0
    assert np.isnan(score.loss)


def test_a_token_that_reaches_over_the_prompts_end_is_judged_apart(pool):
    """`w1` and `w2` joined to `w1w2` would be one unknown word."""
    joined = Example("w3 w1", "w2", ("w2", "w4"))
    spaced = Example("w3 w1", " w2", (" w2", " w4"))
    one, two = pool.evaluate(
        [EvaluationJob(adapter(pool.sites, 4, 0), (e,)) for e in (joined, spaced)]
    )
    assert one.loss == pytest.approx(two.loss, abs=1e-6)


def test_mistakes(pool):
    mine = adapter(pool.sites, 4, 0)
    with pytest.raises(LearningError, match="expected at least one example"):
        pool.evaluate([EvaluationJob(mine, ())])
    with pytest.raises(LearningError, match=r"answer among the choices .* got ' w9'"):
        pool.evaluate([EvaluationJob(mine, (Example("w1", " w9", (" w1", " w2")),))])
    assert pool.evaluate([]) == []
