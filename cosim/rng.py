"""Addressed randomness: every draw is a pure function of (seed, purpose, entity, index).

The generator is Philox4x64-10 (Salmon et al., SC 2011), as NumPy ships it. Its key is a hash of
the scenario's seed and the purpose; its 256-bit counter holds the entity (up to two numbers, such
as the two ends of a link) and the position in that entity's stream. So the value at one address
is the same however far ahead it is asked for and in whatever order events run, and two methods in
one sweep see the same world.

    draws = Draws(seed)
    draws.generator("waypoint", device)              # a stream, to be read in order
    draws.uniform("block_fading", low, high, index)  # arrays of addresses, any order

    draws.stretch("block_fading", low, high, first, count)  # some numbers of one stream

All ways give the same numbers: `uniform(purpose, a, b, k)` is the k-th double of
`generator(purpose, a, b)`.
"""

import hashlib
import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import ArrayLike, NDArray

_MULTIPLIERS = (np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157))
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS = 10
_LOW_32 = np.uint64(0xFFFFFFFF)
_SHIFT_32 = np.uint64(32)
_MASK_64 = (1 << 64) - 1
_WORDS_PER_COUNT = 4  # doubles that one count of Philox4x64 gives
# Addresses that are worked on at once: few enough to stay in a core's cache.
_CHUNK = 8_192


@lru_cache(maxsize=4096)
def _key(seed: int, purpose: str) -> tuple[int, int]:
    """128-bit key: a hash that is the same in every process and on every machine."""
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def _multiply(a: np.uint64, b: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], ...]:
    """High and low 64 bits of the 128-bit product."""
    a_low, a_high = a & _LOW_32, a >> _SHIFT_32
    b_low, b_high = b & _LOW_32, b >> _SHIFT_32
    low = a_low * b_low
    middle = a_high * b_low + (low >> _SHIFT_32)
    carry = a_low * b_high + (middle & _LOW_32)
    high = a_high * b_high + (middle >> _SHIFT_32) + (carry >> _SHIFT_32)
    return high, a * b


def _philox(
    key: tuple[int, int], counter: tuple[NDArray[np.uint64], ...]
) -> tuple[NDArray[np.uint64], ...]:
    """Philox4x64-10 of whole arrays of counters; four words for each."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        high0, low0 = _multiply(_MULTIPLIERS[0], c0)
        high1, low1 = _multiply(_MULTIPLIERS[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ np.uint64(k0), low1, high0 ^ c3 ^ np.uint64(k1), low0
        k0, k1 = (k0 + _WEYL[0]) & _MASK_64, (k1 + _WEYL[1]) & _MASK_64
    return c0, c1, c2, c3


def _whole(address: ArrayLike) -> NDArray[np.uint64]:
    """Return addresses as unsigned numbers; a fraction would silently be another's address."""
    array = np.asarray(address)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"expected whole numbers as an address, got {array.dtype}")
    return array.astype(np.uint64)


def _doubles(
    key: tuple[int, int],
    a: NDArray[np.uint64],
    b: NDArray[np.uint64],
    index: NDArray[np.uint64],
) -> NDArray[np.float64]:
    """Doubles in [0, 1) at addresses of one shape [K]."""
    # NumPy's Philox counts up before it draws, and its four words come out in order.
    block = (index >> np.uint64(2)) + np.uint64(1)
    words = _philox(key, (block, np.zeros_like(block), a, b))
    word = np.choose((index & np.uint64(3)).astype(np.intp), words)
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-53


class _Key(ISeedSequence):
    """Gives NumPy's Philox its key, without the entropy of the system that it else draws first."""

    def __init__(self, key: tuple[int, int]) -> None:
        self._words = np.array(key, dtype=np.uint64)

    def generate_state(self, n_words: int, dtype: object = np.uint32) -> NDArray[np.uint64]:
        """Return the key, two words of 64 bits, which is what Philox asks for."""
        return self._words


class _Reader:
    """Reads stretches of any stream of one key: to set a generator back costs less than a new one.

    Its state between two calls says nothing: each call sets it. The lock keeps threads apart.
    """

    def __init__(self, key: tuple[int, int]) -> None:
        self._lock = threading.Lock()
        self._bits = np.random.Philox(_Key(key))  # type: ignore[arg-type]
        self._numbers = np.random.Generator(self._bits)
        self._state = self._bits.state
        self._state["buffer_pos"] = _WORDS_PER_COUNT  # nothing is left of the last call

    def read(self, a: int, b: int, first: int, count: int) -> NDArray[np.float64]:
        """Return doubles `first` to `first + count - 1` of the stream of entity (a, b)."""
        begin, skipped = divmod(first, _WORDS_PER_COUNT)
        with self._lock:
            counter = self._state["state"]["counter"]
            counter[0], counter[2], counter[3] = begin, a, b
            self._bits.state = self._state
            return self._numbers.random(skipped + count)[skipped:]


@lru_cache(maxsize=256)
def _reader(seed: int, purpose: str) -> _Reader:
    return _Reader(_key(seed, purpose))


@lru_cache(maxsize=4096)
def _seed_of(seed: int, purpose: str) -> _Key:
    return _Key(_key(seed, purpose))


@dataclass(frozen=True)
class Draws:
    """The random numbers of one scenario, by address."""

    seed: int

    def generator(self, purpose: str, a: int = 0, b: int = 0) -> np.random.Generator:
        """Return a NumPy generator at the start of the stream of `purpose` and entity (a, b)."""
        counter = np.array([0, 0, a, b], dtype=np.uint64)
        seed = _seed_of(self.seed, purpose)
        bits = np.random.Philox(seed, counter=counter)  # type: ignore[arg-type]
        return np.random.Generator(bits)

    def stretch(self, purpose: str, a: int, b: int, first: int, count: int) -> NDArray[np.float64]:
        """Return doubles `first` to `first + count - 1` of one stream, [count].

        The same numbers as `uniform` and `generator` give, for the price of 40 of the former.
        """
        return _reader(self.seed, purpose).read(a, b, first, count)

    def uniform(
        self, purpose: str, a: ArrayLike = 0, b: ArrayLike = 0, index: ArrayLike = 0
    ) -> NDArray[np.float64]:
        """Return the doubles in [0, 1) at these addresses.

        Args:
            purpose: what the numbers are for; each purpose has streams of its own.
            a: the entity, whole numbers >= 0, broadcast with `b` and `index`.
            b: the entity's second number.
            index: position in the entity's stream, whole numbers >= 0.

        Returns:
            Array of the broadcast shape.

        Raises:
            TypeError: an address is no whole number.
        """
        addresses = np.broadcast_arrays(*(_whole(value) for value in (a, b, index)))
        flat = [np.ravel(address) for address in addresses]
        key = _key(self.seed, purpose)
        drawn = np.empty(flat[0].size)
        for start in range(0, drawn.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            drawn[part] = _doubles(key, *(address[part] for address in flat))
        return drawn.reshape(addresses[0].shape)

    def child(self, purpose: str, a: int = 0) -> "Draws":
        """Return the random numbers of a part that addresses its own entities, such as a task."""
        return Draws(_key(self.seed, f"{purpose}/{a}")[0])
