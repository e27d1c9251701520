"""Meemo's signature, as far as it can be guessed: its documents show a secret ``whsec_…`` per webhook, and no recipe.

The default :class:`Scheme` is that of a sister product (fact sheet, section 3); an account for which it does not hold
needs its own. One secret belongs to one organisation: a URL that serves several has several, and any may fit. No time
is signed: age is not checked, and what is sent again is found by its event id.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from receiver.errors import BadSignature, Unauthorized
from receiver.vendors import base
from receiver.vendors.base import Headers, Signature
from receiver.vendors.signing import fits_any, strict_base64, strict_hex

EVENT_HEADER = "X-Prosa-Event"
UUID_HEADER = "X-Prosa-Event-UUID"
_DIGEST_BYTES = 32
_SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
#: a name as HTTP has it (RFC 9110, section 5.1)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
#: what stands in these opens doors, and is never journalled
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})


class Scheme(base.Scheme, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an account's deliveries are signed and named: HMAC-SHA256 of the raw body in one header.

    ``prefix`` stands before the digest, and may be left out by the sender. ``key``: what of the secret is the key:
    ``text`` all of it, ``after_whsec`` the text behind ``whsec_``, ``base64`` the bytes which that text stands for.
    Header names in any case.
    """

    signature_header: str = "X-Prosa-Signature"
    prefix: str = "sha256="
    encoding: Literal["hex", "base64"] = "hex"
    key: Literal["text", "after_whsec", "base64"] = "text"
    event_header: str = EVENT_HEADER
    uuid_header: str = UUID_HEADER

    @property
    def signed_in(self) -> str:
        """``signature_header`` in lower case."""
        return self.signature_header.lower()

    def faults(self) -> Iterator[tuple[str, str]]:
        """Of the three names of headers: each is one, is no credential's, and is none of the others."""
        taken: set[str] = set()
        for key in ("signature_header", "event_header", "uuid_header"):
            name = getattr(self, key).lower()
            if not _HEADER_NAME.fullmatch(name):
                yield key, "the name of a header"
            elif name in _CREDENTIALS:
                yield key, "a header that holds no credential"
            elif name in taken:
                yield key, "a header of its own"
            taken.add(name)

    def verify(
        self, headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now_s: float | None
    ) -> Signature:
        """:func:`verify_with` this scheme."""
        return verify_with(self, headers, body, secrets, now_s)

    def sign(self, body: bytes, secrets: Sequence[str], now_s: float) -> dict[str, str]:
        """:func:`sign_with` this scheme."""
        return sign_with(self, body, secrets, now_s)

    def named(self, headers: Headers) -> Headers:
        """Event name and event id, where they came in headers of this scheme, under the default's names."""
        pairs = ((self.event_header.lower(), EVENT_HEADER.lower()), (self.uuid_header.lower(), UUID_HEADER.lower()))
        found = []
        for own, known in pairs:
            value = next((value for name, value in headers if name == own and value.strip()), "")
            if value and own != known:
                found.append((known, value))
        return tuple(found)


DEFAULT = Scheme()


def verify(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now_s: float | None) -> Signature:
    """:func:`verify_with` the default scheme."""
    return verify_with(DEFAULT, headers, body, secrets, now_s)


def verify_with(
    scheme: Scheme, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now_s: float | None
) -> Signature:
    """Check the raw ``body`` against any of ``secrets``; ``headers`` have lower-case names; ``now_s`` decides nothing.

    Without secrets a signature cannot be checked: ``unsigned``. Raises ``Unauthorized`` where none is shown;
    ``BadSignature`` where one does not fit, is written otherwise than the scheme says (a header given twice, too), or
    where no secret has the form that the scheme wants.
    """
    usable = [secret for secret in secrets if secret]
    if not usable:
        return "unsigned"
    name = scheme.signature_header.lower()
    shown = headers.get(name)
    if shown is None:
        raise Unauthorized(f"missing signature: expected it in {name}")
    digest = _decoded(shown.removeprefix(scheme.prefix), scheme)
    if digest is None:
        raise BadSignature(f"{name} is not {scheme.prefix} and {_DIGEST_BYTES} bytes as {scheme.encoding}")
    keys = [key for key in (_key_of(secret, scheme) for secret in usable) if key]
    if not keys:
        raise BadSignature(f"{name} cannot be checked: no secret has the form that the scheme wants")
    if not fits_any(digest, (hmac.digest(key, body, hashlib.sha256) for key in keys)):
        raise BadSignature(f"{name} does not fit the body")
    return "valid"


def sign(body: bytes, secrets: Sequence[str], now_s: float) -> dict[str, str]:
    """:func:`sign_with` the default scheme."""
    return sign_with(DEFAULT, body, secrets, now_s)


def sign_with(scheme: Scheme, body: bytes, secrets: Sequence[str], now_s: float) -> dict[str, str]:
    """Headers that :func:`verify_with` takes for ``body``, signed with the first secret; for trying an installation.

    Raises ``BadSignature`` where that secret has not the form that the scheme wants.
    """
    key = _key_of(secrets[0], scheme)
    if not key:
        raise BadSignature("cannot sign: the secret has not the form that the scheme wants")
    digest = hmac.digest(key, body, hashlib.sha256)
    text = digest.hex() if scheme.encoding == "hex" else base64.b64encode(digest).decode()
    return {scheme.signature_header.lower(): scheme.prefix + text}


def _decoded(text: str, scheme: Scheme) -> bytes | None:
    if scheme.encoding == "hex":
        return strict_hex(text, _DIGEST_BYTES)
    digest = strict_base64(text)
    return digest if digest is not None and len(digest) == _DIGEST_BYTES else None


def _key_of(secret: str, scheme: Scheme) -> bytes | None:
    """The key; ``None`` or empty where the secret has not the form for one. Both alphabets, padded or not."""
    text = secret if scheme.key == "text" else secret.removeprefix(_SECRET_PREFIX)
    if scheme.key != "base64":
        return text.encode("utf-8", "surrogateescape")
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
