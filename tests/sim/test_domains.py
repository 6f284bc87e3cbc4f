"""Whose band a flow shares: its transmitter's, its cluster's, its cell's."""

import numpy as np
import pytest
from network_helpers import BOTH, FAST, NO_HEADER, Run, TableWorld, steady

from cosim.sim.domains import Domains

# Devices 0 to 3; 4 and 5 are base stations. 0, 1 hear 4 better; 2, 3 hear 5 better.
CELLS = {(0, 4): [4e-9], (0, 5): [1e-9], (1, 4): [2e-9], (1, 5): [1e-9]}
CELLS |= {(2, 4): [1e-9], (2, 5): [3e-9], (3, 4): [1e-9], (3, 5): [2e-9], (4, 5): [1e-9]}
CELLS |= {(low, high): [1e-9] for low in range(4) for high in range(low + 1, 4)}
IS_BASE = [False] * 4 + [True] * 2


def cells(num_devices=6):
    return TableWorld(num_devices, CELLS)


@pytest.mark.parametrize(
    ("src", "receivers", "cell"),
    [
        (0, [4], 4),  # uplink
        (0, [5], 5),  # to the station it is sent to, not the one that is heard best
        (5, [1], 5),  # downlink
        (4, [5], 4),  # between stations: the sender's
        (0, [1], 4),  # past the stations: where the source belongs
        (2, [0], 5),
        (0, [1, 5], 5),  # one of the receivers is a station
        (2, [0, 1], 5),
    ],
)
def test_cells(src, receivers, cell):
    assert Domains("per_cell", cells(), 6, IS_BASE).of(src, receivers, 0.0) == cell


def test_without_base_stations_all_is_one_cell():
    domains = Domains("per_cell", steady(), 4)
    assert {domains.of(src, [(src + 1) % 4], 0.0) for src in range(4)} == {0}


def test_clusters():
    domains = Domains("per_cluster", steady(), 4)
    assert len({domains.of(src, [0], 0.0) for src in range(1, 4)}) == 3
    domains.set_clusters([1, 1, -1, -1])
    first, second, third, fourth = (domains.of(src, [2], 0.0) for src in (0, 1, 2, 3))
    assert first == second
    assert len({first, third, fourth}) == 3
    with pytest.raises(ValueError, match=r"each of 4 devices, got an array of shape \(2,\)"):
        domains.set_clusters([0, 0])


def test_transmitters():
    domains = Domains("per_transmitter", steady(), 4)
    domains.set_clusters([0, 0, 0, 0])
    assert [domains.of(src, [3], 0.0) for src in range(3)] == [0, 1, 2]


@BOTH
def test_a_cell_shares_one_band_up_and_down(engine):
    run = Run(cells(), engine=engine, rate=FAST, is_base=IS_BASE,
              spectrum={"domain": "per_cell"}, **NO_HEADER)  # fmt: skip
    run.send(0, 4, 1000)
    run.send(4, 1, 1000)
    run.send(0, 1, 1000)  # device to device in the cell
    run.send(2, 5, 1000)
    run.send(3, 2, 1000)
    run.env.run()
    np.testing.assert_allclose(run.ends_s(), [0.003] * 3 + [0.002] * 2, rtol=1e-9)


@BOTH
def test_one_cell_without_stations(engine):
    run = Run(steady(), engine=engine, rate=FAST, spectrum={"domain": "per_cell"}, **NO_HEADER)
    for ends in ((0, 1), (1, 2), (2, 3), (3, 0)):
        run.send(*ends, 1000)
    run.env.run()
    np.testing.assert_allclose(run.ends_s(), [0.004] * 4, rtol=1e-9)


@BOTH
def test_a_multicast_has_one_share(engine):
    run = Run(steady(), engine=engine, rate=FAST, spectrum={"domain": "per_cluster"}, **NO_HEADER)
    run.network.set_clusters([7, 7, 7, 7])
    run.multicast(0, [1, 2, 3], 1000)
    run.send(1, 0, 1000)
    run.env.run()
    np.testing.assert_allclose(run.ends_s(), [0.002] * 4, rtol=1e-9)
