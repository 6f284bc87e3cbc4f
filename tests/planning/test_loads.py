import numpy as np
import pytest
from planning_oracle import make_view

from cosim.planning.constraints import Constraints
from cosim.planning.loads import Loads
from cosim.planning.planners.agnes import Agnes

GAINS = {(0, 1): 1e-8, (0, 2): 5e-9, (1, 2): 2e-9}


def loads_of(view, **fields):
    return Loads(view, Constraints(Agnes().model_copy(update=fields), view))


def test_gains_are_of_those_that_a_device_hears():
    view = make_view(4, GAINS | {(0, 3): 0.0})
    loads = loads_of(view)
    assert loads.gains(0) == {1: 1e-8, 2: 5e-9}
    assert loads.gains(3) == {}


def test_a_union_has_the_next_number_and_the_devices_of_both():
    loads = loads_of(make_view(3, GAINS))
    assert loads.join(0, 1) == (0, 1)
    assert loads.join(3, 2) == (0, 1, 2)


@pytest.mark.parametrize("with_room", [True, False])
def test_least_powers_add_up_over_all_merges(with_room):
    # 1 Mbit in 2 s over half of 1 MHz is SNR 1: 1 sends to 0 and 2 at N0 b (1 / g01 + 1 / g12).
    needed_w = 1e-19 * 5e5 * (1 / 1e-8 + 1 / 2e-9)
    factor = 1 + 1e-9 if with_room else 1 - 1e-9
    view = make_view(3, GAINS, max_power_w=np.array([1.0, needed_w * factor, 1.0]))
    loads = loads_of(view, power="least", max_delay_s=2.0)
    assert not loads.exceed(0, 1)
    loads.join(0, 1)
    assert loads.exceed(3, 2) != with_room
