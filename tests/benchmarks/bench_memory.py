"""What training takes of memory: by the number of devices, and with blocks that run again.

    python tests/benchmarks/bench_memory.py

A random Qwen2 (hidden 256, 6 layers, vocabulary 512), rank 8 on all seven projections, everything
trainable, AdamW, 8 rows of 64 tokens for each device and step, at most 2048 tokens at once. Every
line is a process of its own: the growth of its peak of resident memory from before the training,
with the model and the jobs there, to the end of the training, the results among it.

The slope is the growth for one device more, by least squares. A device holds 16 bytes for each
coordinate: adapter, gradient and AdamW's two moments; its share of activations is nothing once all
devices together have more tokens than run at once.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

DEVICES = (4, 8, 16, 32)
VOCABULARY, HIDDEN, LAYERS, ROWS, LENGTH, TOKENS = 512, 256, 6, 8, 64, 2048
BYTES_EACH = 16


def status(key: str) -> int:
    """Return a size of /proc/self/status, bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return 1024 * int(line.split()[1])
    raise KeyError(key)


def child(folder: str, devices: int, max_tokens: int, checkpointing: bool) -> None:
    """Train once and print what it took."""
    # Imported in the child alone.
    from training_helpers import training_jobs

    from cosim.learning.models.causal_lm import CausalLm
    from cosim.learning.pool._memory import token_bytes
    from cosim.learning.pool.stacked import Stacked

    pool = Stacked(max_tokens=max_tokens, checkpointing=checkpointing).open(
        CausalLm(source=f"path:{folder}")
    )
    jobs = training_jobs(pool, devices, ROWS, LENGTH, 2, VOCABULARY)
    pool.train(training_jobs(pool, 1, 1, LENGTH, 1, VOCABULARY))  # what libraries take once
    rows = pool._model.objective.lesson(jobs[0].batches[0])
    token = token_bytes(pool._model, rows, jobs[:1], checkpointing)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = status("VmRSS")
    results = pool.train(jobs)
    took = status("VmHWM") - before
    size = results[0].vector.size
    print(json.dumps({"took": took, "coordinates": size, "token": token}))


def measured(folder: Path, devices: int, max_tokens: int, checkpointing: bool) -> dict[str, float]:
    """Run a child and return what it printed."""
    arguments = [str(folder), str(devices), str(max_tokens), str(int(checkpointing))]
    done = subprocess.run(
        [sys.executable, __file__, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print the tables."""
    from training_helpers import config, save_model

    with tempfile.TemporaryDirectory() as name:
        folder = save_model(Path(name) / "model", config(VOCABULARY, HIDDEN, LAYERS))
        took = []
        for devices in DEVICES:
            found = measured(folder, devices, TOKENS, False)
            took.append(found["took"])
            print(f"{devices:3} devices {found['took'] / 1e6:8.1f} MB", flush=True)
        slope = np.polyfit(DEVICES, took, 1)[0]
        each = BYTES_EACH * found["coordinates"]
        print(
            f"slope {slope / 1e6:.2f} MB a device, {each / 1e6:.2f} MB by its "
            f"{found['coordinates']:.0f} coordinates: {slope / each:.3f}"
        )
        tokens = 8 * ROWS * LENGTH
        for checkpointing in (False, True):
            found = measured(folder, 8, TOKENS, checkpointing)
            held = 8 * BYTES_EACH * found["coordinates"]
            print(
                f"8 devices, {tokens} tokens, {TOKENS} at once, checkpointing {checkpointing}: "
                f"{(found['took'] - held) / 1e6:.1f} MB beside the adapters; reckoned "
                f"{found['token'] / 1e3:.1f} kB a token",
                flush=True,
            )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), bool(int(sys.argv[4])))
    else:
        main()
