"""What can be reckoned before it is done: radio budgets, sizes on the air, training times."""

import numpy as np
from numpy.typing import NDArray

from cosim.radio.budget import noise_density_w_per_hz
from cosim.radio.packets import on_air_bits
from cosim.radio.resource_blocks import usable_band
from cosim.rng import Draws
from cosim.scenario.tree import Scenario
from cosim.units import dbm_to_watts
from cosim.world.compute.base import Work

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Foresight:
    """The numbers of a scenario's devices that planners and controllers reckon with.

    Args:
        scenario: what is run.

    Attributes:
        max_power_w: transmit power limit of each device, [N].
        noise_w_per_hz: noise density at each device as a receiver, N0 F, [N].
        bandwidth_hz: the band that a domain shares, guard bands left out.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._transport = scenario.transport
        self._computes = [group.compute for group in scenario.devices]
        self._draws = Draws(scenario.seed)
        self._group = np.repeat(np.arange(len(scenario.devices)), scenario.group_sizes)
        radios = [scenario.devices[number].radio for number in self._group.tolist()]
        self.max_power_w: Floats = np.array([dbm_to_watts(radio.tx_power_dbm) for radio in radios])
        self.noise_w_per_hz: Floats = noise_density_w_per_hz(
            scenario.spectrum.noise_density_dbm_per_hz, [radio.noise_figure_db for radio in radios]
        )
        self.bandwidth_hz, _ = usable_band(scenario.spectrum)

    def air_bits(self, update_bits: NDArray[np.int64]) -> Floats:
        """Return bits on the air of updates [n], headers included, if no packet is lost."""
        transport = self._transport
        sizes, which = np.unique(-(-update_bits // 8), return_inverse=True)
        on_air = [
            on_air_bits(num_bytes, transport.mtu_bytes, transport.header_bytes)
            for num_bytes in sizes.tolist()
        ]
        return np.array(on_air)[which]

    def compute_s(self, devices: Ints, work: Work) -> Floats:
        """Return the modelled times of trainings of some devices, whose numbers are [n], [n]."""
        time_s = np.empty(len(devices))
        group = self._group[devices]
        for number in np.unique(group).tolist():
            at = np.flatnonzero(group == number)
            time_s[at] = self._computes[number].time_s(self._draws, devices[at], work.taken(at))
        return time_s
