"""Loading models of every kind, and what is said when they cannot be loaded."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from pool_helpers import save_encoder, save_model, save_vit
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from cosim.learning.errors import LearningError
from cosim.learning.models._vit_config import VitConfig
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.models.encoder import Encoder
from cosim.learning.models.image import Image
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
        "find('model', 'encoder').model_validate({'source': 'a/b', 'blocks': (0,)})\n"
        "find('model', 'image').model_validate({'config': {'hidden': 32}})\n"
        "find('pool', 'stacked').model_validate({'threads': 1})\n"
        "find('pool', 'sequential').model_validate({})\n"
        "find('partition', 'iid').model_validate({})\n"
        "loaded = {'torch', 'transformers', 'peft'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_kinds_are_found():
    assert find("model", "causal_lm") is CausalLm
    assert find("model", "encoder") is Encoder
    assert find("model", "image") is Image


FAMILIES = {
    "bert": ("encoder.layer.0.attention.self.query", 6),
    "bert_lm": ("encoder.layer.0.attention.self.query", 6),
    "distilbert": ("transformer.layer.0.attention.q_lin", 6),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_encoders(family, tmp_path):
    """Also of a file with a language model's head, which is left out, as is the pooler."""
    folder = save_encoder(tmp_path, family)
    state = torch.get_rng_state()
    base = Encoder(source=f"path:{folder}").load()
    assert torch.equal(torch.get_rng_state(), state)
    name, each = FAMILIES[family]
    assert base.targets[0] == name
    assert len(base.targets) == 2 * each
    assert not any(p.requires_grad for p in base.network.parameters())
    ids = torch.tensor([[3, 9, 11, 1]])
    with torch.no_grad():
        found = base.network(input_ids=ids).last_hidden_state
        expected = AutoModel.from_pretrained(folder).eval()(input_ids=ids).last_hidden_state
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("classifier", [False, True])
def test_vision_transformers(classifier, tmp_path):
    base = Image(source=f"path:{save_vit(tmp_path, classifier=classifier)}").load()
    assert base.tokenizer is None
    assert len(base.targets) == 12
    assert base.targets[0] == "layers.0.attention.q_proj"
    assert not any("classifier" in name or "pooler" in name for name in base.targets)


def test_images_are_normalised_as_the_preprocessor_says(tmp_path):
    from pool_helpers import picture

    save_vit(tmp_path)
    one = picture(np.random.default_rng(0), 0)
    settings = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.1, 0.2, 0.3]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    objective = Image(source=f"path:{tmp_path}", num_classes=4).load().objective
    (row,) = objective.lesson([one])
    found = objective.collate([row], row.length)["pixel_values"][0].numpy()
    pixels = np.frombuffer(one.pixels, np.uint8).reshape(3, 8, 8) / 255
    mean, std = (np.array(settings[key])[:, None, None] for key in ("image_mean", "image_std"))
    np.testing.assert_allclose(found, (pixels - mean) / std, atol=1e-5)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5]}))
    with pytest.raises(LearningError, match="expected image_mean and image_std of 3 channels"):
        Image(source=f"path:{tmp_path}").load()


def test_a_vit_is_made_from_its_seed():
    shape = VitConfig(hidden=32, layers=3, heads=4, patch=4, size=8, channels=3, seed=5)
    state = torch.get_rng_state()
    one, again = (Image(config=shape).load().network.state_dict() for _ in range(2))
    other = Image(config=shape.model_copy(update={"seed": 6})).load().network.state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[name], again[name]) for name in one)
    name = "layers.2.mlp.fc1.weight"
    assert one[name].shape == (128, 32)
    assert not torch.equal(one[name], other[name])
    # 4096 draws of sd 0.02: the sample's is within 5 of its own deviations, 0.02 / sqrt(8192)
    assert one[name].std().item() == pytest.approx(0.02, abs=5 * 0.02 / 90)
    assert (one["layernorm.weight"] == 1).all()
    assert (one["layers.2.mlp.fc1.bias"] == 0).all()
    assert one["embeddings.position_embeddings"].shape == (1, 5, 32)


def test_blocks_and_patterns(tmp_path, folder):
    vit = f"path:{save_vit(tmp_path, layers=4)}"
    some = Image(source=vit, blocks=(0, 3), targets=("*.attention.*", "fc2")).load()
    assert [name.split(".")[1] for name in some.targets] == ["0"] * 5 + ["3"] * 5
    assert sum("attention" in name for name in some.targets) == 8
    assert sum(name.endswith("mlp.fc2") for name in some.targets) == 2
    assert len(Image(source=vit, blocks=(2,)).load().targets) == 6
    causal = CausalLm(source=f"path:{folder}", blocks=(1,), targets=("*_proj",)).load()
    assert len(causal.targets) == 7
    assert all(name.startswith("model.layers.1.") for name in causal.targets)
    with pytest.raises(LearningError, match=r"from 0 to 3, as the ViTModel has 4 .* got 9, 11"):
        Image(source=vit, blocks=(0, 9, 11)).load()
    with pytest.raises(
        LearningError, match=r"'\*\.atn\.\*' matches no .*there are layers\.\*\.atten"
    ):
        Image(source=vit, targets=("*.atn.*",)).load()
    with pytest.raises(LearningError, match=r"'layers.1.\*' matches no linear layer of blocks \[0"):
        Image(source=vit, targets=("layers.1.*",), blocks=(0, 2)).load()


