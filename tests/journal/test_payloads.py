"""Large payloads beside a segment: written once, told where they are damaged, gone when their segment is."""

import os
import random
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.doctor.finding import Finding
from receiver.doctor.journal import Census, examine
from receiver.errors import DiskFull
from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.lane import LaneLimits
from receiver.journal.payloads import LEAST_BYTES, PayloadReader, PayloadWriter, payloads_of
from receiver.journal.reader import ALL, SegmentReader
from receiver.journal.segment import Segment, file_bytes, log_of, remove
from receiver.journal.sqlite import SqliteJournal
from receiver.record import Record
from tests.disk import small_disk
from tests.journal.test_sqlite import opened, read_all

MIB = 1 << 20
SIZE = 16 << 10


def sound(number: int, size: int = 2 * SIZE, *, seq: int = 0) -> Record:
    """A record whose payload says whose it is."""
    payload = b"%d:" % number + random.Random(number).randbytes(max(0, size - 8))
    return Record(vendor="v", endpoint="e", kind="bundle", channel="audio", payload=payload, received_ns=1, seq=seq)


def beside(path: Path, *sizes: int) -> list[Record]:
    """A closed segment with payloads of these sizes."""
    records = [sound(number, size, seq=number) for number, size in enumerate(sizes, 1)]
    segment = Segment(path, beside=True)
    for record in records:
        segment.append([record], sync=False)
    segment.close()
    return records


def read(path: Path) -> list[Record]:
    with closing(SegmentReader(path)) as reader:
        return list(reader.read(0))


@given(st.lists(st.integers(0, 3 * LEAST_BYTES), min_size=1, max_size=12), st.data())
def test_what_is_read_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], data: st.DataObject
) -> None:
    """Small ones in their rows, large ones beside, in any order and in commits of any size; also while it is open."""
    path = tmp_path_factory.mktemp("payloads") / "1.db"
    records = [sound(number, size, seq=number) for number, size in enumerate(sizes, 1)]
    segment = Segment(path, beside=True)
    rest = list(records)
    while rest:
        count = data.draw(st.integers(1, len(rest)))
        segment.append(rest[:count], sync=data.draw(st.booleans()))
        rest = rest[count:]
    assert read(path) == records
    segment.close()
    assert read(path) == records
    large = [len(one.payload) for one in records if len(one.payload) >= LEAST_BYTES]
    assert payloads_of(path).stat().st_size == sum(large)
    assert not log_of(path).exists() and path.stat().st_size < 200_000 + sum(sizes) - sum(large)


async def test_only_the_media_lane_has_such_a_file(tmp_path: Path) -> None:
    """What is answered with a 2xx takes one sync, not two."""
    async with opened(tmp_path) as journal:
        for lane in (EVENTS, MEDIA, QUARANTINE):
            await journal.submit(sound(1), lane)
        assert len(await read_all(journal)) == 2
    assert [path.parent.name for path in tmp_path.rglob("*.payloads")] == [MEDIA]


async def test_payloads_count_for_the_size_of_a_file(tmp_path: Path) -> None:
    """Files end when they are full, and retention knows what it takes away."""
    async with opened(tmp_path, segment_bytes=MIB, max_bytes=3 * MIB, tail_bytes=0) as journal:
        lane = journal.lanes[MEDIA]
        for number in range(64):
            await journal.submit(sound(number, 128 << 10), MEDIA)
        assert 8 <= len(list((tmp_path / MEDIA).glob("*.db"))) <= 10
        assert 8 * MIB <= lane.disk_bytes() <= 9 * MIB
        removed, _ = lane.trim({})
        assert removed >= 4 and lane.disk_bytes() <= 3 * MIB + MIB
        assert len(list((tmp_path / MEDIA).glob("*.payloads"))) == len(list((tmp_path / MEDIA).glob("*.db")))
        left = await read_all(journal)
        assert left[-1].payload == sound(63, 128 << 10).payload and all(one.kind == "bundle" for one in left)


# ---- damage


