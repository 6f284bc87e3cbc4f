"""How fast the pools train: stacked, sequential, and the limit that the base model sets.

    python tests/benchmarks/bench_pool.py [--threads N] [--repeats N] [--data DIR]

A random Qwen2 (hidden 256, 6 layers, vocabulary 512), rank 8 on all seven projections, everything
trainable, AdamW, all tokens learned. `sequential` is PEFT, one device after another. The limit is
the bare model: a forward and a backward to its inputs of the same rows with the same loss, in one
padded batch or in batches of 1024 tokens, whichever is faster; no adapters, no optimiser. It is
given as transformers runs it, and with the norms that the pool runs in their place.

The three run alternately; a table has the medians of the seconds and of the ratios. Beside the wall
time stands the processor time of the process, which other work on the machine disturbs less.

With the folder of real data, also: how much of what is read is padding.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.nn import functional
from training_helpers import config, save_model, training_jobs

from cosim.learning.model_pool import ModelPool, TrainingJob
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.pool._blocks import block_cost, cut, padded_size
from cosim.learning.pool.sequential import Sequential
from cosim.learning.pool.stacked import Stacked
from cosim.learning.tasks.text_classification import TextClassification

VOCABULARY, HIDDEN, LAYERS, LENGTH = 512, 256, 6, 64
# devices, rows of each, steps
SIZES = ((16, 1, 5), (16, 2, 3), (4, 8, 3), (16, 8, 1), (2, 32, 1), (4, 32, 1))
CUTS = (1024, 10**9)
TASKS = ("sst2", "trec", "subj", "mpqa", "cr", "ag_news")

Took = dict[str, tuple[float, float]]


def limit(pool: ModelPool, jobs: list[TrainingJob], max_tokens: int, *, fast: bool) -> None:
    """Do the forward and the backward to the inputs for all steps of the jobs."""
    model = pool._model
    embed = model.network.get_input_embeddings()
    with model.fast_norms() if fast else nullcontext():
        for step in range(len(jobs[0].batches)):
            examples = [example for job in jobs for example in job.batches[step]]
            texts = model.objective.tokens.answers(examples)
            ids = torch.stack([torch.from_numpy(text.ids) for text in texts])
            for part in ids.split(max(1, max_tokens // (ids.shape[1] - 1))):
                embedded = embed(part[:, :-1]).requires_grad_(True)
                logits = model.network(inputs_embeds=embedded, use_cache=False).logits
                functional.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten()).backward()


def alternated(calls: dict[str, Callable[[], object]], repeats: int) -> list[Took]:
    """Return wall and processor seconds of each call, by round; the first round is not counted."""
    rounds = []
    for _ in range(repeats + 1):
        took = {}
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            took[name] = (time.perf_counter() - wall, time.process_time() - cpu)
        rounds.append(took)
    return rounds[1:]


def compare(source: CausalLm, threads: int, repeats: int, size: tuple[int, int, int]) -> None:
    """Print the line of one size."""
    devices, rows, steps = size
    stacked = Stacked(threads=threads).open(source)
    sequential = Sequential(threads=threads).open(source)
    jobs = training_jobs(stacked, devices, rows, LENGTH, steps, VOCABULARY)
    calls: dict[str, Callable[[], object]] = {
        "stacked": lambda: stacked.train(jobs),
        "sequential": lambda: sequential.train(jobs),
    }
    for fast in (False, True):
        for tokens in CUTS:
            calls[f"limit {fast} {tokens}"] = lambda fast=fast, tokens=tokens: limit(
                stacked, jobs, tokens, fast=fast
            )
    rounds = alternated(calls, repeats)

    def ratios(over: Callable[[Took, int], float]) -> str:
        wall, cpu = (
            statistics.median(over(took, clock) / took["stacked"][clock] for took in rounds)
            for clock in (0, 1)
        )
        return f"{wall:7.2f} {cpu:5.2f}"

    def least(fast: bool) -> Callable[[Took, int], float]:
        return lambda took, clock: min(took[f"limit {fast} {tokens}"][clock] for tokens in CUTS)

    per_step = statistics.median(took["stacked"][0] for took in rounds) / steps
    print(
        f"{devices:7} {rows * LENGTH:9} {devices * rows * LENGTH:8} {per_step * 1e3:9.0f} "
        f"{ratios(lambda took, clock: took['sequential'][clock])} "
        f"{ratios(least(False))} {ratios(least(True))}",
        flush=True,
    )


def padding(data: Path) -> None:
    """Print what part of what is read of six devices' batches of 8 real texts is padding."""
    tasks = [
        TextClassification(path=f"text/{name}", skip_empty=name in ("mpqa", "cr")) for name in TASKS
    ]
    texts = [[example.prompt for example in task.examples("train", data)] for task in tasks]
    for parameters in (1.1e6, 1.1e7, 1.1e8):
        read = padded = 0
        for step in range(50):
            lengths = [
                [2 + len(t.split()) for t in each[8 * step : 8 * step + 8]] for each in texts
            ]
            blocks = cut(
                [each for each in lengths if each], 4096, block_cost(int(parameters), False)
            )
            read += sum(map(sum, lengths))
            padded += sum(map(padded_size, blocks))
        print(
            f"padding of six real text tasks, 8 rows a step, a model of {parameters / 1e6:.1f} M: "
            f"{100 * (padded - read) / read:.1f} % more than the texts' words"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as name:
        shape = config(VOCABULARY, HIDDEN, LAYERS)
        source = CausalLm(source=f"path:{save_model(Path(name) / 'model', shape)}")
        print(f"hidden {HIDDEN}, {LAYERS} layers, {args.threads} threads, wall and processor time")
        print(
            "devices tokens of   of all   ms/step  sequential PEFT   of the limit   of the limit\n"
            "             each                      / stacked        (transformers) (fast norms)"
        )
        for size in SIZES:
            compare(source, args.threads, args.repeats, size)
    if args.data is not None:
        padding(args.data)


if __name__ == "__main__":
    main()
