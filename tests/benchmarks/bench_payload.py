"""Bytes and CPU seconds of updates on the air.

    python tests/benchmarks/bench_payload.py

Sizes are those of updates of builtin:tiny after three local trainings (rank 8, packets of 1,460 B
of data): LoRA's A and B, and B on masks of several densities, with the mask and to a receiver that
holds it. Bits are those of the whole payload, headers of chunks and checksums included, over the
number of values. Times are CPU seconds of an update of 10^7 coordinates at density 0.1, the B of
rank 16 in Qwen2.5-1.5B; medians of five.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cosim.learning.adapter import Layout
from cosim.learning.learner import LearningSetting
from cosim.learning.methods.base import Update
from cosim.learning.payload.architectures import ARCHITECTURES
from cosim.learning.payload.codec import Rounding, chunks, decode, encode, list_id
from cosim.learning.payload.scale import scale_as
from cosim.learning.payload.spread import encode_spread
from cosim.rng import Draws
from cosim.scenario.load import loads
from cosim.scenario.tree import PayloadCoding

SEGMENT = 1460
ROUNDING = Rounding(Draws(1), 0, 3)
METHODS = {
    "lora": "{kind: lora, rank: 8}",
    "density 1": "{kind: sparse_orthogonal, rank: 8, density: 1.0}",
    "density 0.3": "{kind: sparse_orthogonal, rank: 8, density: 0.3}",
    "density 0.1": "{kind: sparse_orthogonal, rank: 8, density: 0.1}",
    "density 0.02": "{kind: sparse_orthogonal, rank: 8, density: 0.02}",
}
DTYPES = ("float32", "float16", "bfloat16", "int8")


def main() -> None:
    """Print all tables."""
    trained = {name: train(method) for name, method in METHODS.items()}
    print_sizes({name: update for name, (update, _) in trained.items()})
    print_scaled(trained)
    print_seconds()


def train(method: str) -> tuple[Update, Layout]:
    """Return a device's update after three trainings, and the layout that it is of."""
    text = f"devices: [{{count: 1}}]\nlearning: {{method: {method}}}\n"
    scenario = loads(text).scenario
    draws = Draws(1).child("learning")
    setting = LearningSetting(
        scenario.learning, 1, scenario.local_trainings()[:1], draws, Path(), SEGMENT, 5
    )
    learner = scenario.learning.pool.learner(setting)
    for round in range(3):
        learner.begin_training(0, round)
        learner.end_training(0)
    update = learner._method.update(learner._cohort, learner._states[0], 3)
    return update, learner._cohort.layout


def size(update: Update, held: bool = False, **keys: str) -> int:
    """Return the bytes of an update."""
    lists = {list_id(update.coordinates)} if held else set()
    return len(encode([update], SEGMENT, PayloadCoding(**keys), ROUNDING, lists))


def print_sizes(updates: dict[str, Update]) -> None:
    print("update        values  dtype      mask   bit/value   with zlib    gain")
    for name, update in updates.items():
        num = len(update.values)
        for dtype in DTYPES:
            for held in (False, True) if "0." in name else (False,):
                plain = size(update, held, dtype=dtype)
                pressed = size(update, held, dtype=dtype, entropy="zlib")
                print(
                    f"{name:12s} {num:7d}  {dtype:9s}  {'held' if held else 'sent'}"
                    f"  {8 * plain / num:10.2f}  {8 * pressed / num:10.2f}"
                    f"  {100 * (1 - pressed / plain):5.1f} %"
                )
        sent = chunks(encode([update], SEGMENT, PayloadCoding(), ROUNDING), SEGMENT)
        mask_bits = 8 * sum(len(chunk.mask) for chunk in sent) / num
        print(f"{'':12s} positions take {mask_bits:.2f} bit/value")


def print_scaled(trained: dict[str, tuple[Update, Layout]]) -> None:
    print("\nscale_as      update        dtype       values       payload   packets  real bytes")
    for name in ARCHITECTURES:
        for method, (update, layout) in trained.items():
            scale = scale_as(name, layout.sites, layout.head)
            num_values = scale.count(layout, update.coordinates)
            for dtype in ("float16", "int8"):
                coding = PayloadCoding(dtype=dtype)
                num_bytes, body = encode_spread([update], num_values, SEGMENT, coding, ROUNDING)
                num_packets = -(-num_bytes // SEGMENT)
                print(
                    f"{name:13s} {method:12s}  {dtype:8s} {num_values:9d}"
                    f"  {num_bytes / 1e6:8.3f} MB  {num_packets:8d}"
                    f"  {len(body) // num_packets:5d} of {SEGMENT}"
                )


def print_seconds() -> None:
    rng = np.random.default_rng(0)
    chosen = np.flatnonzero(rng.random(10_000_000) < 0.1)
    values = rng.standard_normal(len(chosen)).astype(np.float32)
    update = Update((0,), 0, chosen, values)
    print(f"\n{len(chosen)} values of 10^7, CPU s     encode   decode")
    for dtype in DTYPES:
        for entropy in ("none", "zlib"):
            coding = PayloadCoding(dtype=dtype, entropy=entropy)
            body = encode([update], SEGMENT, coding, ROUNDING)
            encoding = median_s(lambda coding=coding: encode([update], SEGMENT, coding, ROUNDING))
            decoding = median_s(lambda body=body: decode(body, SEGMENT, 10_000_000))
            print(f"{dtype:9s} {entropy:4s}             {encoding:8.3f} {decoding:8.3f}")


def median_s(call: Callable[[], object]) -> float:
    """Return the median CPU seconds of five calls."""
    seconds = []
    for _ in range(5):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
