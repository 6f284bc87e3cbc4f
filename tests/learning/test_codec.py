import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.learning.errors import LearningError
from cosim.learning.methods.base import Update
from cosim.learning.payload import _positions, codec
from cosim.learning.payload.codec import (
    CHECKSUM_BYTES,
    Rounding,
    checked,
    chunks,
    decode,
    is_range,
    list_id,
)
from cosim.rng import Draws
from cosim.scenario.tree import PayloadCoding

LAYOUT_SIZE = 70_000


def encode(updates, segment_bytes, dtype, held=(), entropy="none", src=3, round=1):
    coding = PayloadCoding(dtype=dtype, entropy=entropy)
    return codec.encode(updates, segment_bytes, coding, Rounding(Draws(5), src, round), held)


@st.composite
def updates(draw, members=None):
    """An update of a random density, in runs, or dense: what masks look like, and worse."""
    seed = draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    shape = draw(st.sampled_from(["random", "range", "runs", "few"]))
    if shape == "random":
        chosen = np.flatnonzero(rng.random(3000) < draw(st.sampled_from([0.02, 0.3, 0.7])))
    elif shape == "range":
        chosen = np.arange(draw(st.integers(0, 100)), draw(st.integers(101, 1500)))
    elif shape == "runs":
        starts = np.sort(rng.choice(600, 9, replace=False)) * 100
        chosen = np.unique(np.concatenate([s + np.arange(rng.integers(1, 90)) for s in starts]))
    else:
        chosen = np.sort(rng.choice(LAYOUT_SIZE, draw(st.integers(1, 5)), replace=False))
    values = (rng.standard_normal(len(chosen)) * 10.0 ** rng.integers(-3, 3)).astype(np.float32)
    if members is None:
        members = tuple(sorted(draw(st.sets(st.integers(0, 5000), min_size=1, max_size=9))))
    return Update(members, draw(st.integers(0, 10**6)), chosen.astype(np.int64), values)


bodies = st.lists(updates(), min_size=1, max_size=3)
segment_sizes = st.sampled_from([70, 200, 1460, 100_000])
dtypes = st.sampled_from(["float32", "float16", "bfloat16", "int8"])
entropies = st.sampled_from(["none", "zlib"])


def packets(body, segment_bytes):
    return [body[at : at + segment_bytes] for at in range(0, len(body), segment_bytes)]


def coordinates_of(found):
    """What was decoded, by update and coordinate."""
    return {
        (number, coordinate): value
        for number, update in found.items()
        for coordinate, value in zip(update.coordinates.tolist(), update.values, strict=True)
    }


def assert_same(found, sent, values):
    assert (found.members, found.round) == (sent.members, sent.round)
    np.testing.assert_array_equal(found.coordinates, sent.coordinates)
    np.testing.assert_array_equal(found.values, values)
    assert found.values.dtype == np.float32
    assert found.coordinates.dtype == np.int64


@given(bodies, segment_sizes, entropies)
@settings(deadline=None, max_examples=50)
def test_float32_comes_back_exactly(sent, segment_bytes, entropy):
    sent = [update for update in sent if update.coordinates.size]
    body = encode(sent, segment_bytes, "float32", entropy=entropy)
    found = decode(body, segment_bytes, LAYOUT_SIZE)
    assert list(found) == list(range(len(sent)))
    for number, update in enumerate(sent):
        assert_same(found[number], update, update.values)


@given(updates(), segment_sizes, entropies)
@settings(deadline=None, max_examples=50)
def test_float16_comes_back_rounded(update, segment_bytes, entropy):
    body = encode([update], segment_bytes, "float16", entropy=entropy)
    found = decode(body, segment_bytes, LAYOUT_SIZE)
    if update.coordinates.size:
        assert_same(found[0], update, update.values.astype(np.float16).astype(np.float32))


@given(updates(), segment_sizes, entropies)
@settings(deadline=None, max_examples=50)
def test_bfloat16_comes_back_as_torch_rounds_it(update, segment_bytes, entropy):
    body = encode([update], segment_bytes, "bfloat16", entropy=entropy)
    found = decode(body, segment_bytes, LAYOUT_SIZE)
    if update.coordinates.size:
        rounded = torch.from_numpy(update.values).to(torch.bfloat16).float().numpy()
        assert_same(found[0], update, rounded)


