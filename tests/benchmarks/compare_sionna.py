"""What cosim and Sionna say of the same channels, side by side: path loss, P(LOS), TDL, Doppler.

    python3.11 -m venv ../peer_sionna
    ../peer_sionna/bin/pip install torch sionna-no-rt
    python tests/benchmarks/compare_sionna.py --sionna ../peer_sionna/bin/python

(Install PyTorch's build for the CPU first: the one that Sionna would fetch brings 2.5 GB of CUDA.
Ray tracing, `sionna-rt`, is not needed.)

Path loss and P(LOS): 10 m to 1 km on the ground (indoors 1 to 150 m), 2, 3.5 and 28 GHz. TDL: the
tables. Doppler: paths of TDL-A at 30 m/s and 3.5 GHz against `rayleigh_jakes` and Clarke's model.

Ends with status 1 if two path losses differ by more than 0.001 dB, probabilities by more than 1e-9,
or the tables at all, without a known cause.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from doppler_correlation import (
    NUM_SAMPLES,
    SAMPLES_PER_CYCLE,
    cosim_gains,
    print_head,
    print_line,
)

from cosim.world.constants import SPEED_OF_LIGHT_MPS
from cosim.world.delay_profile.tdl import Tdl
from cosim.world.path_loss.base import Geometry
from cosim.world.path_loss.inh import Inh
from cosim.world.path_loss.uma import Uma
from cosim.world.path_loss.umi import Umi

PEER = Path(__file__).parent / "peers" / "sionna_channel.py"
CARRIERS_HZ = (2e9, 3.5e9, 28e9)
OUTDOORS_M = np.geomspace(10.0, 1000.0, 81)
INDOORS_M = np.geomspace(1.0, 150.0, 81)
SPEED_MPS = 30.0
CARRIER_HZ = 3.5e9

SCENARIOS = (
    ("umi", Umi(), (10.0, 1.5), OUTDOORS_M),
    ("uma", Uma(), (25.0, 1.5), OUTDOORS_M),
    ("uma", Uma(), (25.0, 10.0), OUTDOORS_M),
    ("inh mixed", Inh(office="mixed"), (3.0, 1.0), INDOORS_M),
    ("inh open", Inh(office="open"), (3.0, 1.0), INDOORS_M),
)


def ask(python, task, request):
    """Run the peer and return its arrays by name."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answer.npz"
        done = subprocess.run(
            [python, PEER, task, out],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"expected {python} to run Sionna, got:\n{done.stderr}")
        with np.load(out) as answer:
            return dict(answer)


def compare_path_loss(python):
    """Print the largest differences of path loss and P(LOS); return whether all are small."""
    runs = [
        (*scenario, carrier_hz, is_los)
        for scenario in SCENARIOS
        for is_los in (True, False)
        for carrier_hz in CARRIERS_HZ
    ]
    cases = [
        {"scenario": name, "carrier_hz": carrier_hz, "heights_m": heights_m, "los": is_los,
         "ground_m": ground_m.tolist()}
        for name, _, heights_m, ground_m, carrier_hz, is_los in runs
    ]  # fmt: skip
    answer = ask(python, "losses", {"cases": cases})
    print(f"Sionna {answer['version']}\n")
    print("Path loss in dB and P(LOS), cosim - Sionna\n")
    print(f"{'cosim, Sionna':<15}{'state':<7}{'heights m':<12}{'ground m':<14}{'rms dB':>10}"
          f"{'largest':>10}{'at m':>9}{'at GHz':>8}{'P(LOS), largest':>17}")  # fmt: skip
    fine = True
    for first in range(0, len(runs), len(CARRIERS_HZ)):
        found = []
        for number in range(first, first + len(CARRIERS_HZ)):
            name, path_loss, heights_m, ground_m, carrier_hz, is_los = runs[number]
            geometry = Geometry(
                np.hypot(ground_m, heights_m[0] - heights_m[1]),
                carrier_hz,
                low_height_m=heights_m[1],
                high_height_m=heights_m[0],
                line_of_sight=is_los,
            )
            loss_db = path_loss.loss_db(geometry) - answer[f"loss_db_{number}"]
            chance = path_loss.line_of_sight_probability(geometry) - answer[f"los_{number}"]
            at = int(np.argmax(np.abs(loss_db)))
            found.append((abs(loss_db[at]), loss_db[at], ground_m[at], carrier_hz / 1e9,
                          np.mean(loss_db**2), np.abs(chance).max()))  # fmt: skip
        size_db, worst_db, at_m, at_ghz, *_ = max(found)
        chance = max(each[-1] for each in found)
        fine &= size_db <= 1e-3 and chance <= 1e-9
        rms_db = math.sqrt(np.mean([each[4] for each in found]))
        heights, state = "{:g}, {:g}".format(*heights_m), "los" if is_los else "nlos"
        ground = f"{ground_m[0]:.0f} to {ground_m[-1]:.0f}"
        print(f"{name:<15}{state:<7}{heights:<12}{ground:<14}{rms_db:>10.1e}{worst_db:>10.1e}"
              f"{at_m:>9.1f}{at_ghz:>8.1f}{chance:>17.1e}")  # fmt: skip
    return fine


