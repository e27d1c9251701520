"""Start and rest: how soon a server answers, empty and with much in its journal, what it weighs, what quiet sockets
cost it."""

import asyncio
import compileall
import contextlib
import tempfile
import time
from pathlib import Path

from tests.benchmarks.contenders import NO_SINK, Contender, running
from tests.benchmarks.filling import affordable_bytes, callback_bytes, fill_journal, forget_pages
from tests.benchmarks.frames import connect
from tests.benchmarks.goals import at_most
from tests.benchmarks.rows import Book, Row
from tests.benchmarks.voices import room_for
from tests.commands.process import ROOT

OURS = Contender("ours")
EMPTY = Contender("ours, empty", sinks=NO_SINK)
FULL = Contender("ours, with that journal", sinks=NO_SINK)
KEYLESS = Contender("ours, with that journal and without keys.snapshot", sinks=NO_SINK)
CONTENDERS = (OURS, Contender("(e) FastAPI", "fastapi_audio"))
_WATCHED_S = 5.0


def start_and_idle(rounds: int, sockets: int) -> Row:
    """Start: from the process's begin until it is ready, or takes connections, where it cannot say that it is. All have
    bytecode, as if installed."""
    book = Book()
    for folder in ("receiver", "sinks", "tests/benchmarks/peers"):
        compileall.compile_dir(str(ROOT / folder), quiet=1)
    room_for(sockets)
    for _ in range(rounds):
        for one in CONTENDERS:
            begun_s = time.monotonic()
            with running(one) as server, contextlib.ExitStack() as stack:
                if not one.module:
                    server.require_ready()
                book.add(f"{one.name}: start", "s", time.monotonic() - begun_s)
                book.add(f"{one.name}: memory, idle", "MB", server.rss_bytes() / 1e6)
                for number in range(sockets):
                    stack.enter_context(connect(server.port, f"/meetstream/default/bot-{number}/audio"))
                before_s, from_s = server.cpu_s(), time.monotonic()
                time.sleep(_WATCHED_S)
                share = (server.cpu_s() - before_s) / (time.monotonic() - from_s)
                book.add(f"{one.name}: core, {sockets:,} quiet sockets", "%", share * 100)
                book.add(f"{one.name}: memory, {sockets:,} quiet sockets", "MB", server.rss_bytes() / 1e6)
    quiet = f"{OURS.name}: core, {sockets:,} quiet sockets"
    verdicts = [
        *at_most("start", book.median(f"{OURS.name}: start", "s"), 0.5, unit="s"),
        *at_most("memory, idle", book.median(f"{OURS.name}: memory, idle", "MB"), 80, unit="MB"),
        *at_most(f"core, {sockets:,} quiet sockets", book.median(quiet, "%"), 2, unit="%"),
    ]
    return Row("start, empty, and rest", book.figures(), {}, verdicts)


def start_with_journal(rounds: int, wanted_bytes: int) -> Row:
    """The same with ``wanted_bytes`` in the journal, none of them in the kernel's memory; less if there is no room.

    A server has been stopped there: it leaves a file of keys. Where that is missing they are read out of the journal.
    """
    book = Book()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as name:
        folder = Path(name)
        journal, most = folder / "data" / "journal", affordable_bytes(wanted_bytes, folder)
        size = asyncio.run(fill_journal(journal, most, sinks=["nothing"]))
        with running(KEYLESS, folder) as server:
            server.require_ready()
        for _ in range(rounds):
            for one, where in ((EMPTY, None), (FULL, folder), (KEYLESS, folder)):
                if one is KEYLESS:
                    (journal / "keys.snapshot").unlink()
                forget_pages(folder)
                begun_s = time.monotonic()
                with running(one, where) as server:
                    server.require_ready()
                    book.add(one.name, "s", time.monotonic() - begun_s)
    remarks = []
    if size < 0.9 * wanted_bytes:
        remarks.append(f"{wanted_bytes / 1e9:.1f} GB were wanted: there is no room for more on this disk")
    verdicts = at_most(f"start with {size / 1e9:.1f} GB", book.median(FULL.name, "s"), 1, unit="s")
    calls = callback_bytes(most) / 1e6
    name = f"start with a journal of {size / 1e9:.1f} GB, {calls:.0f} MB of it callbacks, not in the kernel's memory"
    return Row(name, book.figures(), book.ratios(FULL.name, "s"), verdicts, remarks)
