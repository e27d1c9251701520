"""Clients that mean harm: bodies, heads, handshakes, connections, guesses. Others are served, memory has a ceiling."""

import asyncio
import gzip
import json
import re
import time
import zlib
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from receiver.errors import ConfigError
from receiver.settings import from_dict
from tests.end_to_end.process import serving
from tests.ingress.hostile import OPEN_ENDPOINT, answer, latencies_s, rss_bytes, wire, wires, with_peak
from tests.ingress.sockets import dialled, of_type, ready, sound
from tests.ingress.test_http import BOTH_ENDPOINT, ENVIRON, TOKEN, TOKEN_ENDPOINT, call, in_quarantine, signature
from tests.support import DEADLINE_S, JOINING, drained, events_in, running, until

MIB = 1 << 20
#: for one delivery, on a machine that is busy with other tests; figures are measured by hand
PATIENCE_S = 10.0
HEAD = b"POST /meetstream/default HTTP/1.1\r\nHost: x\r\n"
HANDSHAKE = b"GET /meetstream/default/audio HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


# ---- bodies


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_compressed_delivery_is_what_it_says(tmp_path: Path, encoding: str, pack: Any) -> None:
    """Signature, journal and decoder see the inflated body, and the journal does not call it compressed."""
    body = json.dumps(JOINING).encode()
    async with running(tmp_path, ENVIRON, endpoints=BOTH_ENDPOINT) as server:
        headers = {"Content-Encoding": encoding, "X-MeetStream-Signature": signature(body)}
        assert await call(server, body=pack(body), headers=headers) == (200, {"status": "accepted"})
        (record,), _ = await server.journal.read(server.journal.head - 1, media=False, limit_bytes=MIB)
        assert record.payload == body and "content-encoding" not in dict(record.headers)
        await drained(server)
    assert len(events_in(tmp_path)) == 1


@pytest.mark.parametrize(("encoding", "body"), [("br", b"\x0b\x02\x80{}\x03"), ("gzip", b"{}"), ("zstd", b"")])
async def test_what_does_not_inflate_is_kept_as_it_was_sent(tmp_path: Path, encoding: str, body: bytes) -> None:
    """Whoever shows the token is never refused for content; without a credential it is a 400. Kept either way."""
    async with running(tmp_path, ENVIRON, endpoints={"meetstream": {**TOKEN_ENDPOINT["meetstream"], "o": {}}}) as it:
        for path, wanted in ((f"/meetstream/default/{TOKEN}", 200), ("/meetstream/o", 400)):
            status, reply = await call(it, path, body, headers={"Content-Encoding": encoding})
            assert (status, reply["status"]) == (wanted, "quarantined")
    kept = in_quarantine(tmp_path)
    assert [one.payload for one in kept] == [body, body]
    assert all(dict(one.headers)["content-encoding"] == encoding for one in kept)