def flipped(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(3 * SIZE)
        byte = file.read(1)
        file.seek(3 * SIZE)
        file.write(bytes((byte[0] ^ 4,)))


def cut(path: Path) -> None:
    os.truncate(path, 5 * SIZE)


def missing(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("damage", "spoilt", "reason"),
    [
        (flipped, {2}, "does not fit its checksum"),
        (cut, {3, 4}, "ends before it"),
        (missing, {1, 2, 3, 4}, "before it"),
    ],
)
def test_a_damaged_payload_is_told_and_never_delivered(
    tmp_path: Path, damage: Callable[[Path], None], spoilt: set[int], reason: str
) -> None:
    """Its numbers and all other records are there."""
    path = tmp_path / "1.db"
    records = beside(path, *[2 * SIZE] * 4, 10)
    damage(payloads_of(path))
    for before, after in zip(records, read(path), strict=True):
        assert after.seq == before.seq
        if before.seq in spoilt:
            assert after.kind == "damaged" and after.payload == b"" and reason in after.reason
        else:
            assert after == before


async def test_the_doctor_finds_it(tmp_path: Path) -> None:
    """At rest, where nobody has asked for that record yet."""
    async with opened(tmp_path) as journal:
        for number in range(4):
            await journal.submit(sound(number), MEDIA)
    (path,) = (tmp_path / MEDIA).glob("*.payloads")
    flipped(path)
    findings: list[Finding] = list(examine(tmp_path, [], Census(), live=False, progress=lambda _: None))
    (media,) = [one for one in findings if one.what == f"journal.{MEDIA}"]
    assert media.verdict == "bad" and "does not fit its checksum" in media.text


async def test_a_segment_that_is_set_aside_takes_its_payloads_along(tmp_path: Path) -> None:
    """Under its own name, so that they are not another one's."""
    async with opened(tmp_path) as journal:
        await journal.submit(sound(1), MEDIA)
    (path,) = (tmp_path / MEDIA).glob("*.db")
    path.write_bytes(b"no database")
    async with opened(tmp_path) as journal:
        await journal.submit(sound(2), MEDIA)
        assert [one.payload for one in await read_all(journal)] == [sound(2).payload]
    (kept,) = (tmp_path / MEDIA).glob("*.damaged-*.payloads")
    assert kept.read_bytes() == sound(1).payload


async def test_a_killed_process_leaves_what_it_had_committed(tmp_path: Path) -> None:
    """With a payload behind it whose row was not: the file goes on behind that."""
    async with opened(tmp_path / "live") as journal:
        for number in range(3):
            await journal.submit(sound(number), MEDIA)
        shutil.copytree(tmp_path / "live", tmp_path / "killed")
    (path,) = (tmp_path / "killed").rglob("*.payloads")
    with path.open("ab") as file:
        file.write(bytes(1000))
    async with opened(tmp_path / "killed") as journal:
        await journal.submit(sound(3), MEDIA)
        found = await read_all(journal)
    assert [one.payload for one in found] == [sound(number).payload for number in range(4)]


# ---- writing


def test_a_commit_that_fails_leaves_the_place_to_the_next_one(tmp_path: Path) -> None:
    """What nobody's row points at is written over."""
    path = tmp_path / "1.db"
    segment = Segment(path, beside=True)
    segment.append([sound(1, seq=1)], sync=False)
    written = segment.written_bytes
    with pytest.raises(Exception, match="UNIQUE"):
        segment.append([sound(2, seq=2), sound(1, seq=1)], sync=False)
    assert segment.written_bytes == written
    segment.append([sound(3, seq=3)], sync=False)
    segment.close()
    assert read(path) == [sound(1, seq=1), sound(3, seq=3)]
    # of the two that failed one still lies behind, which the next commit would write over
    assert payloads_of(path).stat().st_size == sum(len(sound(number).payload) for number in (1, 2, 1))
    assert file_bytes(path) == path.stat().st_size + payloads_of(path).stat().st_size


@pytest.mark.parametrize("sync", [True, False])
def test_payloads_are_on_disk_before_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool) -> None:
    """A row that is on disk without its payload would be a record that is damaged."""
    path = tmp_path / "1.db"
    segment = Segment(path, beside=True)
    synced: list[str] = []
    real = os.fdatasync

    def told(file: int) -> None:
        synced.append(Path(f"/proc/self/fd/{file}").readlink().name)
        real(file)

    monkeypatch.setattr(os, "fdatasync", told)
    segment.append([sound(1, seq=1)], sync=sync)
    assert synced == (["1.payloads"] if sync else [])
    segment.sync()
    assert synced[-2:] == ["1.payloads", "1.db-wal"]
    segment.close()


