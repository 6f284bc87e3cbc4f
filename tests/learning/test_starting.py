"""Devices that start from adapters they are given."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from learner_helpers import SITES, FakePool, answer_of, delivered, setting, train
from method_helpers import full
from method_table import METHODS
from peft import LoraConfig, PeftModel, get_peft_model
from pool_helpers import save_model
from transformers import AutoModelForCausalLM

from cosim.learning.adapter import Adapter, Layout, Site
from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.errors import InputError, LearningError
from cosim.learning.methods.ffa_lora import FfaLora
from cosim.learning.methods.flasc import Flasc
from cosim.learning.methods.flexlora import Flexlora
from cosim.learning.methods.lora import Lora
from cosim.learning.methods.n_lora import NLora
from cosim.learning.methods.rlora import Rlora
from cosim.learning.methods.soft import Soft
from cosim.learning.methods.sparse_orthogonal import SparseOrthogonal
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.peft_io import load, save
from cosim.learning.pool.stacked import Stacked
from cosim.plugin import scenarios_dir
from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import load as load_scenario
from cosim.sim.run import simulate

RANK = 2


def adapter(seed, rank=RANK, scale=2.0, sites=SITES):
    layout = Layout(sites, rank)
    vector = np.random.default_rng(seed).standard_normal(layout.size).astype(np.float32)
    return Adapter(layout, vector, scale)


def started(method, folder, num_devices=3):
    asked = setting(method, num_devices)
    asked = replace(asked, learning=asked.learning.model_copy(update={"start": str(folder)}))
    return AdapterLearner(asked, FakePool())


def each(folder, adapters):
    for device, one in enumerate(adapters):
        save(one, folder / f"device-{device}", "m")
    return folder


def test_one_adapter_is_the_start_of_all(tmp_path):
    given = adapter(1)
    save(given, tmp_path, "m")
    subject = started(Lora(rank=RANK), tmp_path)
    for state in subject._states:
        np.testing.assert_array_equal(state.vector, given.vector)
    train(subject, [0], 1)
    assert np.any(subject._states[0].vector != given.vector)
    np.testing.assert_array_equal(subject._states[1].vector, given.vector)


def test_each_device_may_have_its_own(tmp_path):
    given = [adapter(seed) for seed in range(3)]
    subject = started(Lora(rank=RANK), each(tmp_path, given))
    for state, one in zip(subject._states, given, strict=True):
        np.testing.assert_array_equal(state.vector, one.vector)


def sort_of(name):
    """Every method by what it does with adapters that it is given."""
    kind = name.partition(" ")[0]
    if kind in ("sparse_orthogonal", "lori") or name == "n_lora":
        return "refuses"
    if kind in ("rlora", "flasc", "soft", "fedlodrop") or name == "hetlora p3":
        return "alike"
    return "same a" if kind == "ffa_lora" else "any"


@pytest.mark.parametrize("name", METHODS)
def test_every_method_starts_there_or_says_what_would(name, tmp_path):
    method = METHODS[name].model_copy()
    given = [adapter(seed, method.rank) for seed in range(3)]
    save(given[0], tmp_path / "one", "m")
    each(tmp_path / "many", given)
    if sort_of(name) == "refuses":
        with pytest.raises(LearningError, match=r"learning\.start: expected .*; use "):
            started(method, tmp_path / "one")
        return
    one = started(method, tmp_path / "one")
    products = [full(answer_of(one, device)) for device in range(3)]
    for site, product in enumerate(full(given[0])):
        if name != "flexlora ranks":
            np.testing.assert_allclose(products[1][site], product, rtol=1e-5, atol=1e-5)
    train(one, range(3), 1)  # and can go on from there
    payload = one.update_payload(0, 1, 1)
    one.merge(1, [delivered(payload)], [0.5])
    if sort_of(name) == "any":
        started(method, tmp_path / "many")
    else:
        what = "the same A" if sort_of(name) == "same a" else "the same adapter"
        with pytest.raises(LearningError, match=f"expected {what} for all .*device-1 than in"):
            started(method, tmp_path / "many")


def test_an_a_that_is_the_same_may_have_a_b_of_its_own(tmp_path):
    first, second = adapter(1), adapter(2)
    second.vector[second.layout.part_a] = first.vector[first.layout.part_a]
    subject = started(FfaLora(rank=RANK), each(tmp_path, [first, second]), 2)
    np.testing.assert_array_equal(subject._states[1].vector, second.vector)


@pytest.mark.parametrize("kind", [Rlora, Flasc, Soft])
def test_what_another_cluster_is_not_told_is_the_given_start(kind, tmp_path):
    given = adapter(1)
    save(given, tmp_path, "m")
    subject = started(kind(rank=RANK), tmp_path)
    train(subject, range(3), 1)
    subject.store(1, [delivered(subject.exchange_payload(0, 1, 1))])
    (update,) = subject._states[1].known.values()
    assert len(update.coordinates) < given.layout.size
    _, told = subject._method.experts(subject._cohort, subject._states[1])
    untold = np.setdiff1d(np.arange(given.layout.size), update.coordinates)
    np.testing.assert_array_equal(told.adapter.vector[untold], given.vector[untold])


def test_a_device_of_low_rank_takes_the_nearest_adapter(tmp_path):
    given = adapter(1, 3)
    save(given, tmp_path, "m")
    subject = started(Flexlora(ranks=(1, 3)), tmp_path, 2)
    for product, whole in zip(full(answer_of(subject, 0)), full(given), strict=True):
        u, s, vt = np.linalg.svd(whole)
        np.testing.assert_allclose(product, s[0] * np.outer(u[:, 0], vt[0]), atol=1e-4)
    np.testing.assert_array_equal(subject._states[1].vector, given.vector)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            adapter(1, 3),
            r"rank 2, .* got one of rank 3; set learning\.method\.rank to 3",
        ),
        (adapter(1, scale=0.5), r"scale 2, .* got one of scale 0\.5 .*learning\.method\.scale to"),
        (adapter(1, sites=SITES[:1]), r"expected the tensor .*targets and blocks name the layers"),
        (adapter(1, sites=(*SITES, Site("more", 3, 4))), "no layer for the tensor .*more"),
    ],
)
def test_an_adapter_that_does_not_fit_is_told(given, message, tmp_path):
    save(given, tmp_path, "m")
    with pytest.raises(LearningError, match=message):
        started(Lora(rank=RANK), tmp_path)


def test_folders_that_do_not_fit_are_told(tmp_path):
    with pytest.raises(LearningError, match="found neither; paths are relative to the current"):
        started(Lora(rank=RANK), tmp_path)
    each(tmp_path, [adapter(seed) for seed in range(3)])
    with pytest.raises(LearningError, match=r"device-0 to device-3 .*, found no device-3; give"):
        started(Lora(rank=RANK), tmp_path, 4)
    with pytest.raises(LearningError, match=r"device-0 to device-1 .*, got also device-2; give"):
        started(Lora(rank=RANK), tmp_path, 2)


def test_numbers_that_are_none_are_told(tmp_path):
    given = adapter(1)
    given.vector[5] = np.nan
    save(given, tmp_path, "m")
    with pytest.raises(LearningError, match="expected finite numbers, got NaN"):
        started(Lora(rank=RANK), tmp_path)


SHORT = {
    "duration": "2 rounds",
    "learning.method": {"kind": "lora", "rank": 4},
    "learning.local.steps": 3,
    "learning.local.batch": 4,
    "evaluate.examples": 20,
    "protocol.inner_rounds": 100,
    "plots": [],
}
PATH = scenarios_dir() / "quickstart.yaml"


def test_a_run_goes_on_where_another_ended(tmp_path):
    first = simulate(load_scenario(PATH, SHORT).scenario, tmp_path / "one")
    start = {"learning.start": str(first.path / "adapters"), "duration": "1 round"}
    second = simulate(load_scenario(PATH, SHORT | start).scenario, tmp_path / "two")
    columns = ["device", "task", "own", "accuracy", "loss"]
    last = first.evaluations[first.evaluations["round"] == 2][columns].reset_index(drop=True)
    again = second.evaluations[second.evaluations["round"] == 0][columns]
    assert len(again) == 64
    assert again.equals(last)
    untrained = first.evaluations[first.evaluations["round"] == 0]["loss"]
    assert np.abs(untrained.to_numpy() - again["loss"].to_numpy()).max() > 0.01


def test_bad_starts_of_a_scenario_are_told_before_it_runs(tmp_path):
    with pytest.raises(ScenarioError, match=r"learning\.start.*expected a method whose devices"):
        load_scenario(PATH, {"learning.start": str(tmp_path)})
    none = {"learning.start": str(tmp_path), "learning.pool": "none"}
    with pytest.raises(ScenarioError, match="expected a pool with a model, got 'none'"):
        load_scenario(PATH, SHORT | none)
    sum_up = {"learning.start": str(tmp_path), "learning.method": {"kind": "n_lora"}}
    with pytest.raises(ScenarioError, match="use combine: average"):
        load_scenario(PATH, sum_up)
    assert NLora(combine="average").start_misfit() is None
    assert SparseOrthogonal().start_misfit() is not None
    absent = load_scenario(PATH, SHORT | {"learning.start": str(tmp_path / "nowhere")}).scenario
    with pytest.raises(InputError, match="found neither"):
        simulate(absent, tmp_path / "runs")
    assert not list((tmp_path / "runs").glob("*/adapters"))


@pytest.mark.parametrize("rslora", [False, True])
def test_an_adapter_of_stock_peft_is_a_start(rslora, tmp_path):
    """Some layers, a rank and an alpha of its own: the same logits in the pool's base model."""
    model = save_model(tmp_path / "model")
    base = AutoModelForCausalLM.from_pretrained(model).eval()
    config = LoraConfig(
        r=3,
        lora_alpha=5,
        lora_dropout=0.1,
        target_modules=["q_proj", "v_proj"],
        init_lora_weights=False,
        use_rslora=rslora,
    )
    get_peft_model(base, config).save_pretrained(tmp_path / "adapter")
    source = CausalLm(source=f"path:{model}", targets=("q_proj", "v_proj"))
    sites = Stacked(threads=1).open(source).sites
    given = load(tmp_path / "adapter", sites)
    assert given.scale == pytest.approx(5 / math.sqrt(3) if rslora else 5 / 3)
    tokens = torch.arange(3, 15).reshape(2, 6)
    fresh = AutoModelForCausalLM.from_pretrained(model).eval()
    with torch.no_grad():
        plain = fresh(tokens).logits.numpy()
        wanted = PeftModel.from_pretrained(fresh, tmp_path / "adapter").eval()(tokens).logits
        merged = AutoModelForCausalLM.from_pretrained(model).eval()
        for site, product in zip(sites, full(given), strict=True):
            merged.get_submodule(site.name).weight += torch.from_numpy(product).float()
        found = merged(tokens).logits.numpy()
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)
    assert np.abs(found - plain).max() > 0.1
