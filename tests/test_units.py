"""Numbers with units: what is read, what is refused, and that nothing is lost on the way back."""

import math
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from cosim.plugin import Section
from cosim.units import (
    Bits,
    BitsPerSecond,
    Bytes,
    Dbm,
    DbmPerHertz,
    Decibels,
    FlopsPerSecond,
    Hertz,
    Joules,
    Metres,
    MetresPerSecond,
    Seconds,
    SecondsRange,
    Span,
    SpeedRange,
    Watts,
    dbm_to_watts,
    dimension_of,
    watts_to_dbm,
    with_unit,
    yaml_key,
)


class Everything(Section):
    """One field of each dimension."""

    a_hz: Hertz | None = None
    b_s: Seconds | None = None
    c_m: Metres | None = None
    d_mps: MetresPerSecond | None = None
    e_dbm: Dbm | None = None
    f_w: Watts | None = None
    g_db: Decibels | None = None
    h_dbm_per_hz: DbmPerHertz | None = None
    i_bps: BitsPerSecond | None = None
    j_bits: Bits | None = None
    k_bytes: Bytes | None = None
    l_j: Joules | None = None
    m_flops: FlopsPerSecond | None = None
    pause_s: SecondsRange = (0.0, 0.0)
    speed_mps: SpeedRange = (1.0, 2.0)
    length: Span = Span(rounds=1)
    limit_s: Annotated[Seconds, Field(gt=0)] = 1.0


def read(key: str, text: object) -> float:
    section = Everything.model_validate({key: text})
    (field,) = section.model_fields_set
    return getattr(section, field)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("a", "1 Hz", 1.0),
        ("a", "10 kHz", 1e4),
        ("a", "10 MHz", 1e7),
        ("a", "3.5 GHz", 3.5e9),
        ("a", "3.5GHz", 3.5e9),
        ("a", "  +1e3   Hz ", 1e3),
        ("b", "5 us", 5e-6),
        ("b", "20 ms", 0.02),
        ("b", "30 s", 30.0),
        ("b", "2 min", 120.0),
        ("b", "1.5 h", 5400.0),
        ("c", "50 cm", 0.5),
        ("c", "-2 m", -2.0),
        ("c", "1.2 km", 1200.0),
        ("d", "1.5 m/s", 1.5),
        ("d", "36 km/h", 10.0),
        ("e", "23 dBm", 23.0),
        ("e", "1 W", 30.0),
        ("e", "100 mW", 20.0),
        ("f", "250 mW", 0.25),
        ("f", "5 W", 5.0),
        ("g", "-3 dB", -3.0),
        ("h", "-174 dBm/Hz", -174.0),
        ("i", "5 bps", 5.0),
        ("i", "10 Mbps", 1e7),
        ("i", "10 Mbit/s", 1e7),
        ("i", "1 Gbps", 1e9),
        ("j", "8 bit", 8.0),
        ("j", "1 B", 8.0),
        ("j", "2 KiB", 16384.0),
        ("j", "240 Mbit", 2.4e8),
        ("k", "1500 B", 1500.0),
        ("k", "1.5 kB", 1500.0),
        ("k", "2 KiB", 2048.0),
        ("k", "1 MiB", 1048576.0),
        ("l", "5 mJ", 0.005),
        ("l", "1 Wh", 3600.0),
        ("l", "2 kJ", 2000.0),
        ("m", "0.5 TFLOP/s", 5e11),
        ("m", "3 GFLOP/s", 3e9),
    ],
)
def test_value_in_the_fields_unit(key, text, value):
    assert read(key, text) == pytest.approx(value, rel=1e-15)


