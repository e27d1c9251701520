"""The sockets that bots dial, one channel after the other: what goes in over a real socket comes out of the file."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from receiver.ingress.quarantine import quarantined
from tests.ingress.sockets import (
    ACK,
    SAMPLES,
    book_of,
    dialled,
    of_type,
    raw_socket,
    ready,
    received,
    samples_of,
    sound,
)
from tests.support import DEADLINE_S, drained, events_in, running, until
from tests.vendors.meetstream_wire import frame

TOKEN = "tok-4711-secret"
ENVIRON = {"T": TOKEN}
TOKEN_ENDPOINT = {"meetstream": {"default": {"token_env": "T"}}}
SIGNED_ENDPOINT = {"meetstream": {"default": {"secret_env": ["T"]}}}


async def test_audio_comes_out_byte_for_byte(tmp_path: Path) -> None:
    """Sheet 6: ready, then frames until close 1000: opened, each frame's samples on a clock of their own, closed."""
    sizes = (SAMPLES, 4800, 1, 0, SAMPLES)
    frames = [sound(size) for size in sizes]
    async with running(tmp_path) as server, dialled(server, "/meetstream/default/bot-1/audio") as socket:
        await socket.send(ready("bot-1"))
        assert json.loads(await socket.recv()) == ACK
        for one in frames:
            await socket.send(one)
        await socket.close()
    opened, *chunks, closed = events_in(tmp_path)
    connection = opened["data"]["connection"]
    assert opened["type"] == "stream.opened" and opened["data"] == {"channel": "audio", "connection": connection}
    assert [samples_of(chunk) for chunk in chunks] == [one[-2 * size :] if size else b"" for one, size in
                                                       zip(frames, sizes, strict=True)]  # fmt: skip
    assert [chunk["samples"] for chunk in chunks] == list(sizes)
    assert [chunk["firstsample"] for chunk in chunks] == [sum(sizes[:index]) for index in range(len(sizes))]
    assert all("gapms" not in chunk and chunk["speakername"] == "Ada Lovelace" for chunk in chunks)
    assert closed["type"] == "stream.closed" and 0 <= closed["data"].pop("duration_s") < 20
    assert closed["data"] == {
        "channel": "audio", "connection": connection, "code": 1000, "clean": True, "messages": len(frames) + 1,
        "bytes": len(ready("bot-1")) + sum(map(len, frames)),
    }  # fmt: skip
    assert {event["subject"] for event in (opened, *chunks, closed)} == {"bot-1"}


async def test_bot_and_channel_are_learned_without_a_hint(tmp_path: Path) -> None:
    """Sheet 9, routing: on the bare path `ready` tells the bot, and a binary message that it is audio."""
    async with running(tmp_path) as server, dialled(server) as socket:
        await socket.send(ready("bot-2"))
        await socket.recv()
        await socket.send(sound())
    opened, chunk, closed = events_in(tmp_path)
    assert [opened["data"]["channel"], closed["data"]["channel"]] == ["audio", "audio"]
    assert opened["subject"] == chunk["subject"] == closed["subject"] == "bot-2"


async def test_frames_before_ready_belong_to_the_bot_of_the_url(tmp_path: Path) -> None:
    """Sheet 6, robustness: binary before ready is kept; whose it is tells the URL, if it does."""
    async with running(tmp_path) as server:
        async with dialled(server, "/meetstream/default/bot-7") as socket:
            await socket.send(sound())
            await socket.send(ready("bot-7"))
            await socket.send(sound())
        async with dialled(server) as socket:
            await socket.send(sound())
    chunks = of_type(tmp_path, "audio.chunk")
    assert [chunk.get("subject") for chunk in chunks] == ["bot-7", "bot-7", None]
    assert [chunk["firstsample"] for chunk in chunks] == [0, SAMPLES, 0]


