"""TSFA and OSFA of P3 against brute force, their limits, and what they promise in the long run."""

import math
from dataclasses import replace

import numpy as np
import pytest
from control_oracle import NOISE, cases, least_round_s, uplinks, values_only, view
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.optimize import brentq

from cosim.planning.airtime import RoundTime
from cosim.planning.controllers.base import LEAST_WEIGHT, OfflineView
from cosim.planning.controllers.osfa import Osfa
from cosim.planning.controllers.tsfa import Tsfa

GAINS = np.array([1e-12, 3e-11, 2e-10, 5e-11])
NOISES = ["share", "band"]


def osfa(**keys):
    return Osfa.model_validate({"mean_delay": "200 ms", **keys})


def with_queue(kind, seen, queue_s):
    """Return the control of a round that begins with a queue."""
    previous = replace(kind.control(seen), queue_s=queue_s)
    return kind.control(replace(seen, previous=previous))


def drift_plus_penalty(kind, seen, queue_s, density):
    """V a_S r O / (1 - O)^2 + Z tau, as printed; tau by an independent search."""
    drop = 1.0 - density
    v = kind.v * kind.mean_delay_s**2
    tau = least_round_s(seen.links, seen.bits.at(density), kind.noise)
    return v * kind.a_sparsity * seen.rank * drop / (1 - drop) ** 2 + queue_s * tau


@pytest.mark.parametrize("noise", NOISES)
@settings(max_examples=15, deadline=None)
@given(case=cases(most=4), log_queue=st.floats(-3, 3))
def test_density_is_the_best_of_a_grid(noise, case, log_queue):
    kind, seen = osfa(noise=noise), view(*case)
    queue_s = 10.0**log_queue
    density = with_queue(kind, seen, queue_s).density
    assert np.ptp(density) == 0.0
    found = drift_plus_penalty(kind, seen, queue_s, density[0])
    on_grid = [
        drift_plus_penalty(kind, seen, queue_s, each)
        for each in np.geomspace(kind.min_density, 1, 60)
    ]
    assert found <= min(on_grid) * (1 + 1e-9)


@pytest.mark.parametrize("queue_s", [1e-4, 0.01, 0.1, 1.0, 30.0])
def test_density_is_the_root_of_the_derivative(queue_s):
    """Of values alone: with u = 1 / d, 2 u^3 - u^2 = Z c / (V a_S r), clipped."""
    kind, seen = osfa(noise="band"), view(uplinks(GAINS), values_only([1e5] * 4))
    x = 1 / np.log2(1 + 0.2 * GAINS / (NOISE * 1e6))
    c = 32 * 1e5 / 1e6 * x.sum()
    k = queue_s * c / (kind.v * 0.2**2 * kind.a_sparsity * seen.rank)
    u = max(root.real for root in np.roots([2, -1, 0, -k]) if abs(root.imag) < 1e-9)
    control = with_queue(kind, seen, queue_s)
    np.testing.assert_allclose(control.density, np.clip(1 / u, 0.05, 1.0), rtol=1e-6)
    np.testing.assert_allclose(control.weight, x / x.sum(), rtol=1e-9)
    np.testing.assert_allclose(control.delay_s, c * control.density[0], rtol=1e-9)


@pytest.mark.parametrize("noise", NOISES)
def test_limits_of_the_queue(noise):
    kind, seen = osfa(noise=noise, max_density=0.8), view(uplinks(GAINS), values_only([1e5] * 4))
    assert set(with_queue(kind, seen, 0.0).density) == {0.8}
    assert set(with_queue(kind, seen, 1e9).density) == {0.05}
    densities = [with_queue(kind, seen, z).density[0] for z in np.geomspace(1e-4, 10, 30)]
    assert np.all(np.diff(densities) <= 0)
    assert len(set(densities)) > 10


def test_the_queue_goes_from_round_to_round():
    kind, seen = osfa(), view(uplinks(GAINS), values_only([1e5] * 4))
    first = kind.control(seen)
    assert first.queue_s == 0.0
    second = kind.control(replace(seen, delay_s=0.9, previous=first))
    np.testing.assert_allclose(second.queue_s, 0.7)
    third = kind.control(replace(seen, delay_s=0.05, previous=second))
    np.testing.assert_allclose(third.queue_s, 0.55)
    assert kind.control(replace(seen, delay_s=0.0, previous=first)).queue_s == 0.0
    assert kind.control(replace(seen, delay_s=None, previous=third)).queue_s == third.queue_s
    assert second.density[0] < third.density[0] < first.density[0]


@pytest.mark.parametrize("noise", NOISES)
def test_one_client_has_the_band_and_equal_ones_the_same(noise):
    one = osfa(noise=noise).control(view(uplinks([1e-11]), values_only([1e5])))
    assert one.weight.tolist() == [1.0]
    four = osfa(noise=noise).control(view(uplinks([1e-11] * 4), values_only([1e5] * 4)))
    np.testing.assert_allclose(four.weight, 0.25, rtol=1e-12)


