import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.learning import _positions
from cosim.learning.codec import chunks, decode, encode, is_range, list_id
from cosim.learning.errors import LearningError
from cosim.learning.methods.base import Update

LAYOUT_SIZE = 70_000


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


def assert_same(found, sent, values):
    assert (found.members, found.round) == (sent.members, sent.round)
    np.testing.assert_array_equal(found.coordinates, sent.coordinates)
    np.testing.assert_array_equal(found.values, values)
    assert found.values.dtype == np.float32
    assert found.coordinates.dtype == np.int64


@given(bodies, segment_sizes)
@settings(deadline=None, max_examples=50)
def test_float32_comes_back_exactly(sent, segment_bytes):
    sent = [update for update in sent if update.coordinates.size]
    found = decode(encode(sent, segment_bytes, "float32"), segment_bytes, LAYOUT_SIZE)
    assert list(found) == list(range(len(sent)))
    for number, update in enumerate(sent):
        assert_same(found[number], update, update.values)


@given(updates(), segment_sizes)
@settings(deadline=None, max_examples=50)
def test_float16_comes_back_rounded(update, segment_bytes):
    found = decode(encode([update], segment_bytes, "float16"), segment_bytes, LAYOUT_SIZE)
    if update.coordinates.size:
        assert_same(found[0], update, update.values.astype(np.float16).astype(np.float32))


def test_float16_bounds_what_it_cannot_hold():
    update = Update((0,), 0, np.arange(3), np.array([1e6, -1e6, 1e-9], np.float32))
    found = decode(encode([update], 100, "float16"), 100, 3)[0]
    assert found.values.tolist() == [65504.0, -65504.0, 0.0]


