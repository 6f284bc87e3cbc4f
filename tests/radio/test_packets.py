import numpy as np
import pytest

from cosim.radio.packets import on_air_bits, packetise, segment_bytes


@pytest.mark.parametrize(
    ("num_bytes", "expected"),
    [(0, []), (1, [41]), (1460, [1500]), (1461, [1500, 41]), (4380, [1500] * 3)],
)
def test_packets_of_an_update(num_bytes, expected):
    packets = packetise(num_bytes, 1460, 40.0)
    assert packets.num == len(expected)
    np.testing.assert_array_equal(packets.bits(), 8.0 * np.array(expected, float))
    assert packets.total_bits == 8.0 * sum(expected) == on_air_bits(num_bytes, 1500.0, 40.0)
    assert packets.num_full == sum(size == 1500 for size in expected)


def test_segment_is_what_the_header_leaves():
    assert segment_bytes(1500.0, 40.0) == 1460
    with pytest.raises(
        ValueError, match=r"at least one byte more than the header \(40 B\), got 40"
    ):
        segment_bytes(40.0, 40.0)


@pytest.mark.parametrize(("num_bytes", "segment"), [(-1, 10), (10, 0)])
def test_nonsense_is_refused(num_bytes, segment):
    with pytest.raises(ValueError, match="expected num_bytes >= 0 and segment_bytes >= 1"):
        packetise(num_bytes, segment, 0.0)
