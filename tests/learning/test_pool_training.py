"""The stacked pool against the sequential one (stock PEFT and torch.optim), and its promises."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pool_helpers import Loaded, Pull, job, save_model

from cosim.learning.adapter import Adapter, Layout
from cosim.learning.errors import LearningError
from cosim.learning.model_pool import Optimisation, OptimiserState
from cosim.learning.pool.sequential import Sequential
from cosim.learning.pool.stacked import Stacked


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return Loaded(folder=str(save_model(tmp_path_factory.mktemp("model"))))


@pytest.fixture(scope="module")
def stacked(source):
    return Stacked(threads=1).open(source)


@pytest.fixture(scope="module")
def sequential(source):
    return Sequential(threads=1).open(source)


def assert_same(found, expected, atol=1e-5):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.losses, other.losses, rtol=0, atol=atol)
        np.testing.assert_allclose(one.vector, other.vector, rtol=0, atol=atol)
        assert (one.optimiser is None) == (other.optimiser is None)
        if one.optimiser is not None:
            assert one.optimiser.num_steps == other.optimiser.num_steps
            for name in ("mean", "square"):
                mine, theirs = (getattr(each.optimiser, name) for each in (one, other))
                np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=atol)


def going_on(job, num_steps):
    """Return the job with an optimiser that has made some steps."""
    rng = np.random.default_rng(num_steps)
    state = OptimiserState.fresh(job.optimisation.optimizer, job.adapter.layout.size)
    mean = 0.01 * rng.normal(size=len(state.mean)).astype(np.float32)
    square = 1e-4 * rng.random(len(state.square)).astype(np.float32)
    return replace(job, optimiser=OptimiserState(num_steps, mean, square))


def with_momentum(job, momentum):
    return replace(job, optimisation=replace(job.optimisation, momentum=momentum))


CASES = {
    "equal batches": lambda s: [job(s, i) for i in range(3)],
    "frozen A": lambda s: [job(s, i, train_a=False) for i in range(3)],
    "ragged rows": lambda s: [job(s, i, rows=rows) for i, rows in enumerate((1, 5, 2))],
    "ragged lengths": lambda s: [job(s, 0, prompt=(2, 3)), job(s, 1, prompt=(20, 30))],
    "long answers": lambda s: [job(s, i, answer=(1, 5)) for i in range(3)],
    "masks": lambda s: [
        job(s, 0, density=0.1),
        job(s, 1, density=0.3, train_a=False),
        job(s, 2, density=0.7),
    ],
    "ranks": lambda s: [job(s, i, rank=rank) for i, rank in enumerate((2, 8, 3))],
    "steps": lambda s: [job(s, i, steps=steps) for i, steps in enumerate((1, 4, 0, 2))],
    "clipping": lambda s: [job(s, 0, clip=0.05), job(s, 1, clip=None), job(s, 2, clip=100.0)],
    "clipping sgd": lambda s: [job(s, i, clip=c, optimizer="sgd") for i, c in enumerate((0.1, 9))],
    "weight decay": lambda s: [
        job(s, 0, weight_decay=0.3, density=0.5),
        job(s, 1, weight_decay=0.0),
    ],
    "sgd": lambda s: [job(s, 0, optimizer="sgd", lr=0.1), job(s, 1, optimizer="sgd", lr=0.02)],
    "sgd decay": lambda s: [job(s, i, optimizer="sgd", weight_decay=0.3) for i in range(2)],
    "schedules": lambda s: [
        replace(job(s, 0), lr_factors=(0.1, 1.0, 0.5)),
        job(s, 1),
        replace(job(s, 2, optimizer="sgd"), lr_factors=(1.0, 0.0, 2.0)),
    ],
    "optimisers that go on": lambda s: [
        going_on(job(s, 0, density=0.5, weight_decay=0.1), 7),
        going_on(job(s, 1, rank=2), 40),
        job(s, 2),
        going_on(job(s, 3, steps=0), 3),
        going_on(job(s, 4, train_a=False), 1),
    ],
    "momentum": lambda s: [
        with_momentum(job(s, 0, optimizer="sgd", density=0.5, weight_decay=0.1), 0.9),
        with_momentum(going_on(job(s, 1, optimizer="sgd", rank=2, clip=0.1), 5), 0.5),
        job(s, 2, optimizer="sgd"),
    ],
    "both optimisers": lambda s: [job(s, 0, optimizer="sgd"), job(s, 1, optimizer="adamw")],
    "penalties": lambda s: [
        job(s, 0, steps=4, penalty=Pull(0.3)),
        job(s, 1, steps=2, penalty=Pull(0.1), clip=0.5, density=0.4),
        job(s, 2, steps=3),
        job(s, 3, steps=3, rank=2, penalty=Pull(0.3), optimizer="sgd", lr=0.02),
    ],
    "all at once": lambda s: [
        job(s, 0, rank=2, rows=1, steps=4, density=0.2, weight_decay=0.1, clip=0.3),
        job(s, 1, rank=5, rows=6, steps=2, train_a=False, prompt=(2, 20)),
        job(s, 2, rank=3, rows=3, steps=5, answer=(1, 4), clip=1.0, lr=3e-3),
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_stacked_equals_sequential(case, stacked, sequential):
    jobs = CASES[case](stacked.sites)
    found, expected = stacked.train(jobs), sequential.train(jobs)
    # AdamW's first steps are near the sign of the gradient: rounding shows where that is near 0.
    assert_same(found, expected, atol=2e-5)
    assert [len(result.losses) for result in found] == [len(j.batches) for j in jobs]
    moved = [
        not np.array_equal(r.vector, j.adapter.vector) for r, j in zip(found, jobs, strict=True)
    ]
    assert moved == [len(j.batches) > 0 for j in jobs]


@pytest.mark.parametrize("kind", ["stacked", "sequential"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_coordinates_outside_the_mask_keep_their_bits(kind, optimizer, request):
    pool = request.getfixturevalue(kind)
    jobs = [
        job(pool.sites, i, rank=2 + i, density=0.2, weight_decay=0.5, clip=1.0, optimizer=optimizer)
        for i in range(3)
    ]
    minus_zero = jobs[0].adapter.vector.copy()
    minus_zero[~jobs[0].trainable] = -0.0
    jobs[0] = replace(jobs[0], adapter=replace(jobs[0].adapter, vector=minus_zero))
    for done, asked in zip(pool.train(jobs), jobs, strict=True):
        kept = ~asked.trainable
        np.testing.assert_array_equal(
            done.vector[kept].view(np.int32), asked.adapter.vector[kept].view(np.int32)
        )
        assert np.mean(done.vector[asked.trainable] != asked.adapter.vector[asked.trainable]) > 0.95


@pytest.mark.parametrize("kind", ["stacked", "sequential"])
def test_two_trainings_with_a_kept_optimiser_are_one(kind, request):
    pool = request.getfixturevalue(kind)
    whole = job(pool.sites, 0, steps=5, density=0.5, weight_decay=0.1)
    fresh = OptimiserState.fresh("adamw", whole.adapter.layout.size)
    first = replace(whole, batches=whole.batches[:2], optimiser=fresh)
    (once,) = pool.train([replace(whole, optimiser=fresh)])
    (part,) = pool.train([first])
    moved = Adapter(whole.adapter.layout, part.vector, whole.adapter.scale)
    rest = replace(
        whole, adapter=moved, batches=whole.batches[2:], optimiser=part.optimiser, round=1
    )
    (end,) = pool.train([rest])
    assert end.optimiser.num_steps == 5
    np.testing.assert_array_equal(end.vector, once.vector)
    np.testing.assert_array_equal(end.optimiser.mean, once.optimiser.mean)
    np.testing.assert_array_equal(end.optimiser.square, once.optimiser.square)
    (anew,) = pool.train([replace(rest, optimiser=None)])
    assert np.abs(anew.vector - once.vector).max() > 1e-4
    assert not end.optimiser.mean[~whole.trainable].any()


def test_a_job_is_the_same_alone_and_among_others(stacked):
    jobs = [job(stacked.sites, i, rows=2 + i, rank=2 + i, steps=1 + i) for i in range(4)]
    together = stacked.train(jobs)
    assert_same(together, [stacked.train([one])[0] for one in jobs])


def test_a_penalty_pulls_and_is_not_in_the_loss(stacked):
    plain, pulled = (job(stacked.sites, 0, penalty=penalty) for penalty in (None, Pull(3.0)))
    free, held = stacked.train([plain, pulled])
    assert held.losses[0] == free.losses[0]

    def size(result):
        layout = plain.adapter.layout
        return sum(
            np.square(layout.a(result.vector, site)).sum()
            * np.square(layout.b(result.vector, site)).sum()
            for site in range(len(layout.sites))
        )

    assert size(held) < 0.9 * size(free)


def test_no_gradient_crosses_over(stacked):
    """Another device's loss is made huge and odd; this device's result stays."""
    jobs = [job(stacked.sites, i) for i in range(2)]
    wild = replace(jobs[1].adapter, vector=jobs[1].adapter.vector * 50)
    changed = stacked.train([jobs[0], replace(jobs[1], adapter=wild)])
    assert_same(changed[:1], stacked.train(jobs)[:1], atol=1e-6)


@pytest.mark.parametrize("kind", ["stacked", "sequential"])
def test_a_loss_that_is_not_finite_is_returned_and_stays_alone(kind, request):
    pool = request.getfixturevalue(kind)
    jobs = [job(pool.sites, i, clip=1.0) for i in range(3)]
    broken = jobs[1].adapter.vector.copy()
    broken[-1] = np.nan  # B of the last layer
    jobs[1] = replace(jobs[1], adapter=replace(jobs[1].adapter, vector=broken))
    results = pool.train(jobs)
    assert np.isnan(results[1].losses).all()
    for i in (0, 2):
        assert_same([results[i]], pool.train([jobs[i]]))
        assert np.isfinite(results[i].losses).all()


def test_same_jobs_same_bits_in_any_order(stacked, source):
    jobs = [job(stacked.sites, i, rows=2 + i % 2, steps=2 + i % 2) for i in range(4)]
    first = stacked.train(jobs)
    again = stacked.train(jobs[::-1])[::-1]
    fresh = Stacked(threads=1).open(source).train(jobs)
    for results in (again, fresh):
        for one, other in zip(first, results, strict=True):
            assert one.vector.tobytes() == other.vector.tobytes()
            assert one.losses == other.losses


@pytest.mark.parametrize("max_tokens", [1, 20, 60])
def test_splitting_for_memory_changes_rounding_only(max_tokens, stacked, source):
    jobs = [job(stacked.sites, i, rows=rows, answer=(1, 3)) for i, rows in enumerate((3, 5, 1, 4))]
    small = Stacked(threads=1, max_tokens=max_tokens).open(source)
    assert_same(small.train(jobs), stacked.train(jobs))


def test_training_leaves_the_base_as_it_was(source):
    pool = Stacked(threads=1).open(source)
    network = pool._model.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pool.train([job(pool.sites, 0)])
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())
    assert not any("forward" in vars(module) for module in network.modules())


def test_threads_are_restored(source):
    before = torch.get_num_threads()
    pool = Stacked(threads=before + 1).open(source)
    pool.train([job(pool.sites, 0, steps=1)])
    assert torch.get_num_threads() == before


def test_loss_falls(stacked):
    one = job(stacked.sites, 0, steps=1, rows=8, lr=1e-2)
    many = replace(one, batches=one.batches * 30)
    losses = stacked.train([many])[0].losses
    assert losses[-1] < 0.3 * losses[0]


def test_first_loss_is_the_mean_over_the_devices_answer_tokens(stacked):
    """By hand: zero adapter, one forward of the base model per example."""
    asked = job(stacked.sites, 0, steps=1, answer=(1, 4))
    nothing = replace(asked.adapter, vector=np.zeros_like(asked.adapter.vector))
    network, tokenizer = stacked._model.network, stacked._model.objective.tokens._tokenizer
    nats = []
    for e in asked.batches[0]:
        ids = tokenizer(e.prompt + e.answer, return_tensors="pt")["input_ids"]
        start = len(tokenizer(e.prompt)["input_ids"])
        with torch.no_grad():
            logs = network(ids).logits[0].log_softmax(-1)
        nats += [-logs[i - 1, ids[0, i]].item() for i in range(start, ids.shape[1])]
    assert len(nats) > 4
    loss = stacked.train([replace(asked, adapter=nothing)])[0].losses[0]
    assert loss == pytest.approx(np.mean(nats), abs=1e-5)


def test_nothing_to_do(stacked, sequential):
    for pool in (stacked, sequential):
        assert pool.train([]) == []
        idle = job(pool.sites, 0, steps=0)
        (result,) = pool.train([idle])
        assert result.losses == ()
        np.testing.assert_array_equal(result.vector, idle.adapter.vector)


def test_nothing_trainable_still_reports_the_loss(stacked, sequential):
    frozen = job(stacked.sites, 0, density=0.0)
    (found,), (expected,) = stacked.train([frozen]), sequential.train([frozen])
    np.testing.assert_array_equal(found.vector, frozen.adapter.vector)
    np.testing.assert_allclose(found.losses, expected.losses, atol=1e-5)


@pytest.mark.parametrize("kind", ["stacked", "sequential"])
def test_mistakes(kind, request):
    pool = request.getfixturevalue(kind)
    good = job(pool.sites, 7, steps=1)
    with pytest.raises(LearningError, match=r"device 7: expected at least one example .* step 0"):
        pool.train([replace(good, batches=((),))])
    other = Layout(pool.sites[:-1], 4)
    foreign = Adapter(other, np.zeros(other.size, np.float32), 1.0)
    with pytest.raises(LearningError, match="expected adapters of the model's 14 layers"):
        pool.train([replace(good, adapter=foreign)])
    empty = replace(good.batches[0][0], answer=" ", choices=(" ",))
    with pytest.raises(LearningError, match="expected an answer of at least one token"):
        pool.train([replace(good, batches=((empty,),))])
    long = replace(good.batches[0][0], prompt="w1 " * 70 + "w2")
    with pytest.raises(LearningError, match=r"at most 64 tokens together.*got 72"):
        pool.train([replace(good, batches=((long,),))])


def test_counts(stacked, sequential):
    """32-wide, 2 layers: q, o 32x32, k, v 32x16, gate, up, down 32x64; head 43 words."""
    layers = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64)
    for pool in (stacked, sequential):
        assert pool.num_parameters == layers + 43 * 32
        batches = job(pool.sites, 0, steps=2, rows=3, prompt=(5, 5), answer=(2, 2)).batches
        assert pool.num_tokens(batches) == 2 * 3 * 7
    names = [site.name.rpartition(".")[2] for site in stacked.sites[:7]]
    assert names == ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    assert (stacked.sites[1].d_in, stacked.sites[1].d_out) == (32, 16)


def test_bfloat16_follows_float32(source, stacked):
    """8-bit mantissa: losses agree to about one in a hundred."""
    jobs = [job(stacked.sites, i, rank=2 + i, density=0.5) for i in range(2)]
    coarse = Stacked(threads=1, dtype="bfloat16").open(source).train(jobs)
    for found, expected, asked in zip(coarse, stacked.train(jobs), jobs, strict=True):
        np.testing.assert_allclose(found.losses, expected.losses, rtol=0.03)
        kept = ~asked.trainable
        np.testing.assert_array_equal(found.vector[kept], asked.adapter.vector[kept])


def test_optimisation_is_per_device(stacked):
    """Twice the learning rate is twice the first SGD step."""
    one = job(stacked.sites, 0, steps=1, optimizer="sgd", lr=0.01)
    two = replace(one, device=1, optimisation=Optimisation("sgd", 0.02, 0.0, None))
    a, b = stacked.train([one, two])
    move = a.vector - one.adapter.vector
    np.testing.assert_allclose(b.vector - one.adapter.vector, 2 * move, rtol=1e-3, atol=1e-7)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("kind", [Stacked, Sequential])
def test_no_gpu(kind, source):
    with pytest.raises(LearningError, match="expected a GPU for device: cuda, found none"):
        kind(device="cuda").open(source)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_cuda_follows_the_cpu(source, stacked):
    jobs = [job(stacked.sites, i, rows=2 + i, rank=2 + i, clip=1.0) for i in range(3)]
    on_gpu = Stacked(device="cuda").open(source)
    first, again = on_gpu.train(jobs), on_gpu.train(jobs)
    assert_same(first, stacked.train(jobs), atol=1e-4)
    for one, other in zip(first, again, strict=True):
        assert one.vector.tobytes() == other.vector.tobytes()
