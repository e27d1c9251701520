"""The targets by name, and the inputs that each starts from: vendors' samples, hand-made ones, and what was found.

Files below ``corpus/<target>/`` are inputs that once broke something or reached something new; they are never removed.
"""

import base64
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from receiver.bundle import Part, pack
from receiver.journal.row import encode_row
from receiver.record import pack_frames
from receiver.vendors import VENDORS, vendor_named
from tests.fuzz import decoders, disk, edges, outward
from tests.fuzz.http import http
from tests.fuzz.promises import NOW_NS, record_of
from tests.vendors.meetstream_wire import SAMPLES, frame
from tests.vendors.samples import messages_of
from tests.websocket_wire import client_frame

CORPUS = Path(__file__).parent / "corpus"
TARGETS: dict[str, Callable[[bytes], None]] = {
    check.__name__: check
    for check in (
        decoders.body, decoders.text, decoders.frame, decoders.socket, decoders.snapshot, decoders.frames,
        decoders.bundle, decoders.row, decoders.vendors, decoders.replies,
        edges.verify, edges.guard, edges.config, edges.redaction, edges.times, edges.command, edges.filename,
        outward.webhook, outward.names, outward.templates, disk.segment, disk.state, http,
    )
}  # fmt: skip
#: in front of a row's columns, since the second version
_CHECKSUMS_BYTES = 9
_HEAD = b"POST /meetstream/default HTTP/1.1\r\nHost: x\r\n"
_HANDSHAKE = (
    b" HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
)


def seeds(target: str) -> list[bytes]:
    """Where mutation begins: never empty."""
    found = [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]
    return found + _MADE.get(target, _bodies)()


def _of_vendors() -> list[bytes]:
    found = []
    for number, vendor in enumerate(decoders.OTHERS):
        for path in sorted((SAMPLES.parent / vendor).glob("*/*")):
            if path.name.startswith(("body", "message")) and path.stat().st_size <= 4096:
                found.append(bytes((number,)) + path.read_bytes())
    return found


def _of_replies() -> list[bytes]:
    found = []
    for number, vendor in enumerate(VENDORS):
        for path in sorted((SAMPLES.parent / vendor).glob("*/call.txt")):
            answer = (path.parent / "body.bin").read_bytes()
            if len(answer) <= 4096:
                found.append(bytes((number,)) + path.read_bytes().strip() + b"\n" + answer)
    return found


def _bodies() -> list[bytes]:
    bodies = [path.read_bytes() for path in sorted(SAMPLES.glob("*/body.bin"))]
    deep = [b'{"new":' + b"[" * depth + b"]" * depth + b"}" for depth in (90, 150, 1900)]
    return [body for body in bodies if len(body) <= 4096] + deep


def _messages() -> list[list[bytes | str]]:
    return [messages_of(path.parent) for path in sorted(SAMPLES.glob("*/channel.txt"))]


def _texts() -> list[bytes]:
    return [message.encode() for messages in _messages() for message in messages if isinstance(message, str)]


def _frames() -> list[bytes]:
    binary = [message for messages in _messages() for message in messages if isinstance(message, bytes)]
    made = [frame(), frame(b"", b"", b""), frame(b"\xff", b"NoSpeaker", b"\0"), b"\x00\x00\x00\x18ftypiso6" + bytes(12)]
    return made + [message[:4096] for message in binary]


def _sockets() -> list[bytes]:
    streams = [messages[:12] for messages in _messages()]
    streams.append(['{"type":"video_stream_start","codec":"h264","width":1}', b"\0\0\0\x08moof", b"\x01"])
    return [bytes((number,)) + decoders.packed_messages([_short(one) for one in s]) for number, s in enumerate(streams)]


def _short(message: bytes | str) -> bytes | str:
    return message[:400] if isinstance(message, bytes) else message


def _snapshots() -> list[bytes]:
    found = []
    for messages in _messages():
        session = vendor_named("meetstream").session(record_of(b"", "opened"))
        for message in messages:
            session.learn(message)
        session.receive(frame(), NOW_NS)
        found.append(session.snapshot())
    return found


def _bundles() -> list[bytes]:
    messages = [one[:200] for one in _frames()]
    state = _snapshots()[0]
    of = [messages[:1], messages[:4], [], messages]
    parts = [
        Part(
            f"c-{number}", "bot-1" * (number % 2), state * (number % 2), len(own), [NOW_NS] * len(own), [*map(len, own)]
        )
        for number, own in enumerate(of)
    ]
    return [pack(parts[:end], [one for own in of[:end] for one in own]) for end in range(len(of) + 1)]


def _rows() -> list[bytes]:
    records = [record_of(body, headers=(("content-type", "application/json"),)) for body in _bodies()[:12]]
    records += [record_of(text, "text", state=_snapshots()[0]) for text in _texts()[:12]]
    records += [record_of(pack_frames([(NOW_NS, one[:60])]), "frames", channel="audio") for one in _frames()[:6]]
    records += [record_of(one, "bundle", channel="audio") for one in _bundles()[:3]]
    records.append(record_of(b'{"channel":"audio","connection":"c-1","resumes":"c-0"}', "opened"))
    records.append(record_of(b'{"channel":"audio","connection":"c-1","code":1006,"bytes":1}', "closed"))
    rows = [(encode_row(record)[2][_CHECKSUMS_BYTES:], record.payload) for record in records]
    return [len(meta).to_bytes(2, "little") + meta + payload for meta, payload in rows]


