"""The journal's files: whether they open, are whole, count upwards; how far each sink is behind; what lies aside.

Reads only, beside a live server and without one. At rest the caller holds the data folder's lock.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from receiver.doctor.finding import Finding, count
from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.chain import Chain
from receiver.journal.reader import ALL, SegmentReader
from receiver.journal.salvage import needs_mending
from receiver.journal.segment import SUFFIX, file_bytes, log_of
from receiver.record import Record

_MOST_SHOWN = 3
_AHEAD_S = 5.0


class Reader(msgspec.Struct, frozen=True):
    """A sink as the journal knows it."""

    name: str
    media: bool


class Census(msgspec.Struct):
    """What the walk over all lanes found, for the findings about sinks, quarantine and the clock."""

    records: dict[str, int] = {}
    behind: dict[str, int] = {}
    newest_ns: int = 0
    bytes: int = 0

    def add(self, record: Record, readers: list[Reader], cursors: Mapping[str, int]) -> None:
        """Count a record, or what stands for missing ones, for the readers of its lane."""
        self.newest_ns = max(self.newest_ns, record.received_ns)
        for one in readers:
            if record.last_seq > cursors.get(one.name, 0):
                self.behind[one.name] = self.behind.get(one.name, 0) + record.count


def examine(
    folder: Path, readers: list[Reader], census: Census, *, live: bool, progress: Callable[[str], None]
) -> Iterator[Finding]:
    """Findings about the journal in ``folder``. The census is complete with the last one."""
    cursors, letters, problem = _state(folder / "state.db", live=live)
    for lane in (EVENTS, MEDIA, QUARANTINE):
        yield _lane(folder / lane, lane, readers, cursors, census, live=live, progress=progress)
    yield _aside(folder)
    if problem:
        yield Finding("bad", "journal.state", problem, "at its next start the server sets it aside and repeats events")
    yield from (_cursor(reader, cursors, census) for reader in readers)
    waiting, dead = census.records.get(QUARANTINE, 0), sum(letters.values())
    if waiting:
        yield Finding("warn", "quarantine", count(waiting, "record"), "see `receiver quarantine list`",
                      {"records": waiting})  # fmt: skip
    else:
        yield Finding("ok", "quarantine", "empty", "", {"records": 0})
    if dead:
        each = ", ".join(f"{name} {number:,}" for name, number in sorted(letters.items()))
        yield Finding("warn", "dead letters", each, "see `receiver dead list`", letters)
    else:
        yield Finding("ok", "dead letters", "none", "", letters)


def _lane(
    folder: Path, lane: str, readers: list[Reader], cursors: Mapping[str, int], census: Census, *, live: bool,
    progress: Callable[[str], None],
) -> Finding:  # fmt: skip
    paths = sorted(path for path in folder.glob("*" + SUFFIX) if path.stem.isdecimal())
    wanted = [one for one in readers if lane == EVENTS or (lane == MEDIA and one.media)]
    problems: list[str] = []
    records = size = last = 0
    chain, gone = Chain(0, 0), True  # retention takes files away from the beginning
    for number, path in enumerate(paths, 1):
        progress(f"{lane} {number}/{len(paths)}")
        size += file_bytes(path)
        first_here = last
        if gone:
            chain.cut(int(path.stem) - 1)
        gone = False
        try:
            with reading(path, live=live) as reader:
                problems += [f"{path.name}: {text}" for text in reader.faults()]
                for record in reader.read(0, ALL):
                    records += 1
                    if (gap := chain.step(record)) is not None:
                        problems.append(f"{path.name}: {gap.reason}")
                        census.add(gap, wanted, cursors)
                    if record.kind == "damaged":
                        problems.append(f"{path.name}: record {record.seq}: {record.reason}")
                    if record.seq <= first_here:
                        problems.append(f"{path.name}: record {record.seq} is numbered like one of an earlier file")
                        first_here = 0
                    last = max(last, record.last_seq)
                    census.add(record, wanted, cursors)
                problems += [f"{path.name}: {text}" for text in reader.damage]
        except (sqlite3.Error, OSError) as error:
            gone = not path.exists()  # retention may have been faster
            if not gone:
                problems.append(f"{path.name}: {error}")
    census.records[lane] = records
    census.bytes += size
    facts = {"files": len(paths), "records": records, "bytes": size, "last_sequence": last, "problems": problems}
    what = f"journal.{lane}"
    text = f"{count(len(paths), 'file')}, {count(records, 'record')}, {size / 1e6:,.1f} MB"
    if not problems:
        return Finding("ok", what, f"{text}, whole and in order", "", facts)
    more = f"; and {len(problems) - _MOST_SHOWN} more" if problems[_MOST_SHOWN:] else ""
    shown = "; ".join(problems[:_MOST_SHOWN]) + more
    advice = "the server passes over what it cannot read; look at the disk (dmesg, smartctl), keep a copy of the file"
    return Finding("bad", what, f"{text}; {count(len(problems), 'problem')}: {shown}", advice, facts)


def _aside(folder: Path) -> Finding:
    kept = sorted(folder.rglob("*.damaged-*"))
    if not kept:
        return Finding("ok", "journal.damaged", "no damaged files were set aside")
    files = [
        {"file": str(path.relative_to(folder)), "bytes": path.stat().st_size, "at": _day(path.stat().st_mtime)}
        for path in kept
    ]
    text = "; ".join("{file}, {bytes:,} B, {at}".format(**one) for one in files)
    return Finding("warn", "journal.damaged", f"set aside: {text}", "the server no longer reads them; delete them when"
                   " you have what you need of them", {"files": files})  # fmt: skip


def _cursor(reader: Reader, cursors: Mapping[str, int], census: Census) -> Finding:
    what = f"cursor.{reader.name}"
    behind = census.behind.get(reader.name, 0)
    facts = {"cursor": cursors.get(reader.name), "behind": behind}
    if reader.name not in cursors:
        if not behind:
            return Finding("ok", what, "has not run yet", "", facts)
        return Finding("warn", what, f"has not run yet: it will be given {count(behind, 'event')}", "", facts)
    if behind:
        advice = "the server delivers them while it runs; `sinks.` above says whether it can be reached"
        return Finding("warn", what, f"{count(behind, 'event')} behind", advice, facts)
    return Finding("ok", what, "has everything", "", facts)


def _state(path: Path, *, live: bool) -> tuple[dict[str, int], dict[str, int], str]:
    """Cursors, dead letters for each sink, and what is wrong with the file."""
    if not path.exists():
        return {}, {}, ""
    try:
        with _no_new_index(path, live=live), closing(_connect(path)) as db:
            ((verdict,),) = db.execute("PRAGMA quick_check(1)").fetchall()
            cursors = dict(db.execute("SELECT sink, seq FROM cursor").fetchall())
            letters = dict(db.execute("SELECT sink, count(*) FROM dead GROUP BY sink").fetchall())
    except sqlite3.Error as error:
        return {}, {}, f"{path.name} cannot be read: {error}"
    return cursors, letters, "" if verdict == "ok" else f"{path.name}: {verdict}"


class _Examined(SegmentReader):
    def faults(self) -> list[str]:
        """What SQLite's own check and the log say, before any row is looked at."""
        found = [] if self.sound() else ["not every page is where it belongs"]
        return found + ([] if self.log_is_whole else ["its log is damaged; the next start mends what can be mended"])

    log_is_whole = True