@given(bodies, segment_sizes, entropies)
@settings(deadline=None, max_examples=50)
def test_int8_is_a_step_of_its_packet_away_at_most(sent, segment_bytes, entropy):
    sent = [update for update in sent if update.coordinates.size]
    body = encode(sent, segment_bytes, "int8", entropy=entropy)
    for number, update in decode(body, segment_bytes, LAYOUT_SIZE).items():
        np.testing.assert_array_equal(update.coordinates, sent[number].coordinates)
    for chunk in chunks(body, segment_bytes):
        coordinates = positions(chunk)
        update = sent[chunk.number]
        values = update.values[np.searchsorted(update.coordinates, coordinates)]
        step = np.abs(values).max() / 127 * 1.001
        assert np.abs(chunk.values - values).max() <= step


def positions(chunk):
    return _positions.unpack(chunk.mask, chunk.coding, chunk.first, chunk.count)


def test_float16_bounds_what_it_cannot_hold():
    update = Update((0,), 0, np.arange(3), np.array([1e6, -1e6, 1e-9], np.float32))
    found = decode(encode([update], 100, "float16"), 100, 3)[0]
    assert found.values.tolist() == [65504.0, -65504.0, 0.0]


@given(bodies, st.sampled_from([70, 200, 1460]), dtypes, entropies, st.data())
@settings(deadline=None, max_examples=50)
def test_lost_packets_remove_exactly_what_they_carried(sent, segment_bytes, dtype, entropy, data):
    body = encode(sent, segment_bytes, dtype, entropy=entropy)
    num_packets = len(packets(body, segment_bytes))
    seed = data.draw(st.integers(0, 2**32))
    rate = data.draw(st.sampled_from([0.1, 0.5, 0.9]))
    arrived = np.random.default_rng(seed).random(num_packets) >= rate
    alone = carried(body, segment_bytes)
    assert len(alone) == sum(update.coordinates.size for update in sent)
    # Lost bytes are never looked at: here they are noise.
    noise = np.random.default_rng(seed + 1).bytes(segment_bytes)
    damaged = b"".join(
        part if kept else noise[: len(part)]
        for part, kept in zip(packets(body, segment_bytes), arrived, strict=True)
    )
    found = coordinates_of(decode(damaged, segment_bytes, LAYOUT_SIZE, arrived))
    assert found == {key: value for key, (packet, value) in alone.items() if arrived[packet]}


def carried(body, segment_bytes):
    """What each packet carries, asked of each packet alone: coordinate to packet and value."""
    alone = {}
    num_packets = len(packets(body, segment_bytes))
    for packet in range(num_packets):
        only = np.arange(num_packets) == packet
        for key, value in coordinates_of(decode(body, segment_bytes, LAYOUT_SIZE, only)).items():
            assert key not in alone  # no coordinate is sent twice
            alone[key] = (packet, value)
    return alone


