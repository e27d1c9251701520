"""Callbacks: how many a second are taken, and how soon each is answered at a steady rate."""

import asyncio
import itertools
import json
from pathlib import Path

from tests.benchmarks.contenders import FILE_SINK, NO_SINK, Contender, running
from tests.benchmarks.goals import at_least, at_most
from tests.benchmarks.rows import Book, Row
from tests.benchmarks.steady import requests, send_steadily
from tests.benchmarks.wrk import CONNECTIONS, run_wrk
from tests.faults.load import quantile_ms

OURS = Contender("ours, with the file sink")
ALONE = Contender("ours, no sink", sinks=NO_SINK)
UNSAFE = Contender("ours, journal off, no sink", sinks=NO_SINK, runner="tests.benchmarks.peers.ours_without_journal")
FROM_MEMORY = Contender("(a) FastAPI, from memory", "fastapi_memory")
SQLITE = Contender("(b) FastAPI, SQLite FULL", "fastapi_sqlite")
SYNC_EACH = Contender("(c) FastAPI, one sync each", "fastapi_append")
CONTENDERS = (
    OURS,
    ALONE,
    UNSAFE,
    FROM_MEMORY,
    SQLITE,
    SYNC_EACH,
    Contender("(f) aiohttp, does nothing", "bare_aiohttp"),
    Contender("(f) httptools, does nothing", "bare_httptools"),
)
#: files so small that some are closed, folded and deleted in each second or two
TIDYING = Contender(
    "ours, while files are folded and deleted",
    sinks=f"[journal.events]\nsegment_bytes = {1 << 20}\nmax_bytes = {2 << 20}\n{FILE_SINK}",
)
_WAITS_FOR_DISK = (SQLITE, SYNC_EACH)
_PATH = "/meetstream/default"


def callbacks_a_second(rounds: int, seconds: float) -> Row:
    """As many as go over 64 connections, every body another one."""
    book = Book()
    remarks = []
    for _ in range(rounds):
        for one in CONTENDERS:
            with running(one) as server:
                run_wrk(server.url + _PATH, 1.0)
                busy_s = server.cpu_s()
                told, sender = run_wrk(server.url + _PATH, seconds)
                busy_s = server.cpu_s() - busy_s
            book.add(one.name, "/s", told.rate, sender)
            if told.failed:
                remarks.append(f"{one.name}: {told.failed} of {told.requests} were no success")
            if busy_s < 0.85 * told.took_s and one not in _WAITS_FOR_DISK:
                remarks.append(f"{one.name}: its core was busy for {100 * (busy_s / told.took_s):.0f} % only")
    verdicts = [
        *at_least("ours / (a), which is not durable", book.ratio(OURS.name, FROM_MEMORY.name, "/s"), 2, then=3),
        *at_least("ours / (c)", book.ratio(OURS.name, SYNC_EACH.name, "/s"), 8),
        *at_least("ours / journal off, both without a sink", book.ratio(ALONE.name, UNSAFE.name, "/s"), 0.8),
    ]
    name = f"durable callbacks a second, one core, {CONNECTIONS} connections"
    return Row(name, figures := book.figures(), book.ratios(OURS.name, "/s"), verdicts, remarks + [
        remark for figure in figures for remark in figure.remarks()
    ])  # fmt: skip


def answer_times(rounds: int, seconds: float, rate: float = 2000.0) -> Row:
    """The time from the moment when a callback was due to its answer."""
    book = Book()
    remarks = []
    for _ in range(rounds):
        for one in (OURS, TIDYING, FROM_MEMORY):
            with running(one) as server:
                some = list(itertools.islice(requests(server.port), round(rate * seconds)))
                answers = asyncio.run(send_steadily(server.port, rate, some))
                if one is TIDYING and (files := _deleted(server.folder / "log")) == 0:
                    remarks.append(f"{one.name}: nothing was deleted, so this shows nothing")
                elif one is TIDYING:
                    book.add(f"{one.name}: deleted", "files", files)
            for share in (0.5, 0.99):
                book.add(f"{one.name}: p{share * 100:.0f}", "ms", quantile_ms(answers.took_s(), share))
            late = answers.late / answers.sent
            remarks += [f"{one.name}: {answers.failed} without success"] * bool(answers.failed)
            remarks += [f"{one.name}: the sender was late by more than 1 ms {100 * late:.1f} % of the time"] * (
                late > 0.01
            )
    verdicts = []
    for one in (OURS, TIDYING):
        verdicts += at_most(f"{one.name}: p50", book.median(f"{one.name}: p50", "ms"), 1, unit="ms")
        verdicts += at_most(f"{one.name}: p99", book.median(f"{one.name}: p99", "ms"), 5, unit="ms", then=2)
    return Row(f"callback answer at {rate:,.0f}/s, from when it was due", book.figures(), {}, verdicts, remarks)


def _deleted(log: Path) -> int:
    """Files that retention took, as a server's log tells it."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if '"journal.trimmed"' in line]
    return sum(line["files"] for line in lines)