async def test_compression_bombs_cost_no_memory(tmp_path: Path) -> None:
    """Forty bombs at once, 1 MB that inflates to 1 GB each: 413, and memory stays within what bodies may take."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([packer.compress(bytes(MIB)) for _ in range(1024)]) + packer.flush()
    keys = "max_inflight_bytes = 67_108_864"
    async with serving(tmp_path, OPEN_ENDPOINT, keys=keys) as server, aiohttp.ClientSession() as client:
        before = rss_bytes(server.pid)

        async def throw() -> int:
            headers = {"Content-Encoding": "gzip"}
            async with client.post(f"{server.url}/meetstream/default", data=bomb, headers=headers) as reply:
                return reply.status

        codes, peak = await with_peak(server.pid, asyncio.gather(*(throw() for _ in range(40))))
        assert set(codes) <= {413, 503} and 413 in codes, codes
        assert peak - before < 120 * MIB, f"{(peak - before) // MIB} MiB more"
        assert (await latencies_s(server.url, 5, 0.01))[-1] < PATIENCE_S


async def test_bodies_under_way_have_a_ceiling_together(tmp_path: Path) -> None:
    """A hundred clients send 5 MB each and stall: memory stays at the ceiling, callbacks pass, the stalled get 503."""
    keys = "max_inflight_bytes = 50_000_000\nmax_body_bytes = 10_000_000\nrequest_timeout_s = 3.0"
    stalled = HEAD + b"Content-Length: 9000000\r\n\r\n"
    async with serving(tmp_path, OPEN_ENDPOINT, keys=keys) as server:
        before = rss_bytes(server.pid)
        async with wires(server.url, 100, stalled) as clients:
            piece = bytes(5_000_000)
            for _, writer in clients:
                writer.write(piece)
            replies = asyncio.gather(*(answer(reader, 60) for reader, _ in clients))
            (took, *_), peak = await with_peak(server.pid, asyncio.gather(latencies_s(server.url, 100, 0.02), replies))
            assert took[-1] < PATIENCE_S, took[-5:]
            codes = {reply[9:12] for reply in replies.result()}
            assert b"503" in codes and codes <= {b"408", b"503"}, codes
            assert all(b"Retry-After: " in reply for reply in replies.result() if reply[9:12] == b"503")
        assert peak - before < 160 * MIB, f"{(peak - before) // MIB} MiB more"
        deadline_s = time.monotonic() + PATIENCE_S
        while (await server.metrics())["receiver_body_bytes{}"] > 0:
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.05)


async def test_a_trickling_body_is_cut(tmp_path: Path) -> None:
    """408 after ``request_timeout_s``, chunked or not; the books balance, also when the sender leaves within a body."""
    async with running(tmp_path, server={"request_timeout_s": 0.3}) as server:
        for start in (b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"):
            reader, writer = await wire(server.url, HEAD + start)
            assert b" 408 " in (await answer(reader))[:20]
            writer.close()
        book = server.ledger.endpoint("meetstream", "default")
        assert book.refused == 2
    async with running(tmp_path) as server:
        _, writer = await wire(server.url, HEAD + b"Content-Length: 100\r\n\r\n{")
        await until(lambda: server.budget.held_bytes == 1)
        writer.transport.abort()
        book = server.ledger.endpoint("meetstream", "default")
        await until(lambda: book.refused == 1)
        assert book.balanced and server.budget.held_bytes == 0


async def test_a_journal_that_is_behind_makes_posts_wait(tmp_path: Path) -> None:
    """Back-pressure: a POST waits for room in the journal's queue, then 503 with Retry-After; later it is accepted."""
    async with running(tmp_path, server={"request_timeout_s": 0.2}) as server:
        lane = server.journal.lanes["events"]
        lane._memory.bytes += 64 * MIB
        async with (
            aiohttp.ClientSession() as client,
            client.post(server.url + "/meetstream/default", json=JOINING) as reply,
        ):
            assert reply.status == 503 and reply.headers["Retry-After"]
        lane._memory.bytes -= 64 * MIB
        assert (await call(server))[1] == {"status": "accepted"}
        book = server.ledger.endpoint("meetstream", "default")
        assert book.balanced and (book.received, book.failed) == (2, 1)


def test_the_ceiling_has_room_for_the_largest_body() -> None:
    """A ceiling under which no large body could ever pass is a mistake in the config."""
    with pytest.raises(ConfigError, match=r"server\.max_inflight_bytes"):
        from_dict({"server": {"max_inflight_bytes": MIB}}, {})


# ---- connections


@pytest.mark.parametrize("head", [b"", HEAD, HANDSHAKE], ids=["silent", "request", "handshake"])
async def test_heads_that_do_not_end_are_cut(tmp_path: Path, head: bytes) -> None:
    """Slow-loris: a new connection shows a complete head in time or is closed, however it trickles."""
    async with running(tmp_path, server={"head_timeout_s": 0.4}) as server:
        start_s = time.monotonic()
        reader, writer = await wire(server.url, head)

        async def trickle() -> None:
            while not reader.at_eof() and not writer.transport.is_closing():
                writer.write(b"X-A: b\r\n" if head else b"\r\n")
                await asyncio.sleep(0.05)

        task = asyncio.create_task(trickle())
        assert await answer(reader) == b"" and time.monotonic() - start_s < 9
        await task
        writer.close()
        await until(lambda: server.doors.open == 0)


