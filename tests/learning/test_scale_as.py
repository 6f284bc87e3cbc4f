"""Named architectures, and small updates in the packets of large ones."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learner_helpers import FakePool, delivered, setting, train
from torch import nn
from transformers import (
    DistilBertConfig,
    DistilBertModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    ViTConfig,
    ViTModel,
)

from cosim.learning.adapter import Layout, Site
from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.errors import LearningError
from cosim.learning.methods.base import Update
from cosim.learning.methods.lora import Lora
from cosim.learning.methods.sparse_orthogonal import SparseOrthogonal
from cosim.learning.payload.architectures import ARCHITECTURES
from cosim.learning.payload.codec import Rounding, decode, encode, list_id
from cosim.learning.payload.scale import scale_as
from cosim.learning.payload.spread import encode_spread
from cosim.rng import Draws
from cosim.scenario.tree import PayloadCoding

SEGMENT = 1460
ROUNDING = Rounding(Draws(5), 0, 1)


def published(name):
    """The model that transformers builds from the published sizes, without its weights."""
    with torch.device("meta"):
        if name == "vit-base":
            return ViTModel(ViTConfig(), add_pooling_layer=False)
        if name == "distilbert":
            return DistilBertModel(DistilBertConfig())
        sizes = {
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
        }[name]
        shared = {"num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True}
        return Qwen2ForCausalLM(Qwen2Config(**sizes, **shared))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_are_those_of_transformers(name):
    network, architecture = published(name), ARCHITECTURES[name]
    assert architecture.num_parameters == sum(each.numel() for each in network.parameters())
    head = getattr(network, "lm_head", None)
    found = [
        (path.partition(".0.")[2], each.in_features, each.out_features)
        for path, each in network.named_modules()
        if isinstance(each, nn.Linear) and each is not head and ".0." in path
    ]
    assert sorted(found) == sorted((s.name, s.d_in, s.d_out) for s in architecture.linears)
    multiplied = [
        each.weight.numel() for each in network.modules() if isinstance(each, nn.Linear | nn.Conv2d)
    ]
    assert architecture.num_multiplied == sum(multiplied)
    hidden = network.config.hidden_size
    blocks = len({p.split(".0.")[0] for p, _ in network.named_modules() if p.endswith(".0")})
    assert (architecture.hidden, blocks) == (hidden, 1)
    assert architecture.num_blocks == network.config.num_hidden_layers


def test_the_scenario_has_the_names_of_the_table():
    (names, _) = get_args(PayloadCoding.model_fields["scale_as"].annotation)
    assert set(get_args(names)) == set(ARCHITECTURES)


def sites_of(name, blocks, parts=None):
    """The adapted layers of an architecture itself."""
    return tuple(
        Site(f"model.layers.{block}.{linear.name}", linear.d_in, linear.d_out)
        for block in blocks
        for linear in ARCHITECTURES[name].linears
        if parts is None or linear.name.rpartition(".")[2] in parts
    )


def test_the_own_architecture_has_scale_one():
    for name, architecture in ARCHITECTURES.items():
        sites = sites_of(name, range(architecture.num_blocks))
        scale = scale_as(name, sites, None)
        assert scale.ratios == (1, 1, 1)
        assert scale.num_parameters == architecture.num_multiplied


def test_chosen_layers_blocks_and_heads_count():
    sites = sites_of("vit-base", [0, 3, 6, 9], ["q_proj", "v_proj"])
    head = Site("classifier", 768, 100)
    chosen = ("q_proj", "v_proj")
    assert scale_as("vit-base", sites, head, chosen).ratios == (1, 1, 1)
    # Half the width: half the A and the B, and the head half as wide and its bias.
    half = tuple(Site(site.name, 384, 384) for site in sites)
    ratios = scale_as("vit-base", half, Site("classifier", 384, 100), chosen).ratios
    assert ratios == (2, 2, Fraction(769, 385))
    # Blocks 0 to n - 1 are all blocks.
    first = sites_of("vit-base", range(4), chosen)
    assert scale_as("vit-base", first, None, chosen).ratios == (3, 3, 1)


def test_what_the_architecture_lacks_is_named():
    sites = (Site("encoder.layer.0.attention.query", 32, 32),)
    with pytest.raises(LearningError, match=r"that distilbert has too \(q_lin.*got query;"):
        scale_as("distilbert", sites, None, ("query",))
    assert scale_as("distilbert", sites, None).ratios[0] == Fraction(6 * (5 * 768 + 3072), 32)
    with pytest.raises(LearningError, match=r"\(0 to 5\), got 9"):
        scale_as("distilbert", sites_of("vit-base", [0, 9]), None)


def test_coordinates_of_each_part_grow_by_its_ratio():
    sites = (Site("layers.0.a", 10, 4), Site("layers.1.a", 6, 8))
    scale = scale_as("vit-base", sites, Site("head", 8, 3))
    layout = Layout(sites, 3, Site("head", 8, 3))
    named = Layout(ARCHITECTURES["vit-base"].linears * 12, 3, Site("head", 768, 3))
    assert scale.count(layout, np.arange(layout.size)) == named.size
    for part in ("part_a", "part_b", "part_head"):
        own, other = getattr(layout, part), getattr(named, part)
        assert scale.count(layout, np.arange(layout.size)[own]) == other.stop - other.start
    assert scale.count(layout, np.arange(0)) == 0


# Spread


def update_of(size, density=1.0, seed=0, members=(0,)):
    rng = np.random.default_rng(seed)
    chosen = np.flatnonzero(rng.random(size) < density)
    return Update(members, 1, chosen, rng.standard_normal(len(chosen)).astype(np.float32))


codings = st.builds(
    PayloadCoding,
    dtype=st.sampled_from(["float32", "float16", "bfloat16", "int8"]),
    entropy=st.sampled_from(["none", "zlib"]),
)


@given(
    st.lists(
        st.builds(
            update_of,
            st.integers(1, 3000),
            st.sampled_from([0.05, 0.3, 1.0]),
            st.integers(0, 99),
            st.sampled_from([(0,), (1, 4)]),
        ),
        min_size=1,
        max_size=3,
    ),
    codings,
    st.floats(2.0, 60.0),
    st.sampled_from([150, 1460]),
    st.integers(0, 2**32),
)
def test_every_packet_carries_its_part_of_the_small_update(updates, coding, times, segment, seed):
    num_own = sum(update.coordinates.size for update in updates)
    num_values = math.ceil(times * num_own)
    num_bytes, body = encode_spread(updates, num_values, segment, coding, ROUNDING)
    if not num_own:
        assert (num_bytes, body) == (0, b"")
        return
    num_packets = -(-num_bytes // segment)
    part, rest = divmod(len(body), num_packets)
    assert rest == 0
    assert part <= segment
    whole = decode(body, part, 3000)
    for number, update in whole.items():
        np.testing.assert_array_equal(update.coordinates, updates[number].coordinates)
        assert update.members == updates[number].members
    carried = [
        sum(update.coordinates.size for update in decode(body, part, 3000, only).values())
        for only in np.eye(num_packets, dtype=np.bool_)
    ]
    assert sum(carried) == num_own
    assert max(carried[:-1], default=0) - min(carried[:-1], default=0) <= 1
    assert carried[-1] <= max(carried[:-1], default=num_own) + 1
    arrived = np.random.default_rng(seed).random(num_packets) < 0.6
    found = decode(body, part, 3000, arrived)
    num_found = sum(update.coordinates.size for update in found.values())
    assert num_found == np.sum(np.array(carried)[arrived])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
def test_a_dense_update_has_the_bytes_of_the_real_one(dtype):
    coding = PayloadCoding(dtype=dtype)
    for own, large in ((40, 9_000), (1000, 123_457), (5000, 5000), (5000, 400_000)):
        num_bytes, _ = encode_spread([update_of(own)], large, SEGMENT, coding, ROUNDING)
        assert num_bytes == len(encode([update_of(large)], SEGMENT, coding, ROUNDING))


@pytest.mark.parametrize("entropy", ["none", "zlib"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
def test_a_sparse_update_has_the_bytes_of_the_real_one(dtype, entropy):
    """To 2 %: the gaps of the own mask stand for those of a larger one."""
    coding = PayloadCoding(dtype=dtype, entropy=entropy)
    own, large = update_of(60_000, 0.1), update_of(600_000, 0.1, seed=1)
    num_bytes, _ = encode_spread([own], len(large.coordinates), SEGMENT, coding, ROUNDING)
    exact = len(encode([large], SEGMENT, coding, ROUNDING))
    assert num_bytes == pytest.approx(exact, rel=0.02)
    held = {list_id(own.coordinates)}
    listed, body = encode_spread([own], len(large.coordinates), SEGMENT, coding, ROUNDING, held)
    exact = len(encode([large], SEGMENT, coding, ROUNDING, {list_id(large.coordinates)}))
    assert listed == pytest.approx(exact, rel=0.02)
    lists = {list_id(own.coordinates): own.coordinates}
    found = decode(body, len(body) // -(-listed // SEGMENT), 60_000, lists=lists)[0]
    np.testing.assert_array_equal(found.coordinates, own.coordinates)


def test_a_named_architecture_that_is_too_small_says_so():
    with pytest.raises(LearningError, match=r"larger than that of the model that trains.*got one"):
        encode_spread([update_of(9000)], 3000, SEGMENT, PayloadCoding(), ROUNDING)


# Learner


def scaled(method, **keys):
    given = setting(method, segment_bytes=SEGMENT, **keys)
    coding = PayloadCoding(dtype="float16", scale_as="qwen2.5-1.5b")
    learning = given.learning.model_copy(update={"payload": coding})
    return AdapterLearner(replace(given, learning=learning), FakePool())


NAMED = Layout(ARCHITECTURES["qwen2.5-1.5b"].linears * 28, 2)


def test_a_scaled_learner_sends_and_counts_the_named_architecture():
    for method, num_trained in (
        (Lora(rank=2), NAMED.size),
        (SparseOrthogonal(rank=2, density=0.2, warmup_steps=1), 0.2 * NAMED.size_b),
    ):
        subject = scaled(method)
        train(subject, range(3), 0)
        payload = subject.update_payload(0, 1, 0)
        chosen = np.arange(NAMED.size)
        if num_trained < NAMED.size:
            chosen = np.flatnonzero(np.random.default_rng(0).random(NAMED.size_b) < 0.2)
        real = Update((0,), 0, chosen, np.ones(len(chosen), np.float32))
        exact = encode([real], SEGMENT, PayloadCoding(dtype="float16"), ROUNDING)
        assert payload.num_bytes == pytest.approx(len(exact), rel=0.02)
        assert payload.num_packets == len(exact) // SEGMENT + 1 or num_trained < NAMED.size
        assert len(payload.body) == payload.part_bytes * payload.num_packets < payload.num_bytes
        assert subject.forecast().update_bits[0] == 8 * payload.num_bytes
        work = subject.forecast().work
        assert work.num_parameters[0] == pytest.approx(num_trained, rel=0.02)
        tokens = subject.begin_training(0, 1).flops / (
            4 * ARCHITECTURES["qwen2.5-1.5b"].num_multiplied + 6 * work.num_parameters[0]
        )
        assert tokens == subject.end_training(0).num_tokens > 0


def test_a_scaled_learner_loses_the_fraction_of_packets_lost():
    subject = scaled(Lora(rank=2))
    train(subject, range(3), 0)
    payload = subject.update_payload(0, 1, 0)
    before = subject._states[1].vector.copy()
    lost = np.flatnonzero(np.random.default_rng(0).random(payload.num_packets) < 0.3)
    subject.merge(1, [delivered(payload, lost)], [0.5])
    changed = np.mean(subject._states[1].vector != before)
    # 256 coordinates in 5,700 packets: each is lost with its one packet.
    assert abs(changed - 0.7) < 4.5 * math.sqrt(0.21 / len(before))  # 7e-6 of false alarm
    subject.merge(1, [delivered(payload)], [0.5])
    assert (subject._states[1].vector != before).all()


def test_a_targeted_layer_that_the_named_architecture_lacks_is_an_error():
    class Targets(type(setting(Lora()).learning.model)):
        targets: tuple[str, ...] = ("0", "1")

    given = setting(Lora(rank=2))
    update = {"payload": PayloadCoding(scale_as="vit-base"), "model": Targets()}
    learning = given.learning.model_copy(update=update)
    with pytest.raises(LearningError, match=r"payload.scale_as: .* got 0, 1;"):
        AdapterLearner(replace(given, learning=learning), FakePool())
