"""Questions that are answered in words: what a model writes, and who judges it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from pool_helpers import WORDS, Loaded, adapter, example, job, save_encoder, save_model
from transformers import GenerationConfig

from cosim.learning.errors import LearningError
from cosim.learning.mixture import Mixture, Router
from cosim.learning.model_pool import EvaluationJob
from cosim.learning.models.encoder import Encoder
from cosim.learning.pool._decoding import cut, decode, decodes, is_settled, parts
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


def likeliest(network, prompt, room):
    """The library's own decoding, to the last token that there is room for."""
    (ids,) = network.generate(
        torch.tensor([prompt]),
        generation_config=GenerationConfig(max_new_tokens=room, do_sample=False, pad_token_id=0),
    )
    return ids[len(prompt) :].tolist()


class Steps(torch.nn.Module):
    """A model that notes how many texts it reads at a time."""

    def __init__(self, network):
        super().__init__()
        self.config, self.device, self.network, self.sizes = (
            network.config,
            network.device,
            network,
            [],
        )

    def forward(self, **options):
        self.sizes.append(tuple(options["input_ids"].shape))
        return self.network(**options)


def test_texts_that_ended_make_room_and_change_no_other(source):
    """Each text by the library's own decoding alone; ends come at many places, in fp32."""
    base = source.load()
    objective, network = base.objective, Steps(base.network)
    asked = [
        replace(each, max_tokens=3 + 3 * i % 20, stops=stops)
        for i, (each, stops) in enumerate(
            zip(questions(Says("x"), num=12), 4 * [(), ("w7",), ("w1", "w2 w2")], strict=True)
        )
    ]
    tokens = objective.tokens
    prompts = [tokens.prompts([each], each.max_tokens)[0] for each in asked]
    plain = [objective.plain_write(base.network, each) for each in asked]
    ids = [
        likeliest(base.network, p, each.max_tokens) for p, each in zip(prompts, asked, strict=True)
    ]
    # The token that most texts have in their midst ends them.
    end_id = max(range(43), key=lambda token: sum(token in text[1:-1] for text in ids))
    expected = [text[: text.index(end_id)] if end_id in text else text for text in ids]
    room = [each.max_tokens for each in asked]
    found = decode(network, prompts, room, lambda *_: False, tokens.pad_id, end_id)
    assert found == expected
    lengths = [len(text) for text in found]
    assert len(set(lengths)) > 4
    assert network.sizes[0] == (12, max(map(len, prompts)))
    rows, columns = zip(*network.sizes[1:], strict=True)
    assert set(columns) == {1}
    assert list(rows) == sorted(rows, reverse=True)
    assert rows[-1] < 9
    ended = [end_id in text for text in ids]
    assert len(network.sizes) == max(n + e for n, e in zip(lengths, ended, strict=True))
    # Stops end a text early, and it is cut where it would have been.
    whole = [cut(text, each.stops) for text, each in zip(plain, asked, strict=True)]
    early = [
        cut(text, each.stops)
        for text, each in zip(objective.write(asked, 10**6), asked, strict=True)
    ]
    assert early == whole
    assert any(len(cut_) < len(text) for cut_, text in zip(whole, plain, strict=True))


def test_a_stop_ends_a_text_before_its_last_token(source):
    base = source.load()
    (asked,) = questions(Says("x"), num=1, max_tokens=40)
    text = base.objective.plain_write(base.network, asked)
    stop = text.split()[1]
    short = base.objective.write([replace(asked, stops=(f" {stop}",))], 10**6)[0]
    assert text.startswith(short)
    assert len(short.split()) == 8  # where it is looked at first
    assert base.objective.write([asked], 10**6) == [text]


def test_equal_adapters_write_once(pools):
    note = Notes(([],))
    one = adapter(pools[0].sites, 4, 1)
    same = replace(one, vector=one.vector.copy())
    jobs = [EvaluationJob(each, questions(note)) for each in (one, same, one)]
    found = pools[0].evaluate(jobs)
    assert len(note.seen[0]) == 5
    assert found[0] == found[1] == found[2]


def test_the_loss_is_the_mean_over_questions(pools):
    """Answers of unequal lengths: each question counts the same."""
    answers = (" w1", " w2 w3 w4 w5", " w6 w7")
    asked = tuple(
        replace(each, answer=answer)
        for each, answer in zip(questions(Says("x"), num=3), answers, strict=True)
    )
    job = EvaluationJob(adapter(pools[0].sites, 4, 1), asked)
    one, other = (pool.evaluate([job])[0].loss for pool in pools)
    assert one == pytest.approx(other, abs=1e-5)


def test_models_that_cannot_run_step_by_step_write_by_the_library(source, monkeypatch):
    objective = source.load().objective
    asked = questions(Says("x"), num=2)
    expected = objective.write(asked, 10**6)
    assert decodes(objective._network)
    monkeypatch.setattr("cosim.learning.pool._causal.decodes", lambda _: False)
    monkeypatch.setattr("cosim.learning.pool._causal.decode", None)
    assert objective.write(asked, 10**6) == expected


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
    assert cut("a b\n\nc ####", ("####", "\n\n")) == "a b"
    assert cut("a b", ("#",)) == "a b"
    assert cut("a b", ()) == "a b"


@pytest.mark.parametrize("stops", [("b",), ("bc", "b"), ("abcd", "c"), ("ca", "abcd", "d")])
def test_a_settled_text_is_cut_at_the_same_place_whatever_follows(stops):
    rng = np.random.default_rng(0)
    settled = 0
    for _ in range(300):
        text = "".join(rng.choice(list("abcd"), 8))
        places = [len(cut(text[:end], stops)) for end in range(len(text) + 1)]
        for end in range(len(text) + 1):
            if is_settled(text[:end], stops):
                settled += 1
                assert places[end:] == places[end : end + 1] * (len(text) + 1 - end)
    assert settled > 300
    assert not is_settled("abcd", ())


def test_questions_are_worked_on_in_parts_that_fit():
    lengths, room = [9, 4, 4, 5, 4, 8], [10, 2, 3, 2, 3, 10]
    assert parts(lengths, room, 10**6) == [[1, 2, 4, 3, 5, 0]]
    assert sorted(parts(lengths, room, 1)) == [[i] for i in range(6)]
    for most in (8, 13, 20):
        found = parts(lengths, room, most)
        assert sorted(number for part in found for number in part) == list(range(6))
        assert max(map(len, found)) > 1
        for part in found:
            longest = max(lengths[number] for number in part)
            kept = longest + max(room[number] for number in part)
            assert len(part) == 1 or len(part) * longest <= most
            assert len(part) == 1 or len(part) * kept <= 8 * most


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
