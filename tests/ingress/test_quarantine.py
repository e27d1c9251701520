"""Quarantine: what lay there comes out once a decoder has learned, as what it is and when it came."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from receiver.app import Receiver
from receiver.errors import NotFound
from receiver.events import format_time
from receiver.ingress.quarantine import find, quarantined
from receiver.record import Record
from receiver.secretfiles import read_runtime
from receiver.settings import from_dict
from receiver.vendors.meetstream.stream import MeetStreamSession
from tests.ingress.sockets import book_of, dialled, of_type, samples_of, sound
from tests.support import drained, events_in, running, settings_dict, until

AUDIO = "/meetstream/default/bot-1/audio"
USERMSG = json.dumps({"command": "usermsg", "message": "hello"})


@contextmanager
def ignorant_decoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A decoder of an earlier version, which chokes on messages that today's understands."""

    def choke(*_: Any) -> Any:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(MeetStreamSession, "receive", choke)
        patch.setattr(MeetStreamSession, "_audio_chunk", choke)
        yield


def kept_in(data_dir: Path) -> list[Record]:
    return list(quarantined(data_dir / "journal"))


async def test_socket_messages_are_retried_with_what_the_socket_knew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame and a text message: into the journal with their time of arrival, bot, samples and fresh ids; out of
    quarantine; each once."""
    before, unknown, after = sound(), sound(), sound()
    async with running(tmp_path) as server:
        async with dialled(server, AUDIO) as socket:
            await socket.send(before)
            await until(lambda: book_of(server).journalled == 1)
            with ignorant_decoder(monkeypatch):
                await socket.send(unknown)
                await socket.send(USERMSG)
                await until(lambda: book_of(server).quarantined == 2)
            await socket.send(after)
            await until(lambda: book_of(server).journalled == 2)
        binary, text = kept_in(tmp_path)
        for one in (binary, text):
            assert (await server.retry_quarantined(one.seq)).startswith("accepted: 1 events")
        assert not kept_in(tmp_path)
        with pytest.raises(NotFound):
            await server.retry_quarantined(binary.seq)
        await drained(server)
    chunks = of_type(tmp_path, "audio.chunk")
    assert [samples_of(chunk) for chunk in chunks] == [one[-len(samples_of(chunks[0])) :] for one in
                                                       (before, after, unknown)]  # fmt: skip
    retried = [chunks[-1], *of_type(tmp_path, "control.message")]
    assert [event["receivedtime"] for event in retried] == [format_time(one.received_ns) for one in (binary, text)]
    assert [event["subject"] for event in retried] == ["bot-1"] * 2 and retried[1]["data"]["text"] == "hello"
    events = events_in(tmp_path)
    assert len({event["id"] for event in events}) == len(events) == 6


async def test_the_books_count_a_retry_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was received once is counted once: as quarantined."""
    async with running(tmp_path) as server, dialled(server, AUDIO) as socket:
        with ignorant_decoder(monkeypatch):
            await socket.send(sound())
            await until(lambda: book_of(server).quarantined == 1)
        assert (await server.retry_quarantined(kept_in(tmp_path)[0].seq)).startswith("accepted: 1 events")
        book = book_of(server)
        assert (book.received, book.quarantined, book.journalled) == (1, 1, 0) and book.balanced


async def test_what_is_still_malformed_stays(tmp_path: Path) -> None:
    """A retry that changes nothing says why."""
    async with running(tmp_path) as server, dialled(server, AUDIO) as socket:
        await socket.send("no JSON")
        await until(lambda: book_of(server).quarantined == 1)
        (kept,) = kept_in(tmp_path)
        assert await server.retry_quarantined(kept.seq) == f"still malformed: {kept.reason}"
    assert find(tmp_path / "journal", kept.seq).payload == b"no JSON"


async def test_a_retry_over_http_needs_the_admin_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`POST /api/quarantine/N/retry` is what `receiver quarantine retry` calls; unknown numbers are 404."""

    async def retry(server: Receiver, sequence: int, token: str) -> tuple[int, dict[str, Any]]:
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as client,
            client.post(f"{server.url}/api/quarantine/{sequence}/retry") as reply,
        ):
            return reply.status, await reply.json()

    async with running(tmp_path) as server, dialled(server, AUDIO) as socket:
        with ignorant_decoder(monkeypatch):
            await socket.send(USERMSG)
            await until(lambda: book_of(server).quarantined == 1)
        runtime = read_runtime(tmp_path)
        assert runtime is not None
        (kept,) = kept_in(tmp_path)
        assert (await retry(server, kept.seq, "wrong"))[0] == 401
        assert (await retry(server, kept.seq + 1, runtime.token))[0] == 404
        status, answer = await retry(server, kept.seq, runtime.token)
        assert status == 200 and answer["result"].startswith("accepted: 1 events")


async def test_a_retry_without_a_server_is_delivered_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal alone is enough; sinks get the events when they run again."""
    async with running(tmp_path) as server, dialled(server, AUDIO) as socket:
        with ignorant_decoder(monkeypatch):
            await socket.send(sound())
            await until(lambda: book_of(server).quarantined == 1)
    assert not of_type(tmp_path, "audio.chunk")
    alone = Receiver(from_dict(settings_dict(tmp_path, sinks={}), {}))
    async with alone.at_rest():
        assert (await alone.retry_quarantined(kept_in(tmp_path)[0].seq)).startswith("accepted")
    async with running(tmp_path) as server:
        await drained(server)
    assert len(of_type(tmp_path, "audio.chunk")) == 1
