"""What bodies of all vendors share: strict JSON, typed reading with the path of what is wrong, identity, the event.

Errors name a field path or a byte, never a payload. Nothing here knows a particular vendor.
"""

import hashlib
import re
from typing import Any, TypeVar

import msgspec

from receiver.errors import Malformed
from receiver.events import Data, Encoder, Event, parse_time
from receiver.record import Decoded, Record

T = TypeVar("T")
Layers = list[tuple[str, dict[str, Any]]]

#: Free-form JSON nested deeper than this is refused: what works on it later walks it recursively.
MAX_DEPTH = 100
_BYTE = re.compile(r" \(byte (\d+)\)$")
_FIRST_KEY = re.compile(r"^\$\.(\w+)")
_ID_BYTES = 16


def read_object(payload: bytes) -> dict[str, Any]:
    """The JSON object that ``payload`` holds. Raises ``Malformed`` on anything else."""
    value = _read(payload)
    if not isinstance(value, dict):
        raise Malformed("expected a JSON object", "$")
    return value


def read_json(payload: bytes) -> Any:
    """The JSON value that ``payload`` holds, not nested too deeply. Raises ``Malformed``."""
    value = _read(payload)
    require_shallow(value)
    return value


def _read(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except UnicodeDecodeError:
        raise _not_utf8(payload) from None
    except msgspec.ValidationError as error:
        raise Malformed(*_reason_and_path(error)) from None
    except msgspec.DecodeError as error:
        if "UTF-8" in str(error):  # msgspec 0.23, which does not say where
            raise _not_utf8(payload) from None
        byte = _BYTE.search(str(error))
        where = f"byte {byte.group(1) if byte else len(payload)}"
        raise Malformed(_BYTE.sub("", str(error)), where) from None
    except RecursionError:
        raise Malformed("JSON is nested too deeply", "$") from None


def typed(value: dict[str, Any], shape: type[T], at: str = "$") -> T:
    """The object at path ``at`` as a struct: known keys typed, others and nulls ignored. Raises ``Malformed``."""
    if None not in value.values():
        try:
            return msgspec.convert(value, shape)
        except (msgspec.ValidationError, RecursionError):
            pass  # once more, for an error with its path
    return typed_layers([(at, value)], shape)


def typed_layers(layers: Layers, shape: type[T]) -> T:
    """Like :func:`typed`, of objects laid over each other: a later one outweighs, but a null in it does not.

    Each layer comes with its path in the body, so that an error names the place where the wrong value stands.
    """
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for at, layer in layers:
        for key, value in layer.items():
            if value is not None:
                merged[key] = value
                origin[key] = at
    try:
        return msgspec.convert(merged, shape)
    except msgspec.ValidationError as error:
        reason, path = _reason_and_path(error)
        first = _FIRST_KEY.match(path)
        at = origin[first.group(1)] if first else layers[-1][0]
        raise Malformed(reason, at + path[1:]) from None
    except RecursionError:
        raise Malformed("JSON is nested too deeply", layers[-1][0]) from None


def require_shallow(value: Any, at: str = "$") -> None:
    """Raise ``Malformed`` where free-form JSON is nested deeper than ``MAX_DEPTH``; needs no stack itself."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise Malformed(f"JSON is nested deeper than {MAX_DEPTH} levels", at)


def not_blank(text: str | None) -> str | None:
    """``text``, or ``None`` where it is empty or white space."""
    return text if text and not text.isspace() else None


def timed_key(kind: str, *parts: Any) -> bytes:
    """Digest of what identifies a delivery; JSON keeps the parts apart."""
    return hashlib.blake2b(Encoder.encode([kind, *parts]), digest_size=_ID_BYTES).digest()


def delivery_of(record: Record) -> "Delivery":
    """An HTTP body as what its event is made from."""
    return Delivery(
        source=f"/{record.vendor}/{record.endpoint}",
        subject=record.subject,
        received_ns=record.received_ns,
        payload=record.payload,
        repeat=record.repeat,
    )


class Delivery(msgspec.Struct):
    """One body or text message and what is known around it; makes the event of it.

    ``subject`` is the hint of URL or socket, ``repeat`` the number of honest deliveries with the same key before it.
    """

    source: str
    subject: str
    received_ns: int
    payload: bytes
    repeat: int = 0

    def body_key(self, subject: str) -> bytes:
        """Digest of the whole payload, for what carries no time of its own."""
        return hashlib.blake2b(Encoder.encode(["body", subject]) + self.payload, digest_size=_ID_BYTES).digest()

    def decoded(
        self, type_: str, data: Data, *, subject: str, timestamp: str | None, name: str = "", key: bytes | None = None
    ) -> Decoded:
        """The one event. ``timestamp`` is the vendor's text; ``key`` = None: the payload itself identifies it."""
        digest = key or self.body_key(subject)
        suffix = f"~{self.repeat + 1}" if self.repeat else ""
        event = self.event(digest.hex() + suffix, type_, data, subject=subject, timestamp=timestamp, name=name)
        return Decoded([event], digest, timed=key is not None)

    def event(self, id_: str, type_: str, data: Data, *, subject: str, timestamp: str | None, name: str = "") -> Event:
        """An event of this payload; its time is the vendor's where that can be read, else the arrival."""
        time_ns = parse_time(timestamp) if timestamp else None
        return Event(
            id=id_,
            source=self.source,
            type=type_,
            time_ns=self.received_ns if time_ns is None else time_ns,
            received_ns=self.received_ns,
            data=data,
            subject=subject,
            vendorevent=name,
            raw=self.payload,
        )


def _reason_and_path(error: msgspec.DecodeError) -> tuple[str, str]:
    """msgspec's text without the path that it ends with, and that path; ``$`` where it has none."""
    reason, _, path = str(error).partition(" - at `")
    return reason, path.removesuffix("`") or "$"


def _not_utf8(payload: bytes) -> Malformed:
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        return Malformed("JSON is not UTF-8", f"byte {error.start}")
    return Malformed("JSON is not UTF-8", "$")
