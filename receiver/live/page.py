"""``GET /``: the page, and its parts at ``/page/…``. They are read once, at the start, and hold nothing secret.

What the page shows it asks for at the public endpoints, with the rights of whoever looks at it. It loads nothing from
anywhere else, and the browser is told to see to that.
"""

import re
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from receiver.errors import NotFound

PREFIX = "/page/"
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
#: a name or an address, and a port: what may stand in the policy
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{sockets};"
    " media-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class _File(NamedTuple):
    body: bytes
    kind: str
    etag: str


class Page:
    """``add_to`` the application once."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        for path in Path(__file__).with_name("static").iterdir():
            kind = _TYPES.get(path.name.rpartition(".")[2])
            if kind is not None:
                body = path.read_bytes()
                self._files[path.name] = _File(body, kind, sha256(body).hexdigest()[:32])

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Its paths. What is delivered to ``/`` is a vendor's mistake, and answered as one."""
        router.add_get("/", self._index)
        router.add_get(PREFIX + "{name}", self._part)

    async def _index(self, request: web.Request) -> web.Response:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            raise NotFound("no endpoint is served at /: its path is /VENDOR/NAME")
        return _answer(request, self._files["index.html"])

    async def _part(self, request: web.Request) -> web.Response:
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise NotFound("the page has no part of this name")
        return _answer(request, found)


def policy(host: str) -> str:
    """The Content-Security-Policy for a page that was asked for at ``host``. Not every browser takes ``'self'`` for
    WebSockets of the same host."""
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return _POLICY.format(sockets=sockets)


def _answer(request: web.Request, file: _File) -> web.Response:
    headers = {
        "Content-Security-Policy": policy(request.host),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",  # kept, and asked for each time: a new version shows at once
        "ETag": f'"{file.etag}"',
    }
    if any(one.value in ("*", file.etag) for one in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.body, content_type=file.kind, charset="utf-8", headers=headers)