async def test_complete_heads_may_take_their_time(tmp_path: Path) -> None:
    """The limit is for heads: sockets, slow bodies and idle keep-alive connections outlive it."""
    async with running(tmp_path, server={"head_timeout_s": 1.0}) as server:
        last = HEAD + b"Connection: close\r\nContent-Length: 2\r\n"
        slow = await wire(server.url, last + b"\r\n")
        polite = await wire(server.url, last + b"Expect: 100-continue\r\n\r\n")
        idle = await wire(server.url, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        async with dialled(server) as socket:
            await asyncio.sleep(2.0)
            await socket.send(ready("b"))
            assert json.loads(await socket.recv())["type"] == "ack"
        for (reader, writer), rest in ((slow, b"{}"), (polite, b"{}"), (idle, last + b"\r\n{}")):
            writer.write(rest)
            assert (await answer(reader)).count(b'{"status":"') == 1
            writer.close()


async def test_idle_connections_are_closed(tmp_path: Path) -> None:
    """``idle_timeout_s`` after the last answer. A stranger's connection ends with the refusal."""
    async with running(tmp_path, ENVIRON, endpoints=TOKEN_ENDPOINT, server={"idle_timeout_s": 0.2}) as server:
        for path in (b"/healthz", b"/meetstream/default", b"/x"):
            head = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path
            reader, writer = await wire(server.url, head)
            assert (await answer(reader)).startswith(b"HTTP/1.1 ")
            writer.close()


async def test_connections_beyond_the_cap_are_told_so(tmp_path: Path) -> None:
    """503 with Retry-After for the one too many; the others do not notice; a place that is free is used."""
    async with running(tmp_path, server={"max_connections": 3, "head_timeout_s": 0.0}) as server:
        async with dialled(server) as socket, wires(server.url, 2):
            await until(lambda: server.doors.open == 3)
            reader, writer = await wire(server.url)
            assert (await answer(reader)).startswith(b"HTTP/1.1 503 ") and server.doors.turned_away == 1
            writer.close()
            await socket.send(ready("b"))
            assert json.loads(await socket.recv())["type"] == "ack"
        await until(lambda: server.doors.open == 0)
        assert (await call(server))[0] == 200


async def test_two_thousand_idle_and_slow_connections(tmp_path: Path) -> None:
    """Genuine traffic goes on, memory stays bounded, and those without a head are gone in time."""
    async with serving(tmp_path, OPEN_ENDPOINT, keys="head_timeout_s = 8.0") as server:
        before = rss_bytes(server.pid)
        async with wires(server.url, 1000), wires(server.url, 1000, HEAD + b"X-A: b"):
            took = await latencies_s(server.url, 100, 0.01)
            grown = rss_bytes(server.pid) - before
            assert took[-1] < PATIENCE_S, took[-5:]
            assert grown < 100 * MIB, f"{grown // MIB} MiB for 2,000 connections"
            deadline_s = time.monotonic() + 30
            while (await server.metrics())["receiver_connections_open{}"] > 1:
                assert time.monotonic() < deadline_s
                await asyncio.sleep(0.2)


# ---- guesses


async def test_guessing_is_slowed_and_the_right_token_always_passes(tmp_path: Path) -> None:
    """429 with Retry-After for an address that shows wrong tokens; its neighbours behind the same proxy deliver on."""
    limits = {"max_bad_tokens_per_minute": 5}
    async with running(tmp_path, ENVIRON, endpoints=BOTH_ENDPOINT, server=limits) as server:
        codes = [(await call(server, f"/meetstream/default/guess-{n}"))[0] for n in range(8)]
        assert codes == [401] * 5 + [429] * 3
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{server.url}/meetstream/default/guess") as reply,
        ):
            assert reply.status == 429 and reply.headers["Retry-After"]
        with pytest.raises(Exception, match="429"):
            async with dialled(server, "/meetstream/default/guess"):
                pass
        wrong = {"X-MeetStream-Signature": signature(b"{}", "guess")}
        assert (await call(server, headers=wrong))[0] == 429
        assert (await call(server, "/api/send", b"{}", headers={"Authorization": "Bearer guess"}))[0] == 429
        assert (await call(server, f"/meetstream/default/{TOKEN}"))[0] == 200
        signed = {"X-MeetStream-Signature": signature(b'{"event":"x"}')}
        assert (await call(server, body=b'{"event":"x"}', headers=signed))[0] == 200
        async with dialled(server, f"/meetstream/default/{TOKEN}") as socket:
            await socket.send(ready("b"))
            assert json.loads(await socket.recv())["type"] == "ack"
        await until(lambda: server.ledger.endpoint("meetstream", "default").balanced)