async def test_a_message_in_fragments_is_one_message(tmp_path: Path) -> None:
    """A peer may cut a message into WebSocket fragments; they mean nothing of their own."""
    whole = sound()
    async with running(tmp_path) as server, dialled(server, "/meetstream/default/bot-1/audio") as socket:
        await socket.send([whole[:7], whole[7:1000], whole[1000:]])
        await socket.send([ready("bot-1")[:9], ready("bot-1")[9:]])
        assert json.loads(await socket.recv()) == ACK
    (chunk,) = of_type(tmp_path, "audio.chunk")
    assert samples_of(chunk) == whole[-2 * SAMPLES :]


async def test_video(tmp_path: Path) -> None:
    """Sheet 7: start, fMP4 pieces in order, a latency ping answered with its own numbers, end, close."""
    start = {"type": "video_stream_start", "bot_id": "bot-3", "codec": "h264", "container": "fmp4", "width": 1920,
             "height": 1080, "framerate": 25}  # fmt: skip
    pieces = [size.to_bytes(4, "big") + kind + bytes(size - 8) for size, kind in
              ((32, b"ftyp"), (100, b"moof"), (700_000, b"mdat"))]  # fmt: skip
    async with running(tmp_path) as server, dialled(server, "/meetstream/default") as socket:
        await socket.send(json.dumps(start))
        for piece in pieces:
            await socket.send(piece)
        await socket.send(json.dumps({"type": "video_latency_ping", "bot_id": "bot-3", "seq": 4, "sent_at_ms": 17}))
        pong = json.loads(await socket.recv())
        assert pong.pop("server_received_at_ms") > 1_700_000_000_000
        assert pong == {"type": "video_latency_pong", "seq": 4, "sent_at_ms": 17, "bot_id": "bot-3"}
        await socket.send(json.dumps({"type": "video_stream_end", "bot_id": "bot-3", "duration_seconds": 1}))
    opened, *chunks, closed = events_in(tmp_path)
    assert opened["data"]["channel"] == "video" and closed["data"]["code"] == 1000
    assert [samples_of(chunk) for chunk in chunks] == pieces
    assert chunks[0]["datacontenttype"] == "video/mp4" and (chunks[0]["width"], chunks[0]["codec"]) == (1920, "h264")


async def test_control(tmp_path: Path) -> None:
    """Sheet 8: ready is acknowledged; usermsg and interrupt are events."""
    async with running(tmp_path) as server, dialled(server, "/meetstream/default/bot-4/control") as socket:
        await socket.send(ready("bot-4"))
        assert json.loads(await socket.recv()) == {"command": "ack", "bot_id": "bot-4", "message": "ready received"}
        await socket.send(json.dumps({"command": "usermsg", "message": "hello", "speakerName": "Ada"}))
        await socket.send(json.dumps({"command": "interrupt"}))
    opened, said, interrupted, _ = events_in(tmp_path)
    assert opened["data"]["channel"] == "control" and opened["subject"] == "bot-4"
    assert said["data"] == {"command": "usermsg", "text": "hello", "speaker": {"name": "Ada"}}
    assert interrupted["data"] == {"command": "interrupt"} and interrupted["subject"] == "bot-4"


async def test_a_socket_that_says_ready_and_nothing_else_is_a_control_socket(tmp_path: Path) -> None:
    """Sheet 8: a control socket may be quiet for its whole life; that it was there is told all the same."""
    async with running(tmp_path) as server, dialled(server) as socket:
        await socket.send(ready("bot-4"))
        await socket.recv()
    assert [(event["type"], event["data"]["channel"]) for event in events_in(tmp_path)] == [
        ("stream.opened", "control"), ("stream.closed", "control"),
    ]  # fmt: skip


async def test_a_probe_that_says_nothing_leaves_no_trace(tmp_path: Path) -> None:
    """Sheet 9, tunnels: somebody who connects and goes away was no stream."""
    async with running(tmp_path) as server, dialled(server, "/meetstream/default/bot-4/audio"):
        pass
    assert events_in(tmp_path) == []


