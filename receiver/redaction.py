"""What counts as a secret inside vendor data, and how it is taken out. Pure.

Three rules decide, on the conservative side: the name of a key, a URL that carries its own permission, and a value in
the well-known form of a credential. Used for what leaves through sinks without ``secrets = true`` and for everything
that is logged. May import the standard library and msgspec; nothing of ours.
"""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import msgspec

REDACTED = "[redacted]"
#: JSON that is nested deeper than this is not looked into: as a value it is redacted whole. Real bodies have under 20.
MAX_DEPTH = 100

_SECRET_NAME = re.compile(
    r"""
    # in any spelling: accessToken, x-mb-secret, clientsecret; not "tokens", a count or the words of a recogniser
    (token | secrets? | passwords? | passwd | passphrase | passcode | signature | authorization | credentials?
        | cookies?)$
    | (^|_) (
        # as a whole word only: zoom_pin is a secret, shopping is none
        pass | pwd | zak | otp | pin | jwt | bearer | hmac | auth | basic_?auth | ingest_?server
        # a bare "key" may be anything (idempotency_key, s3_key); these open doors
        | (api | access | secret | private | shared | signing | encryption | stream | auth | master | account | client
            | webhook | host) _?keys?
        # links that open without a further password
        | (download | upload | recording | playback | presigned | signed | access | start | zak | obf)
            _?(url | uri | link)s?
    )$
    """,
    re.VERBOSE,
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_WORD = re.compile(r"[^a-z0-9]+")
#: Longer names are not kept in the cache: they come from strangers.
_CACHED_NAME_CHARS = 64

# Texts come from strangers too: each pattern below is linear, because no two of its starts can scan the same run.
#: ``\/`` and ``\u0026`` are how JSON text may spell ``/`` and ``&``.
_URL = re.compile(r"[a-z][a-z0-9+.\-]{1,20}:(?:\\?/){2}(?:[^\s\"'<>\\]|\\/|\\u00[0-9a-f]{2})+", re.IGNORECASE)
_ESCAPED = re.compile(r"\\(?:/|u00([0-9a-f]{2}))", re.IGNORECASE)
_SIGNED_QUERY = re.compile(
    r"[?&#;](x-amz-|x-goog-|x-ms-|googleaccessid=|awsaccesskeyid=|key-pair-id=|policy=|se=|expires=|sig=|sign=|hdnts="
    r"|hdnea=|auth=|key=|tk=|membership_id="
    r"|[\w.\-]*?(token|secret|signature|api_?key|access_?key|password|passcode|pwd|jwt|zak)=)",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"^[a-z][a-z0-9+.\-]*://[^/?#]*@", re.IGNORECASE)
_CREDENTIAL = re.compile(
    r"(?i:\bbearer\s+)[\w.~+/\-]{10,}=*"
    r"|(?i:\bauthorization\s*[:=]\s*)[^\s\"'\\][^\r\n\"'\\]*"
    r"|\bBasic\s+(?=[A-Za-z+/]*[0-9=])[A-Za-z0-9+/]{8,}={0,2}"
    r"|(?<![\w\-])eyJ[\w\-]{8,}+\.[\w\-]{4,}[\w.\-]*"
    r"|(?<![\w\-])(?:sk[_\-]|pt_|wai_|whsec_)(?=[\w\-]*[\d+/=])[\w+/\-]{16,}={0,2}"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
#: A text without one of these, in lower case, holds neither a URL nor a credential.
_HINTS = (
    "://", ":\\/", "bearer", "authorization", "basic", "eyj", "sk-", "sk_", "pt_", "wai_", "whsec_", "private key",
)  # fmt: skip
#: ``ws://a@b``
_SHORTEST_CHARS = 8
#: ``"name": `` in text that is no JSON, also inside a JSON string, where the quotes are escaped
_MEMBER = re.compile(r"""(?P<quote>\\{0,8}["'])(?P<name>[\w.\- ]{2,64})\\{0,8}["']\s*:\s*""")
#: a string up to its closing quote, one with escaped quotes up to those, or a number, ``true``, ``null``
_SCALAR = re.compile(
    r"""
    "(?:[^"\\]|\\.)*+(?:"|\\?\Z)
    | (?P<escape>\\{1,8})"(?:(?!(?<!\\)(?P=escape)").)*(?:(?P=escape)"|\Z)
    | '[^']*(?:'|\Z)
    | [^\s,\[\]{}"']+
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTE_OR_BRACKET = re.compile(r"""\\{0,8}"|[\[\]{}]""")
_FORM_FIELD = re.compile(r"(?P<name>(?<![\w.\-])[\w.\-]{2,64})=(?P<value>[^\s&\"'<>\\]+)")
_NO_VALUES = frozenset({"", "null", "true", "false"})
_encode = msgspec.json.Encoder().encode


def is_secret_key(key: str) -> bool:
    """Whether a JSON key or header of this name holds a secret: ``streamKey``, ``x-api-key``, ``Authorization``."""
    return _is_secret_name(key) if len(key) <= _CACHED_NAME_CHARS else _is_secret_name.__wrapped__(key)


def redact_text(text: str) -> str:
    """``text`` without URLs that carry their own permission (signed query, user info) and without credentials.

    In a text that is itself an object or array, members and form fields with a secret name are taken out too.
    """
    structured = text[:1] in ("{", "[")
    if len(text) >= _SHORTEST_CHARS and any(map(text.lower().__contains__, _HINTS)):
        # before the members: an unquoted one ends at a blank, and a credential without its first word is not known
        text = _CREDENTIAL.sub(REDACTED, _URL.sub(_redact_url, text))
    return _redact_members(text) if structured else text


def redact(value: Any) -> Any:
    """A JSON value without secrets; the very same object where there were none. Never raises, whatever the depth."""
    try:
        return _redacted(value, MAX_DEPTH)
    except RecursionError:
        return REDACTED


def redact_json(text: str) -> str:
    """JSON text without secrets, untouched where there were none.

    What is no JSON, or nested too deeply to be looked into, is kept as :func:`redact_fields` leaves it.
    JSON stays JSON.
    """
    try:
        value = msgspec.json.decode(text)
        clean = _redacted(value, MAX_DEPTH)
        return text if clean is value else _encode(clean).decode()
    except (msgspec.DecodeError, ValueError, RecursionError):
        return redact_fields(text)


def redact_fields(text: str) -> str:
    """Text of any format without secrets, without members and form fields that have a secret name; ASCII goes in."""
    return _FORM_FIELD.sub(_redact_field, _redact_members(redact_text(text)))


@lru_cache(maxsize=4096)
def _is_secret_name(key: str) -> bool:
    name = _NOT_WORD.sub("_", _HUMP.sub("_", key).lower()).strip("_")
    return _SECRET_NAME.search(name) is not None


def _redacted(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if not isinstance(value, dict | list):
        return value
    if depth <= 0:
        raise RecursionError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        items = [_redacted(item, depth - 1) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    members, same = {}, True
    for key, item in value.items():
        name, clean = _redact_key(key), _redact_member(key, item, depth)
        same = same and clean is item and name is key
        members[name] = clean
    return value if same else members


def _redact_key(key: Any) -> Any:
    return redact_text(key) if isinstance(key, str) and "://" in key else key


def _redact_member(key: Any, value: Any, depth: int) -> Any:
    if isinstance(key, str) and is_secret_key(key) and value not in (None, "", [], {}) and not isinstance(value, bool):
        return REDACTED
    return _redacted(value, depth - 1)


def _redact_members(text: str) -> str:
    """``text`` without the values of members with a secret name, whether or not the text around them is JSON."""
    parts: list[str] = []
    kept = position = 0
    while found := _MEMBER.search(text, position):
        begin = position = found.end()
        if is_secret_key(found["name"]):
            position = _end_of_value(text, begin) if text[begin : begin + 1] not in ",]}" else begin
            if text[begin:position] not in _NO_VALUES:
                parts += text[kept:begin], found["quote"], REDACTED, found["quote"]
                kept = position
            # what seemed to close the value may open the next name, where texts hold quotes of their own
            position -= text[position - 1 : position] in ('"', "'") and position > begin
    return "".join([*parts, text[kept:]]) if parts else text


def _end_of_value(text: str, begin: int) -> int:
    """Where the value that begins at ``begin`` ends: behind its last quote or bracket, or with the text."""
    scalar = _SCALAR.match(text, begin)
    if scalar:
        return scalar.end()
    open_count = 0
    position = begin
    while found := _QUOTE_OR_BRACKET.search(text, position):
        if found.group() in "[{":
            open_count += 1
        elif found.group() in "]}":
            open_count -= 1
        string = _SCALAR.match(text, found.start())
        position = string.end() if string else found.end()
        if open_count <= 0:
            return position
    return len(text)


def _redact_field(found: re.Match[str]) -> str:
    return f"{found['name']}={REDACTED}" if is_secret_key(found["name"]) else found.group()


def _redact_url(found: re.Match[str]) -> str:
    plain = unquote(_ESCAPED.sub(_unescaped, found.group()))
    return REDACTED if _SIGNED_QUERY.search(plain) or _USERINFO.match(plain) else found.group()


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else "/"
