"""What holds for every event, whatever bytes it was decoded from. Each function raises ``AssertionError``."""

import json
import re
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import structlog

from receiver.errors import ReceiverError
from receiver.events import DATA_TYPES, MEDIA_TYPES, Event, VendorBody, http_headers
from receiver.record import Decoded, Record
from receiver.vendors import decode_record

T = TypeVar("T")
#: 2026-09-01T12:00:00Z
NOW_NS = 1_788_264_000_000_000_000
#: stands for a secret; nothing that is random contains it
CANARY = "cAnArY7h3lph1s1s5ecret"
SIGNED_URL = f"https://bucket.example/a.mp4?X-Amz-Signature={CANARY}"
_ENVELOPE = {"specversion", "id", "source", "type", "time", "receivedtime", "sequence", "datacontenttype"}
_HEADER_VALUE = re.compile(r"[ -~]*").fullmatch


def outcome(call: Callable[..., T], *arguments: Any) -> T | str:
    """What ``call`` gives, or the class and text of the one kind of error that may escape: ours."""
    try:
        return call(*arguments)
    except ReceiverError as error:
        text = str(error)
        assert text and CANARY not in text, "an error says what is wrong and nothing secret"
        return f"{type(error).__name__}: {text}"


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing of ours is logged meanwhile."""

    def drop(_: Any, __: str, ___: MutableMapping[str, Any]) -> Any:
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[drop], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


def record_of(payload: bytes, kind: Any = "body", **facts: Any) -> Record:
    """A record as the ingress makes it."""
    facts = {
        "vendor": "meetstream", "received_ns": NOW_NS, "connection": "" if kind == "body" else "c-1", **facts,
    }  # fmt: skip
    return Record(endpoint="default", kind=kind, payload=payload, **facts)


def check_record(make: Callable[[], Record]) -> Decoded | None:
    """Decode a record twice: the same outcome, and each event keeps the contract. ``None``: it was refused."""
    first, second = outcome(decode_record, make()), outcome(decode_record, make())
    assert first == second, "decoding is a function of the record"
    if isinstance(first, str):
        return None
    check_events(first.events)
    return first


def check_events(events: list[Event]) -> None:
    """The envelope, the data of its type, one line of JSON, sendable headers, and different ids."""
    assert len({event.id for event in events}) == len(events), "ids tell events apart"
    for event in events:
        check_event(event)
        event.cached_json = b""  # the events are compared with others that nobody has encoded yet


def check_event(event: Event) -> None:
    """One event in all its forms."""
    plain = event.json()
    members = _one_line(plain)
    assert members.keys() >= _ENVELOPE and members["id"] and members["source"].startswith("/")
    _one_line(event.json(raw=True))
    with_secrets = _one_line(event.json(secrets=True, raw=True))
    for name, value in http_headers(event).items():
        assert name.isascii() and _HEADER_VALUE(value), f"header {name}"
    event.body(), event.body(secrets=True)
    if event.type in MEDIA_TYPES:
        assert "data" not in members and members["data_base64"] is not None
        return
    for form in (members, with_secrets):
        _fits(form["data"], event)


def check_no_secret(event: Event) -> None:
    """A planted secret is gone from every form that is without secrets."""
    for form in (event.json(), event.json(raw=True), event.body()):
        assert CANARY.encode() not in bytes(form), "a planted secret came through"


def _one_line(form: bytes) -> dict[str, Any]:
    assert b"\n" not in form and b"\r" not in form
    members = json.loads(form, parse_constant=_no_constant)
    assert isinstance(members, dict)
    return members


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def _fits(data: Any, event: Event) -> None:
    kind = DATA_TYPES[event.type]
    if kind is VendorBody:
        assert isinstance(data, dict)
        return
    try:
        msgspec.convert(data, kind, strict=True)
    except msgspec.ValidationError as error:
        raise AssertionError(f"{event.type} does not keep to its type: {error}") from error
    assert None not in data.values(), "what has nothing to say is absent, never null"
