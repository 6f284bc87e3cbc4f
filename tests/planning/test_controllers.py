"""The kinds that have no memory: fixed and deadline."""

import math

import numpy as np
import pytest
from control_oracle import NOISE, cases, uplinks, values_only, view
from hypothesis import given, settings
from pydantic import ValidationError

from cosim.planning.airtime import SharedLinks
from cosim.planning.controllers.base import OfflineView
from cosim.planning.controllers.deadline import Deadline
from cosim.planning.controllers.fixed import Fixed
from cosim.radio.rate.shannon import Shannon
from cosim.rng import Draws
from cosim.world.compute.base import Work
from cosim.world.compute.flops import Flops
from cosim.world.compute.paper import Paper

GAINS = [1e-12, 3e-11, 2e-10]


def mesh(gain):
    """Return all links among as many devices as `gain`, [n, n], has rows; W / |u_i| each."""
    src, dst = np.nonzero(~np.eye(len(gain), dtype=bool))
    n = len(src)
    power_w, noise = np.full(n, 0.1), np.full(n, NOISE)
    return SharedLinks(src, dst, src, power_w, gain[src, dst], noise, 1e6, Shannon())


def test_fixed_leaves_alone_what_is_not_given():
    seen = view(uplinks(GAINS), values_only([1e5] * 3))
    control = Fixed().control(seen)
    assert control.density.tolist() == [0.5] * 3
    np.testing.assert_allclose(control.weight, 1 / 3)
    assert not Fixed().sets_density
    assert Fixed().rank(OfflineView(seen.links, seen.bits)) is None


def test_fixed_gives_densities_and_weights_in_turn():
    kind = Fixed.model_validate({"densities": (0.1, 0.4), "weights": (3.0, 1.0)})
    control = kind.control(view(uplinks(GAINS), values_only([1e5] * 3)))
    assert kind.sets_density
    assert control.density.tolist() == [0.1, 0.4, 0.1]
    np.testing.assert_allclose(control.weight, [3 / 7, 1 / 7, 3 / 7])
    snr = 0.2 * GAINS[1] / (NOISE * 1e6 / 7)
    np.testing.assert_allclose(
        control.delay_s[1], 0.4 * 32e5 / (1e6 / 7 * math.log2(1 + snr)), rtol=1e-12
    )


def test_weights_fill_each_band():
    kind = Fixed.model_validate({"weights": (1.0, 2.0, 5.0)})
    control = kind.control(view(uplinks(GAINS, band=np.array([4, 4, 1])), values_only([1e5] * 3)))
    np.testing.assert_allclose(control.weight, [1 / 3, 2 / 3, 1.0])


@pytest.mark.parametrize("densities", [(0.0,), (1.5,)])
def test_densities_are_fractions(densities):
    with pytest.raises(ValidationError):
        Fixed.model_validate({"densities": densities})


def test_deadline_that_limits_nothing_is_the_greatest_density():
    everything = Deadline(max_delay_s=1e9)
    control = everything.control(view(uplinks(GAINS), values_only([1e5] * 3)))
    assert control.density.tolist() == [1.0] * 3
    assert control.reasons == ()


def test_deadline_is_the_printed_equation_solved():
    """(10) of P1: s r k q / ((W / |u_i|) log2(1 + p g / noise)) = Gamma on the slowest link."""
    gain = np.array([[0, 1e-12, 2e-11], [1e-12, 0, 4e-10], [2e-11, 4e-10, 0]])
    control = Deadline.model_validate({"max_delay": "500 ms"}).control(
        view(mesh(gain), values_only([1e5] * 3))
    )
    for device, slowest in enumerate([1e-12, 1e-12, 2e-11]):
        bps = 1e6 / 2 * math.log2(1 + 0.1 * slowest / (NOISE * 1e6 / 2))
        np.testing.assert_allclose(control.density[device], min(1, 0.5 * bps / 32e5), rtol=1e-9)
    assert control.reasons == ("max_delay bounds the density of devices 0, 1, 2",)
    np.testing.assert_allclose(control.weight, 0.5)