async def test_transcript(tmp_path: Path) -> None:
    """Sheet 5.5: the webhook's objects as text messages; a `ready` before them is tolerated, unknown JSON passed on."""
    spoken = {"bot_id": "bot-5", "speakerName": "Ada", "new_text": "there", "transcript": "hello there",
              "end_of_turn": True, "timestamp": "2026-06-10T09:00:00Z"}  # fmt: skip
    async with running(tmp_path) as server, dialled(server, "/meetstream/default/transcript") as socket:
        await socket.send(ready("bot-5"))
        await socket.send(json.dumps(spoken))
        await socket.send(json.dumps({"event": "something.new", "bot_id": "bot-5", "x": [1]}))
    opened, said, unknown, _ = events_in(tmp_path)
    assert opened["data"]["channel"] == "transcript" and opened["subject"] == "bot-5"
    assert said["type"] == "transcript.final" and said["data"]["text"] == "hello there"
    assert unknown["type"] == "vendor.event" and unknown["data"]["x"] == [1] and unknown["subject"] == "bot-5"


async def test_what_means_nothing_is_kept_and_the_socket_stays_open(tmp_path: Path) -> None:
    """Rules: text that is no JSON, cut-off and unknown frames go to quarantine, are counted, and close nothing."""
    bad: list[Any] = ["hello", "[]", frame()[:4], b"", b"\x02" + frame()[1:], frame()[:20]]
    async with running(tmp_path) as server, dialled(server, "/meetstream/default/bot-1/audio") as socket:
        await socket.send(sound())
        for one in bad:
            await socket.send(one)
            await socket.send(sound())
        await received(server, 1 + 2 * len(bad))
        book = book_of(server)
        await until(lambda: book.balanced, "the books balance")
        assert (book.quarantined, book.journalled) == (len(bad), len(bad) + 1)
    kept = list(quarantined(tmp_path / "journal"))
    assert [record.payload for record in kept] == [one.encode() if isinstance(one, str) else one for one in bad]
    assert all(record.reason and record.subject == "bot-1" and record.channel == "audio" for record in kept)
    chunks = of_type(tmp_path, "audio.chunk")
    assert [chunk["firstsample"] for chunk in chunks] == [index * SAMPLES for index in range(len(bad) + 1)]


