"""What Sionna says, for `compare_sionna.py`; run by a Python that has Sionna.

    python sionna_channel.py {losses|profiles|gains} OUT.npz < request.json

The requests and answers are described at the functions of these names. Nothing of cosim is used.
Everything is computed in double precision on the CPU.
"""

import json
import sys

import numpy as np
import sionna
import torch
from sionna.phy import config
from sionna.phy.channel.tr38901 import TDL, PanelArray
from sionna.phy.channel.tr38901.inh_scenario import InHScenario
from sionna.phy.channel.tr38901.uma_scenario import UMaScenario
from sionna.phy.channel.tr38901.umi_scenario import UMiScenario


def losses(request):
    """Return for each case basic path loss in dB and P(LOS), [cases, distances] each.

    A case has `scenario` (umi, uma, inh mixed, inh open), `carrier_hz`, `heights_m` of base station
    and terminal, `ground_m` (a list) and `los`.
    """
    results = [case_losses(case) for case in request["cases"]]
    return {f"{name}_{number}": value
            for number, result in enumerate(results) for name, value in result.items()}  # fmt: skip


def case_losses(case):
    carrier_hz, (base_m, terminal_m) = case["carrier_hz"], case["heights_m"]
    antenna = PanelArray(
        num_rows_per_panel=1,
        num_cols_per_panel=1,
        polarization="single",
        polarization_type="V",
        antenna_pattern="omni",
        carrier_frequency=carrier_hz,
        precision="double",
    )
    common = {"ut_array": antenna, "bs_array": antenna, "direction": "downlink"}
    common |= {"precision": "double", "enable_shadow_fading": False}
    indoors = case["scenario"].startswith("inh")
    if indoors:
        scenario = InHScenario(carrier_hz, case["scenario"].removeprefix("inh "), **common)
    else:
        kind = {"umi": UMiScenario, "uma": UMaScenario}[case["scenario"]]
        scenario = kind(carrier_hz, "low", **common)
    ground_m = torch.tensor(case["ground_m"], dtype=torch.float64)
    count = len(ground_m)
    terminals = torch.zeros(1, count, 3, dtype=torch.float64)
    terminals[0, :, 0], terminals[0, :, 2] = ground_m, terminal_m
    scenario.set_topology(
        ut_loc=terminals,
        bs_loc=torch.tensor([[[0.0, 0.0, base_m]]], dtype=torch.float64),
        ut_orientations=torch.zeros_like(terminals),
        bs_orientations=torch.zeros(1, 1, 3, dtype=torch.float64),
        ut_velocities=torch.zeros_like(terminals),
        in_state=torch.full((1, count), indoors),
        los=case["los"],
    )
    probability = scenario.los_probability.reshape(-1)
    return {"loss_db": scenario.basic_pathloss.reshape(-1).numpy(), "los": probability.numpy()}


def profiles(request):
    """Return delays (in units of the delay spread), powers and first K-factor of TDL models."""
    found = {}
    for model in request["models"]:
        tdl = TDL(model, 1.0, 3.5e9, spec_version=request["spec"], precision="double")
        found[f"delay_{model}"] = tdl.delays.numpy()
        found[f"power_{model}"] = tdl.mean_powers.numpy()
        found[f"k_{model}"] = tdl.k_factor.numpy() if tdl.los else np.zeros(())
    return found


def gains(request):
    """Return the paths of a TDL model over sqrt(power), [links * paths, samples].

    The request has `model`, `links`, `samples`, `sinusoids`, `speed_mps`, `carrier_hz` and
    `step_s`.
    """
    config.seed = 1
    tdl = TDL(
        request["model"],
        100e-9,
        request["carrier_hz"],
        num_sinusoids=request["sinusoids"],
        min_speed=request["speed_mps"],
        precision="double",
    )
    found, _ = tdl(request["links"], request["samples"], 1.0 / request["step_s"])
    found = found[:, 0, 0, 0, 0].numpy()  # [links, paths, samples]
    found = found / np.sqrt(tdl.mean_powers.numpy())[:, np.newaxis]
    return {"gains": found.reshape(-1, request["samples"])}


if __name__ == "__main__":
    TASKS = {"losses": losses, "profiles": profiles, "gains": gains}
    answer = TASKS[sys.argv[1]](json.load(sys.stdin))
    np.savez(sys.argv[2], version=f"{sionna.__version__}, torch {torch.__version__}", **answer)
