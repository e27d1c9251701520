"""Runs of binary frames that do not go through aiohttp: what comes out is what was sent, however that was cut."""

import asyncio
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import WSMessage, WSMsgType
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader
from hypothesis import given
from hypothesis import strategies as st

from receiver.ingress.inflow import Flow, Inflow
from receiver.ingress.reading import Reading
from receiver.ingress.runs import Others, may_become_one, only_frame, take_run
from tests.ingress.test_inflow import Wirelike
from tests.ingress.test_wire_frames import BINARY, CLOSE, PING, TEXT, frame

MOST = 70_000
CONTINUED = 0
KINDS = {WSMsgType.TEXT: "text", WSMsgType.PING: "ping"}


def masked(payload: bytes, key: bytes = b"\x01\x80\xff\x3c") -> bytes:
    """A client's binary frame, masked as a client has to."""
    head = frame(BINARY, payload)[: -len(payload) - 4] if payload else frame(BINARY)[:-4]
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def long_head(payload: bytes, length: int) -> bytes:
    """With its length in more bytes than it needs, which the RFC forbids to senders and nobody minds."""
    head = struct.pack("!BBH" if length == 126 else "!BBQ", 0x82, 0x80 | length, len(payload))
    return head + bytes(4) + payload


class Taker:
    """Takes frames while it ``takes``, none that begins with ``!``; notes what was ``taken``. While it is ``crowded``
    whoever comes has to wait until ``admit``."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.takes = True
        self.crowded = False
        self.offers = 0
        self._waiting: list[tuple[Callable[[], bool], Callable[[], int]]] = []

    def is_ready(self) -> bool:
        return self.takes and not self.crowded

    def wait_for_room(self, let_in: Callable[[], bool], lying_bytes: Callable[[], int]) -> bool:
        if self.crowded:
            self._waiting.append((let_in, lying_bytes))
        return self.crowded

    def admit(self) -> list[bool]:
        """There is room."""
        self.crowded = False
        waiting, self._waiting = self._waiting, []
        assert len(waiting) < 2, "asked twice"
        assert all(lying_bytes() > 0 for _, lying_bytes in waiting)
        return [let_in() for let_in, _ in waiting]

    def take_at_once(self, frames: list[bytes]) -> int:
        self.offers += 1
        for number, one in enumerate(frames):
            if one.startswith(b"!"):
                return number
            self.taken.append(("binary", one))
        return len(frames)


def reading_of(most_bytes: int = MOST, wire: Wirelike | None = None) -> Reading:
    """Of a socket without a connection: what it gets is told to it."""
    protocol = SimpleNamespace(_reading_paused=False, pause_reading=lambda: None)
    queue = WebSocketDataQueue(cast(Any, protocol), 1 << 20, loop=asyncio.get_running_loop())
    reader = WebSocketReader(queue, most_bytes + 1, compress=False, decode_text=True)
    flow = Flow(Inflow(1 << 30, most_bytes), cast(Any, wire or Wirelike()), lambda: False)
    return Reading(queue, reader, cast(Any, queue.read), flow, most_bytes=most_bytes)


async def receive(reading: Reading, taker: Taker) -> bool:
    """Receive a message, as far as there is one; False where there is none."""
    receiving = asyncio.create_task(reading.next(taker))
    for _ in range(3):
        await asyncio.sleep(0)
    if not receiving.done():
        receiving.cancel()
        await asyncio.wait((receiving,))
        return False
    message = receiving.result()
    data = message.data.encode() if isinstance(message.data, str) else message.data
    taker.taken.append((KINDS.get(message.type, "binary"), bytes(data)))
    return True


# ---- what a run is


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 1920, 65_535])
def test_a_run_has_all_whole_frames_and_where_they_end(size: int) -> None:
    """Behind it is a part of one, from its first byte on."""
    payload = bytes(at % 251 for at in range(size))
    one = masked(payload)
    for left in sorted({0, 1, 2, 3, 7, len(one) - 1}):
        data = b"??" + one * 3 + one[: min(left, len(one) - 1)]
        assert take_run(data, 2, MOST) == ([payload] * 3, 2 + 3 * len(one))
        assert left == 0 or may_become_one(data, 2 + 3 * len(one), MOST)


def test_a_run_ends_where_it_is_told_to() -> None:
    assert take_run(masked(b"a") + masked(b"b") * 2, 0, MOST, 2) == ([b"a", b"b"], 14)


@pytest.mark.parametrize("size", [126, 127, 1920, 65_535])
def test_the_only_frame_of_a_read(size: int) -> None:
    """It and nothing else: no byte less, none more, and none that is too long."""
    payload = bytes(at % 251 for at in range(size))
    one = masked(payload)
    assert only_frame(one, size) == payload
    assert only_frame(one[:-1], size) is only_frame(one + b"?", size) is only_frame(one, size - 1) is None


NO_RUN = {
    "text": frame(TEXT, b"text"),
    "ping": frame(PING, b"ping"),
    "continued": frame(CONTINUED, b"continued"),
    "not the last": frame(BINARY, b"not the last", last=False),
    "reserved": frame(BINARY, b"reserved", reserved=4),
    "not masked": frame(BINARY, b"not masked", mask=False),
    "more than 64 KiB": frame(BINARY, bytes(65_536)),
    "a head of fourteen bytes": long_head(b"x", 127),
    "too long": frame(BINARY, bytes(1001)),
}


@pytest.mark.parametrize("name", NO_RUN)
def test_what_is_in_no_run(name: str) -> None:
    """It is told by its head, however little of it is there."""
    data = masked(b"a") + NO_RUN[name]
    assert take_run(data, 0, 1000) == ([b"a"], 7)
    assert not may_become_one(data[:20], 7, 1000)
    assert only_frame(NO_RUN[name], 1000) is None
    assert Others().passed(data, 7) == len(data)


def test_a_length_in_more_bytes_than_it_needs_is_read() -> None:
    assert take_run(long_head(b"abc", 126), 0, MOST) == ([b"abc"], 11)


def test_others_end_where_the_next_run_begins() -> None:
    """Not within a frame, and not between the frames of one message."""
    others = Others()
    message = frame(BINARY, b"a", last=False) + frame(PING, b"p") + frame(CONTINUED, masked(b"x"))
    assert others.passed(message + masked(b"b"), 0) == len(message)
    assert others.passed(frame(TEXT, bytes(300))[:100], 0) == 100 and others.owed == 208
    assert others.passed(bytes(208) + masked(b"b"), 0) == 208
    assert others.passed(b"\x81\xfe\x01", 0) == 0  # not enough to know


# ---- what is read


async def test_a_run_is_offered_at_once_and_nobody_is_woken_for_it() -> None:
    """Text and pings are received, what is behind them waits for that."""
    reading, taker = reading_of(), Taker()
    reading._taker = taker
    reading.arrived(masked(b"a") + masked(b"b") + frame(TEXT, b"t") + frame(PING, b"p") + masked(b"c"))
    assert taker.taken == [("binary", b"a"), ("binary", b"b")] and taker.offers == 1
    assert len(reading._queue._buffer) == 2 and reading.lying_bytes() > 7
    assert await receive(reading, taker) and await receive(reading, taker)
    assert not await receive(reading, taker)
    assert taker.taken[2:] == [("text", b"t"), ("ping", b"p"), ("binary", b"c")] and reading.lying_bytes() == 0


async def test_one_that_is_read_alone_is_taken_at_once_or_received() -> None:
    """What there is most of in real time. None is taken inside a message of several frames, or in front of another."""
    reading, taker = reading_of(), Taker()
    one, refused = masked(bytes(200)), masked(b"!" * 200)
    reading._taker = taker
    for _ in range(2):
        reading.arrived(one)
    assert taker.taken == [("binary", bytes(200))] * 2 and taker.offers == 2 and reading.lying_bytes() == 0
    reading.arrived(refused)
    reading.arrived(one)
    assert taker.offers == 3 and await receive(reading, taker) and not await receive(reading, taker)
    assert taker.taken[2:] == [("binary", b"!" * 200), ("binary", bytes(200))]
    reading._taker = taker
    reading.arrived(frame(TEXT, one)[:-100])
    reading.arrived(one)  # the end of that text, and a part of a frame
    assert len(taker.taken) == 4


async def test_frames_of_which_none_is_taken_are_received_one_by_one() -> None:
    """All behind such a one lie as they came, until it is received."""
    reading, taker = reading_of(), Taker()
    taker.takes = False
    reading._taker = taker
    reading.arrived(masked(b"a") + masked(b"b"))
    reading.arrived(masked(b"c"))
    assert taker.taken == [] and len(reading._queue._buffer) == 1
    assert await receive(reading, taker) and taker.taken == [("binary", b"a")]
    taker.takes = True
    assert not await receive(reading, taker)
    assert taker.taken == [("binary", b"a"), ("binary", b"b"), ("binary", b"c")] and taker.offers == 1


async def test_who_waits_for_room_is_woken_for_nothing_and_read_no_further() -> None:
    """When there is room, all that lies there is taken as one, and the reading goes on."""
    taker, wire = Taker(), Wirelike()
    reading = reading_of(wire=wire)
    receiving = asyncio.create_task(reading.next(taker))
    await asyncio.sleep(0)
    taker.crowded = True
    reading.arrived(masked(b"a") + masked(b"b"))
    assert not wire.reading and taker.offers == 0
    reading.arrived(masked(b"c") + frame(TEXT, b"t") + masked(b"d"))  # was read before
    await asyncio.sleep(0)
    assert not receiving.done() and not reading._queue._buffer
    assert taker.admit() == [True] and taker.offers == 1
    assert taker.taken == [("binary", b"a"), ("binary", b"b"), ("binary", b"c")]
    assert (await receiving).data == "t" and not await receive(reading, taker)
    assert taker.taken[3:] == [("binary", b"d")] and wire.reading and reading.lying_bytes() == 0


async def test_what_waits_for_room_is_taken_before_the_end_is_told() -> None:
    """The connection is gone meanwhile: what it had sent is still to be taken, frame by frame where one is refused."""
    reading, taker = reading_of(), Taker()
    receiving = asyncio.create_task(reading.next(taker))
    await asyncio.sleep(0)
    taker.crowded = True
    reading.arrived(masked(b"a") + masked(b"!") + masked(b"b"))
    reading._queue.feed_data(WSMessage(WSMsgType.CLOSED, None, None), 0)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not receiving.done() and taker.taken == []
    taker.admit()
    assert (await receiving).data == b"!" and taker.taken == [("binary", b"a")]
    taker.crowded = True
    receiving = asyncio.create_task(reading.next(taker))
    await asyncio.sleep(0)
    assert not receiving.done()
    taker.admit()
    assert (await receiving).type is WSMsgType.CLOSED and taker.taken[1:] == [("binary", b"b")]


async def test_who_is_not_read_any_more_brings_nothing() -> None:
    """What he was promised is for those behind him."""
    reading, taker = reading_of(), Taker()
    receiving = asyncio.create_task(reading.next(taker))
    await asyncio.sleep(0)
    taker.crowded = True
    reading.arrived(masked(b"a"))
    receiving.cancel()
    await asyncio.wait((receiving,))
    assert taker.admit() == [False] and taker.taken == []
    assert not await receive(reading, taker) and taker.taken == [("binary", b"a")]


async def test_a_fault_in_taking_is_raised_where_the_next_message_is_received() -> None:
    """What is called when something comes has no place for it."""

    class Broken(Taker):
        def take_at_once(self, frames: list[bytes]) -> int:
            raise RuntimeError("a fault of ours")

    reading = reading_of()
    receiving = asyncio.create_task(reading.next(Broken()))
    await asyncio.sleep(0)
    reading.arrived(masked(b"a"))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await receiving


async def test_a_small_rest_keeps_nothing_large_in_memory() -> None:
    """A part of a frame behind many of them, for each of a thousand sockets."""
    reading, taker = reading_of(), Taker()
    reading._taker = taker
    reading.arrived(masked(bytes(1000)) * 200 + masked(bytes(1000))[:50])
    assert len(taker.taken) == 200 and len(reading._held) == reading.lying_bytes() == 50


@pytest.mark.parametrize("behind", [False, True])
async def test_what_lies_there_has_a_ceiling(behind: bool) -> None:
    """A loop reads many times before those have their turn who are woken, and each time as much as there is. Frames
    that are received one by one make no room for as much again."""
    taker, wire = Taker(), Wirelike()
    reading = reading_of(wire=wire)
    taker.takes = False
    read = masked(bytes(1000)) * 250
    lay = []
    for turn in range(20):
        if not behind:
            reading._taker = taker
            if not turn:
                reading._flow.wait()
        for _ in range(32):
            if wire.reading:
                reading.arrived(read)
        lay.append(reading.lying_bytes())
        for _ in range(3):
            assert (await reading.next(taker)).data == bytes(1000)
            reading._flow.taken()
    assert max(lay) <= 2 * len(read) and reading.lying_bytes() > 0
    taker.takes = True
    assert not await receive(reading, taker)
    assert reading.lying_bytes() == 0 and wire.reading


@st.composite
def _messages(draw: st.DrawFn) -> list[tuple[list[tuple[str, bytes]], bytes]]:
    """What comes out, and its bytes, of each of some messages."""
    found = []
    for number in range(draw(st.integers(1, 12))):
        name = b"%d" % number
        kind = draw(st.sampled_from(["run", "run", "run", "!", "long", "text", "ping", "parts", "bare", "empty"]))
        big = name + bytes(draw(st.sampled_from([0, 120, 126, 2000])))
        if kind == "run":
            found.append(([("binary", big)], masked(big)))
        elif kind == "!":
            found.append(([("binary", b"!" + big)], masked(b"!" + big)))
        elif kind == "empty":
            found.append(([("binary", b"")], masked(b"")))
        elif kind == "long":
            found.append(([("binary", name + bytes(66_000))], frame(BINARY, name + bytes(66_000))))
        elif kind == "text":
            found.append(([("text", big)], frame(TEXT, big)))
        elif kind == "ping":
            found.append(([("ping", name)], frame(PING, name)))
        elif kind == "bare":
            found.append(([("binary", big)], frame(BINARY, big, mask=False)))
        else:
            parts = frame(BINARY, big, last=False) + frame(PING, name) + frame(CONTINUED, b"end")
            found.append(([("ping", name), ("binary", big + b"end")], parts))
    return found


@given(_messages(), st.lists(st.integers(1, 3000), max_size=30), st.data())
async def test_what_comes_out_is_what_was_sent(
    messages: list[tuple[list[tuple[str, bytes]], bytes]], cuts: list[int], data: st.DataObject
) -> None:
    """However it is cut, whether somebody waits or not, and whether he takes frames at once, later or not."""
    reading, taker = reading_of(), Taker()
    if data.draw(st.booleans()):  # each message is a read of its own, as it is in real time
        cuts = [len(part) for _, part in messages]
    wire, at = b"".join(part for _, part in messages), 0
    for cut in [*cuts, len(wire)]:
        reading.arrived(wire[at : at + cut])
        at += cut
        taker.takes, crowded = data.draw(st.booleans()), data.draw(st.booleans())
        if not crowded:
            taker.admit()
        taker.crowded = crowded
        for _ in range(data.draw(st.integers(0, 3))):
            await receive(reading, taker)
        if data.draw(st.booleans()) and not reading._queue._buffer:  # somebody waits when the next ones come
            reading._taker = taker
    taker.admit()
    while await receive(reading, taker):
        pass
    assert taker.taken == [one for told, _ in messages for one in told]
    assert reading.lying_bytes() == 0
    reading.arrived(frame(CLOSE) + masked(b"nobody's"))
    taker.takes = True
    message = await reading.next(taker)
    assert message.type is WSMsgType.CLOSE
