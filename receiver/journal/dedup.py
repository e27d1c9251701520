"""Which deliveries are repeats. Pure: the time comes as an argument.

Two generations of a dictionary bound the memory: lookups see both, and the elder is dropped when the younger is full.
"""

import asyncio

import msgspec


class Entry(msgspec.Struct):
    """The last delivery with a key. ``safe`` is its journal future: a repeat is answered no earlier than it ends."""

    seq: int
    received_ns: int
    repeat: int
    safe: "asyncio.Future[None] | None" = None


class Dedup:
    """Remembers at least the newest ``entries`` keys.

    A key with the vendor's own time or id in it (``timed``) repeats within ``window_s``. One without may honestly come
    again with the same words, so it is a repeat only within ``untimed_window_s`` of the delivery before it.
    """

    def __init__(self, entries: int, window_s: float, untimed_window_s: float) -> None:
        self._entries = entries
        self._window_ns = int(window_s * 1e9)
        self._untimed_window_ns = int(untimed_window_s * 1e9)
        self._young: dict[bytes, Entry] = {}
        self._old: dict[bytes, Entry] = {}

    def find(self, key: bytes) -> Entry | None:
        """The last delivery with this key, as far as it is remembered."""
        return self._young.get(key) or self._old.get(key)

    def is_repeat(self, entry: Entry, now_ns: int, *, timed: bool) -> bool:
        """Whether a delivery that arrives now repeats ``entry``. A clock set back does not make old keys new."""
        return now_ns - entry.received_ns < (self._window_ns if timed else self._untimed_window_ns)

    def remember(self, key: bytes, entry: Entry) -> None:
        """Make ``entry`` the last delivery with this key."""
        if len(self._young) >= self._entries:
            self._old, self._young = self._young, {}
        self._young[key] = entry

    def forget(self, key: bytes, seq: int) -> None:
        """Its delivery did not reach the disk: the vendor's next try must count."""
        for generation in (self._young, self._old):
            entry = generation.get(key)
            if entry is not None and entry.seq == seq:
                del generation[key]
