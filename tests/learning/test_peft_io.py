import json

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from pool_helpers import (
    LABELS,
    adapter,
    labelled,
    picture,
    save_encoder,
    save_model,
    save_vit,
)
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM

from cosim.learning.adapter import Adapter, Layout, Site, concatenate
from cosim.learning.errors import LearningError
from cosim.learning.model_pool import EvaluationJob
from cosim.learning.models.encoder import Encoder
from cosim.learning.models.image import Image
from cosim.learning.peft_io import load, save
from cosim.learning.pool.stacked import Stacked

TOKENS = torch.arange(3, 15).reshape(2, 6)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"))


def network(folder):
    return AutoModelForCausalLM.from_pretrained(folder).eval()


def linear_layers(model):
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name != "lm_head"
    }


def sites_of(model):
    layers = linear_layers(model).items()
    return tuple(Site(name, layer.in_features, layer.out_features) for name, layer in layers)


@torch.no_grad()
def logits(model):
    return model(TOKENS).logits.numpy()


@torch.no_grad()
def merged_logits(folder, found):
    """Logits with W0 + scale B A written into the weights."""
    model = network(folder)
    for number, layer in enumerate(linear_layers(model).values()):
        product = found.layout.b(found.vector, number) @ found.layout.a(found.vector, number)
        layer.weight += torch.from_numpy(found.scale * product)
    return logits(model)


def test_peft_gives_the_same_logits(model_folder, tmp_path):
    sites = sites_of(network(model_folder))
    parts = [adapter(sites, 2, seed=1), adapter(sites, 3, seed=2, scale=0.7)]
    for number, saved in enumerate([parts[0], concatenate([(parts[0], 0.3), (parts[1], 0.7)])]):
        folder = tmp_path / str(number)
        save(saved, folder, str(model_folder))
        found = logits(PeftModel.from_pretrained(network(model_folder), folder))
        expected = merged_logits(model_folder, saved)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert np.abs(found - logits(network(model_folder))).max() > 0.1
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == str(model_folder)


def test_what_is_saved_comes_back(model_folder, tmp_path):
    sites = sites_of(network(model_folder))
    saved = adapter(sites, 3, seed=4, scale=0.7)
    save(saved, tmp_path, "some-model")
    found = load(tmp_path, sites)
    assert found.layout == saved.layout
    assert found.scale == pytest.approx(0.7)
    np.testing.assert_array_equal(found.vector, saved.vector)


def test_what_peft_saved_is_read(model_folder, tmp_path):
    model = network(model_folder)
    sites = sites_of(model)
    config = LoraConfig(r=2, lora_alpha=5, target_modules="all-linear", init_lora_weights=False)
    peft = get_peft_model(model, config)
    expected = logits(peft.eval())
    peft.save_pretrained(tmp_path)
    found = load(tmp_path, sites)
    assert found.scale == 2.5
    np.testing.assert_allclose(merged_logits(model_folder, found), expected, atol=1e-5)


def small(tmp_path):
    layout = Layout((Site("one", 3, 2),), rank=1)
    saved = Adapter(layout, np.arange(5, dtype=np.float32), 1.0)
    save(saved, tmp_path, "m")
    return layout.sites


def test_a_missing_file_is_named(tmp_path):
    sites = small(tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(LearningError, match=r"found no adapter_model\.safetensors"):
        load(tmp_path, sites)
    with pytest.raises(LearningError, match=r"found no adapter_config\.json"):
        load(tmp_path / "nowhere", sites)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_dora", True),
        ("peft_type", "IA3"),
        ("rank_pattern", {"q": 4}),
        ("alpha_pattern", {"q": 4}),
        ("bias", "all"),
        ("lora_bias", True),
        ("modules_to_save", ["score"]),
        ("fan_in_fan_out", True),
        ("layer_replication", [[0, 2]]),
        ("target_parameters", ["experts.down_proj"]),
        ("trainable_token_indices", [3]),
        ("init_lora_weights", "pissa"),
        ("a_setting_of_tomorrow", True),
    ],
)
def test_other_than_plain_lora_is_refused(tmp_path, key, value):
    sites = small(tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(LearningError, match=f"expected {key}"):
        load(tmp_path, sites)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a mapping of settings, got list"),
        ('{"r": "8", "lora_alpha": 1}', "expected a number above 0 as r, got '8'"),
        ('{"r": 1.5, "lora_alpha": 1}', "expected a whole number as r, got 1.5"),
        ('{"r": 1}', "expected a number above 0 as lora_alpha, got None"),
    ],
)
def test_settings_that_are_none_are_refused(text, message, tmp_path):
    sites = small(tmp_path)
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(LearningError, match=message):
        load(tmp_path, sites)


def test_other_layers_are_refused(tmp_path):
    small(tmp_path)
    with pytest.raises(LearningError, match=r"expected the tensor .*two\.lora_A\.weight"):
        load(tmp_path, (Site("two", 3, 2),))
    with pytest.raises(LearningError, match=r"lora_B\.weight of shape \(4, 1\), got \(2, 1\)"):
        load(tmp_path, (Site("one", 3, 4),))
    path = tmp_path / "adapter_model.safetensors"
    save_file(load_file(path) | {"extra": torch.zeros(1)}, path)
    with pytest.raises(LearningError, match="no layer for the tensor extra"):
        load(tmp_path, (Site("one", 3, 2),))


def test_damaged_files_are_refused(tmp_path):
    sites = small(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"noise")
    with pytest.raises(LearningError, match="cannot read"):
        load(tmp_path, sites)
    (tmp_path / "adapter_config.json").write_text("{")
    with pytest.raises(LearningError, match="cannot read"):
        load(tmp_path, sites)


