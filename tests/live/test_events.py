"""``/live/events`` of a real server, read by curl, by an SSE library and by the websockets client."""

import asyncio
import io
import json
import random
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from receiver.app import Receiver
from receiver.live import hub
from tests.live.readers import READ_S, post, post_many, read_for, reading, slow_reader, subjects, take
from tests.support import running, until
from tests.vendors.meetstream_wire import frame

RECENT = {"journal": {"min_free_bytes": 0, "events": {"max_bytes": 8 << 30, "max_age_s": 604800.0, "tail_bytes": 0}}}


def socket_url(url: str, query: str = "") -> str:
    return f"{url.replace('http', 'ws', 1)}/live/events{query}"


async def told(socket: ClientConnection, *, positions: bool = False) -> dict[str, Any]:
    """The next message; ``positions``: also one that only tells the reader where he is."""
    while True:
        message = await asyncio.wait_for(socket.recv(), READ_S)
        assert isinstance(message, str)
        found: dict[str, Any] = json.loads(message)
        if positions or found["type"] != "receiver.position":
            return found


async def test_curl_sees_events_as_they_happen(tmp_path: Path) -> None:
    """The form of the HTML standard, unbuffered, uncached, with the CloudEvents JSON as data."""
    async with running(tmp_path) as server:
        curl = await asyncio.create_subprocess_exec(
            "curl", "-sN", "-i", f"{server.url}/live/events?types=bot.*", stdout=asyncio.subprocess.PIPE
        )
        assert curl.stdout is not None
        await until(lambda: clients(server) == 1)
        await post(server, "bot-1", "bot-2")
        text = b""
        while text.count(b"\n\n") < 3:
            text += await asyncio.wait_for(curl.stdout.read(65536), READ_S)
        curl.kill()
        await curl.wait()
    head, _, body = text.partition(b"\r\n\r\n")
    for line in (b"HTTP/1.1 200", b"Content-Type: text/event-stream", b"Cache-Control: no-store", b"X-Accel-Buffering"):
        assert line in head
    lines = body.decode().splitlines()
    assert lines[0].startswith("retry: ")
    (number, kind, data, blank) = lines[lines.index("event: bot.status") - 1 :][:4]
    event = json.loads(data.removeprefix("data: "))
    assert kind == "event: bot.status" and blank == "" and event["subject"] == "bot-1"
    assert number == f"id: {event['sequence']}"


async def test_a_library_and_a_socket_get_the_same(tmp_path: Path) -> None:
    """An independent SSE reader and the websockets client: one event each, in order, with the same JSON."""
    async with running(tmp_path) as server, reading(server) as events, connect(socket_url(server.url)) as socket:
        await until(lambda: clients(server) == 2)
        await post(server, "a", "b", "c")
        found = await take(events, 3)
        assert [await told(socket) for _ in found] == [one["data"] for one in found]
        assert subjects(found) == ["a", "b", "c"] and {one["event"] for one in found} == {"bot.status"}


async def test_who_keeps_up_gets_messages_of_every_length(tmp_path: Path) -> None:
    """The three forms of a WebSocket message's length (RFC 6455, 5.2), and chunks of HTTP: the same JSON in both."""
    async with (
        running(tmp_path) as server,
        reading(server) as events,
        connect(socket_url(server.url), max_size=1 << 20) as socket,
        connect(socket_url(server.url, "?format=text&types=bot.*&subject=bot-1")) as lines,
    ):
        await until(lambda: clients(server) == 3)
        await asyncio.wait_for(lines.recv(), READ_S)  # where he is
        for filler in (1, 1_000, 100_000):
            await post_many(server, filler, filler + 1, filler=filler)
            (found,) = await take(events, 1)
            assert await told(socket) == found["data"] and len(found["data"]["data"]["message"]) == filler
        line = await asyncio.wait_for(lines.recv(), READ_S)
        assert isinstance(line, str) and len(line) < 126 and "[bot-1]" in line


async def test_filters(tmp_path: Path) -> None:
    """By type, subject, vendor; as text."""
    async with running(tmp_path) as server:
        await post(server, "a", "b", "c")
        for query, wanted in (
            ("subject=b", "b"),
            ("types=bot.*&subject=a&subject=c", "ac"),
            ("vendor=meetstream", "abc"),
        ):
            async with reading(server, f"?after=start&{query}") as events:
                assert subjects(await take(events, len(wanted))) == list(wanted), query
        async with reading(server, "?after=start&format=text&subject=b") as events:
            (line,) = await take(events, 1)
            assert line["data"] == "09:00:00 [b] bot joining (Bot is joining, code 200)"