async def test_a_full_disk_is_told_as_such_and_the_file_goes_on(tmp_path: Path) -> None:
    """As with all else that is written."""
    with small_disk(tmp_path / "disk", 2 * MIB) as disk:
        async with opened(disk.folder / "journal", segment_bytes=MIB, tail_bytes=0) as journal:
            await journal.submit(sound(1), MEDIA)
            disk.fill()
            for _ in range(3):
                with pytest.raises(DiskFull, match=r"No space|full"):
                    await journal.submit(sound(2, 100_000), MEDIA)
            disk.free()
            await journal.submit(sound(3, 100_000), MEDIA)
            assert [one.payload for one in await read_all(journal)] == [
                sound(1).payload, sound(3, 100_000).payload,
            ]  # fmt: skip


def test_writes_that_are_cut_short_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system may take less than it is given."""
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: real(file, data[:1000], at))
    writer = PayloadWriter(tmp_path / "p")
    payload = random.Random(1).randbytes(50_000)
    assert (writer.append(b"x"), writer.append(payload), writer.end) == (0, 1, 50_001)
    writer.close()
    assert (tmp_path / "p").read_bytes() == b"x" + payload


# ---- reading


def test_a_reader_that_was_there_before_the_file_finds_it(tmp_path: Path) -> None:
    reader = PayloadReader(tmp_path / "p")
    assert not reader.is_there
    (tmp_path / "p").write_bytes(b"payload")
    assert reader.read(3, 4) == b"load"
    reader.close()


def test_whoever_reads_a_segment_reads_it_to_the_end(tmp_path: Path) -> None:
    """Retention deletes under a reader: what it has open is there until it lets go."""
    path = tmp_path / "1.db"
    records = beside(path, *[SIZE] * 3)
    with closing(SegmentReader(path)) as reader:
        found = reader.read(0)
        first = next(found)
        remove(path)
        assert [first, *found] == records
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [1, SIZE, 100_000, 1 << 30])
def test_the_newest_of_a_file_are_counted_with_their_payloads(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "1.db"
    records = beside(path, *[SIZE + 100, 50] * 20)
    with closing(SegmentReader(path)) as reader:
        after, size = reader.begin_of_newest(limit)
    newest = [one for one in records if one.seq > after]
    assert size == sum(len(one.payload) for one in newest)
    assert size >= limit or after == 0
    assert size - len(newest[0].payload) < limit


def test_rows_of_before_are_read(tmp_path: Path) -> None:
    """A segment that has no such file, with large payloads in its rows."""
    path = tmp_path / "1.db"
    segment = Segment(path)
    records = [sound(number, 100_000, seq=number) for number in range(1, 5)]
    segment.append(records, sync=True)
    segment.close()
    assert not payloads_of(path).exists() and read(path) == records


async def test_a_segment_of_before_goes_on_beside(tmp_path: Path) -> None:
    """It is small, so it is written on; what is large goes beside it from now on."""
    async with opened(tmp_path) as journal:
        await journal.submit(sound(1, 100), MEDIA)
    (path,) = (tmp_path / MEDIA).glob("*.db")
    payloads_of(path).unlink()
    limits = dict.fromkeys((EVENTS, MEDIA, QUARANTINE), LaneLimits(tail_bytes=0))
    journal = SqliteJournal(tmp_path, limits)
    await journal.submit(sound(2), MEDIA)
    assert [one.payload for one in await read_all(journal)] == [sound(1, 100).payload, sound(2).payload]
    await journal.close()
    assert list((tmp_path / MEDIA).glob("*.db")) == [path] and payloads_of(path).exists()


def test_nobody_is_led_beyond_the_file(tmp_path: Path) -> None:
    """A row of an earlier form has no checksum over its columns."""
    (tmp_path / "p").write_bytes(b"payload")
    with closing(PayloadReader(tmp_path / "p")) as reader:
        for begin, size in ((-1, 2), (0, 8), (7, 1), (0, ALL), (1, -1)):
            with pytest.raises(Exception, match="ends before it"):
                reader.read(begin, size)
