"""The journal as live readers see it: against a real one, with records in memory and on disk, of one event and of many.

A reader here takes messages one by one, breaks off anywhere, and comes back with the last number that he has seen.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.delivery.pace import Pace
from receiver.events import DATA_TYPES, MEDIA_TYPES
from receiver.journal.base import EVENTS, MEDIA
from receiver.live.query import Begin, Filter, Form, make_filter
from receiver.live.reading import Feed, Source
from tests.delivery.test_worker import House, decode, house

ALL = make_filter([], [], [])
WITH_MEDIA = make_filter(["*", "audio.*", "video.*"], [], [])
TYPES = ("bot.status", "transcript.partial", "transcript.final", "audio.chunk")


def source_of(here: House) -> Source:
    return Source(here.journal, Pace(lambda: here.journal.head), lambda record: here.decode(record))


async def messages(
    source: Source, wanted: Filter, begin: Begin, *, most: int | None = None, form: Form = "json"
) -> list[dict[str, Any]]:
    """What a reader is sent from ``begin`` to where the journal ends now; only the first ``most`` of it."""
    feed = Feed(source, wanted, "websocket", form)
    cursor, begun = await source.begin(begin, media=feed.media)
    place = 0
    frames: list[bytes] = []
    if begun is not None:
        frames += feed.rest(begun, begin.after or 0).frames
    while cursor < (upto := source.journal.visible(media=feed.media)) and (most is None or len(frames) < most):
        piece = await feed.piece(cursor, upto, place)
        assert piece.upto > cursor
        cursor, place = piece.upto, piece.place
        frames += piece.frames
    return [msgspec.json.decode(frame) for frame in frames[:most]]


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [one.get("id", one["type"]) for one in found]


record = st.tuples(
    st.lists(st.tuples(st.sampled_from(TYPES[:3]), st.sampled_from(["bot-1", "bot-2"])), min_size=1, max_size=5)
    | st.lists(st.tuples(st.just("audio.chunk"), st.sampled_from(["bot-1", "bot-2"])), min_size=1, max_size=40),
)
filters = st.builds(
    make_filter,
    st.lists(st.sampled_from(["*", "bot.*", "transcript.*", "audio.*", "transcript.final"]), max_size=2),
    st.lists(st.sampled_from(["bot-1", "bot-2", "*"]), max_size=1),
    st.just([]),
    final=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(
    records=st.lists(record, min_size=1, max_size=12),
    wanted=filters,
    cuts=st.lists(st.integers(0, 6), max_size=8),
    tail_bytes=st.sampled_from([0, 1 << 20]),
)
def test_any_filter_and_any_interruptions_give_the_filtered_journal(
    records: list[tuple[list[tuple[str, str]]]], wanted: Filter, cuts: list[int], tail_bytes: int
) -> None:
    """Nothing is missed and nothing comes twice, wherever a reader breaks off, also within a delivery of many events;
    whether records are in memory or come from disk."""

    async def play() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with house(Path(folder), tail_bytes=tail_bytes) as here:
                expected: list[str] = []
                number = 0
                for (events,) in records:
                    names = []
                    for type_, subject in events:
                        number += 1
                        names.append((f"e{number}", type_, subject))
                        if type_ in wanted.types and (wanted.subjects == ("*",) or subject in wanted.subjects):
                            expected.append(f"e{number}")
                    await submit(here, names, MEDIA if events[0][0] in MEDIA_TYPES else EVENTS)
                await here.journal.settle()
                source, got, begin = source_of(here), [], Begin(after=0)
                for cut in cuts:
                    part = await messages(source, wanted, begin, most=cut)
                    got += part
                    begin = Begin(after=int(part[-1]["sequence"])) if part else begin
                got += await messages(source, wanted, begin)
                assert ids(got) == expected

    asyncio.run(play())


async def submit(here: House, events: list[tuple[str, str, str]], lane: str) -> None:
    from receiver.record import Record

    made = Record(vendor="v", endpoint="e", kind="body", payload=msgspec.json.encode(events), received_ns=7)
    made.events = decode(made).events
    await here.journal.submit(made, lane)


async def test_readers_at_the_same_place_share_a_piece(tmp_path: Path) -> None:
    """What a thousand readers want is read and formed once, also when all of them come at once."""
    async with house(tmp_path, tail_bytes=0) as here:
        await here.put("a", "b")
        source = source_of(here)
        feed = Feed(source, ALL, "sse", "json")
        feed.readers = 3
        upto = here.journal.head
        first, second = await asyncio.gather(feed.piece(1, upto, 0), feed.piece(1, upto, 0))
        assert first is second is await feed.piece(1, upto, 0)
        assert first.events == 2 and len(first.frames) == 1


async def test_a_piece_ends_where_it_was_asked_to(tmp_path: Path) -> None:
    """Readers of one round end at the same place, whatever has come since it began: they go on together."""
    async with house(tmp_path) as here:
        await here.put("a", "b")
        upto = here.journal.head
        await here.put("c")
        piece = await Feed(source_of(here), ALL, "websocket", "json").piece(100, upto, 0)
        assert piece.upto == upto and ids([msgspec.json.decode(frame) for frame in piece.frames]) == ["a", "b"]


async def test_what_retention_took_is_told_as_a_gap(tmp_path: Path) -> None:
    """A reader who comes back too late learns it, where it was, and how much at most; then he goes on."""
    async with house(tmp_path, tail_bytes=0, segment_bytes=1, max_bytes=1) as here:
        for id_ in "abcd":
            await here.put(id_)
        first = here.journal.head - 3
        assert ids(await messages(source_of(here), ALL, Begin(after=first))) == ["b", "c", "d"]
        await here.journal.trim({}, {})
        gap, last = await messages(source_of(here), ALL, Begin(after=first))
        assert gap == {
            "type": "receiver.gap", "missed": 2, "from": f"{first + 1:020d}", "to": f"{first + 2:020d}",
            "reason": "expired",
        }  # fmt: skip
        assert last["id"] == "d"
        assert ids(await messages(source_of(here), ALL, Begin(after=int(gap["to"])))) == ["d"]
        assert ids(await messages(source_of(here), ALL, Begin(after=0))) == ["d"]


async def test_a_slow_reader_is_told_exactly_how_much_he_missed(tmp_path: Path) -> None:
    """Numbers that another lane took are not counted: the lane's own count before and behind the gap is known."""
    async with house(tmp_path, tail_bytes=0, segment_bytes=1, max_bytes=1) as here:
        await here.put("a")
        feed = Feed(source_of(here), ALL, "websocket", "json")
        before = await feed.piece(1, here.journal.head, 0)
        await here.put("b")
        await here.put(*(f"m{n}" for n in range(50)), type_="audio.chunk", lane=MEDIA)
        for id_ in ("c", "d"):
            await here.put(id_)
        await here.journal.trim({}, {})
        piece = await feed.piece(before.upto, here.journal.head, before.place)
        gap, last = [msgspec.json.decode(frame) for frame in piece.frames]
        assert (gap["type"], gap["missed"], last["id"]) == ("receiver.gap", 2, "d")