def opened(kind, folder):
    """A pool, the folder of its model, and examples for it."""
    rng = np.random.default_rng(0)
    if kind == "image":
        source = Image(source=f"path:{save_vit(folder)}", num_classes=len(LABELS))
        examples = tuple(picture(rng, 0) for _ in range(6))
    else:
        keys = {} if kind == "cosine" else {"head": "classification", "num_classes": len(LABELS)}
        family = "distilbert" if kind == "cosine" else "bert"
        source = Encoder(source=f"path:{save_encoder(folder, family)}", **keys)
        examples = tuple(labelled(rng, int(rng.integers(2, 20))) for _ in range(6))
    return Stacked(threads=1).open(source), examples


@pytest.mark.parametrize("kind", ["cosine", "head", "image"])
def test_peft_gives_the_same_vectors_and_logits_of_every_kind(kind, tmp_path):
    """The pool's own score against PEFT, the head's file and formulas written out."""
    pool, examples = opened(kind, tmp_path / "model")
    saved = adapter(pool.sites, 3, seed=2, head=pool.head)
    folder = tmp_path / "adapter"
    save(saved, folder, "m", task_type=pool.task_type, head_start=pool.head_start)
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(tmp_path / "model"), folder).eval()
    objective = pool._model.objective

    def vectors(rows):
        found = []
        for row in rows:
            inputs = objective.collate([row], row.length)
            with torch.no_grad():
                hidden = model(**inputs).last_hidden_state[0]
            found.append(hidden[0] if kind == "image" else hidden.mean(0))
        return torch.stack(found).double()

    if kind == "cosine":
        rows = objective.lesson(examples)
        found = torch.nn.functional.normalize(vectors(rows), dim=1)
        logits = found[:6] @ found[6:].T / 0.05
        order = [label.strip() for label in dict.fromkeys(c for e in examples for c in e.choices)]
        answers = [order.index(e.answer.strip()) for e in examples]
    else:
        head = load_file(folder / "head.safetensors")
        found = vectors(objective.lesson(examples))
        logits = found @ head["weight"].double().T + head["bias"].double()
        answers = [e.choices.index(e.answer) for e in examples]
    nats = torch.nn.functional.cross_entropy(logits, torch.tensor(answers))
    (score,) = pool.evaluate([EvaluationJob(saved, examples)])
    assert score.loss == pytest.approx(nats.item(), abs=1e-5)
    assert score.accuracy == (logits.argmax(1) == torch.tensor(answers)).double().mean()

    back = load(folder, pool.sites, pool.head, pool.head_start)
    assert back.layout == saved.layout
    adapted = slice(0, saved.layout.part_head.start)
    np.testing.assert_array_equal(back.vector[adapted], saved.vector[adapted])
    np.testing.assert_allclose(back.vector, saved.vector, rtol=0, atol=1e-7)


def test_the_head_is_read_from_another_start(tmp_path):
    pool, _ = opened("head", tmp_path / "model")
    saved = adapter(pool.sites, 2, seed=2, head=pool.head)
    save(saved, tmp_path, "m", task_type=pool.task_type, head_start=pool.head_start)
    other = pool.head_start + np.float32(0.5)
    back = load(tmp_path, pool.sites, pool.head, other)
    part = saved.layout.part_head
    np.testing.assert_allclose(
        back.vector[part] + other, saved.vector[part] + pool.head_start, atol=1e-6
    )
    written = load_file(tmp_path / "head.safetensors")
    np.testing.assert_array_equal(written["start.weight"].ravel(), pool.head_start[:-4])
    assert sorted(written) == ["bias", "start.bias", "start.weight", "weight"]


def test_an_adapter_that_peft_made_for_an_encoder_is_read(tmp_path):
    pool, examples = opened("head", tmp_path / "model")
    config = LoraConfig(r=2, lora_alpha=6, target_modules="all-linear", init_lora_weights=False)
    bare = AutoModel.from_pretrained(tmp_path / "model", add_pooling_layer=False)
    get_peft_model(bare, config).save_pretrained(tmp_path / "adapter")
    found = load(tmp_path / "adapter", pool.sites, pool.head, pool.head_start)
    assert found.scale == 3.0
    np.testing.assert_array_equal(found.vector[found.layout.part_head], 0)
    nothing = Adapter(found.layout, np.zeros_like(found.vector), 3.0)
    one, other = pool.evaluate([EvaluationJob(a, examples) for a in (found, nothing)])
    assert one.loss != other.loss


def test_mistakes_with_heads(tmp_path):
    site, head = (Site("one", 3, 2),), Site("head", 3, 2)
    layout = Layout(site, 1, head)
    saved = Adapter(layout, np.arange(layout.size, dtype=np.float32), 1.0)
    with pytest.raises(ValueError, match="expected head_start"):
        save(saved, tmp_path, "m")
    start = np.zeros(8, np.float32)
    save(saved, tmp_path, "m", head_start=start)
    with pytest.raises(LearningError, match=r"head\.safetensors: the model has no trained head"):
        load(tmp_path, site)
    wide = Site("head", 3, 4)
    with pytest.raises(LearningError, match=r"expected weight of shape \(4, 3\), got \(2, 3\)"):
        load(tmp_path, site, wide, np.zeros(16, np.float32))
    saved.vector[0] = np.nan
    save(saved, tmp_path, "m", head_start=start)
    with pytest.raises(LearningError, match=r"got NaN or infinity in .*lora_A\.weight"):
        load(tmp_path, site, head, start)
