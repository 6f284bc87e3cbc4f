"""Questions that are answered in words: what a model writes, and who judges it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from pool_helpers import WORDS, Loaded, adapter, example, job, save_encoder, save_model

from cosim.learning.errors import LearningError
from cosim.learning.mixture import Mixture, Router
from cosim.learning.model_pool import EvaluationJob
from cosim.learning.models.encoder import Encoder
from cosim.learning.pool._writing import _cut, _parts
from cosim.learning.pool.sequential import Sequential
from cosim.learning.pool.stacked import Stacked
from cosim.learning.tasks.base import Generation, Judge


@dataclass(frozen=True)
class Notes(Judge):
    """Accepts every other text, and notes them all."""

    seen: tuple

    def accepts(self, text):
        self.seen[0].append(text)
        return len(self.seen[0]) % 2 == 1

    def __hash__(self):
        return id(self.seen[0])


@dataclass(frozen=True)
class Says(Judge):
    """Accepts one text."""

    text: str

    def accepts(self, text):
        return text.strip() == self.text


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return Loaded(folder=str(save_model(tmp_path_factory.mktemp("model"))))


@pytest.fixture(scope="module")
def pools(source):
    return Stacked(threads=1).open(source), Sequential(threads=1).open(source)


def questions(judge, num=5, max_tokens=6, stops=()):
    rng = np.random.default_rng(3)
    prompts = [example(rng, prompt=3 + 2 * i).prompt for i in range(num)]
    return tuple(Generation(each, " w1 w2", (), judge, max_tokens, stops) for each in prompts)


def test_stacked_writes_what_sequential_writes(pools):
    """Prompts of unequal length, together and one by one."""
    notes = [Notes(([],)), Notes(([],))]
    scores = []
    for pool, note in zip(pools, notes, strict=True):
        asked = EvaluationJob(adapter(pool.sites, 4, 1), questions(note))
        scores.append(pool.evaluate([asked])[0])
    texts = [sorted(note.seen[0]) for note in notes]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 5
    assert all(set(text.split()) <= {*WORDS, "<unk>"} for text in texts[0])
    assert scores[0].accuracy == scores[1].accuracy == 0.6
    assert scores[0].loss == pytest.approx(scores[1].loss, rel=1e-5)


def test_what_is_taught_is_written(pools):
    """After training on one answer the model writes it, and another adapter does not."""
    stacked, _ = pools
    asked = questions(Says("w1 w2"), num=1, max_tokens=2)
    start = job(stacked.sites, 0, rank=8, lr=1e-2)
    taught = replace(start, batches=((asked[0],),) * 60)
    result = stacked.train([taught])[0]
    assert result.losses[-1] < 0.6 < result.losses[0]
    after = replace(start.adapter, vector=result.vector)
    both = [EvaluationJob(each, asked) for each in (after, start.adapter)]
    right, wrong = stacked.evaluate(both)
    assert (right.accuracy, wrong.accuracy) == (1.0, 0.0)
    assert right.loss < 0.6 < wrong.loss


def test_words_and_choices_side_by_side(pools):
    stacked, _ = pools
    one = adapter(stacked.sites, 2, 5)
    choices = tuple(example(np.random.default_rng(1), 4) for _ in range(3))
    jobs = [EvaluationJob(one, questions(Says("x"))), EvaluationJob(one, choices)]
    together = stacked.evaluate(jobs)
    assert together == [stacked.evaluate([each])[0] for each in jobs]


def test_a_text_ends_at_the_first_stop():
    assert _cut("a b\n\nc ####", ("####", "\n\n")) == "a b"
    assert _cut("a b", ("#",)) == "a b"
    assert _cut("a b", ()) == "a b"


def test_questions_are_worked_on_in_parts_that_fit():
    asked = (*questions(Says("x"), num=4), *questions(Says("x"), num=2, max_tokens=9))
    parts = _parts(asked, 10**6)
    assert sorted(number for part in parts for number in part) == list(range(6))
    assert [len(part) for part in parts] == [4, 2]
    assert all(len(part) == 1 for part in _parts(asked, 1))


class Even(Router):
    def known(self, site):
        return ()

    def scores(self, known, x, is_prompt):
        return x.new_zeros((*x.shape[:2], 2))

    def weights(self, scores):
        return scores + 0.5


def test_mistakes(pools, source, tmp_path):
    stacked = pools[0]
    one, asked = adapter(stacked.sites, 2, 5), questions(Says("x"))
    for pool in pools:
        mixed = EvaluationJob(one, (*asked, example(np.random.default_rng(1), 4)))
        with pytest.raises(LearningError, match="all have choices or are all answered in words"):
            pool.evaluate([mixed])
        long = EvaluationJob(one, questions(Says("x"), max_tokens=60))
        with pytest.raises(LearningError, match="at most 4 tokens, so that the model can write 60"):
            pool.evaluate([long])
    mixture = EvaluationJob(Mixture((one, one), Even()), asked)
    with pytest.raises(LearningError, match="expected one adapter to write with, got a mixture"):
        stacked.evaluate([mixture])
    encoder = Stacked(threads=1).open(Encoder(source=f"path:{save_encoder(tmp_path, 'bert')}"))
    with pytest.raises(LearningError, match="expected a model that writes text"):
        encoder.evaluate([EvaluationJob(adapter(encoder.sites, 2, 1), asked)])
