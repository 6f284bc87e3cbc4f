"""The network half at scale: 1,000 and 10,000 devices, wall time, events, packets and memory.

    python tests/benchmarks/bench_scale.py [--minutes M] [--quick]

Runs scenarios/scale_1k.yaml and scale_10k.yaml for M simulated minutes (60 is all of them), each in
a process of its own, one after the other: with block Rayleigh and Jakes fading, and with payloads
of 240 instead of 24 Mbit. `x real time` is simulated over wall time, all of the run counted but
the start of Python; `us/flow` is wall time over transfers. Memory is the peak of the process. The
growth exponent is log10 of the ratio of the wall times at 10,000 and 1,000 devices; for it both
run the same simulated time. `--quick` leaves the 240 Mbit out.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = {1_000: "scale_1k", 10_000: "scale_10k"}
CASES = {
    "rayleigh, 24 Mbit": [],
    "jakes, 24 Mbit": ["channel.fading.kind=rayleigh_jakes"],
    "rayleigh, 240 Mbit": ["learning.pool.payload=240 Mbit"],
}


def measure(scenario: str, overrides: list[str]) -> dict[str, float]:
    """Run a scenario in this process and return what it took."""
    import simpy

    from cosim.plugin import scenarios_dir
    from cosim.scenario.load import load
    from cosim.sim.run import simulate

    events = 0
    step = simpy.Environment.step

    def counted(env: simpy.Environment) -> None:
        nonlocal events
        events += 1
        step(env)

    simpy.Environment.step = counted
    with tempfile.TemporaryDirectory() as folder:
        start_s, start_cpu_s = time.perf_counter(), time.process_time()
        loaded = load(scenarios_dir() / f"{scenario}.yaml", overrides).scenario
        run = simulate(loaded, Path(folder))
        wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
        flows = run.flows
        return {
            "wall_s": wall_s,
            "cpu_s": cpu_s,
            "events": events,
            "flows": len(flows),
            "packets": int(flows.num_packets.sum()),
            "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        }


def in_a_process(scenario: str, overrides: list[str]) -> dict[str, float]:
    """Return `measure` of a fresh process."""
    command = [sys.executable, __file__, "--measure", scenario, *overrides]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="simulated minutes of each run")
    parser.add_argument("--quick", action="store_true", help="without payloads of 240 Mbit")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], options.measure[1:])))
        return
    print(
        f"{'':20s}{'devices':>9}{'wall s':>9}{'cpu s':>9}{'x real time':>13}{'events':>12}"
        f"{'flows':>11}{'packets':>15}{'us/flow':>9}{'memory GB':>11}"
    )
    for case, overrides in CASES.items():
        if options.quick and "240" in case:
            continue
        walls_s = {}
        for devices, scenario in SIZES.items():
            got = in_a_process(scenario, [f"duration={options.minutes} min", *overrides])
            walls_s[devices] = got["wall_s"]
            print(
                f"{case:20s}{devices:9,}{got['wall_s']:9.1f}{got['cpu_s']:9.1f}"
                f"{60.0 * options.minutes / got['wall_s']:13.1f}{got['events']:12,}"
                f"{got['flows']:11,}{got['packets']:15,}"
                f"{1e6 * got['wall_s'] / got['flows']:9.0f}{got['memory_gb']:11.2f}",
                flush=True,
            )
        small, large = SIZES
        exponent = math.log(walls_s[large] / walls_s[small]) / math.log(large / small)
        print(f"{case:20s}growth exponent {exponent:.2f}", flush=True)


if __name__ == "__main__":
    main()
