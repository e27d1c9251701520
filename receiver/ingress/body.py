"""The bytes of a request's body, as sent and inflated, never more of them than a limit and a budget allow."""

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import AsyncExitStack

from aiohttp import web

from receiver.errors import Malformed, TooLarge
from receiver.ingress.limits import Hold

_STEP_BYTES = 64 << 10
#: zlib: accept a gzip or zlib head, or neither
_ANY_HEAD, _NO_HEAD = 47, -15
_DEFLATE_METHOD = 8


async def read_body(request: web.BaseRequest, hold: Hold, limit_bytes: int) -> bytes:
    """The body as sent. Raises ``TooLarge``, ``Overloaded``."""
    pieces: list[bytes] = []
    size = 0
    while piece := await request.content.readany():
        size += len(piece)
        if size > limit_bytes:
            raise TooLarge(f"the body is larger than the limit of {limit_bytes} bytes (server.max_body_bytes)")
        await hold.grow(size)
        pieces.append(piece)
    return b"".join(pieces)


async def inflate(body: bytes, encoding: str, hold: Hold, limit_bytes: int) -> bytes:
    """``body`` without its ``Content-Encoding``, one of ``gzip`` ``deflate`` ``identity``.

    Inflated in small steps, few long bodies at a time, so that bombs do not keep others from being served.
    Raises ``Malformed`` (an encoding of another kind, a broken stream, bytes behind its end), ``TooLarge``,
    ``Overloaded``.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise Malformed("content-encoding is none of gzip, deflate, identity", "header Content-Encoding")
    pieces: list[bytes] = []
    size = 0
    async with AsyncExitStack() as turn:
        for piece in _inflated(body, encoding):
            size += len(piece)
            if size > limit_bytes:
                raise TooLarge(f"the inflated body is larger than {limit_bytes} bytes (server.max_body_bytes)")
            hold.grow_at_once(len(body) + size)
            if len(pieces) == 1:
                await turn.enter_async_context(hold.turn)
            elif pieces:
                await asyncio.sleep(0)
            pieces.append(piece)
    return b"".join(pieces)


def _inflated(body: bytes, encoding: str) -> Iterator[bytes]:
    """Pieces of at most ``_STEP_BYTES``. Raises ``Malformed``."""
    bare = encoding == "deflate" and body[:1] and body[0] & 0xF != _DEFLATE_METHOD
    stream = zlib.decompressobj(_NO_HEAD if bare else _ANY_HEAD)
    for start in range(0, len(body), _STEP_BYTES):
        rest: bytes | memoryview = memoryview(body)[start : start + _STEP_BYTES]
        more = True
        while more:
            try:
                piece = stream.decompress(rest, _STEP_BYTES)
            except zlib.error as error:
                raise Malformed(f"the {encoding} body does not inflate ({error})") from error
            rest = stream.unconsumed_tail
            more = not stream.eof and (bool(rest) or len(piece) == _STEP_BYTES)  # output may wait inside as well
            yield piece
        if stream.eof and (rest or stream.unused_data or start + _STEP_BYTES < len(body)):
            raise Malformed(f"the {encoding} body goes on behind its end")
    if not stream.eof:
        raise Malformed(f"the {encoding} body ends too early")