@pytest.mark.parametrize("tail", [True, False], ids=["memory", "disk"])
async def test_reconnecting_under_load_misses_nothing_and_repeats_nothing(tmp_path: Path, tail: bool) -> None:
    """A reader that breaks off at any moment and comes back with Last-Event-ID has the whole stream, in order."""
    dice = random.Random(4711)
    sections: dict[str, Any] = {} if tail else RECENT
    async with running(tmp_path, **sections) as server:
        await post(server, "first")
        begin = server.journal.head
        load = asyncio.ensure_future(post_many(server, 0, 400))
        got: list[dict[str, Any]] = []
        headers = {"Last-Event-ID": f"{begin:020d}"}
        async with asyncio.timeout(60):
            while len(got) < 400:
                async with reading(server, "?after=start", headers=headers) as events:
                    got += await take(events, min(dice.randint(1, 60), 400 - len(got)))
                headers = {"Last-Event-ID": got[-1]["id"]}
        await load
        numbers = [int(one["id"]) for one in got]
        assert numbers == list(range(begin + 1, begin + 401))
        assert sorted(subjects(got)) == sorted(f"bot-{n}" for n in range(400))


async def test_a_socket_resumes_with_after(tmp_path: Path) -> None:
    """The same over WebSocket."""
    async with running(tmp_path) as server:
        await post(server, "a", "b", "c")
        async with connect(socket_url(server.url, "?after=0")) as socket:
            first = await told(socket)
        async with connect(socket_url(server.url, f"?after={first['sequence']}")) as socket:
            assert [(await told(socket))["subject"] for _ in range(2)] == ["b", "c"]


async def test_a_slow_reader_holds_up_nobody(tmp_path: Path) -> None:
    """He is not read for: deliveries and other readers go on, memory does not grow; then he gets it all."""
    async with running(tmp_path) as server, reading(server) as others:
        with slow_reader(server) as wire:
            await until(lambda: clients(server) == 2)
            load = asyncio.ensure_future(post_many(server, 0, 1000, filler=16_000))
            assert len(await take(others, 1000)) == 1000
            await load
            await until(lambda: gauge(server, "receiver_live_clients_behind") == 1)
            got = await asyncio.to_thread(read_for, wire, f"id: {server.journal.head:020d}".encode())
    assert [int(line[4:]) for line in got.decode().splitlines() if line.startswith("id: ")] == list(
        range(server.journal.head - 1000, server.journal.head + 1)
    )  # the first is where he began


async def test_who_is_beyond_retention_gets_a_gap(tmp_path: Path) -> None:
    """An event of its own kind, whatever was asked for, with what is missing; and then the rest."""
    small = {"max_bytes": 1, "max_age_s": 604800.0, "segment_bytes": 1}
    async with running(tmp_path, journal={"min_free_bytes": 0, "events": small}) as server:
        await post(server, "a")
        begin = server.journal.head
        async with aiohttp.ClientSession() as client:
            for number in range(3):  # files of a megabyte at least
                body = {"event": "x", "bot_id": f"large-{number}", "filler": "x" * 1_200_000}
                await client.post(f"{server.url}/meetstream/default", data=io.BytesIO(json.dumps(body).encode()))
        await post(server, "z")
        await server.journal.trim({}, {})
        server.journal.lanes["events"].tail.floor = server.journal.head
        async with reading(server, f"?after={begin}&types=chat.message") as events:
            (gap,) = await take(events, 1)
            assert gap["event"] == "gap" and gap["data"]["type"] == "receiver.gap"
            assert gap["data"]["reason"] == "expired" and 1 <= gap["data"]["missed"] <= 4
            assert gap["id"] == gap["data"]["to"] and int(gap["data"]["from"]) == begin + 1


async def test_sound_is_sent_only_where_it_is_named(tmp_path: Path) -> None:
    """`*` is text; `audio.*` is sound, with its bytes."""
    async with (
        running(tmp_path) as server,
        reading(server, "?types=audio.*") as sound,
        reading(server, "?types=*") as text,
    ):
        await until(lambda: clients(server) == 2)
        async with connect(f"{server.url.replace('http', 'ws')}/meetstream/default/audio/bot-9") as bot:
            await bot.send(frame())
            (chunk,) = await take(sound, 1)
            assert chunk["event"] == "audio.chunk" and chunk["data"]["data_base64"]
        assert [one["event"] for one in await take(text, 2)] == ["stream.opened", "stream.closed"]


async def test_a_wrong_filter_is_400(tmp_path: Path) -> None:
    """With the parameter's name, before anything is streamed; over WebSocket before the 101."""
    async with running(tmp_path) as server, aiohttp.ClientSession() as client:
        async with client.get(f"{server.url}/live/events?types=nonsense") as reply:
            assert reply.status == 400 and "types" in (await reply.json())["error"]
        with pytest.raises(InvalidStatus) as refused:
            async with connect(socket_url(server.url, "?after=x")):
                pass
        assert refused.value.response.status_code == 400
        async with client.head(f"{server.url}/live/events") as reply:
            assert reply.status in (404, 405)


