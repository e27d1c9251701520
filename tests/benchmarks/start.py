"""Start and rest: how soon an empty server answers, what it weighs, and what quiet sockets cost it."""

import compileall
import contextlib
import resource
import time

from tests.benchmarks.contenders import Contender, running
from tests.benchmarks.frames import connect
from tests.benchmarks.rows import Book, Row
from tests.commands.process import ROOT

OURS = Contender("ours")
CONTENDERS = (OURS, Contender("(d) FastAPI", "fastapi_audio"))
_WATCHED_S = 5.0


def start_and_idle(rounds: int, sockets: int) -> Row:
    """Start: from the process's begin to the first connection that is taken. All have bytecode, as if installed."""
    book = Book()
    for folder in ("receiver", "sinks", "tests/benchmarks/peers"):
        compileall.compile_dir(str(ROOT / folder), quiet=1)
    _room_for(sockets)
    for _ in range(rounds):
        for one in CONTENDERS:
            begun_s = time.monotonic()
            with running(one) as server, contextlib.ExitStack() as stack:
                book.add(f"{one.name}: start", "ms", (time.monotonic() - begun_s) * 1000)
                book.add(f"{one.name}: memory", "MB", server.rss_bytes() / 1e6)
                for number in range(sockets):
                    stack.enter_context(connect(server.port, f"/meetstream/default/bot-{number}/audio"))
                before_s, from_s = server.cpu_s(), time.monotonic()
                time.sleep(_WATCHED_S)
                share = (server.cpu_s() - before_s) / (time.monotonic() - from_s)
                book.add(f"{one.name}: core, {sockets} quiet sockets", "%", share * 100)
                book.add(f"{one.name}: memory, {sockets} quiet sockets", "MB", server.rss_bytes() / 1e6)
    return Row("start, empty, and rest", book.figures())


def _room_for(sockets: int) -> None:
    """Files that this process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < sockets + 100 <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (sockets + 100, hard))
