"""Who asks for what: endpoint, token and hints out of a URL, before any body is read. Pure.

A path is ``/<vendor>/<endpoint>`` and then, in any order: the endpoint's token, a channel (``audio`` ``video``
``transcript`` ``control``), a bot or meeting id. The token may also stand in the query (``?token=…``) or in an
``Authorization`` header: ``Bearer``, or ``Basic``, where it is the password or the whole of user and password. Nothing
of the token is kept.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

import msgspec

from receiver.errors import NotFound, Unauthorized
from receiver.settings import Endpoint

CHANNELS = frozenset({"audio", "video", "transcript", "control"})
_TOKEN_KEYS = ("token", "access_token", "key")
_MOST_SEGMENTS = 8
_MOST_ID_CHARACTERS = 512


class Target(msgspec.Struct, frozen=True):
    """What a URL names. ``authorized``: a token fitted; on an endpoint without tokens, nobody needs one."""

    endpoint: Endpoint
    authorized: bool
    subject: str = ""
    channel: str = ""


class Guard:
    """Knows the endpoints. Raises ``NotFound`` and ``Unauthorized`` with a sentence that gives nothing away."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        #: goes up when what was found out before does not hold any more
        self.generation = 0
        self.use(endpoints)

    def use(self, endpoints: Iterable[Endpoint]) -> None:
        """Know these endpoints from now on. Sockets that are open stay open."""
        self.generation += 1
        self._endpoints = {(one.vendor, one.name): one for one in endpoints}
        self._tokens = {key: tuple(token.encode() for token in one.tokens) for key, one in self._endpoints.items()}

    def target(self, raw_path: str, query: Mapping[str, str], authorization: str | None) -> Target:
        """The target of a request. ``raw_path`` is percent-encoded, so that an encoded slash stays inside its id."""
        segments = [unquote(part) for part in raw_path.split("/") if part]
        if not segments or len(segments) > _MOST_SEGMENTS:
            raise NotFound("no such path; deliveries go to /<vendor>/<endpoint>, see `receiver urls`")
        key = (segments[0], segments[1] if len(segments) > 1 else "default")
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            raise NotFound("no such endpoint; deliveries go to /<vendor>/<endpoint>, see `receiver urls`")
        tokens = self._tokens[key]
        shown = [query[name] for name in _TOKEN_KEYS if name in query]
        if authorization is not None:
            shown += _shown_in(authorization)
        authorized = any(_fits(text, tokens) for text in shown)
        subject = channel = ""
        for segment in segments[2:]:
            if _fits(segment, tokens):
                authorized = True
            elif segment.lower() in CHANNELS:
                channel = segment.lower()
            elif not subject:
                if len(segment) > _MOST_ID_CHARACTERS:
                    raise NotFound(f"an id in the path is longer than {_MOST_ID_CHARACTERS} characters")
                subject = segment
        open_to_all = not tokens and not endpoint.signed
        return Target(endpoint, authorized or open_to_all, subject, channel)

    def require(self, target: Target, signature_shown: bool) -> None:
        """Refuse, before a byte of the body is read, who can show neither token nor a signature worth checking."""
        if target.authorized or (signature_shown and target.endpoint.signed):
            return
        if target.endpoint.tokens:
            raise Unauthorized("missing or wrong token: put the endpoint's token into the path or ?token=")
        raise Unauthorized("missing signature: this endpoint takes signed deliveries only")


def _shown_in(authorization: str) -> list[str]:
    """What may be a token in an ``Authorization`` header (RFC 6750, RFC 7617)."""
    scheme, _, value = authorization.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return [value]
    if scheme.lower() != "basic":
        return []
    try:
        pair = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return [value]
    return [value, pair, pair.partition(":")[2]]


def _fits(text: str, tokens: tuple[bytes, ...]) -> bool:
    given = text.encode("utf-8", "surrogatepass")
    return any(hmac.compare_digest(given, token) for token in tokens)