async def test_there_is_room_for_so_many(tmp_path: Path) -> None:
    """503 beyond, and a place again when one has gone."""
    async with running(tmp_path, live={"max_clients": 1}) as server, aiohttp.ClientSession() as client:
        async with connect(socket_url(server.url)):
            await until(lambda: clients(server) == 1)
            async with client.get(f"{server.url}/live/events") as reply:
                assert reply.status == 503 and "live.max_clients" in (await reply.json())["error"]
        await until(lambda: clients(server) == 0)
        async with reading(server):
            await until(lambda: clients(server) == 1)


async def test_a_stop_says_so(tmp_path: Path) -> None:
    """A last comment over SSE, 1001 over WebSocket; both within the drain, and nobody has to be cut off."""
    async with running(tmp_path) as server:
        with slow_reader(server) as wire:
            socket = await connect(socket_url(server.url))
            await until(lambda: clients(server) == 2)
            stopping = asyncio.ensure_future(server.live.stop((1001, "server is shutting down"), 20.0))
            with pytest.raises(ConnectionClosed):
                await told(socket)
            assert socket.close_code == 1001 and socket.close_reason == "server is shutting down"
            rest = await asyncio.to_thread(read_for, wire, b"0\r\n\r\n")
            assert b": server is shutting down\n" in rest
            await stopping
            async with aiohttp.ClientSession() as client, client.get(f"{server.url}/live/events") as reply:
                assert reply.status == 503


async def test_a_quiet_stream_has_heartbeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment where nothing happens; where only unwanted things did, the place is told, so that whoever comes back
    later need not pass them again. Libraries see no event in a comment."""
    monkeypatch.setattr(hub, "_HEARTBEAT_S", 0.2)
    monkeypatch.setattr(hub, "_TICK_S", 0.05)
    async with running(tmp_path) as server, reading(server, "?types=chat.message", positions=True) as events:
        with slow_reader(server) as wire:
            assert await asyncio.to_thread(read_for, wire, b"\n:\n")
        (begin,) = await take(events, 1)
        await post(server, "unwanted")
        (position,) = await take(events, 1)
        assert position["event"] == begin["event"] == "receiver.position"
        assert int(position["id"]) == int(begin["id"]) + 1 == server.journal.head
        async with connect(socket_url(server.url, f"?types=chat.message&after={begin['id']}")) as socket:
            expected = {"type": "receiver.position", "sequence": f"{server.journal.head:020d}"}
            assert await told(socket, positions=True) == expected


async def test_the_first_thing_is_where_he_is(tmp_path: Path) -> None:
    """Who begins now and loses the connection before anything comes can still come back and miss nothing."""
    async with running(tmp_path) as server:
        await post(server, "before")
        async with reading(server, positions=True) as events:
            (here,) = await take(events, 1)
        await post(server, "meanwhile")
        async with reading(server, headers={"Last-Event-ID": here["id"]}) as events:
            assert subjects(await take(events, 1)) == ["meanwhile"]


async def test_who_has_gone_leaves_his_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing is sent to him that could fail."""
    monkeypatch.setattr(hub, "_TICK_S", 0.05)
    async with running(tmp_path) as server:
        async with reading(server, "?types=chat.message"):
            await until(lambda: clients(server) == 1)
        await until(lambda: clients(server) == 0)


async def test_who_takes_nothing_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long time: his place is for others."""
    monkeypatch.setattr(hub, "_TICK_S", 0.05)
    monkeypatch.setattr(hub, "_STALLED_S", 0.5)
    async with running(tmp_path) as server:
        with slow_reader(server):
            await until(lambda: clients(server) == 1)
            async with asyncio.timeout(30):
                number = 0
                while clients(server):
                    await post_many(server, number, number + 200, filler=16_000)
                    number += 200


async def test_readers_are_in_the_metrics(tmp_path: Path) -> None:
    """How many there are, over what, how many are behind, what was sent."""
    async with running(tmp_path) as server, reading(server) as events, aiohttp.ClientSession() as client:
        await post(server, "a", "b")
        await take(events, 2)
        async with client.get(f"{server.url}/metrics") as reply:
            text = await reply.text()
        assert 'receiver_live_clients{over="sse"} 1.0' in text and 'receiver_live_clients{over="websocket"} 0.0' in text
        assert "receiver_live_events_sent 2.0" in text and "receiver_live_clients_behind 0.0" in text


def clients(server: Receiver) -> float:
    return sum(value for name, _, _, value in server.live.gauges() if name == "receiver_live_clients")


def gauge(server: Receiver, wanted: str, **labels: str) -> float:
    found = [value for name, _, has, value in server.live.gauges() if name == wanted and has == labels]
    return float(found[0])
