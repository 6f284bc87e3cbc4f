"""Loading a causal language model, and what is said when it cannot be loaded."""

import json
import subprocess
import sys

import pytest
import torch
from pool_helpers import save_model
from pydantic import ValidationError

from cosim.learning.errors import LearningError
from cosim.learning.models.causal_lm import CausalLm
from cosim.plugin import find


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """No test asks the hub: its client reads these at import, so the calls are cut off too."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_folder(folder):
    base = CausalLm(source=f"path:{folder}").load()
    assert not base.network.training
    assert {p.dtype for p in base.network.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in base.network.parameters())
    assert base.tokenizer.pad_token == "<pad>"
    assert len(base.targets) == 14
    assert base.targets[0] == "model.layers.0.self_attn.q_proj"
    assert not any("lm_head" in name for name in base.targets)


def test_the_tokenizer_is_the_files_own_not_the_model_familys(folder):
    tokenizer = CausalLm(source=f"path:{folder}").load().tokenizer
    assert tokenizer("w3 w5")["input_ids"] == [6, 8]


def test_targets_by_suffix_in_the_models_order(folder):
    base = CausalLm(source=f"path:{folder}", targets=("v_proj", "self_attn.q_proj")).load()
    assert [name.split(".", 2)[2] for name in base.targets] == [
        "0.self_attn.q_proj",
        "0.self_attn.v_proj",
        "1.self_attn.q_proj",
        "1.self_attn.v_proj",
    ]


def test_a_suffix_is_whole_names(folder):
    with pytest.raises(LearningError, match=r"'proj' matches no linear layer.*there are q_proj, k"):
        CausalLm(source=f"path:{folder}", targets=("q_proj", "proj")).load()


def test_padding_falls_back_to_the_end_of_text(tmp_path):
    assert CausalLm(
        source=f"path:{save_model(tmp_path, pad=False)}"
    ).load().tokenizer.pad_token == ("<eos>")


def test_no_padding_at_all(tmp_path):
    source = f"path:{save_model(tmp_path, pad=False, eos=False)}"
    with pytest.raises(LearningError, match="neither a padding nor an end-of-text token"):
        CausalLm(source=source).load()


def test_no_such_folder(tmp_path):
    with pytest.raises(LearningError, match=r"got .*nowhere, which does not exist"):
        CausalLm(source=f"path:{tmp_path / 'nowhere'}").load()
    with pytest.raises(LearningError, match=r"which has no config.json"):
        CausalLm(source=f"path:{tmp_path}").load()


def test_only_safetensors(tmp_path):
    save_model(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(LearningError, match=r"cannot read the model in .*safetensors"):
        CausalLm(source=f"path:{tmp_path}").load()


def test_missing_weights(tmp_path):
    from safetensors.torch import load_file, save_file

    save_model(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LearningError, match=r"incomplete: no model.layers.1.mlp.up_proj.weight"):
        CausalLm(source=f"path:{tmp_path}").load()


@pytest.mark.parametrize(
    ("model_type", "architecture"),
    [("qwen2", "Qwen2ForSequenceClassification"), ("t5", "T5ForConditionalGeneration")],
)
def test_no_causal_language_model(tmp_path, model_type, architecture):
    config = {"model_type": model_type, "architectures": [architecture]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(LearningError, match=f"expected a causal language model.*{architecture}"):
        CausalLm(source=f"path:{tmp_path}").load()


def test_unknown_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(LearningError, match=r"builtin:NAME, path:DIR .*'nobody/no-such-model'"):
        CausalLm(source="nobody/no-such-model").load()


def test_mistakes_in_the_scenario():
    with pytest.raises(ValidationError, match="expected a builtin model"):
        CausalLm(source="builtin:huge")
    with pytest.raises(ValidationError):
        CausalLm(source="")
    with pytest.raises(ValidationError):
        CausalLm(targets=())


def test_validating_loads_no_torch():
    code = (
        "import sys\n"
        "from cosim.plugin import find\n"
        "find('model', 'causal_lm').model_validate({'source': 'a/b', 'targets': ('q_proj',)})\n"
        "find('pool', 'stacked').model_validate({'threads': 1})\n"
        "find('pool', 'sequential').model_validate({})\n"
        "find('partition', 'iid').model_validate({})\n"
        "loaded = {'torch', 'transformers', 'peft'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_kinds_are_found():
    assert find("model", "causal_lm") is CausalLm
