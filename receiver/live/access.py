"""Who may read what is live. Every door to it asks here first.

A reader shows his token as ``Authorization: Bearer …``, or once at ``POST /login`` and then a cookie. Nobody needs one
only where no other machine can ask: the server listens on a loopback address, no reader is configured, and nothing in
the request says that it was passed on or that another site's page has sent it.
"""

import time
from collections.abc import Mapping
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from receiver.errors import Forbidden, Unauthorized
from receiver.live.ended import Ended
from receiver.live.masking import Mask
from receiver.live.sessions import Credential, with_session, with_token
from receiver.settings import Settings, is_loopback

COOKIE = "receiver_session"
ALL_SCOPES = ("events", "audio", "meetings", "admin")
_ON_THIS_MACHINE = frozenset({"events", "audio", "meetings"})
#: headers that a proxy adds: whoever is behind it is not on this machine
_PASSED_ON = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_ENDED = "sessions-ended.json"


class Grant(NamedTuple):
    """That somebody may read, and by what: a ``token``, a ``session``, or because he is on this ``machine``."""

    credential: Credential
    by: Literal["token", "session", "machine"]


class Access:
    """Knows the readers. Raises ``Unauthorized`` and ``Forbidden`` with a sentence that gives nothing away."""

    def __init__(self, settings: Settings, runtime_token: str) -> None:
        """``runtime_token``: of the runtime file, for commands on this machine."""
        self._runtime_token = runtime_token
        #: sessions that were logged out before their time
        self.ended = Ended(settings.data_dir / _ENDED)
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Know these readers from now on."""
        found = [
            Credential.of(one.name, one.scopes, token, one.redact) for one in settings.readers for token in one.tokens
        ]
        # names that no reader can have
        found += [Credential.of("-runtime", ALL_SCOPES, self._runtime_token)]
        found += [Credential.of("-admin", ALL_SCOPES, settings.admin_token)] if settings.admin_token else []
        self.credentials = tuple(found)
        server, hidden = settings.server, settings.live.redact
        scopes = _ON_THIS_MACHINE - {"audio"} if "text" in hidden else _ON_THIS_MACHINE  # sound cannot be redacted
        self._machine = Credential.of("", scopes, self._runtime_token, hidden)
        self._open = is_loopback(server.host) and not server.public_url and not settings.readers
        self._public_host = urlsplit(server.public_url).netloc.lower()
        self.secure = bool(server.tls_cert_file) or server.public_url.startswith("https:")
        self.session_s = settings.live.session_s
        self.origins = frozenset(origin.lower() for origin in settings.live.cors_origins)

    def require(self, request: web.Request, *scopes: str) -> Grant:
        """The grant of a request that needs all of ``scopes``."""
        grant = self._granted(request)
        missing = [scope for scope in scopes if scope not in grant.credential.scopes]
        if missing:
            held = ", ".join(sorted(grant.credential.scopes))
            raise Forbidden(
                f"this needs the scope {missing[0]}, and the token has {held} (config: [readers.NAME] scopes)"
            )
        return grant

    def holds(self, grant: Grant) -> bool:
        """Whether a grant that was given is still in force."""
        if grant.by == "machine":
            return self._open and grant.credential == self._machine
        return grant.credential in self.credentials

    @staticmethod
    def mask(grant: Grant) -> Mask | None:
        """What is hidden from whom it was given to; ``None``: nothing is."""
        hidden = grant.credential.redact
        return Mask("names" in hidden, "text" in hidden, grant.credential.digest) if hidden else None

    async def end_session(self, request: web.Request) -> None:
        """The session of a request is over, whatever its time, also after a restart. Raises as ``require`` does."""
        found = with_session(self.credentials, request.cookies.get(COOKIE, ""), time.time())
        if found is None:
            return
        self.require_same_origin(request)
        await self.ended.add(found[1])

    def require_same_origin(self, request: web.Request) -> None:
        """A page of ours has sent it, or no page at all. Browsers name the page's origin, and nobody else needs to."""
        origin = request.headers.get("Origin")
        if origin is None:
            if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
                raise Forbidden("a page of another site has sent this")
            return
        host = urlsplit(origin.lower()).netloc
        if not host or host not in (request.host.lower(), self._public_host):
            raise Forbidden("a page of another origin has sent this")

    def allows_origin(self, origin: str) -> bool:
        """Whether pages of ``origin`` may read, with a token."""
        return "*" in self.origins or origin.lower() in self.origins

    def _granted(self, request: web.Request) -> Grant:
        authorization = request.headers.get("Authorization")
        if authorization is not None:
            kind, _, token = authorization.partition(" ")
            credential = with_token(self.credentials, token.strip()) if kind.lower() == "bearer" else None
            if credential is not None:
                return Grant(credential, "token")
            raise Unauthorized("wrong reader token: send it as `Authorization: Bearer …` (config: [readers.NAME])")
        session = with_session(self.credentials, request.cookies.get(COOKIE, ""), time.time())
        if session is not None and session[1] not in self.ended:
            self._require_own_page(request)
            return Grant(session[0], "session")
        if self._open and _is_local(request.host, request.headers):
            self._require_own_page(request)
            return Grant(self._machine, "machine")
        raise Unauthorized(
            "missing reader token: send it as `Authorization: Bearer …`, or log in at /login (config: [readers.NAME])"
        )

    def _require_own_page(self, request: web.Request) -> None:
        """What a browser shows by itself proves nothing of the page: a WebSocket of any page has the cookie's right,
        and so has a request that changes something."""
        upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        if request.method not in _SAFE or upgrade:
            self.require_same_origin(request)


def _is_local(host: str, headers: Mapping[str, str]) -> bool:
    """Whether a request names this machine as such and comes straight from it: a name of another site that leads here
    is that site's page, and a proxy's requests are anybody's."""
    name = urlsplit(f"//{host}").hostname or ""
    return is_loopback(name) and not any(header in headers for header in _PASSED_ON)