def test_the_wrong_kind_of_model(tmp_path, folder):
    bert = save_encoder(tmp_path / "bert")
    vit = save_vit(tmp_path / "vit", classifier=True)
    with pytest.raises(LearningError, match=r"expected a bidirectional .*Qwen2ForCausalLM"):
        Encoder(source=f"path:{folder}").load()
    with pytest.raises(LearningError, match=r"expected a bidirectional .*ViTForImageClass"):
        Encoder(source=f"path:{vit}").load()
    with pytest.raises(LearningError, match=r"expected a vision transformer .*BertModel"):
        Image(source=f"path:{bert}").load()
    with pytest.raises(LearningError, match=r"expected a causal language model.*BertModel"):
        CausalLm(source=f"path:{bert}").load()
    with pytest.raises(LearningError, match="which does not exist"):
        Image(source=f"path:{tmp_path / 'nowhere'}").load()


def test_an_encoder_without_padding_or_tokenizer(tmp_path):
    save_encoder(tmp_path, pad=False, eos=False)
    with pytest.raises(LearningError, match="neither a padding nor an end-of-text token"):
        Encoder(source=f"path:{tmp_path}").load()
    for path in tmp_path.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(LearningError, match=r"tokenizer of 'path:.* beside its weights"):
        Encoder(source=f"path:{tmp_path}").load()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_checkpoint_that_is_not_finite(value, tmp_path):
    save_encoder(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    weights[name][0, 0] = value
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LearningError, match=f"expected finite weights in .* infinity in {name}"):
        Encoder(source=f"path:{tmp_path}").load()


def test_missing_weights_of_an_encoder(tmp_path):
    save_encoder(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "layer.1." not in name}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LearningError, match=r"incomplete: no encoder.layer.1.* and 11 more"):
        Encoder(source=f"path:{tmp_path}").load()


def test_mistakes_in_the_scenario_of_other_kinds():
    with pytest.raises(ValidationError, match="expected num_classes with head: classification"):
        Encoder(source="a/b", head="classification")
    with pytest.raises(ValidationError, match="expected no num_classes with head: cosine"):
        Encoder(source="a/b", num_classes=3)
    with pytest.raises(ValidationError, match="expected source or config, got both"):
        Image(source="a/b", config=VitConfig())
    with pytest.raises(ValidationError, match=r"expected hidden .30. a multiple of heads .4."):
        VitConfig(hidden=30)
    with pytest.raises(ValidationError, match=r"expected size .9. a multiple of patch .2."):
        VitConfig(size=9)
    with pytest.raises(ValidationError):
        Image(blocks=())


def damaged(folder, change):
    """Write a checkpoint anew, its weights changed."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def test_weights_of_another_shape(tmp_path):
    save_model(tmp_path)
    name = "model.layers.1.mlp.up_proj.weight"

    def cut(weights):
        weights[name] = weights[name][:10].clone()

    damaged(tmp_path, cut)
    said = rf"expected {name} of shape \[64, 32\] in .*, as its config.json says, got \[10, 32\]"
    with pytest.raises(LearningError, match=said):
        CausalLm(source=f"path:{tmp_path}").load()


def cut_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def written(name, text):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_weights, r"cannot read the model in .*: .*file not fully covered"),
        (no_weights, r"cannot read the model in .*model.safetensors"),
        (written("config.json", '{"model_type": '), r"cannot read the model in .*not a valid JSON"),
        (written("config.json", '{"model_type": "foo"}'), r"cannot read the model in .*`foo`"),
        (written("config.json", "[1]"), r"cannot read the model in .*"),
        (written("config.json", '{"model_type": "qwen2", "num_hidden_layers": "x"}'),
         r"cannot read the model in .*"),
        (written("tokenizer.json", '{"a": 1}'), r"cannot read the tokenizer of .*added_token"),
        (written("tokenizer.json", "{"), r"cannot read the tokenizer of 'path:.*"),
        (written("tokenizer_config.json", "{"), r"cannot read the tokenizer of 'path:.*"),
    ],
)  # fmt: skip
def test_damaged_files_are_told_in_one_line(damage, said, tmp_path):
    save_model(tmp_path)
    damage(tmp_path)
    with pytest.raises(LearningError, match=said) as caught:
        CausalLm(source=f"path:{tmp_path}").load()
    assert "\n" not in str(caught.value)


def test_a_tokenizer_of_another_model(tmp_path):
    save_encoder(tmp_path / "bert")
    save_model(tmp_path / "qwen")

    def fewer(weights):
        name = "model.embed_tokens.weight"
        weights[name] = weights[name][:20].clone()
        weights.pop("lm_head.weight", None)

    damaged(tmp_path / "qwen", fewer)
    config = json.loads((tmp_path / "qwen" / "config.json").read_text())
    config |= {"vocab_size": 20, "tie_word_embeddings": True}
    (tmp_path / "qwen" / "config.json").write_text(json.dumps(config))
    with pytest.raises(LearningError, match=r"tokens are numbered below 20, .* got .* up to \d\d"):
        CausalLm(source=f"path:{tmp_path / 'qwen'}").load()


def test_where_a_model_was_looked_for(tmp_path, folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all" / "minilm").mkdir(parents=True)
    (tmp_path / "all" / "minilm" / "config.json").write_text("{}")
    (tmp_path / "file").write_text("")
    for source, said in (
        ("path:al", rf"got al, which does not exist; .*'all'\? \(looked up in {tmp_path}\)"),
        ("path:all", "got all, which has no config.json; there is one in minilm in it"),
        ("path:file", "got file, which is a file"),
        ("./minilm", r"hub, got './minilm', .* a folder is named path:./minilm"),
        ("all", "hub, got 'all', which is a folder here; a folder is named path:all"),
    ):
        with pytest.raises(LearningError, match=said):
            CausalLm(source=source).load()


def test_a_pattern_of_a_last_part(folder):
    with pytest.raises(LearningError, match=r"of whole names: did you mean '\*\.q_\*'\?"):
        CausalLm(source=f"path:{folder}", targets=("q_*",)).load()
