"""Encoders and images in both pools: stacked equals sequential, and what the objectives promise."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from pool_helpers import (
    LABELS,
    Pull,
    adapter,
    job,
    labelled,
    picture,
    save_encoder,
    save_vit,
)

from cosim.learning.adapter import Adapter, Layout, concatenate
from cosim.learning.errors import LearningError
from cosim.learning.mixture import Mixture, Router
from cosim.learning.model_pool import EvaluationJob
from cosim.learning.models._vit_config import VitConfig
from cosim.learning.models.encoder import Encoder
from cosim.learning.models.image import Image
from cosim.learning.pool.sequential import Sequential
from cosim.learning.pool.stacked import Stacked
from cosim.learning.tasks.base import Example
from cosim.rng import Draws

KINDS = ("cosine", "head", "head_cls", "image")
CLASSES = len(LABELS)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    bert = save_encoder(tmp_path_factory.mktemp("bert"), "bert")
    distil = save_encoder(tmp_path_factory.mktemp("distil"), "distilbert")
    vit = save_vit(tmp_path_factory.mktemp("vit"))
    head = {"head": "classification", "num_classes": CLASSES}
    return {
        "cosine": Encoder(source=f"path:{bert}", temperature=0.2),
        "head": Encoder(source=f"path:{distil}", **head),
        "head_cls": Encoder(source=f"path:{bert}", pooling="cls", **head),
        "image": Image(source=f"path:{vit}", num_classes=CLASSES),
    }


@pytest.fixture(scope="module")
def pools(sources):
    def both(source):
        return Stacked(threads=1).open(source), Sequential(threads=1).open(source)

    return {kind: both(source) for kind, source in sources.items()}


def jobs_of(pool, kind, *settings):
    shown = picture if kind == "image" else labelled
    return [
        job(pool.sites, device, head=pool.head, shown=shown, **keys)
        for device, keys in enumerate(settings)
    ]


def assert_same(found, expected, atol=1e-5):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.losses, other.losses, rtol=0, atol=atol)
        np.testing.assert_allclose(one.vector, other.vector, rtol=0, atol=atol)


CASES = {
    "equal": [{"prompt": (5, 5)}] * 3,
    "ragged lengths": [{"prompt": (1, 30), "rows": 6}] * 3,
    "ragged rows": [{"rows": 1}, {"rows": 5, "prompt": (2, 20)}, {"rows": 2}],
    "ranks and masks": [
        {"rank": 2, "density": 0.1},
        {"rank": 5, "density": 0.4, "train_a": False},
        {"rank": 3, "density": 0.8},
    ],
    "all at once": [
        {"rank": 2, "rows": 1, "steps": 4, "density": 0.2, "weight_decay": 0.1, "clip": 0.3},
        {"rank": 5, "rows": 6, "steps": 2, "train_a": False, "prompt": (2, 30)},
        {"rank": 3, "rows": 3, "steps": 5, "clip": 1.0, "penalty": Pull(0.2)},
        {"optimizer": "sgd", "lr": 0.02, "prompt": (1, 12), "weight_decay": 0.1},
    ],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_stacked_equals_sequential(kind, case, pools):
    stacked, sequential = pools[kind]
    jobs = jobs_of(stacked, kind, *CASES[case])
    found = stacked.train(jobs)
    # AdamW's first steps are near the sign of the gradient: rounding shows where that is near 0.
    assert_same(found, sequential.train(jobs), atol=5e-5)
    for result, asked in zip(found, jobs, strict=True):
        kept = ~asked.trainable
        np.testing.assert_array_equal(
            result.vector[kept].view(np.int32), asked.adapter.vector[kept].view(np.int32)
        )
        layout = asked.adapter.layout
        for part in (layout.part_b, layout.part_head):
            there = asked.trainable[part]
            moved = (result.vector != asked.adapter.vector)[part][there]
            assert moved.mean() > 0.9 if there.any() else True


@pytest.mark.parametrize("max_tokens", [1, 40, 200])
@pytest.mark.parametrize("kind", KINDS)
def test_splitting_for_memory_changes_rounding_only(kind, max_tokens, pools, sources):
    stacked, _ = pools[kind]
    settings = [{"rows": rows, "prompt": (1, 20)} for rows in (3, 5, 1, 4)]
    jobs = jobs_of(stacked, kind, *settings)
    small = Stacked(threads=1, max_tokens=max_tokens).open(sources[kind])
    assert_same(small.train(jobs), stacked.train(jobs), atol=5e-5)
    judged = [EvaluationJob(each.adapter, each.batches[0]) for each in jobs]
    for one, other in zip(small.evaluate(judged), stacked.evaluate(judged), strict=True):
        assert one.accuracy == other.accuracy
        assert one.loss == pytest.approx(other.loss, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_both_pools_are_equal(kind, pools):
    stacked, sequential = pools[kind]
    rng = np.random.default_rng(0)
    shown = picture if kind == "image" else labelled
    sets = [tuple(shown(rng, int(rng.integers(1, 25))) for _ in range(12)) for _ in range(2)]
    judged = [
        EvaluationJob(adapter(stacked.sites, 3 + i, i, head=stacked.head), examples)
        for i in range(2)
        for examples in sets
    ]
    found, expected = stacked.evaluate(judged), sequential.evaluate(judged)
    for one, other in zip(found, expected, strict=True):
        assert one.accuracy == other.accuracy
        assert one.loss == pytest.approx(other.loss, abs=1e-5)
    assert len({round(score.loss, 5) for score in found}) == len(judged)


@pytest.mark.parametrize("kind", ["cosine", "head", "head_cls"])
def test_padding_changes_nothing(kind, pools):
    """A text in a batch with a much longer one, against the text alone."""
    objective = pools[kind][0]._model.objective
    rng = np.random.default_rng(1)
    short, long = labelled(rng, 3), labelled(rng, 40)
    alone, both = objective.lesson([short])[:1], objective.lesson([short, long])[:2]
    with torch.no_grad():
        one = objective.read(objective.collate(alone, alone[0].length))
        padded = objective.read(objective.collate(both, 60))
        whole = objective.read(objective.collate(both[1:], both[1].length))
    torch.testing.assert_close(padded[:1], one, rtol=0, atol=1e-6)
    torch.testing.assert_close(padded[1:], whole, rtol=0, atol=1e-6)


def test_cosine_scores_by_hand(pools, sources):
    """Merge the adapter into the weights; embed every text alone."""
    stacked, _ = pools["cosine"]
    mine = adapter(stacked.sites, 4, 3)
    base = sources["cosine"].load()
    for i, site in enumerate(stacked.sites):
        product = mine.layout.b(mine.vector, i) @ mine.layout.a(mine.vector, i)
        base.network.get_submodule(site.name).weight += mine.scale * torch.from_numpy(product)

    def embed(text):
        ids = base.tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            return base.network(input_ids=ids).last_hidden_state[0].mean(0).double()

    rng = np.random.default_rng(5)
    examples = tuple(labelled(rng, int(rng.integers(1, 20))) for _ in range(10))
    correct, nats = [], []
    for e in examples:
        x, cs = embed(e.prompt), torch.stack([embed(c.strip()) for c in e.choices])
        scores = (cs @ x / (cs.norm(dim=1) * x.norm()) / 0.2).numpy()
        answer = e.choices.index(e.answer)
        correct.append(int(np.argmax(scores)) == answer)
        nats.append(np.log(np.exp(scores).sum()) - scores[answer])
    (score,) = stacked.evaluate([EvaluationJob(mine, examples)])
    assert score.accuracy == np.mean(correct)
    assert score.loss == pytest.approx(np.mean(nats), abs=1e-5)


def test_choices_may_differ_in_number_when_matched(pools):
    stacked, sequential = pools["cosine"]
    rng = np.random.default_rng(2)
    batch = (labelled(rng, 4, LABELS[:2]), labelled(rng, 9), labelled(rng, 2, LABELS[1:]))
    one = job(stacked.sites, 0, steps=1)
    mixed = replace(one, batches=(batch, batch))
    assert_same(stacked.train([mixed]), sequential.train([mixed]))
    judged = [EvaluationJob(one.adapter, batch)]
    found, expected = stacked.evaluate(judged), sequential.evaluate(judged)
    assert found[0].loss == pytest.approx(expected[0].loss, abs=1e-5)


def test_a_choice_is_read_without_its_space(pools):
    stacked, _ = pools["cosine"]
    mine = adapter(stacked.sites, 2, 0)
    spaced, bare = (Example("w3 w4", f"{s}w1", (f"{s}w1", f"{s}w2")) for s in (" ", ""))
    one, other = stacked.evaluate([EvaluationJob(mine, (e,)) for e in (spaced, bare)])
    assert one == other


def test_the_head_starts_from_an_address(sources):
    start = Stacked().open(sources["head"], Draws(3)).head_start
    again = Sequential().open(sources["head"], Draws(3)).head_start
    other = Stacked().open(sources["head"], Draws(4)).head_start
    np.testing.assert_array_equal(start, again)
    assert (start != other)[:-CLASSES].all()
    np.testing.assert_array_equal(start[-CLASSES:], 0)
    # 128 draws of sd 0.02: the sample's is within 5 of its own deviations, 0.02 / sqrt(256)
    assert start[:-CLASSES].std() == pytest.approx(0.02, abs=5 * 0.02 / 16)
    assert Stacked().open(sources["cosine"]).head_start is None


def test_only_the_head_trains(pools):
    stacked, sequential = pools["image"]
    (one,) = jobs_of(stacked, "image", {"steps": 4, "rows": 5})
    trainable = np.zeros_like(one.trainable)
    trainable[one.adapter.layout.part_head] = True
    (found,) = stacked.train([replace(one, trainable=trainable)])
    (expected,) = sequential.train([replace(one, trainable=trainable)])
    assert_same([found], [expected])
    np.testing.assert_array_equal(found.vector[~trainable], one.adapter.vector[~trainable])
    assert found.losses[0] != found.losses[-1]


def test_the_head_of_a_sum_has_moved_by_the_sum(pools):
    stacked, _ = pools["head"]
    parts = [(adapter(stacked.sites, r, r, head=stacked.head), w) for r, w in ((2, 0.7), (3, 0.4))]
    both = concatenate(parts)
    rng = np.random.default_rng(0)
    examples = tuple(labelled(rng, 6) for _ in range(8))
    nothing = replace(both, vector=both.vector.copy())
    nothing.vector[both.layout.part_head] = 0
    found, without = stacked.evaluate([EvaluationJob(a, examples) for a in (both, nothing)])
    assert found.loss != without.loss
    expected = sum(w * p.vector[p.layout.part_head] for p, w in parts)
    np.testing.assert_allclose(both.vector[both.layout.part_head], expected, rtol=1e-6)


@dataclass(frozen=True)
class Always(Router):
    """The same weights for every input."""

    alpha: tuple[float, ...]

    def known(self, site):
        return ()

    def scores(self, known, x, is_prompt):
        assert is_prompt.shape == x.shape[:2]
        return x.new_tensor(self.alpha).expand(*x.shape[:2], -1)

    def weights(self, scores):
        return scores


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixture_of_fixed_weights_is_the_sum(kind, pools):
    stacked, sequential = pools[kind]
    parts = tuple(adapter(stacked.sites, 2 + i, i, head=stacked.head) for i in range(2))
    rng = np.random.default_rng(3)
    shown = picture if kind == "image" else labelled
    examples = tuple(shown(rng, int(rng.integers(1, 20))) for _ in range(8))
    mixture = Mixture(parts, Always((0.5, 0.5)))
    both = concatenate([(part, 0.5) for part in parts])
    found, expected = stacked.evaluate([EvaluationJob(a, examples) for a in (mixture, both)])
    assert found.accuracy == expected.accuracy
    assert found.loss == pytest.approx(expected.loss, abs=1e-5)
    with pytest.raises(LearningError, match="mixture of some, which PEFT cannot run"):
        sequential.evaluate([EvaluationJob(mixture, examples)])


def test_loss_falls(pools):
    for kind in ("cosine", "image"):
        stacked, _ = pools[kind]
        (one,) = jobs_of(stacked, kind, {"steps": 1, "rows": 6, "lr": 1e-2})
        losses = stacked.train([replace(one, batches=one.batches * 30)])[0].losses
        assert losses[-1] < 0.5 * losses[0], kind


@pytest.mark.parametrize("kind", KINDS)
def test_same_jobs_same_bits_and_an_untouched_base(kind, pools):
    stacked, _ = pools[kind]
    network = stacked._model.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    jobs = jobs_of(stacked, kind, {"rows": 2, "prompt": (1, 20)}, {"rows": 3, "steps": 4}, {})
    for one, other in zip(stacked.train(jobs), stacked.train(jobs[::-1])[::-1], strict=True):
        assert one.vector.tobytes() == other.vector.tobytes()
        assert one.losses == other.losses
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_one_device_that_breaks_stays_alone(kind, pools):
    stacked, _ = pools[kind]
    jobs = jobs_of(stacked, kind, *[{"prompt": (1, 20)}] * 3)
    broken = jobs[1].adapter.vector.copy()
    broken[jobs[1].adapter.layout.part_b.stop - 1] = np.nan
    jobs[1] = replace(jobs[1], adapter=replace(jobs[1].adapter, vector=broken))
    results = stacked.train(jobs)
    assert np.isnan(results[1].losses).all()
    assert_same([results[0], results[2]], stacked.train([jobs[0], jobs[2]]), atol=5e-5)
    (score,) = stacked.evaluate([EvaluationJob(jobs[1].adapter, jobs[1].batches[0])])
    assert score.accuracy == 0.0


def test_bfloat16_follows_float32(pools, sources):
    for kind in ("cosine", "image"):
        stacked, _ = pools[kind]
        jobs = jobs_of(stacked, kind, {"prompt": (1, 20)}, {"rank": 2})
        coarse = Stacked(threads=1, dtype="bfloat16").open(sources[kind]).train(jobs)
        for found, expected in zip(coarse, stacked.train(jobs), strict=True):
            np.testing.assert_allclose(found.losses, expected.losses, rtol=0.05, atol=0.02)


def test_images_are_scaled_and_gray_ones_are_read_as_three_channels(pools):
    stacked, sequential = pools["image"]
    objective = stacked._model.objective
    rng = np.random.default_rng(0)
    large, gray = picture(rng, 0, (3, 16, 12)), picture(rng, 0, (1, 8, 8))
    rows = objective.lesson([large, gray])
    values = objective.collate(rows, rows[0].length)["pixel_values"]
    assert values.shape == (2, 3, 8, 8)
    bytes_ = np.frombuffer(gray.pixels, np.uint8).reshape(8, 8)
    np.testing.assert_allclose(values[1], np.tile(bytes_ / 127.5 - 1, (3, 1, 1)), atol=1e-6)
    flat = replace(large, pixels=bytes([51]) * len(large.pixels))  # 51 / 255 = 0.2
    rows = objective.lesson([flat])
    np.testing.assert_allclose(
        objective.collate(rows, rows[0].length)["pixel_values"], -0.6, atol=1e-6
    )
    mine = adapter(stacked.sites, 2, 0, head=stacked.head)
    judged = [EvaluationJob(mine, (large, gray))]
    found, expected = stacked.evaluate(judged), sequential.evaluate(judged)
    assert found[0].loss == pytest.approx(expected[0].loss, abs=1e-5)


def test_counts(pools):
    """Without embeddings and poolers: 2 blocks of 4 d x d and 2 d x 48; ViT: patches 3 x 4 x 4."""
    blocks = 2 * (4 * 32 * 32 + 2 * 32 * 48)
    for kind in ("cosine", "head", "head_cls"):
        assert [pool.num_parameters for pool in pools[kind]] == [blocks] * 2
    assert pools["image"][0].num_parameters == blocks + 32 * 3 * 4 * 4
    rng = np.random.default_rng(0)
    texts = [labelled(rng, 5) for _ in range(3)]  # two marks around each text
    labels = sum(len(label.split()) + 2 for label in LABELS)
    assert pools["cosine"][0].num_tokens([texts, texts]) == 2 * (3 * 7 + labels)
    assert pools["head"][0].num_tokens([texts]) == 3 * 7
    assert pools["image"][0].num_tokens([[picture(rng, 0)] * 2]) == 2 * (1 + 4)


@pytest.mark.parametrize("place", [0, 1], ids=["stacked", "sequential"])
def test_mistakes(place, pools):
    pool = pools["head"][place]
    good = job(pool.sites, 0, head=pool.head, shown=labelled, steps=1)
    two = labelled(np.random.default_rng(0), 4, LABELS[:2])
    expected = r"expected 4 choices in every example of every task.*got 2: ' w1 w2', ' w3'"
    with pytest.raises(LearningError, match=expected):
        pool.train([replace(good, batches=((two,),))])
    with pytest.raises(LearningError, match=expected):
        pool.evaluate([EvaluationJob(good.adapter, (two,))])
    headless = Layout(pool.sites, 4)
    bare = Adapter(headless, np.zeros(headless.size, np.float32), 1.0)
    with pytest.raises(LearningError, match="expected adapters with the model's head"):
        pool.train([replace(good, adapter=bare)])
    wrong = replace(two, answer=" w9")
    cosine = pools["cosine"][place]
    mine = adapter(cosine.sites, 2, 0)
    with pytest.raises(LearningError, match="answer among the choices"):
        cosine.evaluate([EvaluationJob(mine, (wrong,))])
    with pytest.raises(LearningError, match=r"at most 64 tokens.*got 72"):
        cosine.evaluate([EvaluationJob(mine, (replace(two, prompt="w1 " * 70),))])
    image = pools["image"][place]
    seen = adapter(image.sites, 2, 0, head=image.head)
    four = labelled(np.random.default_rng(0), 4)
    with pytest.raises(LearningError, match="expected images for a model of kind image, got the"):
        image.evaluate([EvaluationJob(seen, (four,))])
    short = replace(picture(np.random.default_rng(0), 0), pixels=b"123")
    with pytest.raises(LearningError, match=r"got \(3, 8, 8\) and 3 bytes"):
        image.evaluate([EvaluationJob(seen, (short,))])


def test_an_empty_text_is_its_marks_or_nothing(pools, tmp_path):
    stacked, sequential = pools["cosine"]
    judged = [EvaluationJob(adapter(stacked.sites, 2, 0), (Example("", "w1", ("w1", "w2")),))]
    found, expected = stacked.evaluate(judged), sequential.evaluate(judged)
    assert found[0].loss == pytest.approx(expected[0].loss, abs=1e-6)
    unmarked = Encoder(source=f"path:{save_encoder(tmp_path, eos=False)}")
    with pytest.raises(LearningError, match="text of at least one token, got ''"):
        Stacked(threads=1).open(unmarked).evaluate(judged)


def test_a_made_vit_learns_through_its_head():
    """Bright or dark: the base is random, adapters and head do it."""
    rng = np.random.default_rng(0)
    source = Image(config=VitConfig(hidden=16, layers=1, heads=2, patch=4), num_classes=2)
    pool = Stacked(threads=1).open(source)

    def shade(n):
        found = []
        for _ in range(n):
            bright = bool(rng.integers(2))
            pixels = rng.integers(0, 156, 64) + 100 * bright
            answer = "bright" if bright else "dark"
            one = picture(rng, 0, (1, 8, 8), ("dark", "bright"))
            found.append(replace(one, answer=answer, pixels=pixels.astype(np.uint8).tobytes()))
        return tuple(found)

    (start,) = jobs_of(pool, "image", {"steps": 1})
    many = replace(start, batches=tuple(shade(8) for _ in range(40)))
    (done,) = pool.train([replace(many, optimisation=replace(many.optimisation, lr=1e-2))])
    judged = replace(start.adapter, vector=done.vector)
    assert pool.evaluate([EvaluationJob(judged, shade(100))])[0].accuracy > 0.9
