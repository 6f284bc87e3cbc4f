"""How updates are cast and at what power: unicast, multicast, or whichever is through first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_oracle import make_view, views
from pydantic import ValidationError

from cosim.planning.planners.agnes import Agnes
from cosim.planning.planners.full import Full
from cosim.units import dbm_to_watts

NEAR = {(0, 1): 1e-8, (0, 2): 1e-8, (1, 2): 1e-8}
ONE_FAR = {(0, 1): 1e-8, (0, 2): 1e-14, (1, 2): 1e-8}  # 0 hears 2 badly


def delay_s(power_w, gain, bandwidth_hz, bits=1e6, noise_w_per_hz=1e-19):
    return bits / (bandwidth_hz * np.log2(1 + power_w * gain / (noise_w_per_hz * bandwidth_hz)))


def test_a_multicast_has_the_whole_band_full_power_and_its_worst_receiver():
    view = make_view(3, ONE_FAR)
    plan = Full(casting="multicast").plan(view)
    assert plan.multicast.tolist() == [True, True, True]
    assert plan.links.power_w.tolist() == [0.2] * 6
    far, near = delay_s(0.2, 1e-14, 1e6), delay_s(0.2, 1e-8, 1e6)
    np.testing.assert_allclose(plan.links.predicted_delay_s, [far, far, near, near, far, far])


def test_unicast_is_what_it_was():
    plan = Full().plan(make_view(3, NEAR))
    assert not plan.multicast.any()
    np.testing.assert_allclose(plan.links.predicted_delay_s, delay_s(0.1, 1e-8, 5e5))


def test_best_takes_what_has_reached_the_last_neighbour_first():
    plan = Full(casting="best").plan(make_view(3, ONE_FAR))
    # Half of the band at half of the power is the same SNR and half of the rate: a multicast is
    # never slower where rates are Shannon's.
    assert plan.multicast.all()
    plan = Full(casting="best").plan(make_view(2, {(0, 1): 1e-8}))
    assert not plan.multicast.any()  # one receiver is no multicast


@settings(max_examples=200, deadline=None, derandomize=True)
@given(views(), st.sampled_from(["equal", "full", "fixed", "least"]))
def test_where_best_multicasts_it_is_through_sooner_and_elsewhere_not(view, power):
    limits = {"max_collision": 1.0, "power": power, "max_delay_s": 50.0}
    if power == "fixed":
        limits["link_power_dbm"] = 10.0
    plans = [Agnes(**limits, casting=each).plan(view) for each in ("best", "unicast", "multicast")]
    last_s, joules = [], []
    for plan in plans:
        last_s.append(np.zeros(view.num_devices))
        np.maximum.at(last_s[-1], plan.links.src, plan.links.predicted_delay_s)
        each_j = plan.links.power_w * plan.links.predicted_delay_s
        spent = np.bincount(plan.links.src, each_j, view.num_devices)
        fanout = np.maximum(np.bincount(plan.links.src, minlength=view.num_devices), 1)
        joules.append(np.where(plan.multicast, spent / fanout, spent))  # one transmission to all
    (best_s, unicast_s, multicast_s), chosen = last_s, plans[0].multicast
    assert np.all(best_s[chosen] == multicast_s[chosen])
    assert np.all(multicast_s[chosen] < unicast_s[chosen])
    others = plans[2].multicast & ~chosen
    assert np.all(best_s[others] == unicast_s[others])
    assert np.all(unicast_s[others] <= multicast_s[others])
    if power == "equal":  # and then it costs no more joules than all the links together
        assert np.all(joules[0][chosen] <= joules[1][chosen] * (1 + 1e-9))


def test_in_a_shared_band_a_multicast_takes_the_place_of_all_links_of_its_device():
    plan = Full(casting="multicast").plan(make_view(3, NEAR, shared_by="per_cluster"))
    np.testing.assert_allclose(plan.links.predicted_delay_s, delay_s(0.2, 1e-8, 1e6 / 3))


def test_fixed_power_is_each_links_own_and_within_the_limit_together():
    view = make_view(3, NEAR)
    power_w = dbm_to_watts(20.0)  # 0.1 W: two links fill the 0.2 W
    plan = Agnes(power="fixed", link_power_dbm=20.0, max_collision=1.0).plan(view)
    assert plan.num_clusters == 1
    np.testing.assert_allclose(plan.links.power_w, power_w)
    above = Agnes(power="fixed", link_power_dbm=20.1, max_collision=1.0).plan(view)
    assert above.num_clusters == 2  # a third device would have two links of 0.102 W


def test_full_power_is_on_each_link():
    plan = Agnes(power="full", max_collision=1.0).plan(make_view(3, NEAR))
    assert plan.links.power_w.tolist() == [0.2] * 6


def test_delay_limits_hold_at_the_power_that_is_set():
    view = make_view(2, {(0, 1): 1e-11})
    limit_s = delay_s(0.05, 1e-11, 1e6)
    settings = {"max_collision": 1.0, "max_delay_s": float(limit_s) * (1 + 1e-9)}
    needed_dbm = 10 * np.log10(50.0)  # 0.05 W
    enough = Agnes(power="fixed", link_power_dbm=needed_dbm + 0.01, **settings)
    short = Agnes(power="fixed", link_power_dbm=needed_dbm - 0.01, **settings)
    assert (enough.plan(view).num_clusters, short.plan(view).num_clusters) == (1, 2)


@pytest.mark.parametrize("keys", [{"power": "fixed"}, {"link_power": "3 dBm"}])
def test_fixed_power_and_its_level_go_together(keys):
    with pytest.raises(ValidationError, match="power 'fixed' and the key link_power go together"):
        Agnes.model_validate(keys)
