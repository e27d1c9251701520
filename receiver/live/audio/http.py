"""``GET /live/audio/{subject}.wav|.pcm|.mulaw``: live sound over plain HTTP, and as a WebSocket on the same path.

What the query may hold is told in :mod:`receiver.live.audio.query`.
"""

import asyncio
from collections.abc import Callable
from importlib import import_module

from aiohttp import web

from receiver.errors import Overloaded
from receiver.live.audio.feeds import Feeds
from receiver.live.audio.query import PREFIX, Request, is_upgrade, parse
from receiver.live.masking import Mask

#: raises, or returns the response that is to be sent in place of the sound
Allow = Callable[[web.Request, str], web.StreamResponse | None]
#: what is hidden from who asks
MaskOf = Callable[[web.Request], Mask | None]

_MEDIA_TYPES = {"wav": "audio/wav", "pcm": "audio/pcm", "mulaw": "audio/x-mulaw"}
#: a listener has nothing to say
_MOST_MESSAGE_BYTES = 4096


def audio_routes(
    feeds: Callable[[], Feeds], allow: Allow, max_behind_s: float = 30.0, mask_of: MaskOf = lambda request: None
) -> list[web.RouteDef]:
    """The routes. A listener who is more than ``max_behind_s`` behind goes on with what is said now. Who sees no names
    asks for a speaker by the label that he sees, and by no name."""

    async def handle(request: web.Request) -> web.StreamResponse:
        refusal = allow(request, "audio")
        if refusal is not None:
            return refusal
        asked = parse(request)
        # it loads numpy, in a thread: deliveries do not wait for that, and a listener misses nothing meanwhile
        loaded = asyncio.get_running_loop().run_in_executor(None, import_module, "receiver.live.audio.serving")
        response: web.StreamResponse | None = None
        try:
            async with feeds().listen(asked.subject, asked.wait_s) as seat:
                await loaded
                from receiver.live.audio.listening import Listening
                from receiver.live.audio.serving import serve_plain, serve_socket

                listening = Listening(seat, asked.wish, max_behind_s, mask_of(request))
                if is_upgrade(request):
                    response = socket = web.WebSocketResponse(max_msg_size=_MOST_MESSAGE_BYTES, compress=False)
                    await serve_socket(request, asked, listening, seat.zero_ns, socket)
                else:
                    response = _plain_response(asked)
                    await serve_plain(request, asked, listening, response)
        except Overloaded:
            if response is None:
                raise
        return response

    return [web.get(PREFIX + "{name:.+}", handle, allow_head=False)]


def _plain_response(asked: Request) -> web.StreamResponse:
    kind = _MEDIA_TYPES[asked.form]
    if asked.form != "wav":
        kind += f";rate={asked.wish.rate_hz};channels={asked.wish.channels}"
    return web.StreamResponse(headers={"Content-Type": kind, "Cache-Control": "no-store", "X-Accel-Buffering": "no"})
