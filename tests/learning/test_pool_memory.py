"""Memory of training: the limit, blocks that run again, and messages where there is none left."""

import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pool_helpers import job, labelled, picture, save_encoder, save_model, save_vit

from cosim.learning.errors import LearningError
from cosim.learning.model_pool import EvaluationJob
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.models.encoder import Encoder
from cosim.learning.models.image import Image
from cosim.learning.pool import _stacked, _training
from cosim.learning.pool._memory import (
    _Kept,
    _units,
    activation_bytes,
    device_bytes,
    explained,
    plan,
    token_bytes,
)
from cosim.learning.pool.stacked import Stacked
from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import load

KINDS = ("causal", "cosine", "image")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return {
        "causal": CausalLm(source=f"path:{save_model(tmp_path_factory.mktemp('causal'))}"),
        "cosine": Encoder(source=f"path:{save_encoder(tmp_path_factory.mktemp('bert'), 'bert')}"),
        "image": Image(source=f"path:{save_vit(tmp_path_factory.mktemp('vit'))}", num_classes=4),
    }


@pytest.fixture(scope="module")
def pools(sources):
    return {kind: Stacked().open(source) for kind, source in sources.items()}


def jobs_of(pool, kind, devices=5):
    shown = {"causal": None, "cosine": labelled, "image": picture}[kind]
    return [
        job(pool.sites, i, rows=1 + i % 3, prompt=(2, 12), head=pool.head, shown=shown, rank=3)
        for i in range(devices)
    ]


def assert_same(found, expected, atol=2e-5):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.losses, other.losses, rtol=0, atol=atol)
        np.testing.assert_allclose(one.vector, other.vector, rtol=0, atol=atol)
        assert (one.vector != 0).any()


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_that_run_again_change_nothing(kind, sources, pools):
    jobs = jobs_of(pools[kind], kind)
    again = Stacked(checkpointing=True).open(sources[kind])
    assert_same(again.train(jobs), pools[kind].train(jobs), atol=0 if kind == "causal" else 1e-6)


def test_blocks_run_forward_twice_and_go_back_once(sources):
    """Counted at a layer of the first block and at the last."""
    pool = Stacked(checkpointing=True).open(sources["causal"])
    model = pool._model
    assert len(model.blocks) == 2
    (one,) = jobs_of(pool, "causal", 1)
    counts = []
    handles = [
        norm.register_forward_hook(lambda *_: counts.append(1))
        for norm in (block.input_layernorm for block in model.blocks)
    ]
    pool.train([replace(one, batches=one.batches[:1])])
    for handle in handles:
        handle.remove()
    assert len(counts) == 4
    assert "forward" not in vars(model.blocks[0])
    assert "forward" not in vars(model.linears[0])


def test_less_is_kept_with_blocks_that_run_again(pools):
    pool = pools["causal"]
    (one,) = jobs_of(pool, "causal", 1)
    row = max(pool._model.objective.lesson(one.batches[0]), key=lambda row: row.length)
    plain, again = (activation_bytes(pool._model, row, [one], value) for value in (False, True))
    assert again < 0.85 * plain  # of two blocks one is there at a time


def test_what_is_kept_is_counted_by_storage():
    """x w of a weight that is no parameter: autograd keeps both, a view of one only once."""
    w = torch.ones(4, 4, requires_grad=True)
    x = torch.ones(2, 4, requires_grad=True)
    kept = _Kept({id(w)})
    with kept.counting(()):
        _ = (x @ w) @ w
        _ = x.view(4, 2) @ torch.ones(2, 2)
    assert kept._total == x.nbytes + (x @ w).nbytes + 16


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_within_the_limit_the_result_is_the_same(kind, checkpointing, sources, pools, monkeypatch):
    pool = pools[kind]
    jobs = jobs_of(pool, kind)
    model = pool._model
    state = device_bytes(model, jobs)
    units = [unit for j in jobs for batch in j.batches for unit in _units(model, batch)]
    token = token_bytes(model, [row for unit in units for row in unit], jobs, checkpointing)
    longest = max(len(unit) * max(row.length for row in unit) for unit in units)
    groups, sizes = [], []
    real_train, real_cut = _stacked.train, _training.cut

    def train(model, group, *rest):
        groups.append(len(group))
        return real_train(model, group, *rest)

    def cut(lengths, max_tokens, cost):
        sizes.append(max_tokens)
        return real_cut(lengths, max_tokens, cost)

    monkeypatch.setattr(_stacked, "train", train)
    monkeypatch.setattr(_training, "cut", cut)
    memory = 1.5 * state + longest * token
    small = Stacked(memory_bytes=memory, checkpointing=checkpointing).open(sources[kind])
    found = small.train(jobs)
    assert sum(groups) == len(jobs)
    assert len(groups) > 1
    assert max(groups) * state + max(sizes) * token <= memory
    assert_same(found, pool.train(jobs))