@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_deadline_is_the_best_of_a_fine_grid(case):
    links, bits = case
    kind = Deadline.model_validate({"max_delay": "1 s", "max_compute": "1.6 s"})
    rng = np.random.default_rng(len(bits.num_values))
    seen = view(links, bits, compute_s=rng.uniform(1.2, 3, len(bits.num_values)))
    grid = np.linspace(kind.min_density, 1.0, 4001)
    share = links.equal_shares()
    delay_s = links.delay_s(bits.at(grid[:, np.newaxis]), share, "share")
    compute_s = seen.least_compute_s + grid[:, np.newaxis] * (seen.compute_s - 1.0)
    feasible = (delay_s <= 1.0 + 1e-9) & (compute_s <= 1.6 + 1e-9)
    best = np.where(feasible, grid[:, np.newaxis], kind.min_density).max(axis=0)
    np.testing.assert_allclose(kind.control(seen).density, best, atol=2.5e-4)


def test_compute_of_equation_7():
    """c = alpha Q |D| / B, with Q what is trained: d = C_max B / (alpha Q_1 |D|)."""
    paper, draws = Paper.model_validate({"alpha": "1 us"}), Draws(1)
    times = [paper.time_s(draws, 0, Work(0.0, q, 80, 8)) for q in (0, 1e5)]
    seen = view(
        uplinks([1e-10]),
        values_only([1e5]),
        least_compute_s=np.array(times[:1]),
        compute_s=np.array(times[1:]),
    )
    control = Deadline.model_validate({"max_compute": "300 ms"}).control(seen)
    np.testing.assert_allclose(control.density, 0.3 * 8 / (1e-6 * 1e5 * 80))
    assert control.reasons == ("max_compute bounds the density of device 0",)


def test_compute_by_operations_spends_those_of_the_frozen_model_first():
    """4 N + 6 d n operations a token: the limit leaves (C_max F - 4 N T) / (6 n T)."""
    device = Flops.model_validate({"rate": "1 GFLOP/s"})
    base, adapter, tokens = 1e6, 1e5, 200
    flops = [tokens * (4 * base + 6 * d * adapter) for d in (0, 1)]
    times = [device.time_s(Draws(1), 0, Work(each, 0, 0, 1)) for each in flops]
    seen = view(
        uplinks([1e-10]),
        values_only([adapter]),
        least_compute_s=np.array(times[:1]),
        compute_s=np.array(times[1:]),
    )
    control = Deadline.model_validate({"max_compute": "850 ms"}).control(seen)
    np.testing.assert_allclose(control.density, (0.85e9 / tokens - 4 * base) / (6 * adapter))


def test_a_device_that_meets_a_limit_at_no_density_says_so():
    seen = view(
        uplinks([1e-10, 0.0, 1e-10]),
        values_only([1e5] * 3),
        least_compute_s=np.array([0.1, 0.1, 5.0]),
        compute_s=np.array([0.1, 0.1, 5.0]),
    )
    control = Deadline.model_validate({"max_delay": "20 s", "max_compute": "1 s"}).control(seen)
    assert control.density.tolist() == [1.0, 0.01, 0.01]
    assert control.reasons == (
        "over max_compute even at the least density: device 2",
        "over max_delay even at the least density: device 1",
    )


def test_more_devices_than_a_person_reads_are_counted():
    n = 30
    control = Deadline.model_validate({"max_delay": "1 ms"}).control(
        view(uplinks([1e-12] * n), values_only([1e5] * n))
    )
    assert control.reasons == ("over max_delay even at the least density: 30 devices",)


def test_a_worse_channel_is_sparser_and_a_longer_deadline_denser():
    seen = view(uplinks(np.geomspace(1e-14, 1e-11, 5)), values_only([1e5] * 5))
    short, long = (
        Deadline.model_validate({"max_delay": delay}).control(seen).density
        for delay in ("1 s", "2 s")
    )
    assert np.all(np.diff(short) > 0)
    assert np.all(long > short)


def test_densities_in_order():
    with pytest.raises(ValidationError, match=r"expected min_density of at most max_density, 0\.1"):
        Deadline.model_validate({"min_density": 0.2, "max_density": 0.1})