def _configs() -> list[bytes]:
    folder = CORPUS.parents[2] / "config"
    return [path.read_bytes()[:4096] for path in sorted(folder.rglob("*.toml"))]


def _texts_with_secrets() -> list[bytes]:
    return [
        *_bodies(),
        b"see https://a.example/b?X-Amz-Signature=abc, or Authorization: Bearer abcdefghijklmnop",
        b'{"a": "{\\"token\\": \\"b\\"}"}', b"{'apiKey': 'b', x=1&password=2}",
        b"https:\\/\\/u:p@h\\/x?a=1\\u0026sig=2",
        b"-----BEGIN RSA PRIVATE KEY-----\nabc\n", b"sk-proj-0123456789abcdef012", b"eyJhbGciOiJI.eyJzdWIi.abc",
    ]  # fmt: skip


def _requests() -> list[bytes]:
    bodies = _bodies()[::4]
    found = [_HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies]
    found += [
        _HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        _HEAD + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        _HEAD + b"Content-Encoding: deflate\r\nContent-Length: 10\r\n\r\n" + zlib.compress(b"{}"),
        _HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        _HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /meetstream/token?token=tok-4711 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        _HEAD.replace(b"default", b"token") + b"X-MeetStream-Signature: sha256=00\r\nContent-Length: 2\r\n\r\n{}",
        _HEAD + b"X-A: \xff\xed\xa0\x80\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.0\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"HEAD /meetstream/default HTTP/1.1\r\nHost: x\r\n\r\n",
        _order(b"/api/send", b'{"bot":"b","command":"interrupt"}'), _order(b"/api/quarantine/7/retry", b""),
        _order(b"/api/dead/drop", b'{"numbers":[1]}'), _order(b"/api/dead/retry", b'{"numbers":[1]}'),
        _order(b"/api/replay", b'{"sink":"file","from_ns":0,"to_ns":1}'),
    ]  # fmt: skip
    messages: tuple[bytes | str, ...] = ('{"type":"ready","bot_id":"b"}', frame(), '{"command":"usermsg"}', b"\x02")
    sent = b"".join(map(_framed, messages))
    ping, close = b"\x89\x81\0\0\0\0p", b"\x88\x82\0\0\0\0\x03\xe8"
    paths = (b"GET /meetstream/default", b"GET /meetstream/default/audio/b", b"GET /meetstream/token/tok-4711/video")
    return found + [path + _HANDSHAKE + sent + ping + close for path in paths]


def _order(path: bytes, body: bytes) -> bytes:
    """What a command sends to the live server, with the admin token."""
    return _HEAD.replace(b"/meetstream/default", path) + (
        b"Authorization: Bearer adm\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )


def _framed(message: bytes | str) -> bytes:
    """A message in one frame; mutation reaches what is inside."""
    return client_frame(0x81, message.encode()) if isinstance(message, str) else client_frame(0x82, message)


def _commands() -> list[bytes]:
    orders: tuple[dict[str, str], ...]
    orders = ({"message": "hi"}, {"text": "a", "role": "user"}, {}, {"pcm": "AAAA"}, {"img": "AA=="}, {"img_url": "u"})
    return [bytes((number,)) + msgspec.json.encode(order) for number, order in enumerate(orders)]


_MADE: dict[str, Callable[[], list[bytes]]] = {
    "text": lambda: _texts() + _bodies(),
    "frame": _frames,
    "socket": _sockets,
    "snapshot": _snapshots,
    "frames": lambda: [pack_frames((NOW_NS + n, one[:200]) for n in range(3)) for one in _frames()],
    "bundle": _bundles,
    "row": _rows,
    "vendors": _of_vendors,
    "replies": _of_replies,
    "verify": lambda: [b"sha256=" + b"0" * 64 + b"\n2026-09-01T12:00:00Z\n{}", b"\n\n", b"0" * 64 + b"\nnever\nx"],
    "guard": lambda: [b"/tok-4711/audio/bot-1\n\n", b"/a%2Fb\ntok-4711\nBearer tok-4711", b"/%74ok-4711\n\nbearer x"],
    "config": _configs,
    "redaction": _texts_with_secrets,
    "times": lambda: [b"2026-06-10T09:00:00.000Z", b"2026-W01-1", b"20260610T090000+0530", b"9999-12-31T23:59:59-12"],
    "command": _commands,
    "filename": lambda: [b"bot-1", b"../../etc/passwd", b".", b"none", b"", "ü".encode() * 80, b"a~b", b"CON"],
    "webhook": lambda: [
        b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nid\n{}",
        b"AAAA whsec_BBBB\n\n",
        b"whsk_x\n\n",
        b"w\xff\n\xff\n",
    ],
    "names": lambda: [
        b"bot-1\nbot.status\nmeetstream/default\nbot.joining",
        b"a\rSet-Cookie: b\n\r\n..\n\x85",
        b"../../etc\n.\n/\n%0d%0a",
        b"\xe2\x80\xa8\n\n\n\0",
    ],
    "templates": lambda: [
        b"meetings.{vendor}.{type}",
        b"audio/{subject}.wav",
        b"{subject!r:>9}",
        b"{0}{a.b}{c[d]}",
        b"../{date}/x.wav",
    ],
    "segment": lambda: list(disk.seeds()),
    "state": lambda: list(disk.seeds()),
    "http": _requests,
}
