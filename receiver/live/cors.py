"""Pages of other origins: what a browser asks before it lets one of them read, and what it is told with each answer.

They read with a token. Cookies are not theirs, so none are allowed.
"""

from aiohttp import web

from receiver.errors import Forbidden
from receiver.live.access import Access

#: what such pages may ask for
PREFIXES = ("/live/", "/meetings")
_HEADERS = {
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "Authorization, Last-Event-ID, Cache-Control",
    "Access-Control-Max-Age": "600",
}


class Cors:
    """``preflight`` answers OPTIONS; ``mark`` is for every answer, errors included."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def preflight(self, request: web.Request) -> web.Response:
        """204 for an origin of the list. Raises ``Forbidden``."""
        if not self._access.allows_origin(request.headers.get("Origin", "")):
            raise Forbidden("pages of this origin may not read here (config: [live] cors_origins)")
        return web.Response(status=204, headers=_HEADERS)

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let the browser hand the answer to a page of an allowed origin."""
        if self._access.origins and request.path.startswith(PREFIXES):
            response.headers["Vary"] = "Origin"
            origin = request.headers.get("Origin", "")
            if origin and self._access.allows_origin(origin):
                response.headers["Access-Control-Allow-Origin"] = origin