def test_a_silent_link_has_the_least_weight_and_is_named():
    seen = view(uplinks([1e-11, 0.0]), values_only([1e5] * 2))
    control = osfa().control(seen)
    assert control.weight[1] == LEAST_WEIGHT
    assert control.reasons[1] == "1 of 2 links have no rate, and nobody waits"
    silent = view(uplinks([0.0]), values_only([1e5]))
    assert with_queue(osfa(), silent, 1.0).density.tolist() == [0.05]


def test_without_links_nothing_is_held_back():
    assert osfa().control(view(uplinks([]), values_only([]))).weight.shape == (0,)
    idle = replace(view(uplinks([]), values_only([1e5] * 2)), delay_s=None)
    assert with_queue(osfa(), idle, 1.0).density.tolist() == [1.0, 1.0]


def test_reasons_say_the_queue_and_the_time():
    seen = view(uplinks([1e-11]), values_only([1e5]))
    density, tau = 1.0, least_round_s(seen.links, [32e5], "share")
    assert osfa().control(seen).reasons == (
        f"density {density:.4g}: a queue of 0 s over a mean of 0.2 s; the round is to take "
        f"{tau:.4g} s",
    )


# The offline stage


def printed_rank(kind, gains, values):
    """Lemma 2 and the search over r, as printed, in O; noise over the band."""
    x = 1 / np.log2(1 + 0.2 * gains / (NOISE * 1e6))
    o_min, o_max = 1 - kind.max_density, 1 - kind.min_density
    found = []
    for r in kind.ranks:
        o = np.clip(1 - kind.mean_delay_s * 1e6 / (32 * r * values * x.sum()), o_min, o_max)
        psi = kind.a_rank * max(kind.full_rank - r, 0) + kind.a_covariance * r
        found.append((psi + kind.a_sparsity * r * o / (1 - o) ** 2, r, o))
    return min(found)


@pytest.mark.parametrize("mean_delay", ["1 ms", "50 ms", "200 ms", "1 s", "5 s", "1 min"])
def test_rank_is_the_printed_one(mean_delay):
    kind = Tsfa.model_validate(
        {"noise": "band", "ranks": tuple(range(1, 65)), "mean_delay": mean_delay}
    )
    choice = kind.rank(OfflineView(uplinks(GAINS), values_only([1e4] * 4)))
    _, rank, drop = printed_rank(kind, GAINS, 1e4)
    assert choice.rank == rank
    np.testing.assert_allclose(choice.density, 1 - drop, rtol=1e-9)
    assert f"rank {rank} at density" in choice.reasons[0]


def test_limits_of_the_time():
    """With all the time there is the full rank, sent whole; with none the smallest, as sparse."""
    links, bits = uplinks(GAINS), values_only([1e4] * 4)
    ample = Tsfa.model_validate({"mean_delay": "1 h"}).rank(OfflineView(links, bits))
    assert (ample.rank, ample.density) == (64, 1.0)
    none = Tsfa.model_validate({"mean_delay": "1 ns"}).rank(OfflineView(links, bits))
    assert (none.rank, none.density) == (1, 0.05)


@pytest.mark.parametrize("noise", NOISES)
def test_a_better_channel_has_a_greater_rank(noise):
    kind = Tsfa.model_validate({"noise": noise, "ranks": tuple(range(1, 65))})
    ranks = [
        kind.rank(OfflineView(uplinks(GAINS * better), values_only([5e3] * 4))).rank
        for better in (0.1, 1.0, 10.0, 100.0)
    ]
    assert ranks == sorted(ranks)
    assert ranks[0] < ranks[-1]


def test_the_least_bound_has_twice_the_values_that_fit():
    """Of a wide choice r / k = (2 + sqrt(112)) / 6 where k ranks fit whole."""
    kind = Tsfa.model_validate({"ranks": tuple(range(1, 65)), "mean_delay": "1 s", "noise": "band"})
    x = 1 / np.log2(1 + 0.2 * GAINS / (NOISE * 1e6))
    fit = 20
    values = 1e6 / (32 * fit * x.sum())
    choice = kind.rank(OfflineView(uplinks(GAINS), values_only([values] * 4)))
    assert abs(choice.rank - fit * (2 + math.sqrt(112)) / 6) <= 0.5
    np.testing.assert_allclose(choice.density, fit / choice.rank, rtol=1e-9)


def test_more_than_the_full_rank_gains_nothing():
    kind = Tsfa.model_validate({"a_covariance": 0.0, "full_rank": 8, "mean_delay": "1 h"})
    assert kind.bound(8, 1.0) == kind.bound(64, 1.0) == 0.0
    assert kind.rank(OfflineView(uplinks(GAINS), values_only([1e3] * 4))).rank == 8


def test_ties_go_to_the_smallest_rank():
    kind = Tsfa.model_validate(
        {"a_rank": 0.0, "a_covariance": 0.0, "ranks": (8, 4, 2), "mean_delay": "1 h"}
    )
    assert kind.rank(OfflineView(uplinks(GAINS), values_only([1e3] * 4))).rank == 2


def test_osfa_takes_the_rank_as_it_is():
    assert Osfa().rank(OfflineView(uplinks(GAINS), values_only([1e4] * 4))) is None


