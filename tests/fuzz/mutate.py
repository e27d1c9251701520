"""A small mutator with a seed, for where atheris is not installed: the same inputs in every run of the suite.

Blind: it knows no coverage. What it lacks in aim, its tokens and splices of good inputs make up for.
"""

import random
from collections.abc import Callable, Iterator, Sequence

#: what parsers trip over; also the dictionary of the coverage-guided runs
TOKENS: tuple[bytes, ...] = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"NaN", b"1e999", b"-0", b"0.1", b"\0", b"\n",
    b"\r\n", b"\r\n\r\n", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b'"\\ud800"', b"\\u0000",
    b"9" * 25, b"-9223372036854775809", b"18446744073709551616", b"[" * 60, b'{"a":' * 40, b"%00", b"%2F", b"%2e%2e",
    b"../", b"\x01\x00\x00\x00\x00", b"\x00\x00\x00\x18ftyp", b"\xff\xff\xff\xff", b"\xff\xff", b"\x7f",
    b'"event":', b'"bot_event":', b'"bot_id":', b'"type":', b'"command":', b'"data":', b'"words":', b'"transcript":',
    b'"result":', b'"channel":{"alternatives":[', b'"timestamp":', b'"custom_attributes":{', b'"participant":',
    b'"bot.joining"', b'"bot.stopped"', b'"video.processed"', b'"data_deletion"', b'"participant_events.join"',
    b'"ready"', b'"video_stream_start"', b'"video_latency_ping"', b'"PCMChunk"', b'"audioData":', b'"usermsg"',
    b"https://a.b/c?token=", b"Bearer ", b"Basic ", b"eyJhbGciOi", b"-----BEGIN PRIVATE KEY-----", b"9999-12-31",
    b"0001-01-01T00:00:00+14:00", b"T24:00", b"Z", b"[endpoints.meetstream.", b'token = "auto"', b"[sinks.a]\n",
    b'type = "', b"[journal.", b"host = ", b"Transfer-Encoding: chunked\r\n", b"Content-Length: ", b"Host: x\r\n",
    b"Content-Encoding: gzip\r\n", b"Expect: 100-continue\r\n", b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n",
    b"Authorization: Bearer ", b"POST ", b"GET ", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"0\r\n\r\n", b"/meetstream/",
)  # fmt: skip
MOST_BYTES = 4096
_Step = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def mutants(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """``count`` inputs, each a seed with one to six changes; the same for the same arguments."""
    dice = random.Random(seed)  # not for secrets: the same sequence in each run is what it is for
    for _ in range(count):
        data = dice.choice(seeds)
        for _ in range(dice.randint(1, 6)):
            data = dice.choice(_STEPS)(dice, data, seeds)[:MOST_BYTES]
        yield data


def _place(dice: random.Random, data: bytes) -> tuple[int, int]:
    """A range of at most 32 bytes, mostly short."""
    begin = dice.randint(0, len(data))
    return begin, min(len(data), begin + dice.choice((0, 1, 1, 2, 4, 8, 32)))


def _flip(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = dice.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << dice.randrange(8),)) + data[at + 1 :]


def _overwrite(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    begin, end = _place(dice, data)
    return data[:begin] + dice.randbytes(end - begin) + data[end:]


def _remove(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    begin, end = _place(dice, data)
    return data[:begin] + data[end:]


def _token(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    begin, end = _place(dice, data)
    return data[:begin] + dice.choice(TOKENS) + data[end:]


def _repeat(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    begin, end = _place(dice, data)
    return data[:end] + data[begin:end] * dice.randint(1, 8) + data[end:]


def _splice(dice: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    other = dice.choice(seeds)
    return data[: dice.randint(0, len(data))] + other[dice.randint(0, len(other)) :]


def _cut(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: dice.randint(0, len(data))]


_STEPS: tuple[_Step, ...] = (_flip, _overwrite, _remove, _token, _token, _repeat, _splice, _cut)