@pytest.mark.parametrize(
    ("endpoints", "path", "status"),
    [
        (TOKEN_ENDPOINT, "/meetstream/default", 401),
        (TOKEN_ENDPOINT, "/meetstream/default/bot-1/audio/wrong", 401),
        (TOKEN_ENDPOINT, "/meetstream/default?token=wrong", 401),
        (TOKEN_ENDPOINT, "/meetstream/nowhere", 404),
        (TOKEN_ENDPOINT, "/", 404),
        (SIGNED_ENDPOINT, "/meetstream/default", 401),
    ],
)
async def test_who_shows_no_token_is_refused_before_the_101(
    tmp_path: Path, endpoints: dict[str, Any], path: str, status: int
) -> None:
    """Section E: a wrong token or path is a 4xx with one sentence instead of a socket."""
    async with running(tmp_path, ENVIRON, endpoints=endpoints) as server:
        with pytest.raises(InvalidStatus) as refusal:
            async with dialled(server, path):
                pass
        answer = refusal.value.response
        assert answer.status_code == status and answer.body is not None
        assert json.loads(answer.body)["error"] and TOKEN not in answer.body.decode()
        assert book_of(server).refused == (status == 401) and book_of(server).balanced


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/meetstream/default/bot-1/audio/{TOKEN}", {}),
        (f"/meetstream/default/{TOKEN}", {}),
        (f"/meetstream/default/audio?token={TOKEN}", {}),
        ("/meetstream/default", {"Authorization": f"Bearer {TOKEN}"}),
    ],
)
async def test_a_token_in_path_query_or_header_opens_the_socket(
    tmp_path: Path, path: str, headers: dict[str, str]
) -> None:
    """Sheet 9, auth: none documented, so the token goes where a URL can carry it; a bridge uses the last segment."""
    async with (
        running(tmp_path, ENVIRON, endpoints=TOKEN_ENDPOINT) as server,
        dialled(server, path, additional_headers=headers) as socket,
    ):
        await socket.send(ready("bot-1"))
        await socket.send(sound())
    assert len(of_type(tmp_path, "audio.chunk")) == 1
    assert all(TOKEN.encode() not in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


async def test_a_plain_get_gets_a_polite_answer(tmp_path: Path) -> None:
    """Sheet 9, tunnels: plain HTTP probes come to the socket's path; they are told 405, in a sentence."""
    async with (
        running(tmp_path) as server,
        aiohttp.ClientSession() as client,
        client.get(server.url + "/meetstream/default/bot-1/audio") as reply,
    ):
        assert reply.status == 405 and (await reply.json())["error"]


_GET = b"GET /meetstream/default HTTP/1.1\r\nHost: x\r\n"
_KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
_UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"


@pytest.mark.parametrize(
    "head",
    [
        _GET + _UPGRADE + b"Sec-WebSocket-Version: 13\r\n",
        _GET + _UPGRADE + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n",
        _GET + _UPGRADE + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \xff\xfe\r\n",
        _GET + _UPGRADE + _KEY + b"Sec-WebSocket-Version: 99\r\n",
        _GET + b"Upgrade: websocket\r\n" + _KEY + b"Sec-WebSocket-Version: 13\r\n",
        _GET + b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
        b"POST" + _GET[3:] + _UPGRADE + _KEY + b"Sec-WebSocket-Version: 13\r\n",
    ],
    ids=["no-key", "short-key", "odd-key", "version", "no-connection", "other-protocol", "post"],
)
async def test_a_handshake_that_is_none_is_a_4xx(tmp_path: Path, head: bytes) -> None:
    """What asks for a socket in a wrong way is told so, and nothing is left behind."""
    async with running(tmp_path) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
        writer.write(head + b"\r\n")
        line = await asyncio.wait_for(reader.readline(), DEADLINE_S)
        assert line.split()[1].startswith(b"4"), line
        writer.close()
        assert book_of(server).sockets_total == 0


async def test_compression_is_not_negotiated(tmp_path: Path) -> None:
    """Sheet 9, compression: not mentioned, so not agreed on; sound does not get smaller, and bombs cannot be sent."""
    async with running(tmp_path) as server, dialled(server, compression="deflate") as socket:
        assert socket.response is not None and "Sec-WebSocket-Extensions" not in socket.response.headers


@pytest.mark.parametrize(("text", "code"), [(b"\xff\xfe", 1007), (b'{"a":"\xc3', 1007)])
async def test_text_that_is_no_utf8_closes_with_1007(tmp_path: Path, text: bytes, code: int) -> None:
    """WebSocket protocol: such a message is no text; what came before it is kept."""
    async with running(tmp_path) as server, dialled(server, "/meetstream/default/bot-1/audio") as socket:
        await socket.send(sound())
        await socket.send(text, text=True)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), DEADLINE_S)
        assert socket.close_code == code
    _, _, closed = events_in(tmp_path)
    assert (closed["data"]["code"], closed["data"]["clean"]) == (code, False)


async def test_messages_up_to_the_limit_pass_and_larger_ones_close_with_1009(tmp_path: Path) -> None:
    """Sheet 7 and 9: pieces of video are large; the limit is ours, the code says so, and nothing before it is lost."""
    limit = 300_000
    piece = b"\0\0\0\x10moof" + bytes(limit - 8)
    async with running(tmp_path, server={"max_message_bytes": limit}) as server:
        async with dialled(server, "/meetstream/default/bot-1/video") as socket:
            await socket.send(piece)
            with pytest.raises(ConnectionClosed):
                await socket.send(piece + b"x" * 5_000_000)
                await asyncio.wait_for(socket.recv(), DEADLINE_S)
            assert socket.close_code == 1009
        await drained(server)
        assert book_of(server).balanced
    _, chunk, closed = events_in(tmp_path)
    assert samples_of(chunk) == piece
    assert (closed["data"]["code"], closed["data"]["clean"], closed["data"]["messages"]) == (1009, False, 1)


