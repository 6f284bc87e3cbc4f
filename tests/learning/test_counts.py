"""Counts of adapters, against PEFT on transformers' own models and against what methods send."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen2Config, Qwen2ForCausalLM

from cosim.learning.adapter import Layout, Site
from cosim.learning.methods._apportion import budget_of
from cosim.learning.payload.architectures import ARCHITECTURES
from cosim.learning.payload.counts import adapter_counts

SIZES = {
    "qwen2.5-1.5b": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
    },
    "qwen2.5-3b": {
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
    },
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("targets", [None, ("q_proj", "v_proj")])
def test_counts_are_those_of_peft(name, targets):
    config = Qwen2Config(
        **SIZES[name], num_key_value_heads=2, vocab_size=151936, tie_word_embeddings=True
    )
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config)
        base = sum(each.numel() for each in model.parameters())
        chosen = "all-linear" if targets is None else list(targets)
        model = get_peft_model(model, LoraConfig(r=16, target_modules=chosen))
    sizes = {"lora_A": 0, "lora_B": 0}
    for path, each in model.named_parameters():
        for part in sizes:
            sizes[part] += each.numel() * (f".{part}." in path)
    found = adapter_counts(name, 16, targets)
    assert (found.base, found.a, found.b) == (base, sizes["lora_A"], sizes["lora_B"])
    assert found.sent == found.stored == found.a + found.b


def test_a_mask_keeps_and_places_its_part_of_b():
    whole = adapter_counts("vit-base", 4, frozen_a=True)
    assert (whole.sent, whole.mask_bits) == (whole.b, 0)
    tenth = adapter_counts("vit-base", 4, frozen_a=True, density=0.1)
    assert tenth.sent == tenth.stored == budget_of(0.1, whole.b)
    assert tenth.mask_bits == whole.b  # a bitmap: positions of 19 bits are longer
    few = adapter_counts("vit-base", 4, frozen_a=True, density=0.001)
    assert few.mask_bits == few.sent * len(bin(whole.b - 1)[2:])


def test_all_blocks_of_a_small_layout_count():
    linears = ARCHITECTURES["distilbert"].linears
    sites = tuple(
        Site(f"{n}.{each.name}", each.d_in, each.d_out) for n in range(6) for each in linears
    )
    layout = Layout(sites, 3)
    found = adapter_counts("distilbert", 3)
    assert (found.a, found.b) == (layout.size_a, layout.size_b)
    assert found.a == 3 * 6 * int(np.sum([each.d_in for each in linears]))


def test_a_trained_a_has_no_mask_here():
    with pytest.raises(ValueError, match=r"expected density 1 where A is trained, got 0\.5"):
        adapter_counts("vit-base", 4, density=0.5)