def test_online_both_are_the_same():
    seen = view(uplinks(GAINS), values_only([1e5] * 4))
    one, two = with_queue(Osfa(), seen, 0.3), with_queue(Tsfa(), seen, 0.3)
    np.testing.assert_array_equal(one.density, two.density)
    np.testing.assert_array_equal(one.weight, two.weight)


def test_the_time_that_part_of_the_clients_need():
    """A random 10 of 40 clients take 10/40 of the sum over all, in the mean: n = 4,000 draws.

    Noise over the band, for which it is exact; 5 standard errors, false alarms 6e-7.
    """
    rng = np.random.default_rng(3)
    gains = 10.0 ** rng.uniform(-12, -10, 40)
    bits, at = values_only([1e4] * 40), np.array([0.5])
    part = replace(uplinks(gains), participation=0.25)
    expected_s = RoundTime(part, bits, "band").s(at)[0]
    x = 1 / np.log2(1 + 0.2 * gains / (NOISE * 1e6))
    drawn_s = np.array(
        [0.16 * x[rng.permutation(40)[:10]].sum() for _ in range(4000)]  # 0.5 * 32e4 bit / 1 MHz
    )
    assert abs(drawn_s.mean() - expected_s) <= 5 * drawn_s.std() / math.sqrt(4000)


def test_densities_in_order():
    with pytest.raises(ValidationError, match=r"expected min_density of at most max_density, 0\.1"):
        osfa(min_density=0.2, max_density=0.1)


# The long run


def run(kind, num_rounds, slower=1.0, fading=4.0, num_values=1e4):
    """Run the queue over channels that fade from round to round (Nakagami, E 1/g is finite).

    Returns:
        Tau, phi and Z of each round; and what each would take at density 1.
    """
    rng = np.random.default_rng(11)
    bits, control, delay_s = values_only([num_values] * 4), None, None
    rows = []
    for _ in range(num_rounds):
        links = uplinks(1e-3 * GAINS * rng.gamma(fading, 1 / fading, 4))
        control = kind.control(view(links, bits, delay_s=delay_s, previous=control))
        delay_s = slower * float(control.delay_s.max())
        density = control.density[0]
        rows.append((delay_s, (1 - density) / density**2, control.queue_s, delay_s / density))
    return np.array(rows).T


def least_mean_error(whole_s, mean_s, kind):
    """Return the least mean phi of densities, chosen knowing all channels, of mean tau `mean_s`."""

    def densities(price):
        u = np.ones(len(whole_s))
        for _ in range(60):  # Newton on 2 u^3 - u^2 = price c
            u = np.maximum(u - (2 * u**3 - u**2 - price * whole_s) / (6 * u**2 - 2 * u), 1.0)
        return np.clip(1 / u, kind.min_density, 1.0)

    price = brentq(lambda p: float((densities(p) * whole_s).mean()) - mean_s, 0.0, 1e6)
    d = densities(price)
    return float(((1 - d) / d**2).mean())


@pytest.mark.parametrize("slower", [1.0, 1.5])
def test_in_the_long_run_rounds_take_what_they_should(slower):
    """Mean tau <= tau_bar + Z_T / T in 2,000 rounds, though they take longer than foreseen."""
    kind = osfa(noise="band", mean_delay="2 s")
    tau_s, _, queue_s, whole_s = run(kind, 2000, slower)
    assert whole_s.mean() > 2 * 2.0  # the limit binds
    last_s = max(queue_s[-1] + tau_s[-1] - 2.0, 0.0)
    assert tau_s.mean() <= 2.0 + last_s / 2000 + 1e-12
    assert tau_s.mean() <= 2.0 * 1.01
    assert tau_s.mean() >= 2.0 * 0.98  # and no less than there is time for
    assert queue_s[1000:].max() <= 2 * queue_s[:1000].max()  # and Z does not grow


def test_v_trades_the_queue_for_the_error():
    """The error comes down to the least that there can be as V grows, the queue goes up with V."""
    errors, queues = [], []
    for v in (0.01, 0.1, 1.0):
        kind = osfa(noise="band", mean_delay="2 s", v=v)
        tau_s, error, queue_s, whole_s = run(kind, 1000)
        least = least_mean_error(whole_s, float(tau_s.mean()), kind)
        errors.append(error.mean() / least)
        queues.append(queue_s[500:].mean())
    assert min(errors) >= 1 - 1e-6
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1.03
    assert queues[0] < queues[1] < queues[2]
    np.testing.assert_allclose(queues[2] / queues[1], 10, rtol=0.3)


def test_in_the_long_run_with_noise_over_the_share():
    kind = osfa(mean_delay="2 s")
    tau_s, _, queue_s, whole_s = run(kind, 600)
    assert whole_s.mean() > 2 * 2.0
    assert tau_s.mean() <= 2.0 + max(queue_s[-1] + tau_s[-1] - 2.0, 0.0) / 600 + 1e-12
    assert abs(tau_s[100:].mean() - 2.0) <= 2.0 * 0.03