@given(bodies, st.sampled_from([70, 200, 1460]), dtypes, entropies, st.data())
@settings(deadline=None, max_examples=100)
def test_damage_is_found_and_stays_inside_its_packets(sent, segment_bytes, dtype, entropy, data):
    """A flipped bit passes the checksum in no packet, a burst in one of 2^32."""
    body = encode(sent, segment_bytes, dtype, entropy=entropy)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    how = data.draw(st.sampled_from(["bits", "burst", "swap", "cut"]))
    damaged, arrived = bytearray(body), np.ones(len(packets(body, segment_bytes)), np.bool_)
    if how == "cut":
        del damaged[rng.integers(1, len(body)) :]
        arrived = arrived[: len(packets(damaged, segment_bytes))]
        expected = {len(arrived) - 1} if len(damaged) % segment_bytes else set()
    elif how == "swap":  # two bytes, anywhere
        first, second = rng.integers(0, len(body), 2)
        damaged[first], damaged[second] = damaged[second], damaged[first]
        differ = damaged != body
        expected = {int(at) // segment_bytes for at in (first, second)} if differ else set()
    else:
        flips = rng.integers(0, 8 * len(body), 3 if how == "bits" else 1)
        expected = set()
        for flip in flips if how == "bits" else flips + np.arange(40):
            if flip < 8 * len(body):
                damaged[flip // 8] ^= 1 << flip % 8
        for at, (a, b) in enumerate(
            zip(packets(body, segment_bytes), packets(bytes(damaged), segment_bytes), strict=True)
        ):
            if a != b:
                expected.add(at)
    found = set()
    while True:
        try:
            decoded = decode(bytes(damaged), segment_bytes, LAYOUT_SIZE, arrived)
            break
        except ValueError as error:
            named = int(re.match(r"segment (\d+): ", str(error)).group(1))
            assert named not in found
            found.add(named)
            arrived[named] = False
    assert found == expected
    whole = carried(body, segment_bytes)
    kept = {key: value for key, (packet, value) in whole.items() if packet < len(arrived)}
    assert coordinates_of(decoded) == {
        key: value for key, value in kept.items() if arrived[whole[key][0]]
    }


@given(updates(members=(3,)), st.sampled_from([300, 1460]), dtypes)
@settings(deadline=None, max_examples=50)
def test_positions_take_no_more_than_a_bitmap_or_an_index_each(update, segment_bytes, dtype):
    """min(r k, ceil(log2 r k) a coordinate) bits, and what fills the last byte of each packet."""
    if not update.coordinates.size:
        return
    sent = list(chunks(encode([update], segment_bytes, dtype), segment_bytes))
    index_bits = math.ceil(math.log2(LAYOUT_SIZE)) * update.coordinates.size
    mask_bits = 8 * sum(len(chunk.mask) for chunk in sent)
    assert mask_bits <= min(LAYOUT_SIZE, index_bits) + 7 * len(sent)


@pytest.mark.parametrize(
    ("density", "least", "most"), [(0.01, 0.4, 0.5), (0.1, 0.47, 0.49), (0.5, 0.99, 1.0)]
)
def test_positions_of_random_masks(density, least, most):
    """Of the bits of the smaller of bitmap and index."""
    size = 200_000
    chosen = np.flatnonzero(np.random.default_rng(1).random(size) < density)
    update = Update((0,), 0, chosen, np.ones(len(chosen), np.float32))
    mask_bits = 8 * sum(len(chunk.mask) for chunk in chunks(encode([update], 1460, "int8"), 1460))
    bound = min(size, math.ceil(math.log2(size)) * len(chosen))
    assert least < mask_bits / bound <= most + 0.01


# Values


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_sent(dtype, bad):
    update = Update((4,), 7, np.array([5, 6, 9]), np.array([1, bad, np.nan], np.float32))
    with pytest.raises(LearningError, match=rf"device 3, round 7: .*got {bad} at coordinate 6;"):
        encode([update], 1460, dtype)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "float32"])
def test_the_largest_and_smallest_numbers_stay_finite(dtype):
    largest = np.finfo(np.float32).max
    values = np.array([largest, -largest, 1e-45, 0.0, -0.0], np.float32)
    update = Update((0,), 0, np.arange(5), values)
    found = decode(encode([update], 200, dtype), 200, 5)[0].values
    assert np.isfinite(found).all()
    assert found[0] == -found[1] > 65000
    assert (np.abs(found[2:]) <= largest / 127).all()


def test_zeros_stay_zeros():
    update = Update((0,), 0, np.arange(900), np.zeros(900, np.float32))
    for dtype in ("float32", "float16", "bfloat16", "int8"):
        for entropy in ("none", "zlib"):
            body = encode([update], 400, dtype, entropy=entropy)
            assert not decode(body, 400, 900)[0].values.any()


def trained(size=40_000, density=1.0):
    """An update with values as training leaves them: of many magnitudes."""
    rng = np.random.default_rng(3)
    chosen = np.flatnonzero(rng.random(size) < density)
    values = rng.standard_normal(len(chosen)) * np.exp(rng.standard_normal(len(chosen)))
    return Update((3,), 1, chosen, (values * 1e-3).astype(np.float32))


