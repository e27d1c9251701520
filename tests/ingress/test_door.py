"""One connection that delivers the short way: pieces, pipelines, ends, limits of time, reloads and stops."""

import asyncio
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from receiver.app import Receiver
from receiver.ingress.door import Door
from receiver.ingress.intake import Offered, Outcome
from receiver.journal.lane import Lane
from receiver.record import Record
from receiver.settings import from_dict
from receiver.telemetry.ledger import Intake
from tests.ingress.bare import body, one_answer, post, short, statuses
from tests.ingress.hostile import answer, wire
from tests.support import running, settings_dict, until

TOKEN_ENDPOINT = {"meetstream": {"default": {"token_env": "T"}}}


def events(server: Receiver) -> Lane:
    return server.journal.lanes["events"]


def book(server: Receiver) -> Intake:
    return server.ledger.endpoint("meetstream", "default")


@asynccontextmanager
async def held_back(server: Receiver) -> AsyncIterator[threading.Event]:
    """The disk takes nothing until the end, or until the event is set."""
    lane, go = events(server), threading.Event()
    commit: Callable[[list[Record]], None] = lane._commit

    def late(records: list[Record]) -> None:
        assert go.wait(20)
        commit(records)

    lane._commit = late  # type: ignore[method-assign]
    try:
        yield go
    finally:
        go.set()
        lane._commit = commit  # type: ignore[method-assign,assignment]


async def test_a_body_that_stays_away_goes_the_long_way(tmp_path: Path) -> None:
    """After half a second its connection is aiohttp's, whose limits of time hold; it is taken all the same."""
    request = post(body())
    async with running(tmp_path) as server:
        reader, writer = await wire(server.url, request[:-9])
        await until(lambda: server.doors.own)
        await until(lambda: not server.doors.own, "handed on")
        writer.write(request[-9:])
        assert statuses(await one_answer(reader)) == [200]
        assert short(server).taken == 0 and book(server).journalled == 1
        writer.close()


async def test_a_body_that_never_comes_is_a_408(tmp_path: Path) -> None:
    """The time for the whole request holds, and the time for its head does not any more."""
    limits = {"request_timeout_s": 1.0, "head_timeout_s": 0.2}
    async with running(tmp_path, server=limits) as server:
        reader, writer = await wire(server.url, post(body())[:-9])
        assert statuses(await answer(reader)) == [408]
        assert book(server).refused == 1
        writer.close()


@pytest.mark.parametrize("count", [2, 50])
async def test_pipelined_deliveries_are_answered_in_order(tmp_path: Path, count: int) -> None:
    """One write, one answer for each, all of them short; a last request of another kind is aiohttp's."""
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with running(tmp_path) as server:
        sent = b"".join(post(body(number % (count - 1))) for number in range(count))
        reader, writer = await wire(server.url, sent + last)
        got = await answer(reader)
        assert statuses(got) == [200] * (count + 1)
        assert got.index(b"duplicate") > got.rindex(b"accepted") and got.endswith(b'{"status": "ok"}')
        assert short(server).taken == count and book(server).journalled == count - 1
        writer.close()


