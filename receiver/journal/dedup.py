"""Which deliveries are repeats. Pure: the time comes as an argument, from the monotonic clock (``clock.steady_ns``).

Three generations bound the memory: lookups see all of them, and the eldest is dropped when the youngest is full. A
delivery takes about 50 bytes of plain columns; as objects in a dictionary it would take 250.
"""

import struct
from array import array
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from receiver.journal.base import Ended

_DIGEST = struct.Struct("<QQ")
#: what several keys in one begin with; a key by itself begins with the name of a vendor
_SEVERAL = b"\0"
_LENGTH = struct.Struct("<H")


def join_keys(keys: Sequence[bytes]) -> bytes:
    """The keys of one delivery as one: a row of the journal has a single column. Shape: 0 | length u16 LE | key …"""
    return _SEVERAL + b"".join(_LENGTH.pack(len(key)) + key for key in keys)


def split_keys(key: bytes) -> Sequence[bytes]:
    """The keys that :func:`join_keys` joined, or the one that it is; stops at a torn end."""
    if key[:1] != _SEVERAL:
        return (key,)
    found, offset = [], 1
    while offset + _LENGTH.size <= len(key):
        begin = offset + _LENGTH.size
        offset = begin + _LENGTH.unpack_from(key, offset)[0]
        if offset > len(key):
            break
        found.append(key[begin:offset])
    return found


class Entry(msgspec.Struct):
    """The last delivery with a key, and when it came. ``waiting``: whom to tell when it is on disk, while it is on its
    way there: a repeat is answered no earlier."""

    seq: int
    at_ns: int
    repeat: int
    waiting: list[Ended] | None = None


class Columns(NamedTuple):
    """What one generation holds, an entry a row. ``shift_ns`` is to be added to its moments: what an earlier process
    wrote down was told by another clock. ``slots``: see ``_Generation``."""

    shift_ns: int
    slots: "array[int]"
    high: "array[int]"
    low: "array[int]"
    seq: "array[int]"
    at_ns: "array[int]"
    repeat: "array[int]"

    @property
    def arrays(self) -> "tuple[array[int], ...]":
        """All of them, in the order of ``COLUMN_TYPES``."""
        return self.slots, self.high, self.low, self.seq, self.at_ns, self.repeat

    @classmethod
    def empty(cls) -> "Columns":
        """Without a row, and without slots."""
        return cls(0, *(array(code) for code in COLUMN_TYPES))


#: of the columns behind ``shift_ns``, as ``array`` names them
COLUMN_TYPES = "IQQqqI"


class Memory(NamedTuple):
    """All that is remembered of deliveries on disk up to the number ``last``; generations as they stand, the youngest
    first. ``share``: of a generation."""

    share: int
    last: int
    generations: list[Columns]