async def test_what_cannot_be_decoded_is_told_as_a_gap(tmp_path: Path) -> None:
    """A delivery that no decoder takes any more is missing in front of the reader, not in silence."""
    async with house(tmp_path, tail_bytes=0) as here:
        await here.put("a")
        await here.put("b", "c")
        await here.put("d")

        def fails(one: Any) -> Any:
            if b'"b"' in one.payload:
                raise ValueError("a fault of a newer decoder")
            return decode(one)

        here.decode = fails
        a, gap, d = await messages(source_of(here), ALL, Begin(after=0))
        assert ids([a, d]) == ["a", "d"] and (gap["missed"], gap["reason"]) == (2, "undecodable")
        assert int(gap["to"]) == int(gap["from"]) + 1 == int(d["sequence"]) - 1


async def test_what_the_disk_has_spoilt_is_told_as_a_gap(tmp_path: Path) -> None:
    """A payload that does not fit its checksum: how much is missing, and all else is there."""
    import sqlite3

    async with house(tmp_path, tail_bytes=0) as here:
        for id_ in "abc":
            await here.put(id_)
        (path,) = (tmp_path / EVENTS).glob("*.db")
        with sqlite3.connect(path) as db:
            db.execute("UPDATE record SET payload = ? WHERE seq = ?", (b"[]", here.journal.head - 1))
        db.close()
        a, gap, c = await messages(source_of(here), ALL, Begin(after=0))
        assert ids([a, c]) == ["a", "c"] and (gap["missed"], gap["reason"]) == (1, "damaged")


async def test_a_time_begins_with_what_arrived_since_then(tmp_path: Path) -> None:
    """Exactly, though the journal only knows it by the file; a time to come is now."""
    from receiver.record import Record

    async with house(tmp_path, tail_bytes=0) as here:
        for second in (10, 20, 30):
            payload = msgspec.json.encode([(f"at-{second}", "bot.status", "b")])
            one = Record(vendor="v", endpoint="e", kind="body", payload=payload, received_ns=second * 10**9)
            one.events = decode(one).events
            await here.journal.submit(one)
        source = source_of(here)
        assert ids(await messages(source, ALL, Begin(since_ns=15 * 10**9))) == ["at-20", "at-30"]
        assert ids(await messages(source, ALL, Begin(since_ns=20 * 10**9))) == ["at-20", "at-30"]
        assert await messages(source, ALL, Begin(since_ns=40 * 10**9)) == []
        assert await messages(source, ALL, Begin()) == []
        assert await messages(source, ALL, Begin(after=10**30)) == []


async def test_sound_is_in_the_order_of_arrival(tmp_path: Path) -> None:
    """A reader of both lanes gets them merged."""
    async with house(tmp_path) as here:
        await here.put("a")
        await here.put("m1", "m2", type_="audio.chunk", lane=MEDIA)
        await here.put("b")
        await here.put("m3", type_="audio.chunk", lane=MEDIA)
        await here.journal.settle()
        source = source_of(here)
        assert ids(await messages(source, WITH_MEDIA, Begin(after=0))) == ["a", "m1", "m2", "b", "m3"]
        assert ids(await messages(source, ALL, Begin(after=0))) == ["a", "b"]


@pytest.mark.parametrize("form", ["json", "text"])
async def test_a_frame_is_one_block_with_its_number(tmp_path: Path, form: Form) -> None:
    """Server-Sent Events (HTML standard, 9.2): id, event, data, one blank line; data never has a line break."""
    async with house(tmp_path) as here:
        await here.put("a", "b\nid: 7")
        piece = await Feed(source_of(here), ALL, "sse", form).piece(1, here.journal.head, 0)
        (frame,) = piece.frames
        blocks = frame.decode().split("\n\n")
        assert len(blocks) == 3 and blocks[2] == "" and piece.last == here.journal.head
        for offset, block in enumerate(blocks[:2]):
            lines = block.splitlines()
            assert [line.partition(":")[0] for line in lines] == ["id", "event", "data"]
            assert int(lines[0][4:]) == here.journal.head - 1 + offset and lines[1] == "event: bot.status"


def test_every_type_of_the_contract_is_wanted_by_default_but_media() -> None:
    """A new type reaches readers without a change here."""
    assert ALL.types == DATA_TYPES.keys() - MEDIA_TYPES and not ALL.media and WITH_MEDIA.types == DATA_TYPES.keys()
