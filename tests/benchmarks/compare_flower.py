"""The same federated training by cosim and by Flower's simulation with PEFT: seconds and memory.

    python3 -m venv ../peer_flower
    ../peer_flower/bin/pip install torch "flwr[simulation]" transformers peft
    python tests/benchmarks/compare_flower.py --flower ../peer_flower/bin/python flower_peft.py

`flower_peft.py ROUNDS CLIENTS STEPS BATCH SEQ` is a program that trains so with Flower: one PEFT
model per client, FedAvg, no evaluation. cosim runs a scenario of the same work from the command
line: as many devices in one cluster, each averages what it receives of all; the same shape of a
random Qwen2 (vocabulary 512, hidden 128, 4 layers), rank 8 on all linear layers, AdamW with 1e-3,
random tokens that all are learned. What Flower does not, cosim does beside: a world with moving
devices and fading, every update in packets over a radio network, a plan, and a judgement at the
end. Runs alternate. Seconds are from the start of the process to its end; memory is the largest
sum over the process and all that it started of their proportional set sizes, looked at every 0.3 s
(both programs alike).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from training_helpers import config, save_model, sentence

VOCABULARY = 512
MARK, _LOOK_S = "COMPARED_RUN", 0.3
WORKS = ((12, 10, 5, 8, 64), (60, 10, 5, 1, 64))

SCENARIO = """
name: like_flower
seed: 1
duration: {rounds} rounds
area: {{kind: disc, radius: 50 m}}
devices:
  - group: clients
    count: {clients}
    mobility: {{kind: random_waypoint, speed: [1 m/s, 2 m/s], pause: [0 s, 10 s]}}
    radio: {{tx_power: 20 dBm, noise_figure: 9 dB}}
    compute: {{kind: flops, rate: [50 GFLOP/s, 200 GFLOP/s]}}
channel:
  carrier: 3.5 GHz
  path_loss: {{kind: log_distance, exponent: 3}}
  fading: {{kind: rayleigh_jakes}}
spectrum: {{bandwidth: 20 MHz, rule: equal}}
learning:
  model: {{kind: causal_lm, source: "path:{model}"}}
  tasks:
    use: [{{kind: alpaca, path: words, template: "{{question}} {{answer}}"}}]
    partition: iid
  method: {{kind: lora, rank: 8, scale: 2}}
  local: {{steps: {steps}, batch: {batch}, lr: 1e-3, weight_decay: 0.01, clip: null}}
  pool: {{kind: stacked, threads: {threads}}}
topology: {{planner: {{kind: random, max_collision: 1.0, max_delay: 1000 s}}}}
protocol: {{kind: clustered_dfl, inner_rounds: 1000}}
evaluate: {{every: {rounds} rounds, examples: 4}}
plots: []
"""


@dataclass(frozen=True)
class Seen:
    """What a run took."""

    seconds: float
    peak_bytes: int
    output: str


def watched(command: list[str], folder: Path) -> Seen:
    """Run a program to its end and look at the memory of all its processes."""
    mark = f"{MARK}={uuid.uuid4().hex}"
    name, value = mark.split("=")
    log = folder / "output.txt"
    with log.open("w") as out:
        start = time.perf_counter()
        env = os.environ | {name: value}
        process = subprocess.Popen(
            command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, env=env
        )
        peak = 0
        is_its: dict[str, bool] = {}
        while process.poll() is None:
            peak = max(peak, _memory(mark.encode(), is_its))
            time.sleep(_LOOK_S)
        seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{command}: status {process.returncode}\n{log.read_text()[-3000:]}")
    return Seen(seconds, peak, log.read_text())


def _memory(mark: bytes, is_its: dict[str, bool]) -> int:
    """Sum the proportional set sizes of the processes that have `mark` in their environment.

    Args:
        mark: what it is known by.
        is_its: what is known of processes that were seen before, by number; added to.
    """
    total = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if folder.name not in is_its:
                is_its[folder.name] = mark in (folder / "environ").read_bytes()
            if not is_its[folder.name]:
                continue
            for line in (folder / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += 1024 * int(line.split()[1])
        except OSError:  # it has ended
            continue
    return total


def write_scenario(folder: Path, work: tuple[int, ...], threads: int) -> Path:
    """Write the model, the data and the scenario; rows are of 64 tokens, the first being asked."""
    rounds, clients, steps, batch, length = work
    shape = config(VOCABULARY, 128, 4, intermediate_size=512, max_position_embeddings=256)
    model = save_model(folder / "model", shape)
    data = folder / "words"
    data.mkdir()
    rng = np.random.default_rng(0)
    # Each client has as many rows as it reads in all, but for what many rounds read twice.
    for split, count in (("train", min(12, rounds) * clients * steps * batch), ("test", 8)):
        lines = (
            f'{{"instruction": "{sentence(rng, 1, VOCABULARY)}", "input": "", '
            f'"output": "{sentence(rng, length - 1, VOCABULARY)}"}}'
            for _ in range(count)
        )
        (data / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    path = folder / "like_flower.yaml"
    path.write_text(
        SCENARIO.format(
            rounds=rounds,
            clients=clients,
            steps=steps,
            batch=batch,
            model=model,
            threads=threads,
        )
    )
    return path


def main() -> None:
    """Print a table, one line for each work."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flower", nargs=2, metavar=("PYTHON", "PROGRAM"), required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    python, program = (str(Path(each).absolute()) for each in args.flower)
    print(
        "rounds x clients x steps x batch x tokens: Flower and cosim, s; times faster; Flower and "
        "cosim, MB of peak; part of its memory"
    )
    for work in WORKS:
        flower, cosim = [], []
        for _ in range(args.repeats):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                scenario = write_scenario(folder, work, args.threads)
                flower.append(watched([python, program, *map(str, work)], folder))
                command = [str(Path(sys.executable).parent / "cosim"), "run", str(scenario)]
                places = [f"data_root={folder}", f"--out={folder}/runs"]
                cosim.append(watched(command + places, folder))
        faster = statistics.median(
            a.seconds / b.seconds for a, b in zip(flower, cosim, strict=True)
        )
        part = statistics.median(
            b.peak_bytes / a.peak_bytes for a, b in zip(flower, cosim, strict=True)
        )
        seconds = [statistics.median(each.seconds for each in side) for side in (flower, cosim)]
        peaks = [statistics.median(each.peak_bytes for each in side) for side in (flower, cosim)]
        print(
            f"{' x '.join(map(str, work)):22} {seconds[0]:7.1f} {seconds[1]:7.1f} {faster:6.2f} x "
            f"{peaks[0] / 1e6:8.0f} {peaks[1] / 1e6:8.0f} {part:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
