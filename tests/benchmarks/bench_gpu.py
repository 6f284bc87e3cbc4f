"""How fast a Qwen2 of 1.5 B trains on a GPU: M devices' adapters stacked, and one after another.

    python tests/benchmarks/bench_gpu.py                  # on a GPU, bfloat16
    python tests/benchmarks/bench_gpu.py --device cpu     # a tiny shape, to see that it runs

The shape is that of Qwen2.5-1.5B, the weights are random; rank 8 on all seven projections, AdamW,
all tokens learned. MFU is 4 N + 6 N_adapter floating-point operations per token, by the peak that
is given (dense bfloat16 of the GPU; an H200's by default), N the parameters that multiply.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from training_helpers import config, save_model, training_jobs

from cosim.learning.model_pool import ModelPool, TrainingJob
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.pool.sequential import Sequential
from cosim.learning.pool.stacked import Stacked

QWEN_1_5B = {
    "vocabulary": 151936,
    "hidden": 1536,
    "layers": 28,
    "intermediate_size": 8960,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
TINY = {"vocabulary": 256, "hidden": 64, "layers": 2}
DEVICES = (1, 4, 10)


def peak_of(device: str, pool: ModelPool, jobs: list[TrainingJob]) -> tuple[float, float]:
    """Return the seconds of a training and, on a GPU, the most memory that it held, bytes."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    pool.train(jobs)
    if device == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    return seconds, float(torch.cuda.max_memory_allocated()) if device == "cuda" else 0.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=16384)
    parser.add_argument("--peak-tflops", type=float, default=989.0)
    parser.add_argument("--checkpointing", action="store_true")
    args = parser.parse_args()
    shape = QWEN_1_5B if args.device == "cuda" else TINY
    dtype = "bfloat16" if args.device == "cuda" else "float32"
    options = {"device": args.device, "dtype": dtype}
    with tempfile.TemporaryDirectory() as name:
        source = CausalLm(source=f"path:{save_model(Path(name) / 'model', config(**shape))}")
        stacked = Stacked(
            max_tokens=args.max_tokens, checkpointing=args.checkpointing, **options
        ).open(source)
        sequential = Sequential(**options).open(source)
    pools: dict[str, ModelPool] = {"stacked": stacked, "sequential": sequential}
    print(
        f"{stacked.num_parameters / 1e6:.1f} M parameters that multiply, {args.rows} rows of "
        f"{args.length} tokens a device and step, {args.device}, {dtype}"
    )
    print("devices             tokens/s   peak GB     MFU")
    for devices in DEVICES:
        jobs = training_jobs(
            stacked, devices, args.rows, args.length, args.steps, shape["vocabulary"]
        )
        tokens = devices * args.rows * args.length * args.steps
        flops = tokens * (4 * stacked.num_parameters + 6 * jobs[0].adapter.layout.size)
        took: dict[str, list[tuple[float, float]]] = {kind: [] for kind in pools}
        for _ in range(args.repeats + 1):
            for kind, pool in pools.items():
                took[kind].append(peak_of(args.device, pool, jobs))
        for kind, found in took.items():
            seconds = statistics.median(each[0] for each in found[1:])
            peak = max(each[1] for each in found)
            mfu = flops / seconds / (args.peak_tflops * 1e12)
            print(f"{devices:7} {kind:10} {tokens / seconds:9.0f} {peak / 1e9:9.2f} {mfu:8.4f}")


if __name__ == "__main__":
    main()
