"""Listeners who keep up hear in the step that reads the journal; who does not is served in a task of his own."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import numpy as np

from receiver.journal.base import MEDIA
from receiver.live.audio.feed import Feed
from receiver.live.audio.feeds import Seat
from receiver.live.audio.listening import Gap, Listening
from receiver.live.audio.query import Wish
from receiver.record import Record, pack_frames
from tests.live_audio.chunks import BOT, MS, ZERO_NS, Frame, chunk, noise
from tests.live_audio.house import RATE_HZ, House, house, spoken
from tests.live_audio.tape import Tape
from tests.support import until


class Listener:
    """Somebody with a tape."""

    def __init__(self, max_behind_s: float = 30.0) -> None:
        self.tape = Tape()
        self.gaps: list[Gap] = []
        self.lost = False
        self._max_behind_s = max_behind_s

    async def listen(self, here: House) -> None:
        with suppress(ConnectionResetError):
            self.lost = True
            async with here.feeds.listen(BOT, 30) as seat:
                async for part in Listening(seat, Wish(rate_hz=RATE_HZ), self._max_behind_s).sounds(self.tape):
                    if isinstance(part, Gap):
                        self.gaps.append(part)
                    elif not self.tape.send(part):
                        await self.tape.drain()
            self.lost = False


@asynccontextmanager
async def heard_by(folder: Path, *listeners: Listener) -> AsyncIterator[tuple[House, Feed, list["asyncio.Task[None]"]]]:
    """A house in which a stream is open and all of them keep up with it."""
    async with house(folder) as here:
        await here.bot().opens()
        async with asyncio.TaskGroup() as tasks:
            listening = [tasks.create_task(listener.listen(here)) for listener in listeners]
            await until(lambda: here.feeds._feeds, "a feed")
            feed = here.feeds._feeds[BOT]
            await until(lambda: len(feed._ears) == len(listeners), "all keep up")
            yield here, feed, listening
            for task in listening:
                task.cancel()


async def test_all_is_heard_in_the_very_step_that_reads_it(tmp_path: Path) -> None:
    """Nobody's task runs for it: when the journal was read, it was sent."""
    listeners, sound = [Listener(), Listener()], noise(3200)
    async with heard_by(tmp_path, *listeners) as (here, feed, _):
        bot = here.bot()
        at_once: list[bool] = []
        tell = feed.tell

        def told(records: list[Record], before: int) -> None:
            tell(records, before)
            at_once.extend(listener.tape.has(sound[bot.said - 320 :]) for listener in listeners)

        feed.tell = told  # type: ignore[method-assign, assignment]
        for start in range(0, 3200, 320):
            await bot.says(sound[start : start + 320])
            await until(lambda start=start: len(at_once) == 2 * (start // 320 + 1), "read")  # type: ignore[misc]
        assert all(at_once)
        for listener in listeners:
            assert np.array_equal(spoken(listener.tape.sound), sound)


async def test_who_has_no_room_waits_alone_and_misses_nothing(tmp_path: Path) -> None:
    """No more is sent to him until he has room, and nothing is kept for him."""
    slow, quick = Listener(), Listener()
    sound = noise(RATE_HZ)
    async with heard_by(tmp_path, slow, quick) as (here, feed, _):
        slow.tape.room.clear()
        await until(lambda: slow.tape.drains == 1, "he is full")
        sent, bot = len(slow.tape.sent), here.bot()
        for start in range(0, RATE_HZ, 800):
            await bot.says(sound[start : start + 800])
        await until(lambda: quick.tape.has(sound[-800:]), "the other heard it")
        assert len(slow.tape.sent) == sent and len(feed._ears) == 1
        slow.tape.room.set()
        await until(lambda: slow.tape.has(sound[-800:]), "so does he")
        await until(lambda: len(feed._ears) == 2, "he keeps up again")
        for listener in (slow, quick):
            assert np.array_equal(spoken(listener.tape.sound), sound)


async def test_a_chunk_of_many_seconds_is_sent_piece_by_piece() -> None:
    """As far as there is room; the rest comes when there is more."""
    listening, tape, sound = Listening(Seat(None, 0, ZERO_NS), Wish(rate_hz=RATE_HZ), 30.0), Tape(), noise(RATE_HZ * 3)  # type: ignore[arg-type]
    tape.room.clear()
    assert not listening.hear([chunk(sound, 3000)], tape, ZERO_NS + 3000 * MS)
    assert [len(part) for part in tape.sent] == [RATE_HZ // 2]
    assert np.array_equal(np.concatenate([*tape.sent, *listening.ready()]), sound)
    assert not listening.hear([chunk(noise(320), end_ms) for end_ms in (3020, 3040)], tape, ZERO_NS + 3040 * MS)
    assert len(tape.sent) == 2


async def test_who_has_gone_is_told_so_and_harms_nobody(tmp_path: Path) -> None:
    """Whether he is missed by sound or by silence."""
    gone, other, sound = Listener(), Listener(), noise(3200)
    async with heard_by(tmp_path, gone, other) as (here, feed, tasks):
        gone.tape.cut = True
        await here.bot().says(sound)
        await asyncio.wait_for(tasks[0], 10)
        assert gone.lost and len(feed._ears) == 1
        await until(lambda: other.tape.has(sound), "the other heard it")


async def test_what_must_be_decoded_first_is_heard_in_order(tmp_path: Path) -> None:
    """Records that the journal's reader found on the disk: they have no events yet."""
    listener, sound = Listener(), noise(9600)
    async with heard_by(tmp_path, listener) as (here, feed, _):
        now_ns = time.time_ns()
        for number in range(30):
            frame = Frame(sound[number * 320 : number * 320 + 320].tobytes(), first_sample=number * 320)
            record = Record(
                vendor="v", endpoint="e", kind="frames", payload=pack_frames([(now_ns, msgspec.msgpack.encode(frame))]),
                received_ns=now_ns, channel="audio", connection=f"{BOT}-1", subject=BOT,
            )  # fmt: skip
            await here.journal.submit(record, MEDIA)
        await until(lambda: listener.tape.has(sound[-320:]), "heard")
        assert np.array_equal(spoken(listener.tape.sound), sound)
        await until(lambda: len(feed._ears) == 1, "he keeps up again")


async def test_what_comes_too_late_is_a_gap(tmp_path: Path) -> None:
    """The journal may have been slow: what arrived long ago is left out, as for everybody who is behind."""
    listener, sound = Listener(max_behind_s=60), noise(320)
    async with heard_by(tmp_path, listener) as (here, _, _):
        record = Record(
            vendor="v", endpoint="e", kind="frames", payload=pack_frames([]), received_ns=time.time_ns() - 120 * 10**9,
            channel="audio", connection=f"{BOT}-1", subject=BOT, events=[],
        )  # fmt: skip
        await here.journal.submit(record, MEDIA)
        await until(lambda: listener.gaps, "a gap")
        await here.bot().says(sound)
        await until(lambda: listener.tape.has(sound), "what is said now is heard")


async def test_the_end_of_the_stream_ends_it(tmp_path: Path) -> None:
    """Also of one that was heard a moment ago."""
    listener, sound = Listener(), noise(320)
    async with heard_by(tmp_path, listener) as (here, feed, tasks):
        bot = here.bot()
        bot.number = 1
        await bot.says(sound)
        await bot.closes()
        await asyncio.wait_for(tasks[0], 10)
        assert listener.tape.has(sound) and not listener.lost and not feed._ears