async def test_idle_sockets_stay_open_and_dead_ones_do_not(tmp_path: Path) -> None:
    """Sheet 9, keep-alive: silence closes nothing while pings are answered; a peer that answers none is gone."""
    async with (
        running(tmp_path, server={"heartbeat_s": 0.5}) as server,
        dialled(server, "/meetstream/default/bot-1/audio") as socket,
    ):
        _, dead = await raw_socket(server, "/meetstream/default/bot-2/audio")
        await until(lambda: book_of(server).sockets_open == 1, "the dead one is gone")
        await asyncio.sleep(1.5)
        await socket.send(ready("bot-1"))
        assert json.loads(await asyncio.wait_for(socket.recv(), DEADLINE_S)) == ACK
        dead.close()


async def test_pings_of_the_peer_are_answered(tmp_path: Path) -> None:
    """Sheet 9, keep-alive: answer protocol pings."""
    async with running(tmp_path) as server, dialled(server) as socket:
        await asyncio.wait_for(await socket.ping(b"there?"), DEADLINE_S)


async def test_messages_and_frames_of_one_socket_keep_their_order(tmp_path: Path) -> None:
    """Rows of frames and text messages go different ways to the disk and come out as they came in."""
    async with running(tmp_path) as server, dialled(server, "/meetstream/default/bot-1/audio") as socket:
        for number in range(60):
            await socket.send(json.dumps({"command": "usermsg", "message": str(number)}))
            for _ in range(number % 4):
                await socket.send(frame(name=str(number).encode()))
    told = [
        event["data"]["text"] if event["type"] == "control.message" else event["speakername"]
        for event in of_type(tmp_path, "control.message", "audio.chunk")
    ]
    assert told == [str(number) for number in range(60) for _ in range(1 + number % 4)]


async def test_each_frame_once_from_many_sockets_at_full_speed(tmp_path: Path) -> None:
    """Conservation: sockets in parallel, each frame exactly once and in order, numbers only grow, the books balance."""
    sockets, frames = 8, 400

    async def play(number: int) -> None:
        async with dialled(server, f"/meetstream/default/bot-{number}/audio") as socket:
            await socket.send(ready(f"bot-{number}"))
            for index in range(frames):
                await socket.send(frame(pcm=index.to_bytes(4, "little") + bytes(400)))

    async with running(tmp_path) as server:
        await asyncio.gather(*(play(number) for number in range(sockets)))
        await drained(server)
        book = book_of(server)
        assert book.received == book.journalled == sockets * (frames + 1) and book.balanced
    events = events_in(tmp_path)
    for number in range(sockets):
        mine = [event for event in events if event["type"] == "audio.chunk" and event["subject"] == f"bot-{number}"]
        assert [int.from_bytes(samples_of(chunk)[:4], "little") for chunk in mine] == list(range(frames))
        assert [chunk["firstsample"] for chunk in mine] == [202 * index for index in range(frames)]
    numbers = [int(event["sequence"]) for event in events]
    assert numbers == sorted(set(numbers)) and len({event["id"] for event in events}) == len(events)


async def test_a_peer_that_is_not_read_from_is_not_taken_for_dead(tmp_path: Path) -> None:
    """A journal that has no room for long keeps a socket waiting; its pongs lie behind what was not read. It stays."""
    async with (
        running(tmp_path, server={"heartbeat_s": 0.5}) as server,
        dialled(server, "/meetstream/default/bot-1/audio") as socket,
    ):
        lane = server.journal.lanes["media"]
        lane._memory.bytes += 64 << 20
        try:
            sending = asyncio.create_task(_send_all(socket, 1000))  # how much goes out depends on the system's buffers
            await asyncio.sleep(2.0)
            assert socket.close_code is None and book_of(server).sockets_open == 1
            assert book_of(server).received < 1000, "it was held back"
        finally:
            lane._memory.bytes -= 64 << 20
            lane._memory.admit()
        await sending
        await received(server, 1000)
        await socket.send(ready("bot-1"))
        assert json.loads(await asyncio.wait_for(socket.recv(), DEADLINE_S)) == ACK


async def _send_all(socket: ClientConnection, frames: int) -> None:
    for _ in range(frames):
        await socket.send(sound())
