"""Keeps the keys of deliveries in a file beside the journal, so that a start need not read them out of it.

The file only saves time: what cannot be used is left aside, said in the log, and the journal is read. It is used where
the journal was found undamaged and has the very record with which the file ends; then all is remembered that was when
it was written, and only the records behind that one are read. How long ago something was is told by the monotonic
clock of the process that saw it, and by the wall clock only between the two processes.

A file is ``KEYS``, 16 bytes that name the program text which made it, 16 bytes of BLAKE2b over all that follows, the
length of the head as u32 LE, the head in msgpack, and the columns of each generation as they lie in memory.
"""

import asyncio
import os
import struct
import sys
import threading
import time
from array import array
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
import structlog

from receiver.journal import dedup as deduplication
from receiver.journal.clock import steady_ns
from receiver.journal.dedup import COLUMN_TYPES, Columns, Dedup, Memory
from receiver.journal.row import encode_row
from receiver.journal.shelf import Shelf
from receiver.journal.wholefile import write_whole

log = structlog.get_logger()
_MAGIC = b"KEYS"
_DIGEST_BYTES = 16
_LENGTH = struct.Struct("<I")
_BEGIN_BYTES = len(_MAGIC) + 2 * _DIGEST_BYTES + _LENGTH.size
#: a head that says it has more is none
_MOST_HEAD_BYTES = 4096


class KeysUnusable(Exception):
    """The file tells nothing that can be used; the text says why. The journal has it all."""


class Known(NamedTuple):
    """What ``Dedup.restore`` takes."""

    memory: Memory
    shift_ns: int


class _Head(msgspec.Struct, array_like=True, frozen=True):
    """``anchor``: what identifies the record numbered ``last``. ``wall_ns``, ``steady_ns``: both clocks at one moment.
    ``generations``: how many slots and rows each has, and its shift."""

    share: int
    last: int
    anchor: bytes
    wall_ns: int
    steady_ns: int
    generations: list[tuple[int, int, int]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Head).decode


class KeyFile:
    """``read`` at the start, ``save`` now and then and at the end."""

    def __init__(self, path: Path, *, spare_bytes: int = 0) -> None:
        """``spare_bytes``: so much of the disk is left free."""
        self._path = path
        self._spare_bytes = spare_bytes
        self._told = ""
        self._writing = threading.Lock()

    def read(self, shelf: Shelf, share: int) -> Known | None:
        """What was remembered, where the file is whole, made for generations of the size ``share``, and ends with a
        record of ``shelf``; else ``None``. Raises what ``shelf`` raises."""
        try:
            with self._path.open("rb") as file:
                head, generations = _read(file)
            _check(head, shelf, share)
        except FileNotFoundError:
            return None
        except (OSError, KeysUnusable) as problem:
            reason = f"{type(problem).__name__}: {problem.strerror}" if isinstance(problem, OSError) else str(problem)
            log.warning("journal.keys.ignored", file=self._path.name, reason=reason)
            return None
        log.info("journal.keys.read", keys=sum(len(one.seq) for one in generations), sequence=head.last)
        return Known(Memory(head.share, head.last, generations), steady_ns(head.wall_ns) - head.steady_ns)

    async def save(self, shelf: Shelf, dedup: Dedup, least: int) -> bool:
        """Write what is remembered, if at least ``least`` came since it was last written; whether that was done. A
        failure is told, once, and leaves the file as it was."""
        if dedup.fresh < least:
            return False
        fresh, memory = dedup.fresh, dedup.memory()
        moment = time.time_ns(), time.monotonic_ns()
        try:
            await asyncio.to_thread(self._write, shelf, memory, *moment)
        except Exception as problem:  # it only makes the next start slower
            dedup.fresh += fresh
            text = f"{type(problem).__name__}: {problem}"
            if text != self._told:
                log.error("journal.keys.failed", file=self._path.name, error=text)
                self._told = text
            return False
        self._told = ""
        return True

    def _write(self, shelf: Shelf, memory: Memory, wall_ns: int, steady: int) -> None:
        """In one step, for its owner only. Raises ``OSError``, ``KeysUnusable``, and what ``shelf`` raises."""
        anchor = _anchor(shelf, memory.last)
        sizes = [(len(one.slots), len(one.seq), one.shift_ns) for one in memory.generations]
        head = _encode(_Head(memory.share, memory.last, anchor, wall_ns, steady, sizes))
        columns = [memoryview(column).cast("B") for one in memory.generations for column in one.arrays if column]
        pieces: list[bytes | memoryview] = [_LENGTH.pack(len(head)), head, *columns]
        digest = blake2b(digest_size=_DIGEST_BYTES)
        for piece in pieces:
            digest.update(piece)
        with self._writing:
            write_whole(self._path, (_MAGIC, _made_by(), digest.digest(), *pieces), spare_bytes=self._spare_bytes)