@given(bodies, st.sampled_from([70, 200, 1460]), st.data())
@settings(deadline=None, max_examples=50)
def test_lost_packets_remove_exactly_what_they_carried(sent, segment_bytes, data):
    body = encode(sent, segment_bytes, "float16")
    num_packets = -(-len(body) // segment_bytes)
    seed = data.draw(st.integers(0, 2**32))
    rate = data.draw(st.sampled_from([0.1, 0.5, 0.9]))
    arrived = np.random.default_rng(seed).random(num_packets) >= rate
    # What each packet carries, asked of each packet alone.
    alone = {}
    for packet in range(num_packets):
        only = np.arange(num_packets) == packet
        for number, update in decode(body, segment_bytes, LAYOUT_SIZE, only).items():
            for coordinate, value in zip(update.coordinates, update.values, strict=True):
                assert (number, coordinate) not in alone  # no coordinate is sent twice
                alone[number, coordinate] = (packet, value)
    assert len(alone) == sum(update.coordinates.size for update in sent)
    # Lost bytes are never looked at: here they are noise.
    noise = np.random.default_rng(seed + 1).bytes(segment_bytes)
    parts = [body[i * segment_bytes : (i + 1) * segment_bytes] for i in range(num_packets)]
    damaged = b"".join(
        part if kept else noise[: len(part)] for part, kept in zip(parts, arrived, strict=True)
    )
    found = {
        (number, coordinate): value
        for number, update in decode(damaged, segment_bytes, LAYOUT_SIZE, arrived).items()
        for coordinate, value in zip(update.coordinates, update.values, strict=True)
    }
    assert found == {key: value for key, (packet, value) in alone.items() if arrived[packet]}


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
    dense = Update(update.members, 0, np.arange(len(update.coordinates)), update.values)
    assert len(body) == len(encode([dense], segment_bytes, "float32"))
    assert len(body) <= len(encode([update], segment_bytes, "float32"))
    other = encode([update], segment_bytes, "float32", {name + 1})
    assert_same(decode(other, segment_bytes, LAYOUT_SIZE)[0], update, update.values)


def longest(positions, room, value_bytes):
    """Most coordinates that fit, and the least position bytes for them, by trying every number."""
    best = (0, 0)
    for count in range(1, len(positions) + 1):
        gaps = np.diff(positions[:count]) - 1
        width = max((int(gap).bit_length() for gap in gaps), default=0)
        span = int(positions[count - 1] - positions[0])
        mask = min((count - 1) * width + 7, span + 7) // 8
        if mask + count * value_bytes > room:
            break
        best = (count, mask)
    return best


@given(updates(members=(3, 4)), st.sampled_from([70, 200, 1460]), st.sampled_from([2, 4]))
@settings(deadline=None, max_examples=50)
def test_every_packet_takes_the_coding_that_holds_most(update, segment_bytes, size):
    body = encode([update], segment_bytes, {2: "float16", 4: "float32"}[size])
    header = _header_bytes()
    start, segment, room = 0, -1, 0
    for chunk in chunks(body, segment_bytes):
        if room < header + size:  # no more fits into the packet
            segment, room = segment + 1, segment_bytes
        count, mask = longest(update.coordinates[start:], room - header, size)
        assert (chunk.segment, chunk.count, len(chunk.mask)) == (segment, count, mask)
        start += count
        room -= header + mask + count * size
    assert start == len(update.coordinates)
    assert len(body) == (segment + 1) * segment_bytes - room


def _header_bytes():
    one = Update((3, 4), 0, np.array([0]), np.ones(1, np.float32))
    return len(encode([one], 1000, "float32")) - 4


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
    with pytest.raises(LearningError, match=r"at least 35 bytes.*got 34; raise transport.mtu"):
        encode([update], 34, "float32")
    assert decode(encode([update], 35, "float32"), 35, 5)[0].values.size == 5


def one_chunk():
    chosen = np.array([2, 3, 9, 40])
    return bytearray(encode([Update((1,), 4, chosen, np.ones(4, np.float32))], 500, "float32"))


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 0xF1, "no chunk begins with flags"),
        (1, 77, "no position width 77"),
        (1, 30, "4 positions of 30 bits do not take"),
        (8, 200, "do not take"),
        (12, 100, "expected positions below 100"),
        (0, 5, "the receiver has no list"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(at, value, message):
    body = one_chunk()
    body[at] = value
    with pytest.raises(ValueError, match=f"segment 0: .*{message}"):
        decode(bytes(body), 500, 100)


def test_truncated_bodies_are_refused():
    body = bytes(one_chunk())
    with pytest.raises(ValueError, match="segment 0: expected a header of 31 bytes, got 20"):
        decode(body[:20], 500, 100)
    with pytest.raises(ValueError, match=f"expected a chunk of {len(body)} bytes"):
        decode(body[:-1], 500, 100)
    with pytest.raises(ValueError, match="expected 1 packets, got 2"):
        decode(body, 500, 100, np.ones(2, np.bool_))


def test_a_bitmap_that_does_not_hold_its_count_is_refused():
    positions = np.array([0, 1, 3, 4, 6, 7])
    packed = _positions.pack(positions, _positions.BITMAP)
    np.testing.assert_array_equal(_positions.unpack(packed, _positions.BITMAP, 0, 6), positions)
    with pytest.raises(ValueError, match="expected a bitmap of 5 numbers, got 6"):
        _positions.unpack(packed, _positions.BITMAP, 0, 5)


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50, unique=True).map(sorted),
    st.booleans(),
)
def test_positions_come_back(numbers, as_bitmap):
    positions = np.array(numbers)
    span = numbers[-1] - numbers[0]
    as_bitmap = as_bitmap and span < 10**6
    width = _positions.BITMAP if as_bitmap else int(_positions.gap_widths(positions).max())
    packed = _positions.pack(positions, width)
    assert len(packed) == _positions.num_bytes(width, len(numbers), span)
    found = _positions.unpack(packed, width, numbers[0], len(numbers))
    np.testing.assert_array_equal(found, positions)