def compare_profiles(python):
    """Print how the tapped delay lines differ; return whether they do not."""
    models = ["A", "B", "C", "D", "E"]
    print("\nTapped delay lines of 38.901, delays in units of the delay spread\n")
    print(f"{'model':<7}{'release':<9}{'paths':>6}{'largest delay':>15}{'largest power dB':>18}"
          f"{'K-factor dB':>13}")  # fmt: skip
    fine = True
    for spec in ("16.1", "19.2"):
        answer = ask(python, "profiles", {"models": models, "spec": spec})
        for model in models:
            taps = Tdl(profile=model, delay_spread_s=1.0).taps()
            order = np.argsort(answer[f"delay_{model}"], kind="stable")
            delay, power = answer[f"delay_{model}"][order], answer[f"power_{model}"][order]
            delay_gap = np.abs(taps.delay_s - delay).max()
            power_gap = np.abs(10.0 * np.log10(taps.power / power)).max()
            k, peer_k = taps.k[0], float(answer[f"k_{model}"])
            k_gap = abs(10.0 * math.log10(k / peer_k)) if k > 0.0 else abs(k - peer_k)
            fine &= max(delay_gap, power_gap, k_gap) <= 1e-9
            print(f"TDL-{model:<3}{spec:<9}{taps.power.size:>6}{delay_gap:>15.1e}{power_gap:>18.1e}"
                  f"{k_gap:>13.1e}")  # fmt: skip
    return fine


def compare_doppler(python, num_links):
    """Print how both channels keep to Clarke's model."""
    doppler_hz = SPEED_MPS * CARRIER_HZ / SPEED_OF_LIGHT_MPS
    print(f"\nRayleigh paths at {SPEED_MPS:g} m/s and {CARRIER_HZ / 1e9:g} GHz, Doppler shift "
          f"{doppler_hz:.1f} Hz, {NUM_SAMPLES // SAMPLES_PER_CYCLE} cycles of {SAMPLES_PER_CYCLE} "
          "samples, against Clarke's model\n")  # fmt: skip
    print_head()
    print_line("cosim rayleigh_jakes", cosim_gains(doppler_hz))
    request = {"model": "A", "links": num_links, "samples": NUM_SAMPLES, "speed_mps": SPEED_MPS}
    request |= {"carrier_hz": CARRIER_HZ, "step_s": 1.0 / (SAMPLES_PER_CYCLE * doppler_hz)}
    for sinusoids in (20, 100):
        answer = ask(python, "gains", request | {"sinusoids": sinusoids})
        print_line(f"Sionna TDL-A, {sinusoids} sinusoids", answer["gains"])
    print("""
Clarke's model has E|h|^2 = 1 and variance 1. The standard error is that of the mean over links or
paths; the largest error of 61 lags is about twice that in an exact channel. A sum of M equal
sinusoids of independent phases has a variance of 1 - 1 / M: 0.95 with Sionna's default of 20.
cosim's sums have 33,000 sinusoids and more.""")


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sionna", required=True, help="Python with Sionna")
    parser.add_argument("--links", type=int, default=200, help="links of 23 paths each")
    args = parser.parse_args()
    fine = compare_path_loss(args.sionna)
    fine &= compare_profiles(args.sionna)
    compare_doppler(args.sionna, args.links)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