@pytest.mark.parametrize("behind", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"])
async def test_what_is_behind_a_long_pipeline_is_read_as_well(tmp_path: Path, behind: bytes) -> None:
    """Reading was paused meanwhile; it goes on, with us and with aiohttp, which pauses by itself from then on."""
    sent = b"".join(post(body(number, pad=3000)) for number in range(300))
    large = post(body(300, pad=900_000))
    async with running(tmp_path) as server:
        reader, writer = await wire(server.url, sent + large + behind)
        for _ in range(301):
            assert statuses(await one_answer(reader)) == [200]
        assert short(server).taken == 300
        if behind:
            assert (await answer(reader)).endswith(b'{"status": "ok"}')
        writer.close()


async def test_a_closing_behind_the_request_waits_for_the_answer(tmp_path: Path) -> None:
    """Half of a connection may be closed: what was sent before is answered, then the rest is closed."""
    async with running(tmp_path) as server, held_back(server) as go:
        reader, writer = await wire(server.url, post(body(1)) + post(body(2)))
        writer.write_eof()
        await until(lambda: any(door._eof for door in server.doors.own))
        go.set()
        assert statuses(await answer(reader)) == [200, 200]
        await until(lambda: server.doors.open == 0)
        assert short(server).taken == 2
        writer.close()


async def test_who_asks_for_it_is_closed_behind_the_answer(tmp_path: Path) -> None:
    """``Connection: close`` (RFC 9112, section 9.6): what comes behind the request is not looked at."""
    async with running(tmp_path) as server, held_back(server) as go:
        reader, writer = await wire(server.url, post(body(1), b"Connection: close"))
        await until(lambda: any(door.busy for door in server.doors.own))
        writer.write(post(body(2)))
        await until(lambda: any(door._held for door in server.doors.own))
        go.set()
        got = await answer(reader)
        assert statuses(got) == [200] and b"\r\nConnection: close\r\n" in got
        await until(lambda: server.doors.open == 0)
        assert short(server).taken == book(server).received == 1
        writer.close()


async def test_a_closing_inside_a_request_ends_it(tmp_path: Path) -> None:
    """It was no delivery yet, and nothing of the connection stays."""
    async with running(tmp_path) as server:
        reader, writer = await wire(server.url, post(body(1)) + post(body(2))[:-5])
        assert statuses(await one_answer(reader)) == [200]
        writer.write_eof()
        assert await answer(reader) == b""
        await until(lambda: server.doors.open == 0)
        assert book(server).received == book(server).journalled == 1
        writer.close()


async def test_who_has_gone_is_kept_all_the_same(tmp_path: Path) -> None:
    """A delivery is not lost for nobody waiting for its answer."""
    async with running(tmp_path) as server, held_back(server) as go:
        _, writer = await wire(server.url, post(body()))
        await until(lambda: book(server).received == 1)
        reset = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        writer.transport.abort()
        await until(lambda: server.doors.open == 0)
        go.set()
        await until(lambda: book(server).journalled == 1)
        assert not server.doors.own and server.budget.held_bytes == 0


async def test_silence_is_closed_after_the_idle_time(tmp_path: Path) -> None:
    """Only behind an answer; a request within the time is served."""
    async with running(tmp_path, server={"idle_timeout_s": 1.0}) as server:
        reader, writer = await wire(server.url)
        for _ in range(2):
            writer.write(post(body()))
            assert statuses(await one_answer(reader)) == [200]
        assert await answer(reader) == b""
        await until(lambda: server.doors.open == 0)
        assert short(server).taken == 2
        writer.close()


@pytest.mark.parametrize("first", [b"", post(body())], ids=["the first", "a later one"])
async def test_a_head_has_its_time(tmp_path: Path, first: bytes) -> None:
    """Half a head, behind nothing or behind a delivery: cut off."""
    async with running(tmp_path, server={"head_timeout_s": 0.3}) as server:
        reader, writer = await wire(server.url, first)
        if first:
            assert statuses(await one_answer(reader)) == [200]
        writer.write(post(body())[:30])
        assert await answer(reader, 9) == b""  # before the time that a head has by default
        await until(lambda: server.doors.open == 0)
        writer.close()


async def test_too_many_connections_are_told(tmp_path: Path) -> None:
    """One that delivers the short way counts as any other."""
    async with running(tmp_path, server={"max_connections": 1}) as server:
        reader, writer = await wire(server.url, post(body()))
        assert statuses(await one_answer(reader)) == [200]
        other, second = await wire(server.url, post(body()))
        assert statuses(await answer(other)) == [503]
        writer.close()
        second.close()
        await until(lambda: server.doors.open == 0)
        third, last = await wire(server.url, post(body()))
        assert statuses(await one_answer(third)) == [200] and short(server).taken == 2
        last.close()


async def test_a_stop_answers_what_is_under_way(tmp_path: Path) -> None:
    """Every delivery that was taken is answered and journalled; silent connections are closed."""
    server = Receiver(from_dict(settings_dict(tmp_path), {}))
    await server.start()
    idle, first = await wire(server.url, post(body()))
    assert statuses(await one_answer(idle)) == [200]
    async with held_back(server) as go:
        wires = [await wire(server.url, post(body(number))) for number in range(1, 21)]
        await until(lambda: short(server).taken == 21)
        stopping = asyncio.ensure_future(server.stop())
        await until(lambda: all(door._ending for door in server.doors.own))
        go.set()
        answers = await asyncio.gather(*(answer(reader) for reader, _ in wires))
    await stopping
    assert [statuses(one) for one in answers] == [[200]] * 20
    assert await answer(idle) == b""
    assert book(server).journalled == 21 and book(server).balanced
    for _, writer in [*wires, (idle, first)]:
        writer.close()


class Successor:
    """Another process that takes what it is given."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def ready(self) -> bool:
        return False

    def begin(self, offered: Sequence[Offered]) -> list[bool]:
        raise AssertionError

    async def room(self) -> None:
        return

    async def accept(self, record: Record, book: Intake) -> Outcome:
        self.payloads.append(record.payload)
        book.journalled += 1
        return Outcome("accepted")

    async def quarantine(self, record: Record, reason: str, book: Intake) -> Outcome:
        raise AssertionError


async def test_a_journal_that_is_given_up_and_taken_back(tmp_path: Path) -> None:
    """Meanwhile a delivery on an open connection is the successor's and the last there; then it goes short again."""
    successor = Successor()
    async with running(tmp_path) as server:
        one, first = await wire(server.url, post(body(1)))
        two, second = await wire(server.url, post(body(2)))
        assert statuses(await one_answer(one) + await one_answer(two)) == [200, 200]
        await server.let_go(successor)
        first.write(post(body(3)))
        got = await answer(one)
        assert statuses(got) == [200] and b"Connection: close" in got and successor.payloads == [body(3)]
        await server.take_back()
        second.write(post(body(4)))
        assert statuses(await one_answer(two)) == [200]
        assert short(server).taken == 3 and len(successor.payloads) == 1
        first.close()
        second.close()


async def test_a_token_that_is_taken_away_opens_nothing_more(tmp_path: Path) -> None:
    """A reload holds for connections that are open, and for a token that was right on them a moment ago."""
    request = post(body(), target=b"/meetstream/default/tok-old")
    async with running(tmp_path, {"T": "tok-old"}, endpoints=TOKEN_ENDPOINT) as server:
        wires = [await wire(server.url, request) for _ in range(2)]
        assert [statuses(await one_answer(reader)) for reader, _ in wires] == [[200]] * 2
        await server.use(from_dict(settings_dict(tmp_path, endpoints=TOKEN_ENDPOINT), {"T": "tok-new"}), [])
        wires[0][1].write(request)
        assert statuses(await answer(wires[0][0])) == [401]
        wires[1][1].write(request.replace(b"tok-old", b"tok-new"))
        assert statuses(await one_answer(wires[1][0])) == [200]
        assert short(server).taken == 3 and book(server).balanced
        for _, writer in wires:
            writer.close()


async def test_without_room_in_the_journal_a_delivery_waits(tmp_path: Path) -> None:
    """On the long way, until there is some."""
    async with running(tmp_path) as server:
        memory = events(server)._memory
        memory.bytes += 1 << 30
        reader, writer = await wire(server.url, post(body()))
        await until(lambda: memory._waiting)
        assert short(server).taken == 0 and book(server).received == 0
        memory.bytes -= 1 << 30
        memory.admit()
        assert statuses(await one_answer(reader)) == [200]
        writer.close()


async def test_without_memory_for_bodies_a_delivery_waits(tmp_path: Path) -> None:
    """On the long way, until another gives some back; what is taken is given back."""
    async with running(tmp_path) as server:
        budget = server.budget
        other = budget._most_bytes
        budget.held_bytes += other
        reader, writer = await wire(server.url, post(body()))
        await until(lambda: budget._waiting)
        assert short(server).taken == 0
        budget.returned(other)
        assert statuses(await one_answer(reader)) == [200]
        writer.write(post(body()))
        assert statuses(await one_answer(reader)) == [200]
        await until(lambda: budget.held_bytes == 0)
        writer.close()


async def together(server: Receiver, *sent: bytes) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection for each, all of which are read in one turn of the loop."""
    wires = [await wire(server.url) for _ in sent]
    await until(lambda: len(server.doors.own) == len(sent))
    for (_, writer), data in zip(wires, sent, strict=True):
        writer.write(data)  # goes out at once
    time.sleep(0.01)  # noqa: ASYNC251  # and has arrived before anything is read
    return wires


async def test_deliveries_of_one_turn_go_to_the_journal_together(tmp_path: Path) -> None:
    """Each gets its own answer: a repeat of one that is among them, what is refused, and what was sent behind it."""
    good, bad = [post(body(number)) for number in range(6)], post(b"no json")
    async with running(tmp_path) as server:
        begun: list[int] = []
        intake = server.engine.intake
        begin = intake.begin

        def noted(offered: Sequence[Offered]) -> list[bool]:
            begun.append(len(offered))
            return begin(offered)

        intake.begin = noted  # type: ignore[method-assign]
        wires = await together(server, good[0], bad + good[1], good[2], good[0], good[3] + good[4])
        got = [await one_answer(reader) for reader, _ in wires]
        assert begun[0] == 5
        assert [statuses(one) for one in got] == [[200], [400], [200], [200], [200]]
        assert [b'"duplicate"' in one for one in got] == [False, False, False, True, False]
        assert statuses(await one_answer(wires[1][0]) + await one_answer(wires[4][0])) == [200, 200]
        records, _ = await server.journal.read(0, media=False, limit_bytes=1 << 20)
        assert sorted(one.payload for one in records) == sorted(map(body, range(5)))
        assert [one.payload for one in records][:3] == [body(0), body(2), body(3)]
        assert book(server).balanced and book(server).received == 7 and server.budget.held_bytes == 0
        for _, writer in wires:
            writer.close()


async def test_no_room_in_the_midst_of_a_turn_costs_nobody_else(tmp_path: Path) -> None:
    """Those for which the journal has no room any more wait for it, and all are taken in the end."""
    async with running(tmp_path) as server:
        intake, asked = server.engine.intake, 0
        ready = intake.ready

        def seldom() -> bool:
            nonlocal asked
            asked += 1
            return ready() and asked != 6  # three offers, and of those that are submitted the third

        intake.ready = seldom  # type: ignore[method-assign]
        wires = await together(server, *(post(body(number)) for number in range(3)))
        assert statuses(b"".join([await one_answer(reader) for reader, _ in wires])) == [200, 200, 200]
        assert short(server).taken == 2 and book(server).journalled == 3 and server.budget.held_bytes == 0
        for _, writer in wires:
            writer.close()


@pytest.mark.parametrize("end", ["aborted", "stopped", "half-closed"])
async def test_what_is_refused_at_the_end_of_a_turn_when_its_connection_ends(tmp_path: Path, end: str) -> None:
    """Nothing hangs: a stop waits for the answer, and nobody waits for one that is gone."""
    async with running(tmp_path) as server:
        ((reader, writer),) = await together(server, post(b"no json"))
        door: Door = next(iter(server.doors.own))
        await until(lambda: door.busy or door not in server.doors.own)
        if end == "aborted":
            writer.transport.abort()
        elif end == "half-closed":
            writer.write_eof()
        else:
            async with asyncio.timeout(10):
                await server.stop()
        if end != "aborted":
            await reader.read()
        await until(lambda: server.doors.open == 0)
        await until(lambda: server.budget.held_bytes == 0)  # aiohttp's handler may end behind its connection
        writer.close()


async def test_targets_that_are_remembered_are_few_and_short(tmp_path: Path) -> None:
    """Any stranger may name ids at an open endpoint: long ones are not remembered."""
    async with running(tmp_path) as server:
        reader, writer = await wire(server.url)
        for target in (b"/meetstream/default/a", b"/meetstream/default?" + b"a" * 600):
            writer.write(post(body(), target=target))
            assert statuses(await one_answer(reader)) == [200]
        assert short(server).taken == 2
        assert list(short(server)._targets) == [(b"/meetstream/default/a", None)]
        writer.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
async def test_tls(tmp_path: Path) -> None:
    """The same way over TLS, without a word when the client closes."""
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"]  # fmt: skip
    await asyncio.to_thread(subprocess.run, make, cwd=tmp_path, check=True, capture_output=True)
    files: dict[str, Any] = {
        "tls_cert_file": str(tmp_path / "cert.pem"), "tls_key_file": str(tmp_path / "key.pem"),
    }  # fmt: skip
    trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    async with running(tmp_path / "data", server=files) as server:
        port = int(server.url.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost")
        for _ in range(2):
            writer.write(post(body()))
            assert statuses(await one_answer(reader)) == [200]
        assert short(server).taken == 2
        writer.close()
        await until(lambda: server.doors.open == 0)
