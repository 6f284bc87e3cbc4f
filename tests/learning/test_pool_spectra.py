"""The spectra of layers' inputs, against a covariance written out."""

import numpy as np
import pytest
import torch
from learner_helpers import FakePool, setting
from pool_helpers import LABELS, labelled, picture, save_encoder, save_vit

from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.errors import LearningError
from cosim.learning.methods._measures import effective_rank
from cosim.learning.methods.sparse_orthogonal import SparseOrthogonal
from cosim.learning.model_pool import ModelPool
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.models.encoder import Encoder
from cosim.learning.models.image import Image
from cosim.learning.pool import _spectra
from cosim.learning.pool._spectra import _spectrum
from cosim.learning.pool.sequential import Sequential
from cosim.learning.pool.stacked import Stacked
from cosim.learning.tasks.sentiment import Sentiment
from cosim.learning.tasks.syntax import Syntax


@pytest.mark.parametrize("shape", [(40, 7), (5, 12)])
def test_the_spectrum_is_that_of_the_covariance(shape):
    inputs = np.random.default_rng(1).standard_normal(shape)
    wanted = np.linalg.eigvalsh(np.cov(inputs.T, bias=True))[::-1][: min(shape)]
    np.testing.assert_allclose(_spectrum(inputs), wanted, atol=1e-12)


def captured(base, examples):
    """The inputs of every layer, prompt by prompt, in stock transformers: [tokens, d_in] each."""
    seen = {name: [] for name in base.targets}
    for name in base.targets:

        def note(module, args, out, name=name):
            seen[name].append(args[0][0])

        base.network.get_submodule(name).register_forward_hook(note)
    for example in examples:
        prompt = base.tokenizer(example.prompt, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            base.network(input_ids=prompt)
    return [torch.cat(parts).double().numpy() for parts in seen.values()]


def test_spectra_are_of_the_inputs_of_what_is_asked():
    """Prompts of unlike lengths, so that there is padding in the pool's batches and none here."""
    examples = [e for task in (Sentiment(), Syntax()) for e in task.examples("train", None)[:6]]
    assert len({len(example.prompt.split()) for example in examples}) > 1
    model = CausalLm(source="builtin:tiny")
    found = Stacked(threads=1).open(model).input_spectra(examples)
    wanted = [_spectrum(inputs) for inputs in captured(model.load(), examples)]
    assert len(found) == len(wanted) == 28
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5 * other[0])
        assert effective_rank(one) == pytest.approx(effective_rank(other), rel=1e-3)
        assert 1 < effective_rank(one) < len(one)


def test_of_many_tokens_as_many_as_are_looked_at_are_evenly_spread(monkeypatch):
    examples = Sentiment().examples("train", None)[:20]
    model = CausalLm(source="builtin:tiny")
    pool = Stacked(threads=1).open(model)
    whole = pool.input_spectra(examples)
    monkeypatch.setattr(_spectra, "_MOST_TOKENS", 40)
    some = pool.input_spectra(examples)
    assert all(len(one) == 40 < len(other) for one, other in zip(some, whole, strict=True))
    ratio = [sum(one) / sum(other) for one, other in zip(some, whole, strict=True)]
    assert 0.7 < np.mean(ratio) < 1.3


def test_both_pools_measure_images_and_encoders_too(tmp_path):
    rng = np.random.default_rng(0)
    image = Image(source=f"path:{save_vit(tmp_path / 'vit')}", num_classes=len(LABELS))
    encoder = Encoder(source=f"path:{save_encoder(tmp_path / 'encoder', 'bert')}")
    pictures = [picture(rng, 0) for _ in range(3)]
    texts = [labelled(rng, length) for length in (3, 9, 5)]
    for source, examples in ((image, pictures), (encoder, texts)):
        both = [pool.open(source).input_spectra(examples) for pool in (Stacked(), Sequential())]
        for site, one, other in zip(Stacked().open(source).sites, *both, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
            assert len(one) <= site.d_in


def test_a_method_asks_for_ranks_only_where_it_uses_them():
    layers = {"mask_scope": "layer_wise"}
    assert SparseOrthogonal(**layers).asks_for_ranks
    assert not SparseOrthogonal(**layers, importance="d_in").asks_for_ranks
    assert not SparseOrthogonal().asks_for_ranks
    asked = []

    class Pool(FakePool):
        def input_spectra(self, examples):
            asked.append(len(examples))
            return [np.ones(site.d_in) for site in self.sites]

    AdapterLearner(setting(SparseOrthogonal(rank=2)), Pool())
    assert not asked
    learner = AdapterLearner(setting(SparseOrthogonal(rank=2, **layers)), Pool())
    assert asked == [16]  # the first eight of two tasks, whatever a device has
    assert learner._cohort.effective_ranks == pytest.approx(
        tuple(s.d_in for s in learner._pool.sites)
    )


def test_a_pool_that_does_not_measure_is_an_error():
    class Pool(FakePool):
        def input_spectra(self, examples):
            return ModelPool.input_spectra(self, examples)

    method = SparseOrthogonal(rank=2, mask_scope="layer_wise")
    with pytest.raises(LearningError, match="use importance: d_in"):
        AdapterLearner(setting(method), Pool()).forecast()