# ---- shapes

_LENGTH, _CHUNKED, _BODY = b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n2\r\n{}\r\n0\r\n\r\n"
SHAPES = {
    "length-and-chunked": HEAD + b"Content-Length: 5\r\n" + _CHUNKED + b"\r\n0\r\n\r\n",
    "chunked-and-length": HEAD + _CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "two-lengths": HEAD + _LENGTH + b"Content-Length: 3\r\n\r\n{}x",
    "same-length-twice": HEAD + _LENGTH + _LENGTH + b"\r\n{}",
    "list-of-lengths": HEAD + b"Content-Length: 2, 2\r\n\r\n{}",
    "signed-length": HEAD + b"Content-Length: +2\r\n\r\n{}",
    "hexadecimal-length": HEAD + b"Content-Length: 0x2\r\n\r\n{}",
    "endless-length": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "immense-length": HEAD + b"Content-Length: 9999999999999999\r\n\r\n{}",
    "space-before-colon": HEAD + b"Content-Length : 2\r\n\r\n{}",
    "space-before-colon-chunked": HEAD + b"Transfer-Encoding : chunked\r\n" + _BODY,
    "unknown-transfer": HEAD + b"Transfer-Encoding: xchunked\r\n" + _BODY,
    "chunked-twice": HEAD + _CHUNKED + _CHUNKED + _BODY,
    "chunked-not-last": HEAD + b"Transfer-Encoding: chunked, identity\r\n" + _BODY,
    "bare-lf": b"POST /meetstream/default HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}",
    "bare-lf-in-head": HEAD + b"A: b\n" + _LENGTH + b"\r\n{}",
    "bare-cr-in-head": HEAD + b"A: b\rTransfer-Encoding: chunked\r\n" + _LENGTH + b"\r\n{}",
    "folded-header": HEAD + b"A: b\r\n Transfer-Encoding: chunked\r\n" + _LENGTH + b"\r\n{}",
    "folded-transfer": HEAD + b"Transfer-Encoding:\r\n chunked\r\n" + _BODY,
    "nul-in-header": HEAD + b"A: b\0c\r\n" + _LENGTH + b"\r\n{}",
    "nul-in-path": b"POST /meetstream/default\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "no-host": b"POST /meetstream/default HTTP/1.1\r\n" + _LENGTH + b"\r\n{}",
    "two-hosts": HEAD + b"Host: y\r\n" + _LENGTH + b"\r\n{}",
    "no-number-chunk": HEAD + _CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n",
    "negative-chunk": HEAD + _CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
    "hexadecimal-mark-chunk": HEAD + _CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "endless-chunk": HEAD + _CHUNKED + b"\r\nfffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "chunk-without-end": HEAD + _CHUNKED + b"\r\n2\r\n{}XX0\r\n\r\n",
    "chunk-with-bare-lf": HEAD + _CHUNKED + b"\r\n2\n{}\n0\n\n",
    "many-trailers": HEAD + _CHUNKED + b"\r\n2\r\n{}\r\n0\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
    "many-headers": HEAD + b"A: b\r\n" * 2000 + b"\r\n",
    "version-9": b"POST /meetstream/default HTTP/9.9\r\nHost: x\r\n\r\n",
    "http2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "no-utf8": HEAD + b"\xff\xfe: b\r\n" + _LENGTH + b"\r\n{}",
}