@contextmanager
def reading(path: Path, *, live: bool) -> Iterator[_Examined]:
    """A reader that changes nothing on disk. Raises ``sqlite3.Error``, ``OSError``."""
    with _no_new_index(path, live=live):
        whole = live or not needs_mending(path)  # a live server's log grows while one looks
        with closing(_Examined(path, _mode(path))) as reader:
            reader.log_is_whole = whole
            yield reader


@contextmanager
def _no_new_index(path: Path, *, live: bool) -> Iterator[None]:
    """Reading a log needs an index beside it: at rest it goes again, for it might be root's."""
    index = path.with_name(path.name + "-shm")
    before = live or index.exists()
    try:
        yield
    finally:
        if not before:
            index.unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?{_mode(path)}", uri=True, timeout=10)


def _mode(path: Path) -> str:
    return "mode=ro" if log_of(path).exists() else "mode=ro&immutable=1"


def newest_in_future(census: Census, folder: Path) -> str:
    """What in the journal is later than this machine's clock; empty: nothing."""
    now_s = time.time()
    if census.newest_ns / 1e9 > now_s + _AHEAD_S:
        return f"the newest record was received {census.newest_ns / 1e9 - now_s:,.0f} s from now"
    ahead = [path.stat().st_mtime - now_s for path in folder.rglob("*" + SUFFIX) if path.exists()]
    if max(ahead, default=0.0) > _AHEAD_S:
        return f"a file was written {max(ahead):,.0f} s from now"
    return ""


def _day(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at_s))
