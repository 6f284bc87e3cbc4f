"""Rician fading: where its K-factor comes from; its laws are in tests/validation."""

import numpy as np
import pytest
from pydantic import ValidationError

from cosim.plugin import kind_of
from cosim.rng import Draws
from cosim.world.delay_profile.base import Taps
from cosim.world.delay_profile.tdl import Tdl
from cosim.world.fading.base import FadingInstant
from cosim.world.fading.rayleigh import Rayleigh
from cosim.world.fading.rayleigh_jakes import RayleighJakes
from cosim.world.fading.rician import Rician

HUGE = 200.0  # cycles


def instant(low, high, cycles, sight=True, k_db=None):
    cycles = np.asarray(cycles, dtype=float)
    return FadingInstant(
        np.asarray(low), np.asarray(high), cycles, lambda: cycles, lambda: sight, k_db
    )


def test_out_of_sight_it_is_the_scattered_waves():
    cycles = np.linspace(0.0, HUGE, 500)
    sight = cycles < 100.0
    fading, draws = Rician(k_db=9.0), Draws(2)
    mixed = fading.amplitude(draws, instant(0, 1, cycles, sight), 0)
    scattered = RayleighJakes().amplitude(draws, instant(0, 1, cycles), 0)
    seen = fading.amplitude(draws, instant(0, 1, cycles), 0)
    assert mixed[~sight] == pytest.approx(scattered[~sight], rel=1e-12)
    assert (mixed[sight] == seen[sight]).all()
    assert np.abs(mixed[sight] - scattered[sight]).min() > 1e-3
    assert fading.power(draws, instant(0, 1, cycles, sight)) == pytest.approx(np.abs(mixed) ** 2)
    never = fading.amplitude(draws, instant(0, 1, cycles, np.zeros(1, bool)), 0)
    assert (never == scattered).all()


def test_k_is_the_power_in_sight_over_the_scattered_power():
    fading, draws, cycles = Rician(k_db=3.0), Draws(2), np.linspace(0.0, HUGE, 500)
    scattered = RayleighJakes().amplitude(draws, instant(0, 1, cycles), 0)
    k = 10**0.3
    direct = fading.amplitude(draws, instant(0, 1, cycles), 0) - scattered / np.sqrt(k + 1)
    assert np.abs(direct) ** 2 == pytest.approx(k / (k + 1))


def test_the_same_address_gives_the_same_numbers_in_every_shape():
    fading, draws, law = Rician(), Draws(2), (9.0, 5.0)
    low, high = np.array([0, 0, 5, 7]), np.array([1, 2, 6, 90])
    cycles = np.linspace(0.0, 800.0, 301)
    sight = (np.arange(4)[:, None] + np.arange(301)) % 3 > 0
    table = fading.power(draws, instant(low[:, None], high[:, None], cycles, sight, law))
    assert table.shape == (4, 301)
    for row in range(4):
        one = instant(low[row], high[row], cycles, sight[row], law)
        assert (fading.power(draws, one) == table[row]).all()
    for column in range(0, 301, 43):
        all_links = instant(low, high, cycles[column], sight[:, column], law)
        assert (fading.power(draws, all_links) == table[:, column]).all()


def test_a_fixed_k_goes_before_the_models():
    draws, cycles = Draws(2), np.linspace(0.0, 10.0, 50)
    fixed = Rician(k_db=4.0).power(draws, instant(0, 1, cycles))
    assert (Rician(k_db=4.0).power(draws, instant(0, 1, cycles, k_db=(9.0, 5.0))) == fixed).all()
    assert (Rician().power(draws, instant(0, 1, cycles, k_db=(4.0, 0.0))) == fixed).all()


def test_no_k_at_all_is_an_error():
    with pytest.raises(ValueError, match=r"expected a K-factor .* say `k: 9 dB`"):
        Rician().power(Draws(2), instant(0, 1, [0.0]))


def test_keys():
    fading = Rician.model_validate({"k": "9 dB", "scatter": {"kind": "rayleigh"}})
    assert (fading.k_db, fading.scatter) == (9.0, Rayleigh())
    assert kind_of(Rician().scatter) == "rayleigh_jakes"
    for scatter in ("nakagami", "none", "rician"):
        with pytest.raises(ValidationError, match=f"expected a Rayleigh fading .* got '{scatter}'"):
            Rician.model_validate({"scatter": scatter})
    with pytest.raises(ValidationError, match="with its unit"):
        Rician.model_validate({"k": 9})


def test_it_is_sampled_as_its_scattered_waves():
    assert Rician().sample_interval_s(50.0) == pytest.approx(1 / (8 * 50))
    assert Rician(scatter=Rayleigh(coherence_time_s=0.2)).sample_interval_s(50.0) == 0.2


@pytest.mark.parametrize("scatter", [Rayleigh(coherence_time_s=0.5), RayleighJakes()])
def test_under_a_delay_profile_the_line_of_sight_is_in_the_first_path(scatter):
    # K = 2 compares it with the scattered waves of all paths; a profile's own gives way to it.
    fading, draws = Rician(k_db=10 * np.log10(2.0), scatter=scatter), Draws(2)
    at = instant(0, 1, np.linspace(0.0, 50.0, 400))
    taps = Taps(np.array([0.0, 1e-7]), np.array([0.8, 0.2]), np.array([3.0, 0.0]))
    paths = fading.amplitudes(draws, at, taps)
    assert paths.shape == (400, 2)
    first, second = (scatter.amplitude(draws, at, tap) for tap in range(2))
    # Scattered power 0.8 / 4 and 0.2, hence half each of the third that is scattered.
    assert paths[:, 1] == pytest.approx(second * np.sqrt(1 / 6))
    assert np.abs(paths[:, 0] - first * np.sqrt(1 / 6)) ** 2 == pytest.approx(2 / 3)


def test_out_of_sight_a_delay_profile_is_all_scattered():
    draws, cycles, taps = Draws(2), np.linspace(0.0, 50.0, 40), Tdl(profile="A").taps()
    hidden = Rician(k_db=6.0).amplitudes(draws, instant(0, 1, cycles, np.False_), taps)
    plain = RayleighJakes().amplitudes(draws, instant(0, 1, cycles), taps)
    assert hidden == pytest.approx(plain, rel=1e-12)
