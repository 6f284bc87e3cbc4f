"""What a controller predicts is what the network does: its weights, through `rule: weighted`."""

import numpy as np
import pytest
from network_helpers import BOTH, NO_HEADER, NOISE_W, Run, TableWorld

from cosim.planning.airtime import SharedLinks
from cosim.planning.controllers.base import ControlView
from cosim.planning.controllers.osfa import Osfa
from cosim.planning.update_bits import UpdateBits
from cosim.radio.rate.shannon import Shannon
from cosim.scenario.tree import Radio


@BOTH
def test_all_updates_arrive_at_the_predicted_instant(engine):
    """Three uplinks 20 dB apart, updates of unequal size, one cell: together, to 1e-9."""
    gains, power_w, num = np.array([1e-12, 2e-11, 1e-10]), np.array([0.1, 0.2, 0.05]), 3
    values, ones = np.array([2e4, 1e5, 5e4]), np.ones(num)
    links = SharedLinks(
        np.arange(num), np.full(num, num), np.zeros(num, dtype=np.int64), power_w, gains,
        np.full(num, NOISE_W / 10e6), 10e6, Shannon(),
    )  # fmt: skip
    bits = UpdateBits(values, 32.0, 0 * ones, True, ones)
    control = Osfa().control(ControlView(1, links, bits, 8, ones, ones, ones))
    radios = [Radio(tx_power_dbm=40.0, sharing_weight=float(each)) for each in control.weight]
    run = Run(
        TableWorld(num + 1, {(device, num): [gains[device]] for device in range(num)}),
        engine=engine,
        spectrum={"rule": "weighted", "domain": "per_cell"},
        radios=[*radios, Radio(tx_power_dbm=40.0)],
        **NO_HEADER,
    )
    for device in range(num):
        num_bytes = bits.at(control.density)[device] / 8
        assert num_bytes == int(num_bytes)
        run.send(device, num, int(num_bytes), float(power_w[device]))
    run.env.run()
    assert run.ends_s() == pytest.approx(control.delay_s.tolist(), rel=1e-9)
    assert np.ptp(run.ends_s()) <= 1e-9 * run.ends_s()[0]