@pytest.mark.parametrize(
    ("dtype", "most"), [("float32", 0.9), ("float16", 0.92), ("bfloat16", 0.8), ("int8", 0.9)]
)
@pytest.mark.parametrize("density", [1.0, 0.1])
def test_an_entropy_code_saves_bytes_and_changes_no_value(dtype, most, density):
    update = trained(density=density)
    plain, pressed = (encode([update], 1460, dtype, entropy=e) for e in ("none", "zlib"))
    positions_too = {1.0: most, 0.1: (1 + most) / 2}[density]
    assert len(pressed) < positions_too * len(plain)
    both = [decode(body, 1460, 40_000)[0] for body in (plain, pressed)]
    np.testing.assert_array_equal(both[0].coordinates, both[1].coordinates)
    if dtype != "int8":  # the scale is that of the packet, which holds more values
        np.testing.assert_array_equal(both[0].values, both[1].values)


def test_an_entropy_code_fills_its_packets():
    body = encode([trained()], 1460, "float16", entropy="zlib")
    sizes = [chunk.num_bytes for chunk in chunks(body, 1460)]
    assert np.mean(sizes[:-1]) > 0.99 * 1456


@given(updates(), st.sampled_from([70, 200, 1460]), dtypes)
@settings(deadline=None, max_examples=50)
def test_an_entropy_code_is_left_where_it_saves_nothing(update, segment_bytes, dtype):
    """No packet holds fewer values than it would without."""
    if not update.coordinates.size:
        return
    plain, pressed = (encode([update], segment_bytes, dtype, entropy=e) for e in ("none", "zlib"))
    assert len(packets(pressed, segment_bytes)) <= len(packets(plain, segment_bytes))
    first = [next(chunks(body, segment_bytes)) for body in (plain, pressed)]
    assert first[1].count >= first[0].count


def test_the_same_address_gives_the_same_bytes():
    update = trained(5000)
    for entropy in ("none", "zlib"):
        first = encode([update], 300, "int8", entropy=entropy)
        assert encode([update], 300, "int8", entropy=entropy) == first
        assert encode([update], 300, "int8", entropy=entropy, src=4) != first
        assert encode([update], 300, "int8", entropy=entropy, round=2) != first


# Lists


@given(updates(), segment_sizes)
@settings(deadline=None, max_examples=50)
def test_a_held_list_leaves_values_only(update, segment_bytes):
    if not update.coordinates.size:
        return
    name = list_id(update.coordinates)
    body = encode([update], segment_bytes, "float32", {name, 1})
    lists = {name: update.coordinates}
    assert_same(decode(body, segment_bytes, LAYOUT_SIZE, lists=lists)[0], update, update.values)
    assert all(not chunk.mask for chunk in chunks(body, segment_bytes))
    if segment_bytes >= 1460:  # the name of the list takes 8 bytes
        dense = Update(update.members, 0, np.arange(len(update.coordinates)), update.values)
        num_bytes = len(encode([dense], segment_bytes, "float32"))
        num_packets = len(packets(body, segment_bytes))
        listed = 0 if is_range(update.coordinates) else 8
        assert num_bytes <= len(body) <= num_bytes + (listed + 40) * num_packets
    other = encode([update], segment_bytes, "float32", {name + 1})
    assert_same(decode(other, segment_bytes, LAYOUT_SIZE)[0], update, update.values)


