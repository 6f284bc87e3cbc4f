"""Delay profiles: powers, delays, K-factors, and the response that follows from them."""

import numpy as np
import pytest
from pydantic import ValidationError

from cosim.world.delay_profile.exponential import Exponential
from cosim.world.delay_profile.flat import Flat
from cosim.world.delay_profile.tdl import Tdl

ALL = [
    Exponential(),
    Exponential(paths=2, delay_spread_s=3e-6),
    Exponential(paths=200),
    *(Tdl(profile=name) for name in "ABCDE"),
]


def rms_spread_s(taps):
    mean_s = taps.power @ taps.delay_s
    return np.sqrt(taps.power @ (taps.delay_s - mean_s) ** 2)


@pytest.mark.parametrize("profile", ALL)
def test_paths_are_in_order_and_their_powers_sum_to_one(profile):
    taps = profile.taps()
    assert taps.delay_s.shape == taps.power.shape == taps.k.shape
    assert taps.delay_s[0] == 0.0
    assert (np.diff(taps.delay_s) >= 0.0).all()
    assert taps.power.sum() == pytest.approx(1.0, abs=1e-14)
    assert (taps.power > 0.0).all()


@pytest.mark.parametrize("paths", [2, 3, 8, 24, 400])
@pytest.mark.parametrize("spread_s", [1e-8, 1e-6])
def test_exponential_has_the_rms_delay_spread_that_was_asked_for(paths, spread_s):
    taps = Exponential(paths=paths, delay_spread_s=spread_s).taps()
    assert rms_spread_s(taps) == pytest.approx(spread_s, rel=1e-12)
    assert not taps.k.any()


def test_exponential_falls_by_30_db_in_equal_steps():
    taps = Exponential(paths=11).taps()
    assert 10 * np.log10(taps.power / taps.power[0]) == pytest.approx(-3.0 * np.arange(11))
    assert np.diff(taps.delay_s) == pytest.approx(taps.delay_s[1])


@pytest.mark.parametrize("paths", [16, 24, 48, 96])
def test_exponential_is_correlated_over_frequency_as_the_formula_says(paths):
    # |R(f)| = 1 / sqrt(1 + (2 pi f T)^2), as near as the docstring promises.
    taps = Exponential(paths=paths, delay_spread_s=1e-7).taps()
    for divisor, promised in ((48, 0.01), (24, 0.035), (14, 0.08)):
        f_hz = np.linspace(0.0, (paths - 1) / divisor / 1e-7, 500)
        found = np.abs(np.exp(-2j * np.pi * np.outer(f_hz, taps.delay_s)) @ taps.power)
        assert np.abs(found - 1 / np.sqrt(1 + (2 * np.pi * f_hz * 1e-7) ** 2)).max() < promised
    repeat_hz = 1.0 / taps.delay_s[1]
    assert repeat_hz * 1e-7 == pytest.approx((paths - 1) / 7.1, rel=0.01)


@pytest.mark.parametrize(("name", "error"), [("A", 1e-4), ("B", 1e-4), ("C", 1e-4), ("E", 3e-4)])
def test_tables_of_38901_have_an_rms_delay_spread_of_one(name, error):
    # The property that section 7.7.3 scales by, and a checksum: -3.2 for -1.2 dB in one row of B,
    # for instance, makes 1.016 of it.
    assert rms_spread_s(Tdl(profile=name, delay_spread_s=1.0).taps()) == pytest.approx(1, abs=error)


def test_table_d_is_printed_with_0_994():
    spread = rms_spread_s(Tdl(profile="D", delay_spread_s=1.0).taps())
    assert spread == pytest.approx(0.9937, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "paths", "last", "k_db"),
    [("A", 23, 9.6586, None), ("B", 23, 4.7834, None), ("C", 24, 8.6523, None),
     ("D", 13, 12.525, 13.3), ("E", 14, 20.6519, 22.0)],
)  # fmt: skip
def test_tables_of_38901_as_their_text_says(name, paths, last, k_db):
    # Number of paths, the longest delay, and in sight the first path's K-factor, which the notes
    # under Tables 7.7.2-4 and -5 give.
    taps = Tdl(profile=name, delay_spread_s=1e-6).taps()
    assert taps.power.size == paths
    assert taps.delay_s[-1] == pytest.approx(last * 1e-6)
    assert not taps.k[1:].any()
    if k_db is None:
        assert taps.k[0] == 0.0
    else:
        assert 10 * np.log10(taps.k[0]) == pytest.approx(k_db, abs=1e-9)


def test_flat_has_no_paths():
    assert Flat().taps() is None


@pytest.mark.parametrize("profile", ALL)
def test_response_is_the_fourier_sum_over_the_paths(profile):
    taps, rng = profile.taps(), np.random.default_rng(3)
    shape = (4, 5, taps.power.size)
    paths = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    offset_hz = np.linspace(-20e6, 20e6, 7)
    expected = sum(
        paths[..., tap, np.newaxis] * np.exp(-2j * np.pi * offset_hz * delay_s)
        for tap, delay_s in enumerate(taps.delay_s)
    )
    found = taps.response_power(paths, offset_hz)
    assert found.shape == (4, 5, 7)
    assert found == pytest.approx(np.abs(expected) ** 2, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("profile", ALL)
def test_response_does_not_depend_on_what_else_is_asked_for(profile):
    taps, rng = profile.taps(), np.random.default_rng(4)
    shape = (53, taps.power.size)
    paths = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    offset_hz = np.linspace(-20e6, 20e6, 13)
    whole = taps.response_power(paths, offset_hz)
    for row in range(53):
        assert (taps.response_power(paths[row], offset_hz) == whole[row]).all()
    for count in (1, 2, 3, 7, 16):
        assert (taps.response_power(paths[5:][:count], offset_hz) == whole[5:][:count]).all()
        assert (taps.response_power(paths, offset_hz[2:][:count]) == whole[:, 2:][:, :count]).all()
    strided = np.repeat(paths, 2, axis=-1)[..., ::2]
    assert (taps.response_power(strided, offset_hz) == whole).all()
    assert taps.response_power(paths[:0], offset_hz).shape == (0, 13)


@pytest.mark.parametrize(
    ("profile", "keys"),
    [(Exponential, {"paths": 1}), (Exponential, {"delay_spread": "0 s"}),
     (Tdl, {"profile": "F"}), (Tdl, {"delay_spread": "-1 us"})],
)  # fmt: skip
def test_impossible_profiles_are_refused(profile, keys):
    with pytest.raises(ValidationError):
        profile.model_validate(keys)


def test_keys():
    assert Tdl.model_validate({"profile": "C", "delay_spread": "0.3 us"}).delay_spread_s == 3e-7
    assert Exponential.model_validate({"paths": 8, "delay_spread": "1 us"}).paths == 8
