"""``POST /login`` and ``POST /logout``: a reader's token becomes the cookie of a session, for pages."""

import asyncio
import time
from secrets import token_urlsafe
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from receiver.errors import Malformed, TooLarge, Unauthorized
from receiver.live.access import COOKIE, Access
from receiver.live.sessions import seal, with_token

_MOST_BYTES = 4096
_MOST_WAIT_S = 10.0
_NO_STORE = {"Cache-Control": "no-store"}


class _Login(msgspec.Struct, forbid_unknown_fields=True):
    token: str


class Login:
    """Handlers. What comes of them is for browsers: programs send their token with each request."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def login(self, request: web.Request) -> web.Response:
        """``{"token": …}`` as JSON, or ``token=…`` as a form: who it is and what he may read, and the cookie.

        Raises ``Unauthorized``, ``Forbidden`` (the page of another origin), ``Malformed``, ``TooLarge``."""
        self._access.require_same_origin(request)
        token = _token_in(await _read(request), request.content_type)
        credential = with_token(self._access.credentials, token)
        if credential is None:
            raise Unauthorized("wrong reader token (config: [readers.NAME])")
        expires_s = int(time.time() + self._access.session_s)
        answer = {"reader": credential.reader.lstrip("-"), "scopes": sorted(credential.scopes), "expires": expires_s}
        response = web.json_response(answer, headers=_NO_STORE)
        response.set_cookie(
            COOKIE,
            seal(credential, expires_s, token_urlsafe(12)),
            max_age=int(self._access.session_s),
            httponly=True,
            samesite="Strict",
            secure=self._access.secure,
        )
        return response

    async def logout(self, request: web.Request) -> web.Response:
        """The session is over for good, and its cookie is gone. Raises ``Forbidden`` (the page of another origin)."""
        await self._access.end_session(request)
        response = web.json_response({"status": "logged out"}, headers=_NO_STORE)
        response.del_cookie(COOKIE, httponly=True, samesite="Strict", secure=self._access.secure)
        return response


async def _read(request: web.Request) -> bytes:
    """A small body, soon."""
    body = b""
    try:
        async with asyncio.timeout(_MOST_WAIT_S):
            while piece := await request.content.readany():
                body += piece
                if len(body) > _MOST_BYTES:
                    raise TooLarge(f"a login is larger than {_MOST_BYTES} bytes")
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the body did not arrive in time") from None
    except (ConnectionError, web.RequestPayloadError):
        raise web.HTTPBadRequest(text="the body did not arrive as a whole") from None
    return body


def _token_in(body: bytes, content_type: str) -> str:
    if content_type == "application/x-www-form-urlencoded":
        found = parse_qs(body.decode("utf-8", "replace")).get("token", [])
        if len(found) != 1:
            raise Malformed("a form with one field of that name is wanted", "token")
        return found[0].strip()
    try:
        return msgspec.json.decode(body, type=_Login).token.strip()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from error
