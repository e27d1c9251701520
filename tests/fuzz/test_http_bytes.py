"""Broken requests over real sockets to a real server: never a 5xx, never a hang, and it serves on."""

import asyncio
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from receiver.app import Receiver
from tests.fuzz.mutate import mutants
from tests.fuzz.targets import seeds
from tests.support import JOINING, drained, events_in, running
from tests.vendors.meetstream_wire import body_record

INPUTS = 600
AT_ONCE = 16
QUIET_S = 0.03
HANG_S = 5.0
SERVER_FAULT = re.compile(rb"HTTP/1\.[01] 5\d\d ")
ENDPOINTS = {"meetstream": {"default": {}, "token": {"token_env": "T"}}}


async def exchange(server: Receiver, data: bytes) -> bytes:
    """What the server answers to ``data``; it must let go of a peer that says no more."""
    port = urlsplit(server.url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with suppress(ConnectionError):
        writer.write(data)
        with suppress(TimeoutError):
            while piece := await asyncio.wait_for(reader.read(65_536), QUIET_S):
                answer += piece
        writer.write_eof()
        async with asyncio.timeout(HANG_S):
            answer += await reader.read()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return answer


async def test_broken_requests_are_answered_or_cut_off(tmp_path: Path) -> None:
    """No 5xx, no connection that stays, books that balance; a delivery that comes with them and after them is taken."""
    inputs = [*seeds("http"), *mutants(seeds("http"), INPUTS, seed=7)]
    genuine = b"POST /meetstream/default HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
    payload = body_record(JOINING).payload
    async with running(tmp_path, {"T": "tok-4711"}, endpoints=ENDPOINTS) as server:
        waiting = iter(inputs)

        async def send_some() -> None:
            for data in waiting:
                answer = await exchange(server, data)
                assert not SERVER_FAULT.search(answer), (data, answer[:300])

        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(send_some())
        answer = await exchange(server, genuine % (len(payload), payload))
        assert b" 200 OK" in answer and b'"accepted"' in answer, answer
        await drained(server)
        assert all(book.balanced and not book.sockets_open for book in server.ledger.intake.values())
    assert any(event["subject"] == "bot-1" for event in events_in(tmp_path) if "subject" in event)