@pytest.mark.parametrize("name", SHAPES)
async def test_smuggling_shapes_are_refused(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """One 4xx and the end of the connection: what stands behind it is never taken for a request. Nothing is journalled,
    and a stranger does not write into the log."""
    second = HEAD + b"Content-Length: 13\r\n\r\n" + b'{"event":"x"}'
    async with running(tmp_path) as server:
        reader, writer = await wire(server.url, SHAPES[name] + second)
        got = await answer(reader)
        writer.close()
        assert len(re.findall(rb"HTTP/1\.\d \d\d\d ", got)) == 1 and got[9:10] == b"4", got
        book = server.ledger.endpoint("meetstream", "default")
        assert book.balanced and book.journalled == book.quarantined == 0
        assert (await call(server))[0] == 200
    assert not [record for record in caplog.records if record.name == "aiohttp.server"]


BODIES = {
    "nul": b'{"event":"a\\u0000b","bot_id":"\\u0000"}',
    "raw-nul": b'{"event":"a\0b"}',
    "lone-surrogate": b'{"event":"x","bot_id":"\\ud800","message":"\\udfff"}',
    "huge-integer": b'{"event":"x","bot_id":"b","n":' + b"9" * 10_000 + b"}",
    "huge-status": b'{"event":"bot.stopped","bot_id":"b","status_code":' + b"9" * 400 + b"}",
    "huge-exponent": b'{"event":"x","bot_id":"b","n":1e999999999}',
    "not-a-number": b'{"event":"x","n":NaN}',
    "deep-lists": b'{"event":"x","n":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "deep-objects": b'{"event":' * 10_000 + b"1" + b"}" * 10_000,
    "double-keys": b'{"event":"bot.joining","event":"bot.stopped","bot_id":"a","bot_id":"b"}',
    "many-keys": b"{" + b",".join(b'"%d":1' % n for n in range(50_000)) + b"}",
    "wide-name": b'{"event":"' + b"x" * 500_000 + b'","bot_id":"' + b"y" * 500_000 + b'"}',
    "byte-order-mark": b'\xef\xbb\xbf{"event":"x"}',
    "utf-16": '{"event":"x"}'.encode("utf-16"),
    "odd-time": b'{"event":"x","timestamp":"99999-99-99T99:99:99Z","bot_id":"b"}',
    "traversal": b'{"event":"x","bot_id":"../../../../tmp/evil"}',
    "traversal-nul": b'{"event":"x","bot_id":"../evil\\u0000.jsonl"}',
    "absolute": b'{"event":"x","bot_id":"/etc/evil"}',
}


async def test_odd_bodies_are_events_or_quarantine_and_stay_in_their_folder(tmp_path: Path) -> None:
    """Never a 5xx for content; each is in a sink or in quarantine; no id leads a file out of the data folder."""
    data = tmp_path / "in" / "side"
    sinks = {"file": {"type": "file", "path": "events/{subject}/{date}.jsonl", "fsync": False}}
    async with running(data, ENVIRON, endpoints=TOKEN_ENDPOINT, sinks=sinks) as server:
        for name, body in BODIES.items():
            status, reply = await call(server, f"/meetstream/default/{TOKEN}", body)
            assert status == 200, (name, reply)
        for subject in ("..", "%2e%2e%2f%2e%2e%2fevil", "..%5c..%5cevil", "%00", "%ff", "a" * 512, "con", "~root"):
            path = f"/meetstream/default/{TOKEN}/{subject}".encode()
            head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n" % path
            reader, writer = await wire(server.url, head + b'{"event":"y"}')
            status_line = await asyncio.wait_for(reader.readline(), DEADLINE_S)
            assert status_line.split()[1] in (b"200", b"404"), (subject, status_line)
            writer.close()
        await drained(server)
        book = server.ledger.endpoint("meetstream", "default")
        assert book.balanced and book.journalled + book.quarantined + book.duplicates >= len(BODIES)
        assert server.ledger.sink("file").dead == 0
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["side"]
    written = [path for path in data.rglob("*.jsonl") if path.is_file()]
    assert written and all(path.resolve().is_relative_to((data / "events").resolve()) for path in written)


# ---- the clock


async def test_a_clock_that_jumps_breaks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set back a day, then ten years on, then back: order is the sequence's, sound stays in one piece, no time is
    negative."""
    real, day_ns = time.time_ns, 86_400 * 10**9
    jumps = [0, -day_ns, 3650 * day_ns, -3 * day_ns, 0, day_ns]
    shift_ns = 0
    monkeypatch.setattr(time, "time_ns", lambda: real() + shift_ns)
    sinks = {"file": {"type": "file", "fsync": False, "path": "events/all.jsonl"}, "wav": {"type": "wav"}}
    async with running(tmp_path, sinks=sinks) as server:
        async with dialled(server, "/meetstream/default/audio") as socket:
            await socket.send(ready("b"))
            for number, shift_ns in enumerate(jumps):  # noqa: B007 - the clock reads it
                body = json.dumps({"event": f"step.{number}", "bot_id": "b"}).encode()
                assert (await call(server, body=body))[1] == {"status": "accepted"}
                assert (await call(server, body=body))[1] == {"status": "duplicate"}
                await socket.send(sound())
                await until(lambda: server.ledger.endpoint("meetstream", "default").received >= 3 * (number + 1) + 1)  # noqa: B023
            shift_ns = -30 * day_ns
        await until(lambda: server.ledger.endpoint("meetstream", "default").sockets_open == 0)
        await drained(server)
    events = events_in(tmp_path)
    steps = [event["vendorevent"] for event in events if event["type"] == "vendor.event"]
    assert steps == [f"step.{number}" for number in range(len(jumps))]
    sequence = [event["sequence"] for event in events]
    assert sequence == sorted(sequence)
    assert of_type(tmp_path, "stream.closed")[0]["data"]["duration_s"] >= 0
    (wav,) = tmp_path.rglob("*.wav")
    assert wav.stat().st_size < 100_000


@pytest.mark.parametrize("channel", ["audio", "video", "transcript", "control"])
async def test_odd_messages_on_sockets_are_events_or_quarantine(tmp_path: Path, channel: str) -> None:
    """The same bytes as text and as binary messages: the socket stays open, each of them is kept, files stay home."""
    data = tmp_path / "in" / "side"
    sinks = {
        "file": {"type": "file", "path": "events/{subject}/{type}/{date}.jsonl", "fsync": False},
        "wav": {"type": "wav", "path": "audio/{subject}/{track}.wav"},
    }
    async with running(data, sinks=sinks) as server:
        book = server.ledger.endpoint("meetstream", "default")
        async with dialled(server, f"/meetstream/default/{channel}/%2e%2e%2f%2e%2e%2fevil") as socket:
            for body in BODIES.values():
                for message in (body.decode(errors="replace"), body, b"\x01\x04\x00../x\x02\x00..\x00\x00" + body[:99]):
                    await socket.send(message)
            await until(lambda: book.received == 3 * len(BODIES), "every message arrived")
            await socket.send(ready("b"))
            await until(lambda: book.received == 3 * len(BODIES) + 1, "the socket is open")
        await until(lambda: book.sockets_open == 0)
        await drained(server)
        assert book.balanced and server.ledger.sink("file").dead == 0
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["side"]
    roots = [(data / name).resolve() for name in ("events", "audio")]
    written = [path for path in data.rglob("*") if path.suffix in (".jsonl", ".wav", ".rttm")]
    assert written and all(any(path.resolve().is_relative_to(root) for root in roots) for path in written)
