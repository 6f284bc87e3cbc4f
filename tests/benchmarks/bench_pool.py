"""How fast the pools train and judge: stacked, sequential, and the limit that the base model sets.

    python tests/benchmarks/bench_pool.py [threads] [source]

Eight devices, one generated task each, batches of 8, rank 8 on all linear layers. The limit is a
forward and a backward to the inputs of the bare model on the same rows in one padded batch: no
adapters, no optimiser.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from cosim.learning.adapter import Adapter, Layout, concatenate
from cosim.learning.model_pool import EvaluationJob, ModelPool, Optimisation, TrainingJob
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.pool.sequential import Sequential
from cosim.learning.pool.stacked import Stacked
from cosim.learning.tasks.base import Example
from cosim.plugin import find, kinds

DEVICES, ROWS, STEPS, RANK, JUDGED = 8, 8, 5, 8, 50
DATA_ROOT = Path()


def seconds(call: Callable[[], object], repetitions: int = 3) -> float:
    """Return the shortest wall time of some calls, after one to warm up."""
    call()
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def generated(split: str, count: int) -> list[tuple[Example, ...]]:
    """Return the first examples of the generated tasks, one tuple for each task."""
    tasks = [find("task", kind)() for kind in kinds("task") if hasattr(find("task", kind), "item")]
    return [tuple(task.examples(split, DATA_ROOT)[:count]) for task in tasks]


def training_jobs(pool: ModelPool, train_a: bool, density: float) -> list[TrainingJob]:
    """Return one job of STEPS steps for each device."""
    layout = Layout(pool.sites, RANK)
    tasks = generated("train", ROWS * STEPS)
    jobs = []
    for device in range(DEVICES):
        rng = np.random.default_rng(device)
        vector = rng.normal(0, 0.05, layout.size).astype(np.float32)
        vector[layout.size_a :] = 0
        trainable = rng.random(layout.size) < density
        trainable[: layout.size_a] &= train_a
        examples = tasks[device % len(tasks)]
        batches = tuple(examples[i : i + ROWS] for i in range(0, ROWS * STEPS, ROWS))
        setting = Optimisation("adamw", 2e-3, 0.0, 1.0)
        jobs.append(
            TrainingJob(device, 0, Adapter(layout, vector, 2.0), trainable, batches, setting)
        )
    return jobs


def base_only(pool: ModelPool, jobs: list[TrainingJob]) -> None:
    """Do the forward and the backward to the inputs for the rows of the jobs' first step."""
    model = pool._model
    texts = model.objective.tokens.answers([e for job in jobs for e in job.batches[0]])
    length = max(len(text.ids) for text in texts) - 1
    ids = torch.zeros((len(texts), length), dtype=torch.int64)
    for row, text in enumerate(texts):
        ids[row, : len(text.ids) - 1] = torch.from_numpy(text.ids[:-1])
    embedded = model.network.get_input_embeddings()(ids).requires_grad_(True)
    hidden = model.network.base_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
    hidden[:, -1].sum().backward()


def main(threads: int, source: str) -> None:
    """Print milliseconds per step of all devices, and per evaluation."""
    model = CausalLm(source=source)
    stacked, sequential = (
        Stacked(threads=threads).open(model),
        Sequential(threads=threads).open(model),
    )
    jobs = training_jobs(stacked, train_a=True, density=1.0)
    one_step = sum(stacked.num_tokens(job.batches[:1]) for job in jobs)
    print(
        f"{source}: {stacked.num_parameters / 1e6:.2f} M parameters that multiply, "
        f"{len(stacked.sites)} layers adapted, {threads} threads, "
        f"{DEVICES} devices x {ROWS} rows, {one_step / DEVICES / ROWS:.1f} tokens a row"
    )
    torch.set_num_threads(threads)
    limit = seconds(lambda: base_only(stacked, jobs), 10)
    print(f"{'base model only':34} {limit * 1e3:8.1f} ms/step")
    for name, train_a, density in (
        ("A and B", True, 1.0),
        ("B", False, 1.0),
        ("a tenth of B", False, 0.1),
    ):
        jobs = training_jobs(stacked, train_a, density)
        fast = seconds(lambda: stacked.train(jobs)) / STEPS  # noqa: B023
        slow = seconds(lambda: sequential.train(jobs), 2) / STEPS  # noqa: B023
        print(f"{'stacked, ' + name:34} {fast * 1e3:8.1f} ms/step {limit / fast:6.2f} of the limit")
        print(f"{'sequential, ' + name:34} {slow * 1e3:8.1f} ms/step {slow / fast:6.2f} x slower")
    tasks = generated("test", JUDGED)
    for factor in (1, 8):
        adapters = [
            concatenate([(job.adapter, 1 / factor)] * factor)
            for job in training_jobs(stacked, True, 1.0)
        ]
        judged = [EvaluationJob(adapter, examples) for adapter in adapters for examples in tasks]
        took = seconds(lambda: stacked.evaluate(judged))  # noqa: B023
        print(
            f"evaluate {len(adapters)} adapters of rank {RANK * factor} on {len(tasks)} tasks x "
            f"{JUDGED}: {took:.2f} s"
        )


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 1,
        sys.argv[2] if len(sys.argv) > 2 else "builtin:tiny",
    )