FREQUENCIES = "(Hz, kHz, MHz, GHz)"
DATA = "(bit, kbit, Mbit, Gbit, B, kB, MB, GB, KiB, MiB)"


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("a", 5, f"a frequency with its unit {FREQUENCIES}, got the bare number 5"),
        ("a", 5.5, f"a frequency with its unit {FREQUENCIES}, got the bare number 5.5"),
        ("a", True, f"a frequency with its unit {FREQUENCIES}, got true"),
        ("a", "5", f"a frequency with its unit {FREQUENCIES}, got '5'"),
        ("a", "fast", f"a frequency with its unit {FREQUENCIES}, got 'fast'"),
        ("a", "1,5 GHz", f"a frequency {FREQUENCIES}, got '1,5 GHz'"),
        ("a", "5 m", f"a frequency {FREQUENCIES}, got '5 m'"),
        ("a", "5 mhz", f"a frequency {FREQUENCIES}, got '5 mhz'; did you mean '5 MHz'?"),
        ("b", "5 µs", "a time (ns, us, ms, s, min, h), got '5 µs'; did you mean '5 us'?"),
        ("b", "5 sec", "a time (ns, us, ms, s, min, h), got '5 sec'; did you mean '5 s'?"),
        ("d", "3 mps", "a speed (m/s, km/h), got '3 mps'; did you mean '3 m/s'?"),
        ("e", "3 dB", "a power level (dBm, mW, W), got '3 dB'"),
        ("j", "3 Mb", f"an amount of data {DATA}, got '3 Mb'; did you mean '3 MB'?"),
    ],
)
def test_message(key, text, message):
    with pytest.raises(ValidationError) as caught:
        read(key, text)
    assert [error["msg"] for error in caught.value.errors()] == [f"expected {message}"]


def test_no_power_is_no_level():
    """0 W would be minus infinity dBm."""
    message = r"expected a power above 0 W, .* \(a very low one is `-100 dBm`\), got '0 W'"
    with pytest.raises(ValidationError, match=message):
        read("e", "0 W")


@pytest.mark.parametrize("text", ["inf s", "-inf s", "1e999 s"])
def test_infinite_values_are_refused(text):
    with pytest.raises(ValidationError, match="finite"):
        read("b", text)


def test_range():
    assert read("pause", "5 s") == (5.0, 5.0)
    assert read("pause", ("1 s", "1 min")) == (1.0, 60.0)
    assert read("speed", ("36 km/h", "36 km/h")) == (10.0, 10.0)
    with pytest.raises(ValidationError, match="least <= most"):
        read("pause", ("2 s", "1 s"))
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        read("speed", ("-1 m/s", "1 m/s"))
    with pytest.raises(ValidationError, match=r"expected \[least, most\], got \['1 s'\]"):
        read("pause", ("1 s",))


def test_span():
    assert read("length", "20 rounds") == Span(rounds=20)
    assert read("length", "1 round") == Span(rounds=1)
    assert read("length", "10 min") == Span(time_s=600.0)
    for wrong in ("0 rounds", "1.5 rounds", "inf rounds", "0 s", "-1 s", "inf s", "5", 5, None):
        with pytest.raises(ValidationError, match="expected"):
            read("length", wrong)


def test_limits_are_in_the_fields_unit():
    assert read("limit", "1 ms") == 0.001
    with pytest.raises(ValidationError, match="greater than 0"):
        read("limit", "0 h")


def test_keys_have_no_unit():
    assert yaml_key("carrier_hz") == "carrier"
    assert yaml_key("noise_density_dbm_per_hz") == "noise_density"
    assert yaml_key("rank") == "rank"
    assert dimension_of("max_attempts") is None
    assert dimension_of("speed_mps").unit == "m/s"


def test_powers():
    assert dbm_to_watts(30.0) == 1.0
    assert dbm_to_watts(0.0) == pytest.approx(1e-3)
    assert watts_to_dbm(1.0) == 30.0
    assert watts_to_dbm(0.0) == -math.inf


@given(st.floats(min_value=-200.0, max_value=200.0))
def test_powers_there_and_back(level_dbm):
    assert watts_to_dbm(dbm_to_watts(level_dbm)) == pytest.approx(level_dbm, abs=1e-9)


_FIELDS = [name for name in Everything.model_fields if dimension_of(name) is not None]


@given(
    st.sampled_from([name for name in _FIELDS if len(yaml_key(name)) == 1]),
    st.floats(min_value=1.0, max_value=1000.0),
    st.sampled_from((-1.0, 1.0)),
)
def test_resolved_values_read_back_exactly(name, size, sign):
    """`carrier_hz: x` in a run folder is x, to the last bit, for every dimension."""
    value = sign * size
    assert getattr(Everything.model_validate({name: value}), name) == value
    text = with_unit(value, dimension_of(name))
    assert getattr(Everything.model_validate({yaml_key(name): text}), name) == value


@given(st.one_of(st.integers(1, 10**9), st.floats(min_value=1e-9, max_value=1e8)))
def test_spans_read_back_exactly(length):
    span = Span(rounds=length) if isinstance(length, int) else Span(time_s=length)
    assert read("length", str(span)) == span