def test_a_limit_that_leaves_room_changes_nothing(pools):
    pool = pools["causal"]
    jobs = jobs_of(pool, "causal")
    limits = replace(pool._limits, memory_bytes=1e9)
    assert plan(pool._model, jobs, limits) == plan(pool._model, jobs, pool._limits)


def test_a_limit_that_holds_nothing(sources, pools):
    jobs = jobs_of(pools["causal"], "causal")
    small = Stacked(memory_bytes=10e3).open(sources["causal"])
    with pytest.raises(LearningError, match=r"expected at least .* got 10 kB; raise it") as error:
        small.train(jobs)
    for word in ("checkpointing: true", "learning.method.rank", "adapter", "longest example"):
        assert word in str(error.value)


def test_the_estimate_of_what_is_kept_bounds_what_is_taken(tmp_path):
    """Of a forward and backward of 512 tokens: against how far the process has grown.

    What is taken may be less than counted (tensors are freed along the way), and not more by above
    a third (parts that the allocator does not give back, and the libraries' own buffers).
    """
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np, torch
from pool_helpers import job, save_model
from pathlib import Path
from dataclasses import replace
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.pool.stacked import Stacked
from cosim.learning.pool._memory import token_bytes, device_bytes
folder = save_model(Path({str(tmp_path)!r}), hidden=256)
pool = Stacked().open(CausalLm(source=f"path:{{folder}}"))
one = job(pool.sites, 0, rows=64, steps=1, prompt=(8, 8), answer=(24, 24))
pool.train([replace(one, batches=(one.batches[0][:1],))])  # the libraries' own
def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return 1024 * int(line.split()[1])
rows = pool._model.objective.lesson(one.batches[0])
token = token_bytes(pool._model, rows, [one], False)
tokens = sum(row.length for row in rows)
before = peak()
pool.train([one])
print((peak() - before) / (tokens * token + device_bytes(pool._model, [one])))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-800:]
    assert 0.3 < float(done.stdout.split()[-1]) < 1.33


def test_keys_of_a_scenario():
    pool = "learning.pool={kind: stacked, memory: 2 GB, checkpointing: true}"
    file = Path(__file__).parents[2] / "scenarios" / "quickstart.yaml"
    found = load(file, [pool]).scenario.learning.pool
    assert (found.memory_bytes, found.checkpointing) == (2e9, True)
    plain = load(file).scenario.learning.pool
    assert (plain.memory_bytes, plain.checkpointing) == (None, False)
    with pytest.raises(ScenarioError, match=r"learning\.pool\.memory"):
        load(file, [pool.replace("2 GB", "0 GB")])


# Out of memory

CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"


@pytest.mark.parametrize(
    "raised", [RuntimeError(CPU), torch.OutOfMemoryError("CUDA out of memory"), MemoryError()]
)
def test_no_memory_left_says_what_to_lower(raised, pools, monkeypatch):
    def out(*_):
        raise raised

    pool = pools["causal"]
    monkeypatch.setattr(_stacked, "train", out)
    jobs = jobs_of(pool, "causal")
    with pytest.raises(LearningError, match="out of memory while training 5 devices") as error:
        pool.train(jobs)
    for word in ("max_tokens", "local.batch", "method.rank", "pool.memory", "checkpointing: true"):
        assert word in str(error.value)
    monkeypatch.setattr(_stacked, "evaluate", out)
    judged = [EvaluationJob(jobs[0].adapter, jobs[0].batches[0])]
    with pytest.raises(LearningError, match=r"out of memory while judging .* lower learning.pool"):
        pool.evaluate(judged)


def test_other_errors_are_not_hidden():
    with pytest.raises(RuntimeError, match="shapes"), explained("nothing", "nothing"):
        raise RuntimeError("shapes do not fit")


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="no limit of address space")
def test_a_process_of_little_memory_ends_with_the_message(tmp_path):
    folder = save_model(tmp_path, hidden=64)
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pool_helpers import job
from cosim.learning.errors import LearningError
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.pool.stacked import Stacked
pool = Stacked().open(CausalLm(source="path:{folder}"))
one = job(pool.sites, 0, rows=4, steps=1)
pool.train([one])
many = [job(pool.sites, i, rank=512, steps=1) for i in range(8)]
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
room = 2 * 4 * many[0].adapter.vector.size * 8  # two of the four buffers that it takes
resource.setrlimit(resource.RLIMIT_AS, (now + room, now + room))
try:
    pool.train(many)
except LearningError as error:
    print("message:", error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-800:]
    assert "out of memory while training 8 devices" in done.stdout
