"""The book in a file beside a real journal: read at the start where it fits, left aside where it does not."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

import receiver
from receiver.delivery.pace import Pace
from receiver.journal.base import MEDIA
from receiver.journal.sqlite import SqliteJournal
from receiver.meetings.book import MeetingBook
from receiver.meetings.keeper import Keeper, made_by
from receiver.meetings.tracker import MeetingTracker
from receiver.record import Decoded, Record
from receiver.vendors import decode_record
from tests.disk import small_disk
from tests.meetings.pictures import picture
from tests.meetings.stories import at_ns
from tests.meetings.test_tracker import journal_in, partial, put, record, texts, tracking
from tests.support import JOINING, until

NAME = "meetings.snapshot"
HISTORY_S = 5000.0
#: the clock ends no meeting here: it would do so at one moment or another
NEVER_S = 1e12


class Desk(NamedTuple):
    """``decoded``: the numbers of records that were decoded again, since they came from disk."""

    journal: SqliteJournal
    keeper: Keeper
    tracker: MeetingTracker
    decoded: list[int]


@asynccontextmanager
async def desk(folder: Path, *, ready: bool = True, **keys: Any) -> AsyncIterator[Desk]:
    """Journal, keeper and tracker as a server has them, in ``folder``; ``ready``: once the past is in the book."""
    decoded: list[int] = []

    def counting(one: Record) -> Decoded:
        decoded.append(one.seq)
        return decode_record(one)

    limits, bounds = keys.pop("limits", {}), keys.pop("bounds", {})
    history_s, now_s = keys.pop("history_s", HISTORY_S), keys.pop("now_s", 1000.0)
    path, pace = keys.pop("path", folder / NAME), keys.pop("pace", Pace(lambda: 0))
    async with journal_in(folder / "journal", **limits) as journal:
        keeper = Keeper(path, journal, pace=pace, history_s=history_s, now_ns=lambda: at_ns(now_s), **keys)
        common = {"history_s": history_s, "now_ns": lambda: at_ns(now_s), "decode": counting, "tick_s": NEVER_S}
        async with tracking(journal, book=MeetingBook(**bounds), restore=keeper.load, **common) as tracker:
            if ready:
                await asyncio.wait_for(tracker.caught_up.wait(), 10)
            yield Desk(journal, keeper, tracker, decoded)


async def told(at: Desk, *records: Record) -> None:
    """Deliveries that are in the book."""
    await put(at.journal, *records)
    await until(lambda: at.tracker.cursor == at.journal.head)


def turns(first: int, last: int) -> list[Record]:
    """A final turn each second."""
    return [partial(f"turn {n}", n, final=True, turn=n) for n in range(first, last)]


async def rebuilt(folder: Path, **keys: Any) -> Any:
    """The book as the journal alone makes it."""
    async with desk(folder, path=folder / "no such file", **keys) as at:
        assert at.decoded
        return picture(at.tracker.book)


# What is read


async def test_a_start_reads_only_what_came_after(tmp_path: Path) -> None:
    """And finds the very book that the whole journal makes; so also what follows is told as if nothing had been."""
    async with desk(tmp_path) as at:
        await told(at, record(JOINING, 0), *turns(1, 30), partial("and so", 30, turn=30))
        assert await at.keeper.save(at.tracker)
        await told(at, partial("and so on", 31, turn=30), *turns(31, 35))
        before = picture(at.tracker.book)
    async with desk(tmp_path) as at:
        assert len(at.decoded) == 5 and picture(at.tracker.book) == before
        await told(at, partial("And so on.", 40, final=True, turn=30))
        assert texts(at.tracker)[29] == ("And so on.", "final")
        after = picture(at.tracker.book)
    assert await rebuilt(tmp_path) == after


async def test_with_nothing_after_it_nothing_is_read_again(tmp_path: Path) -> None:
    """Not a single record is decoded, and nothing has to be written at the end."""
    async with desk(tmp_path) as at:
        await told(at, *turns(0, 10))
        assert await at.keeper.save(at.tracker)
        before = picture(at.tracker.book)
    with capture_logs() as logs:
        async with desk(tmp_path) as at:
            assert at.decoded == [] and picture(at.tracker.book) == before
            assert at.tracker.cursor == at.journal.head
            assert not await at.keeper.save(at.tracker)
    assert [(one["event"], one["meetings"]) for one in logs] == [("meetings.snapshot.read", 1)]


async def test_without_a_file_the_journal_is_read(tmp_path: Path) -> None:
    """The first start; nothing to be said about that."""
    with capture_logs() as logs:
        async with desk(tmp_path) as at:
            await told(at, *turns(0, 3))
            book = picture(at.tracker.book)
        assert await rebuilt(tmp_path) == book
    assert logs == []


async def test_it_is_for_its_owner_only_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """It holds what was said. What another process left half written goes."""
    draft = tmp_path / f".{NAME}.1"
    draft.write_bytes(b"half")
    async with desk(tmp_path) as at:
        await told(at, *turns(0, 3))
        assert await at.keeper.save(at.tracker)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal", NAME]


async def test_what_was_folded_while_it_was_written_is_not_in_it(tmp_path: Path) -> None:
    """Deliveries go on meanwhile. Each of many snapshots, with what came after it, makes the same book."""
    saved: list[bytes] = []
    async with desk(tmp_path) as at:
        for n in range(8):
            before, more = at.tracker.last, turns(n * 50, n * 50 + 50)
            await put(at.journal, record({**JOINING, "bot_id": f"b{n}"}, n), *more[:10])
            await until(lambda before=before: at.tracker.last is not before)  # type: ignore[misc]
            written, _ = await asyncio.gather(at.keeper.save(at.tracker), put(at.journal, *more[10:]))
            if written:
                saved.append((tmp_path / NAME).read_bytes())
        await until(lambda: at.tracker.cursor == at.journal.head)
        book = picture(at.tracker.book)
    assert len(set(saved)) == len(saved) > 2
    for content in saved:
        (tmp_path / NAME).write_bytes(content)
        async with desk(tmp_path) as at:
            assert picture(at.tracker.book) == book and len(at.decoded) < 408


class Halfway(Pace):
    """Something happens in the middle of the work."""

    def __init__(self, between: Callable[[], Awaitable[None]]) -> None:
        super().__init__(lambda: 0)
        self._between = between

    async def each(self, items: Sequence[Any], work: Callable[[Any], Any]) -> list[Any]:
        done = await super().each(items[:3], work)
        await self._between()
        return done + await super().each(items[3:], work)


async def test_what_comes_while_it_is_written_waits(tmp_path: Path) -> None:
    """Nothing is folded between two slices: the file is of one moment, and each delivery is in it or behind it."""
    places: list[Desk] = []

    async def deliver() -> None:
        (at,) = places
        await put(at.journal, *(record({**JOINING, "bot_id": f"b{n}"}, 50) for n in range(9, -1, -1)))
        await at.tracker.current(0.1)  # in vain: it reads on behind the last slice
        assert at.tracker.book.events == 10

    async with desk(tmp_path, pace=Halfway(deliver)) as at:
        await told(at, *(record({**JOINING, "bot_id": f"b{n}"}, n) for n in range(10)))
        places.append(at)
        assert await at.keeper.save(at.tracker)
        await told(at)
        book = picture(at.tracker.book)
    async with desk(tmp_path) as at:
        assert len(at.decoded) == 10 and picture(at.tracker.book) == book


async def test_numbers_of_media_that_a_crash_took_are_given_out_again(tmp_path: Path) -> None:
    """It holds up to its last delivery, not up to the last number: nothing that came under those is passed over."""
    async with desk(tmp_path) as at:
        await told(at, *turns(0, 3))
        await put(at.journal, *turns(90, 95), lane=MEDIA)
        await told(at)
        head = at.journal.head
        assert await at.keeper.save(at.tracker) and at.tracker.cursor == head
    shutil.rmtree(tmp_path / "journal" / MEDIA)
    async with desk(tmp_path) as at:
        await told(at, partial("new", 10, turn=10))
        assert at.journal.head < head and texts(at.tracker)[-1] == ("new", "open")
    async with desk(tmp_path) as at:
        assert texts(at.tracker)[-1] == ("new", "open")


async def test_an_older_file_is_as_good(tmp_path: Path) -> None:
    """The process that served before may have written last; what is missing is read."""
    async with desk(tmp_path) as at:
        await told(at, *turns(0, 5))
        await at.keeper.save(at.tracker)
        older = (tmp_path / NAME).read_bytes()
        await told(at, *turns(5, 25))
        await at.keeper.save(at.tracker)
        book = picture(at.tracker.book)
    (tmp_path / NAME).write_bytes(older)
    async with desk(tmp_path) as at:
        assert picture(at.tracker.book) == book and len(at.decoded) == 20


# What is not used


async def saved_in(folder: Path, **keys: Any) -> Any:
    """A journal of thirty turns with its snapshot; the book."""
    async with desk(folder, **keys) as at:
        await told(at, record(JOINING, 0), *turns(1, 30))
        assert await at.keeper.save(at.tracker)
        return picture(at.tracker.book)


def flipped(content: bytes) -> bytes:
    return content[:-100] + bytes((content[-100] ^ 4,)) + content[-99:]


def of_another_program(content: bytes) -> bytes:
    at = content.index(made_by())
    return content[:at] + bytes(16) + content[at + 16 :]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda content: content[:-1], "damaged: its bytes do not fit their checksum"),
        (lambda content: b"", "damaged: found 0 bytes that do not begin with MEETINGS"),
        (flipped, "damaged: its bytes do not fit their checksum"),
        (of_another_program, "made by another version of this program"),
    ],
)
async def test_a_file_that_is_not_as_it_was_written(
    tmp_path: Path, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    """Cut off, a flipped bit, another version: the journal is read, the log says why, and the file is gone."""
    book = await saved_in(tmp_path)
    path = tmp_path / NAME
    path.write_bytes(spoil(path.read_bytes()))
    with capture_logs() as logs:
        async with desk(tmp_path) as at:
            assert picture(at.tracker.book) == book and len(at.decoded) == 30
    assert [(one["event"], one["reason"]) for one in logs] == [("meetings.snapshot.ignored", reason)]
    assert not path.exists()


@pytest.mark.parametrize(
    ("module", "matters"),
    [
        ("vendors/meetstream/__init__.py", True), ("vendors/base.py", True), ("meetings/turn.py", True),
        ("data.py", True), ("delivery/decoding.py", True), ("app.py", False), ("live/page.py", False),
        ("meetings/__pycache__/turn.cpython-311.pyc", False),
    ],
)  # fmt: skip
def test_a_change_of_what_decodes_and_folds_is_another_version(tmp_path: Path, module: str, matters: bool) -> None:
    """A decoder that was mended makes another book of the same journal; nobody has to remember to say so."""
    copy = tmp_path / "receiver"
    shutil.copytree(Path(receiver.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__", "static"))
    assert made_by(copy) == made_by()
    made_by.cache_clear()
    (copy / module).parent.mkdir(exist_ok=True)
    with (copy / module).open("a") as file:
        file.write("\n# mended")
    assert (made_by(copy) != made_by()) == matters


@pytest.mark.parametrize(
    "keys",
    [
        {"history_s": HISTORY_S + 1}, {"bounds": {"most_meetings": 7}}, {"bounds": {"most_characters": 700_000}},
        {"bounds": {"quiet_s": 800.0}},
    ],
)  # fmt: skip
async def test_other_settings_of_meetings_make_another_book(tmp_path: Path, keys: dict[str, Any]) -> None:
    """What was let go under the old ones may be wanted now."""
    await saved_in(tmp_path)
    with capture_logs() as logs:
        async with desk(tmp_path, **keys) as at:
            assert len(at.decoded) == 30 and at.tracker.book.events == 30
    assert [one.get("reason") for one in logs] == ["made under other settings of [meetings]"]


async def test_a_journal_begun_anew_has_no_such_record(tmp_path: Path) -> None:
    """Another data folder, or one whose journal was taken away: nothing of the old meetings is told, or kept."""
    await saved_in(tmp_path)
    shutil.rmtree(tmp_path / "journal")
    with capture_logs() as logs:
        async with desk(tmp_path) as at:
            assert at.tracker.book.known == 0
            await told(at, record(JOINING, 1))
            assert at.tracker.book.events == 1
    (line,) = logs
    assert line["event"] == "meetings.snapshot.ignored" and line["reason"].startswith("the journal has no such record")
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("again", [0, 20])
async def test_a_journal_from_a_backup_is_another_one(tmp_path: Path, again: int) -> None:
    """Also where it has given out the same numbers since, for other deliveries."""
    async with desk(tmp_path) as at:
        await told(at, *turns(0, 10))
    shutil.copytree(tmp_path / "journal", tmp_path / "backup")
    async with desk(tmp_path) as at:
        await told(at, *turns(10, 20))
        assert await at.keeper.save(at.tracker)
        last = at.journal.head
    shutil.rmtree(tmp_path / "journal")
    (tmp_path / "backup").rename(tmp_path / "journal")
    async with journal_in(tmp_path / "journal") as journal:
        await put(journal, *(partial(f"other {n}", n + 0.5, final=True, turn=n) for n in range(10, 10 + again)))
        assert (journal.head >= last) == (again > 0)
    with capture_logs() as logs:
        async with desk(tmp_path) as at:
            assert at.tracker.book.events == 10 + again and "turn 15" not in str(texts(at.tracker))
    assert [one["event"] for one in logs] == ["meetings.snapshot.ignored"]


async def test_a_journal_that_cannot_be_read_is_asked_again(tmp_path: Path) -> None:
    """It is no fault of the file, which is read then."""
    book = await saved_in(tmp_path)
    async with journal_in(tmp_path / "journal") as journal:
        failing = [OSError("disk"), OSError("disk")]
        reread = journal.reread

        async def flaky(after: int, upto: int, *, media: bool, limit_bytes: int) -> Any:
            if failing:
                raise failing.pop()
            return await reread(after, upto, media=media, limit_bytes=limit_bytes)

        journal.reread = flaky  # type: ignore[method-assign]
        keeper = Keeper(tmp_path / NAME, journal, pace=Pace(lambda: 0), history_s=HISTORY_S)
        keys: dict[str, Any] = {"history_s": HISTORY_S, "retry_s": 0.001, "tick_s": NEVER_S, "restore": keeper.load}
        async with tracking(journal, now_ns=lambda: at_ns(1000), **keys) as tracker:
            await asyncio.wait_for(tracker.caught_up.wait(), 10)
            assert picture(tracker.book) == book and not failing


# What is to be forgotten


OLD = {"segment_bytes": 4096, "tail_bytes": 0}


def long_ago(n: int) -> Record:
    """A meeting of its own, and enough of it that files of the journal fill up."""
    return record({**JOINING, "bot_id": f"old-{n}", "message": "x" * 900}, n * 10)


async def test_what_is_longer_ago_than_the_history_is_not_told(tmp_path: Path) -> None:
    """The same meetings as without it: it does not make the history longer, start by start."""
    async with desk(tmp_path, limits=OLD) as at:
        for n in range(60):
            await put(at.journal, long_ago(n))
        await told(at)
        assert await at.keeper.save(at.tracker) and at.tracker.book.known == 60
    later: dict[str, Any] = {"limits": OLD, "now_s": HISTORY_S + 400}
    async with desk(tmp_path, **later) as at:
        known = [one.subject for one in at.tracker.book.everything()[0]]
        assert at.decoded == [] and 20 <= len(known) < 40
    async with desk(tmp_path, path=tmp_path / "none", **later) as at:
        assert [one.subject for one in at.tracker.book.everything()[0]] == known


async def test_a_file_from_before_the_history_is_not_read(tmp_path: Path) -> None:
    """All that it knows is longer ago; what came since is."""
    async with desk(tmp_path, limits=OLD) as at:
        await told(at, *turns(0, 10))
        assert await at.keeper.save(at.tracker)
        for n in (*range(100, 120), *range(1000, 1020)):
            await put(at.journal, long_ago(n))
        await told(at)
    with capture_logs() as logs:
        async with desk(tmp_path, limits=OLD, now_s=11_000.0) as at:
            assert at.decoded and at.tracker.book.find("bot-1") is None and at.tracker.book.find("old-1010")
    assert [one.get("reason") for one in logs] == ["older than all that is read at the start"]


async def test_what_retention_took_from_the_journal_goes_from_the_file(tmp_path: Path) -> None:
    """At the next writing, at the latest at the review; and it is not read from a file that has it still."""
    path = tmp_path / NAME
    async with desk(tmp_path, limits=OLD) as at:
        for n in range(40):
            await put(at.journal, long_ago(n))
        await told(at)
        assert await at.keeper.save(at.tracker) and not await at.keeper.save(at.tracker)
    full = path.read_bytes()
    assert b"old-0" in full and b"old-39" in full
    with capture_logs() as logs:
        async with desk(tmp_path, limits={**OLD, "max_bytes": 20_000}, review_s=0.0) as at:
            await at.journal.trim({}, {})
            assert at.decoded == [] and await at.keeper.save(at.tracker)
    assert [one["event"] for one in logs] == ["meetings.snapshot.read", "journal.trimmed"]
    assert b"old-0" not in path.read_bytes() and b"old-39" in path.read_bytes()
    path.write_bytes(full)
    async with desk(tmp_path, limits=OLD) as at:
        assert at.decoded == [] and at.tracker.book.find("old-0") is None and at.tracker.book.find("old-39")


# What is written


async def test_it_is_written_now_and_then_if_there_is_more(tmp_path: Path) -> None:
    """By itself: once the past is in the book, and whenever the time has come."""
    path = tmp_path / NAME
    for every_s in (3600.0, 0.005):
        async with desk(tmp_path) as at:
            await told(at, *turns(0, 1))
        async with desk(tmp_path, every_s=every_s) as at, asyncio.TaskGroup() as tasks:
            running = tasks.create_task(at.keeper.run(at.tracker))
            await until(path.exists)
            for n in range(1, 3 if every_s < 1 else 1):
                before = path.read_bytes()
                await told(at, *turns(n, n + 1))
                await until(lambda before=before: path.read_bytes() != before)  # type: ignore[misc]
            running.cancel()
        path.unlink()


async def test_what_no_disk_holds_is_no_end_of_a_file(tmp_path: Path) -> None:
    """What stands in for records that are lost would be counted once more; nor is the book that of the last file."""
    async with desk(tmp_path, review_s=0.0) as at:
        await told(at, *turns(0, 3))
        assert await at.keeper.save(at.tracker) and await at.keeper.save(at.tracker)
        await told(at, *turns(3, 5))
        assert at.tracker.last is not None
        at.tracker.last.kind = "damaged"
        assert not await at.keeper.save(at.tracker)
        await told(at, *turns(5, 6))
        assert await at.keeper.save(at.tracker)


async def test_a_folder_that_is_gone_costs_a_line_in_the_log(tmp_path: Path) -> None:
    """Told once; the book goes on, and when the folder is there again so is the file."""
    away = tmp_path / "away"
    async with desk(tmp_path, path=away / NAME) as at:
        await told(at, *turns(0, 3))
        with capture_logs() as logs:
            for _ in range(3):
                assert not await at.keeper.save(at.tracker)
        (line,) = logs
        assert line["event"] == "meetings.snapshot.failed" and line["error"].startswith("FileNotFoundError")
        await told(at, *turns(3, 5))
        away.mkdir()
        assert await at.keeper.save(at.tracker) and at.tracker.book.events == 5


async def test_a_folder_in_its_place_is_no_file(tmp_path: Path) -> None:
    """It can be neither read nor replaced nor removed; the journal has it all."""
    (tmp_path / NAME).mkdir()
    with capture_logs() as logs:
        async with desk(tmp_path) as at:
            await told(at, *turns(0, 3))
            assert not await at.keeper.save(at.tracker)
    assert [one["event"] for one in logs] == ["meetings.snapshot.ignored", *["meetings.snapshot.failed"] * 2]
    assert logs[0]["reason"].startswith("IsADirectoryError")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


async def test_a_full_disk_keeps_the_file_that_is_there(tmp_path: Path) -> None:
    """Half a file is never seen, and nothing of it stays."""
    with small_disk(tmp_path / "small", 256 << 10) as disk:
        path = disk.folder / NAME
        async with desk(tmp_path, path=path) as at:
            await told(at, *turns(0, 3))
            assert await at.keeper.save(at.tracker)
            before = path.read_bytes()
            await told(at, *(partial("x" * 3000, n, final=True, turn=n) for n in range(10, 20)))
            disk.fill(8 << 10)
            with capture_logs() as logs:
                assert not await at.keeper.save(at.tracker)
            assert "ENOSPC" in logs[0]["error"] or "No space" in logs[0]["error"] or "Errno 28" in logs[0]["error"]
            assert path.read_bytes() == before
            assert sorted(one.name for one in disk.folder.iterdir()) == ["ballast", NAME]
            disk.free()
            assert await at.keeper.save(at.tracker) and len(path.read_bytes()) > 30_000


async def test_a_write_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    """A limit of the process in place of a full disk: it fails in the middle of the file."""
    resource = pytest.importorskip("resource")
    async with desk(tmp_path) as at:
        await told(at, *(partial("x" * 3000, n, final=True, turn=n) for n in range(10)))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            with capture_logs() as logs:
                assert not await at.keeper.save(at.tracker)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert logs[0]["error"].startswith("OSError")
        assert [one.name for one in tmp_path.iterdir()] == ["journal"]
        assert await at.keeper.save(at.tracker)


async def test_it_does_not_take_the_journals_last_space(tmp_path: Path) -> None:
    """What is to be left free stays free."""
    async with desk(tmp_path, spare_bytes=shutil.disk_usage(tmp_path).total) as at:
        await told(at, *turns(0, 3))
        with capture_logs() as logs:
            assert not await at.keeper.save(at.tracker)
    assert logs[0]["error"].endswith("it would take what journal.min_free_bytes leaves free")
    assert [one.name for one in tmp_path.iterdir()] == ["journal"]


async def test_a_book_that_is_too_large_is_not_written(tmp_path: Path) -> None:
    """Nor is such a file read, whoever wrote it."""
    async with desk(tmp_path, most_bytes=2000) as at:
        await told(at, *turns(0, 100))
        with capture_logs() as logs:
            assert not await at.keeper.save(at.tracker)
        assert "more than 2000 bytes" in logs[0]["error"] and not (tmp_path / NAME).exists()
    async with desk(tmp_path) as at:
        assert len(at.decoded) == 100 and await at.keeper.save(at.tracker)
    with capture_logs() as logs:
        async with desk(tmp_path, most_bytes=2000) as at:
            assert len(at.decoded) == 100
    assert logs[0]["reason"] == "found more than the 2000 bytes that are allowed"


async def test_it_is_written_and_read_in_slices(tmp_path: Path) -> None:
    """The loop serves others between them, and folding goes on behind it."""
    bodies = [
        record({**JOINING, "bot_id": f"b{n}", "custom_attributes": {"a": "x" * 4000}}, n) for n in range(400)
    ]  # fmt: skip
    async with desk(tmp_path) as at:
        await told(at, *bodies)
        assert await passes(at.keeper.save(at.tracker)) > 2
        book = picture(at.tracker.book)
    async with desk(tmp_path) as at:
        assert at.decoded == [] and picture(at.tracker.book) == book


async def passes(work: Any) -> int:
    """How often others had their turn while ``work`` was done."""
    count = 0
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work)
        while not task.done():
            count += 1
            await asyncio.sleep(0)
    assert task.result()
    return count