def _read(file: BinaryIO) -> tuple[_Head, list[Columns]]:
    """Raises ``KeysUnusable``, ``OSError``."""
    size = os.fstat(file.fileno()).st_size
    begin = file.read(_BEGIN_BYTES)
    if len(begin) < _BEGIN_BYTES or not begin.startswith(_MAGIC):
        raise KeysUnusable(f"damaged: found {size} bytes that do not begin with {_MAGIC.decode()}")
    if not begin.startswith(_made_by(), len(_MAGIC)):
        raise KeysUnusable("made by another version of this program")
    wanted, length = begin[-_LENGTH.size - _DIGEST_BYTES : -_LENGTH.size], begin[-_LENGTH.size :]
    packed = file.read(min(*_LENGTH.unpack(length), _MOST_HEAD_BYTES))
    try:
        head = _decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise KeysUnusable("damaged: its head is none") from None
    shapes = [(slots, rows, rows, rows, rows, rows) for slots, rows, _ in head.generations]
    lengths = [
        count * array(code).itemsize for shape in shapes for code, count in zip(COLUMN_TYPES, shape, strict=True)
    ]
    if min(lengths, default=-1) < 0 or len(begin) + len(packed) + sum(lengths) != size:
        raise KeysUnusable(f"damaged: found {size} bytes, which is not what its head says")
    digest = blake2b(length + packed, digest_size=_DIGEST_BYTES)
    columns: list[array[int]] = []
    for code, length_bytes in zip(COLUMN_TYPES * len(shapes), lengths, strict=True):
        content = file.read(length_bytes)
        digest.update(content)
        columns.append(array(code))
        columns[-1].frombytes(content)
    if digest.digest() != wanted:
        raise KeysUnusable("damaged: its bytes do not fit their checksum")
    step = len(COLUMN_TYPES)
    return head, [
        Columns(shift_ns, *columns[number * step : (number + 1) * step])
        for number, (_, _, shift_ns) in enumerate(head.generations)
    ]


def _check(head: _Head, shelf: Shelf, share: int) -> None:
    """Raises ``KeysUnusable``, and what ``shelf`` raises."""
    if head.share != share:
        raise KeysUnusable("made under another journal.dedup_entries")
    if shelf.damaged:
        raise KeysUnusable("the journal was found damaged: what it still tells counts")
    if _anchor(shelf, head.last) != head.anchor:
        raise KeysUnusable(f"the journal has another record with the number {head.last}, with which this file ends")


def _anchor(shelf: Shelf, number: int) -> bytes:
    """What identifies a record: its small columns, in which are its place and the checksum of its payload. Raises
    ``KeysUnusable``, and what ``shelf`` raises."""
    found, _ = shelf.read_disk(number - 1, number, 1)
    if not found or found[0].seq != number or found[0].kind == "damaged":
        raise KeysUnusable(f"the journal has no whole record with the number {number}, with which this file ends")
    _, key, meta, _ = encode_row(found[0])
    return blake2b(key + meta, digest_size=_DIGEST_BYTES).digest()


@cache
def _made_by() -> bytes:
    """A digest of the program text that makes and reads the columns, and of how the machine lays them out."""
    digest = blake2b(sys.byteorder.encode(), digest_size=_DIGEST_BYTES)
    for code in COLUMN_TYPES:
        digest.update(bytes((array(code).itemsize,)))
    for path in (deduplication.__file__, __file__):
        digest.update(Path(path).read_bytes())
    return digest.digest()
