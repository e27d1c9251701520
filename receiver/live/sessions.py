"""Credentials of readers, and the sessions that a login makes of one. Pure.

A session is signed with a key that comes of its token: it outlives a restart of the server, ends by its own time, and
is worth nothing once the token is no longer in force. The token itself does not stand in it.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

#: longer ones were not made here
_MOST_CHARACTERS = 256
_LABEL = b"receiver session"


class Credential(NamedTuple):
    """A token of a reader, as its digest, what it opens, and what is hidden from who shows it."""

    reader: str
    scopes: frozenset[str]
    digest: bytes
    redact: frozenset[str] = frozenset()

    @classmethod
    def of(cls, reader: str, scopes: Iterable[str], token: str, redact: Iterable[str] = ()) -> "Credential":
        """The credential of a token."""
        return cls(reader, frozenset(scopes), _digest(token), frozenset(redact))


def with_token(credentials: Iterable[Credential], token: str) -> Credential | None:
    """The credential of this token. Takes as long whichever it is: digests are compared, with all of them."""
    shown = _digest(token)
    fits = [one for one in credentials if hmac.compare_digest(one.digest, shown)]
    return fits[0] if fits else None


def seal(credential: Credential, expires_s: int, nonce: str) -> str:
    """A session until ``expires_s`` (seconds since the epoch). ``nonce``: letters, digits, - and _, never the same."""
    head = f"{credential.reader}.{expires_s}.{nonce}"
    return f"{head}.{_mac(credential, head)}"


def with_session(credentials: Iterable[Credential], session: str, now_s: float) -> tuple[Credential, str] | None:
    """The credential that ``session`` was made of, and its nonce; ``None`` where it is over, or not made here."""
    head, _, shown = session.rpartition(".")
    parts = head.split(".")
    if len(session) > _MOST_CHARACTERS or not session.isascii() or len(parts) != 3 or not parts[1].isdecimal():
        return None
    fits = [one for one in credentials if hmac.compare_digest(_mac(one, head), shown)]
    return (fits[0], parts[2]) if fits and int(parts[1]) > now_s else None


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def _mac(credential: Credential, head: str) -> str:
    key = hmac.digest(credential.digest, _LABEL, "sha256")
    return urlsafe_b64encode(hmac.digest(key, head.encode(), "sha256")).decode().rstrip("=")