class Dedup:
    """Remembers at least the newest ``entries`` deliveries that have a key, and at most half as many more.

    A key with the vendor's own time or id in it (``timed``) repeats within ``window_s``. One without may honestly come
    again with the same words, so it is a repeat only within ``untimed_window_s`` of the delivery before it. A delivery
    with several keys (:func:`join_keys`) is found by each, and takes the room of as many.
    """

    def __init__(self, entries: int, window_s: float, untimed_window_s: float) -> None:
        #: of a generation: two that are full hold as many as have to be remembered
        self.share = (entries + 1) // 2
        self._window_ns = int(window_s * 1e9)
        self._untimed_window_ns = int(untimed_window_s * 1e9)
        #: on their way to the disk
        self._expected: dict[bytes, Entry] = {}
        self._young = _Generation(self.share)
        #: the elder ones, full; the eldest last
        self._old: tuple[_Generation, ...] = ()
        #: the last one that is remembered, and how many were since :meth:`memory` was asked for
        self.last, self.fresh = 0, 0

    def find(self, key: bytes) -> Entry | None:
        """The last delivery with this one key, as far as it is remembered."""
        expected = self._expected.get(key)
        if expected is not None:
            return expected
        digest = _digest(key)
        for generation in (self._young, *self._old):
            if (found := generation.find(digest)) is not None:
                return found
        return None

    def is_repeat(self, entry: Entry, now_ns: int, *, timed: bool) -> bool:
        """Whether a delivery of this moment repeats ``entry``. One of before (a retry out of quarantine) may, too."""
        return abs(now_ns - entry.at_ns) < (self._window_ns if timed else self._untimed_window_ns)

    def expect(self, key: bytes, entry: Entry) -> None:
        """Make ``entry``, which is on its way to the disk, the last delivery with this key, until it is settled."""
        for one in split_keys(key):
            self._expected[one] = entry

    def settle(self, key: bytes, entry: Entry, *, safe: bool) -> None:
        """It is on disk, or did not get there: then the vendor's next try must count."""
        entry.waiting = None
        for one in split_keys(key):
            if self._expected.get(one) is entry:
                del self._expected[one]
        if safe:
            self.remember(key, entry)

    def remember(self, key: bytes, entry: Entry) -> None:
        """Make ``entry``, which is on disk, the last delivery with this key."""
        self.last = entry.seq
        self.fresh += 1
        for one in split_keys(key):
            digest = _digest(one)
            if self._young.full and self._young.find(digest) is None:
                self._old, self._young = (self._young, *self._old[:1]), _Generation(self.share)
            self._young.put(digest, entry)

    def memory(self) -> Memory:
        """What to write down. It stays as it is: what comes later is not in it."""
        self.fresh = 0
        young = self._young.columns()
        copy = Columns(young.shift_ns, *(column[:] for column in young.arrays))
        return Memory(self.share, self.last, [copy, *(generation.columns() for generation in self._old)])

    def restore(self, memory: Memory, shift_ns: int) -> None:
        """Go on where ``memory``, of the same ``share``, was taken, instead of what was remembered so far.
        ``shift_ns``: what this process's clock shows at any moment, less what the one showed that stamped it."""
        self._young, *old = (
            _Generation(self.share, columns._replace(shift_ns=columns.shift_ns + shift_ns))
            for columns in memory.generations
        )
        self._old, self.last, self.fresh = tuple(old), memory.last, 0


class _Generation:
    """A hash table with open addressing, at most half full, over columns that only grow. Nothing is taken out."""

    def __init__(self, entries: int, columns: Columns | None = None) -> None:
        self._entries = entries
        slots = 1 << (2 * entries - 1).bit_length()
        self._mask = slots - 1
        if columns is None:
            columns = Columns.empty()._replace(slots=array("I", bytes(4 * slots)))
        #: ``_slots``: slot -> row + 1; 0: free
        self._shift_ns, self._slots, self._high, self._low, self._seq, self._at_ns, self._repeat = columns

    @property
    def full(self) -> bool:
        return len(self._seq) >= self._entries

    def columns(self) -> Columns:
        """The columns themselves."""
        return Columns(self._shift_ns, self._slots, self._high, self._low, self._seq, self._at_ns, self._repeat)

    def find(self, digest: tuple[int, int]) -> Entry | None:
        row = self._slots[self._slot(digest)] - 1
        return Entry(self._seq[row], self._at_ns[row] + self._shift_ns, self._repeat[row]) if row >= 0 else None

    def put(self, digest: tuple[int, int], entry: Entry) -> None:
        """Insert, or put in the place of what has the same digest."""
        slot = self._slot(digest)
        row = self._slots[slot] - 1
        if row >= 0:
            self._seq[row], self._at_ns[row] = entry.seq, entry.at_ns - self._shift_ns
            self._repeat[row] = entry.repeat
            return
        self._high.append(digest[0])
        self._low.append(digest[1])
        self._seq.append(entry.seq)
        self._at_ns.append(entry.at_ns - self._shift_ns)
        self._repeat.append(entry.repeat)
        self._slots[slot] = len(self._seq)

    def _slot(self, digest: tuple[int, int]) -> int:
        """Where a digest is, or the free slot where it belongs."""
        high, low = digest
        slot = low & self._mask
        while (row := self._slots[slot]) and (self._low[row - 1] != low or self._high[row - 1] != high):
            slot = (slot + 1) & self._mask
        return slot


@lru_cache(maxsize=1024)  # asked for when a delivery comes, and again when it is on disk
def _digest(key: bytes) -> tuple[int, int]:
    high, low = _DIGEST.unpack(blake2b(key, digest_size=_DIGEST.size).digest())
    return high, low
