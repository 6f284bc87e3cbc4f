import json

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from pool_helpers import adapter, save_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from cosim.learning.adapter import Adapter, Layout, Site, concatenate
from cosim.learning.errors import LearningError
from cosim.learning.peft_io import load, save

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
    [("use_dora", True), ("use_rslora", True), ("peft_type", "IA3"), ("rank_pattern", {"q": 4})],
)
def test_other_than_plain_lora_is_refused(tmp_path, key, value):
    sites = small(tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(LearningError, match=f"expected {key}"):
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