def rice_bits(gaps, k):
    """Bits of a Rice code, gap by gap."""
    return sum(int(gap) // 2**k + 1 + k for gap in gaps)


def longest(positions, room, value_bytes, k):
    """Most coordinates that fit, and the least position bytes for them, by trying every number."""
    best = (0, 0)
    gaps = np.diff(positions) - 1
    width = quotients = gap_sum = 0
    for count in range(1, len(positions) + 1):
        if count > 1:
            gap = int(gaps[count - 2])
            width, gap_sum = max(width, gap.bit_length()), gap_sum + gap
            quotients += gap >> k
        num = count - 1
        bits = min(num * width, num + gap_sum, num * (k + 1) + quotients)
        mask = (bits + 7) // 8
        if mask + count * value_bytes > room:
            break
        best = (count, mask)
    return best


@given(updates(members=(3, 4)), st.sampled_from([70, 200, 1460]), st.sampled_from([2, 4]))
@settings(deadline=None, max_examples=50)
def test_every_packet_takes_the_coding_that_holds_most(update, segment_bytes, size):
    body = encode([update], segment_bytes, {2: "float16", 4: "float32"}[size])
    gaps = np.diff(update.coordinates) - 1
    k = min(range(17), key=lambda k: rice_bits(gaps, k))
    header = _header_bytes()
    start, segment, room = 0, -1, 0
    for chunk in chunks(body, segment_bytes):
        if room < header + size:  # no more fits into the packet
            segment, room = segment + 1, segment_bytes - CHECKSUM_BYTES
        count, mask = longest(update.coordinates[start:], room - header, size, k)
        assert (chunk.segment, chunk.count, len(chunk.mask)) == (segment, count, mask)
        start += count
        room -= header + mask + count * size
    assert start == len(update.coordinates)
    assert len(body) == (segment + 1) * segment_bytes - room


def _header_bytes():
    one = Update((3, 4), 0, np.array([0]), np.ones(1, np.float32))
    return len(encode([one], 1000, "float32")) - CHECKSUM_BYTES - 4


def test_small_updates_share_a_packet():
    many = [Update((i,), 2, np.array([i, i + 9]), np.ones(2, np.float32)) for i in range(20)]
    body = encode(many, 1460, "float16")
    assert len(body) < 1460
    assert len(decode(body, 1460, 100)) == 20


def test_nothing_to_send_is_an_empty_body():
    empty = Update((1,), 0, np.zeros(0, np.int64), np.zeros(0, np.float32))
    assert encode([], 100, "float32") == encode([empty], 100, "float32") == b""
    assert decode(b"", 100, 10, np.zeros(0, np.bool_)) == {}


def test_a_dense_range_costs_no_positions():
    update = Update((0,), 0, np.arange(5, 1005), np.ones(1000, np.float32))
    assert is_range(update.coordinates)
    assert len(encode([update], 10_000, "float16")) < 2000 + 40


def test_a_large_cluster_is_named_in_few_bytes():
    update = Update(tuple(range(500)), 0, np.arange(100), np.ones(100, np.float32))
    body = encode([update], 1460, "float16")
    assert len(body) < 200 + 40
    assert decode(body, 1460, 100)[0].members == tuple(range(500))


def test_packets_too_small_for_one_value_say_so():
    update = Update((0,), 0, np.arange(5), np.ones(5, np.float32))
    for dtype, least in (("float32", 28), ("float16", 26), ("int8", 29)):
        for entropy in ("none", "zlib"):
            message = rf"at least {least} bytes.*got {least - 1}; raise transport.mtu"
            with pytest.raises(LearningError, match=message):
                encode([update], least - 1, dtype, entropy=entropy)
            body = encode([update], least, dtype, entropy=entropy)
            assert decode(body, least, 5)[0].values.size == 5


def one_chunk(members=(1,), entropy="none", count=4):
    chosen = np.array([2, 3, 9, 40, *range(50, 50 + count - 4)])
    update = Update(members, 4, chosen, np.ones(count, np.float32))
    return encode([update], 500, "float32", entropy=entropy)[CHECKSUM_BYTES:]


def written(content, *changes):
    """The content with some bytes changed, and its checksum: a sender that errs."""
    content = bytearray(content)
    for at, value in changes:
        content[at] = value
    return checked(bytes(content))


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 0xF1, "no chunk begins with flags"),
        (8, 0, "no chunk begins with flags 1, 0 values"),
        (1, 63, "no position coding 63"),
        (1, 255, "no position coding 255"),
        (1, 30, "4 positions of 30 bits do not take"),
        (8, 200, "200 values do not fit"),
        (8, 3, "expected a Rice code of 3 numbers, got"),
        (10, 200, "expected a chunk of 220 bytes, got 38"),
        (12, 100, "expected positions below 100"),
        (0, 3, "the receiver has no list|do not fit|expected a chunk"),
        (0, 5, "no list or members: 0 members"),
        (0, 9, "values cannot be read|first bytes of 4 values"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(at, value, message):
    with pytest.raises(ValueError, match=f"segment 0: .*({message})"):
        decode(written(one_chunk(), (at, value)), 500, 100)


def test_a_list_that_the_receiver_lacks_is_named():
    update = Update((1,), 4, np.array([2, 3, 9, 40]), np.ones(4, np.float32))
    name = list_id(update.coordinates)
    body = encode([update], 500, "float32", {name})
    with pytest.raises(ValueError, match=f"segment 0: the receiver has no list {name:016x}"):
        decode(body, 500, 100)


def test_updates_that_change_between_packets_are_refused():
    first, second = (one_chunk(members) for members in ((1,), (2,)))
    with pytest.raises(ValueError, match="segment 0: update 0 changes its members"):
        decode(checked(first + second), 500, 100)
    with pytest.raises(ValueError, match="segment 0: update 0 has coordinates out of order"):
        decode(checked(first + first), 500, 100)


def test_entropy_codes_of_other_lengths_are_refused():
    pressed = one_chunk(entropy="zlib", count=100)
    assert pressed[0] & 8
    decode(checked(pressed), 1000, 300)
    with pytest.raises(ValueError, match=r"segment 0: .*(first bytes of 99|cannot be read)"):
        decode(written(pressed, (8, 99)), 1000, 300)


def test_truncated_bodies_are_refused():
    body = checked(one_chunk())
    for length in (1, 3, 20, len(body) - 1):
        with pytest.raises(ValueError, match=f"segment 0: its {length} bytes are not as .* sent"):
            decode(body[:length], 500, 100)
    with pytest.raises(ValueError, match="segment 0: expected a header of 20 bytes, got 16"):
        decode(checked(one_chunk()[:16]), 500, 100)
    with pytest.raises(ValueError, match=f"expected a chunk of {len(body) - 4} bytes"):
        decode(checked(one_chunk()[:-1]), 500, 100)
    with pytest.raises(ValueError, match="expected 1 packets, got 2"):
        decode(body, 500, 100, np.ones(2, np.bool_))


def test_a_bitmap_is_the_rice_code_of_parameter_0():
    positions = np.array([0, 1, 3, 4, 6, 7])
    packed = _positions.pack(positions, _positions.RICE)
    assert packed == bytes([0b10110110])
    np.testing.assert_array_equal(_positions.unpack(packed, _positions.RICE, 0, 6), positions)
    with pytest.raises(ValueError, match="expected a Rice code of 5 numbers, got 6"):
        _positions.unpack(packed, _positions.RICE, 0, 5)


def test_a_rice_code_by_hand():
    positions = np.array([10, 16, 17, 27])  # gaps 5, 0, 9: 4 + 1, 0, 2 * 4 + 1
    packed = _positions.pack(positions, _positions.RICE + 2)
    assert packed == bytes([0b01_00_01_01, 0b1_001_0000])
    np.testing.assert_array_equal(_positions.unpack(packed, _positions.RICE + 2, 10, 4), positions)
    with pytest.raises(ValueError, match="expected 18 bits of 10 positions, got 16"):
        _positions.unpack(packed, _positions.RICE + 2, 10, 10)


@given(st.lists(st.integers(0, 2**20), max_size=40))
def test_the_rice_parameter_is_that_of_the_fewest_bits(gaps):
    k = _positions.rice_parameter(np.array(gaps, dtype=np.int64))
    assert rice_bits(gaps, k) == min(rice_bits(gaps, other) for other in range(25))


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50, unique=True).map(sorted),
    st.sampled_from(["width", "rice", "smallest"]),
)
def test_positions_come_back(numbers, how):
    positions = np.array(numbers)
    between = _positions.gaps(positions)
    width = int(_positions.widths(between).max())
    k = max(0, width - 10)
    coding = {
        "width": width,
        "rice": _positions.RICE + k,
        "smallest": _positions.smallest(positions),
    }[how]
    packed = _positions.pack(positions, coding)
    if how != "smallest":
        quotients = sum(int(gap) >> k for gap in between)
        assert len(packed) == _positions.num_bytes(coding, len(numbers), quotients)
    found = _positions.unpack(packed, coding, numbers[0], len(numbers))
    np.testing.assert_array_equal(found, positions)


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=50, unique=True).map(sorted))
def test_the_smallest_coding_is_the_smallest(numbers):
    positions = np.array(numbers)
    gaps = np.diff(positions) - 1
    width = max((int(gap).bit_length() for gap in gaps), default=0)
    bits = min(width * len(gaps), *(rice_bits(gaps, k) for k in range(14)))
    assert len(_positions.pack(positions, _positions.smallest(positions))) == (bits + 7) // 8
