"""Targets: signatures, URLs, configs, redaction, times, orders to bots, names of files. None needs a server."""

import hashlib
import hmac
import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from receiver.errors import ConfigError
from receiver.events import Event, format_time, parse_time
from receiver.ingress.guard import Guard, Target
from receiver.plugins import check_vendors, make_sinks
from receiver.redaction import redact_fields, redact_json, redact_text
from receiver.settings import Endpoint, Settings, from_dict
from receiver.vendors import vendor_named
from sinks.filepath import PathTemplate
from tests.fuzz.promises import CANARY, NOW_NS, SIGNED_URL, outcome, record_of

#: no such folder: a config that names a file below it finds none
_NOWHERE = Path("/nonexistent/fuzz")
_ENVIRON = {"T": CANARY, "S": CANARY + "2"}
_SECRETS = ("whsec_1", "", "gehéim")
_GUARD = Guard(
    [
        Endpoint(vendor="meetstream", name="default", tokens=("tok-4711",)),
        Endpoint(vendor="meetstream", name="open"),
        Endpoint(vendor="meetstream", name="signed", secrets=("s",)),
    ]
)
_TEMPLATE = PathTemplate("events/{vendor}/{type}/{date}/{subject}.jsonl", _NOWHERE)
_COMMANDS = ("sendmsg", "sendchat", "interrupt", "sendaudio", "sendimg", "sendimg_url", "nonsense")


def verify(data: bytes) -> None:
    """Lines: signature, timestamp, then the body. Only what a reference HMAC accepts is valid; one bit off is not."""
    shown, timestamp, body = (*data.split(b"\n", 2), b"", b"")[:3]
    headers = {
        "x-meetstream-signature": shown.decode("utf-8", "surrogateescape"),
        "x-meetstream-timestamp": timestamp.decode("utf-8", "surrogateescape"),
    }
    now_s = NOW_NS / 1e9
    told = outcome(_verify, headers, body, now_s)
    good = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in _SECRETS if secret]
    bare = headers["x-meetstream-signature"].removeprefix("sha256=").lower()
    assert (told == "valid") <= (bare in good), "nothing else fits"
    assert told == "valid" or (isinstance(told, str) and told.startswith("BadSignature: ")), told
    assert not any(secret in str(told) for secret in (*good, *filter(None, _SECRETS)))
    for digest in good:
        assert outcome(_verify, {"x-meetstream-signature": digest}, body, now_s) == "valid"
        assert str(outcome(_verify, {"x-meetstream-signature": digest}, body + b"x", now_s)).startswith("Bad")


def guard(data: bytes) -> None:
    """Lines: path, query values, authorization. No token, no permission; the token never becomes a subject."""
    path, query, shown = (part.decode("utf-8", "surrogateescape") for part in (*data.split(b"\n", 2), b"", b"")[:3])
    for known in ("", "/meetstream/default", "/meetstream/signed"):
        target = outcome(_GUARD.target, known + path, {"token": query}, shown or None)
        if not isinstance(target, Target):
            assert target.startswith(("NotFound: ", "Unauthorized: ")), target
            continue
        assert target.endpoint.name != "default" or target.subject != "tok-4711"
        assert len(target.subject) <= 512 and target.channel in ("", "audio", "video", "transcript", "control")
        if target.endpoint.name == "signed":
            assert not target.authorized
        if target.endpoint.name == "default" and target.authorized:
            basic = "dG9rLTQ3MT" in shown or "basic" in shown.lower()  # base64 of it, with a user or without
            assert "tok-4711" in (query, shown.partition(" ")[2].strip()) or "%" in path or "tok-4711" in path or basic
        told = outcome(_GUARD.require, target, False)
        assert (told is None) == target.authorized


def config(data: bytes) -> None:
    """A config file: settings from which every sink can be made, or lines that say what is wrong. Not one secret."""
    try:
        raw = tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return
    if b"/dev" in data or b"/proc" in data:
        return  # a device may never end, and the operator who names it knows
    told = _problems(lambda: from_dict(raw, _ENVIRON, _NOWHERE))
    if isinstance(told, Settings):
        assert CANARY not in repr(told)
        _problems(lambda: check_vendors(told))
        _problems(lambda: make_sinks(told))
    loose = _problems(lambda: from_dict(raw, {}, _NOWHERE, need_secrets=False))
    assert not isinstance(told, Settings) or isinstance(loose, Settings), "without secrets it takes no less"


def redaction(data: bytes) -> None:
    """Any text: planted secrets go, whatever stands around them; JSON stays JSON, also the second time."""
    text = data.decode(errors="replace")
    for clean in (redact_text(text), redact_fields(text)):
        assert isinstance(clean, str)
    json_text = json.dumps({"a": text, text[:20]: [text], "apiKey": CANARY, "url": SIGNED_URL})
    assert CANARY not in redact_json(json_text)
    assert isinstance(json.loads(redact_json(json_text)), dict)
    assert CANARY not in redact_fields(json_text)
    assert CANARY not in redact_text(f"{text} {SIGNED_URL}"), "a signed URL behind any text"
    assert CANARY not in redact_json(json.dumps([f"{text} Bearer {CANARY}", {"b": f"{text}\n{SIGNED_URL}"}]))
    nested = json.dumps({"body": json_text})
    assert CANARY not in redact_json(nested)
    assert isinstance(json.loads(redact_json(redact_json(json_text))), dict)
    _check_stays_json(text)


def times(data: bytes) -> None:
    """A vendor's time: none, or one that is written and read again as the same."""
    text = data.decode("utf-8", "surrogateescape")
    time_ns = parse_time(text)
    if time_ns is not None:
        assert parse_time(format_time(time_ns)) == time_ns
    number = int.from_bytes(data[:12], "little", signed=True)
    assert len(format_time(number)) == len("2026-09-01T12:00:00.000000Z")


def command(data: bytes) -> None:
    """Arguments of an order to a bot, after its name's number: messages that are JSON, or malformed."""
    try:
        arguments = msgspec.json.decode(data[1:])
    except (ValueError, RecursionError):
        return
    if not isinstance(arguments, dict):
        return
    session = vendor_named("meetstream").session(record_of(b"", "opened", subject="bot-1"))
    told = outcome(session.command, _COMMANDS[data[0] % len(_COMMANDS)], arguments)
    for message in told if isinstance(told, list) else ():
        assert json.loads(message)["bot_id"] == "bot-1"


def filename(data: bytes) -> None:
    """A subject of a stranger's choice: a file below the folder, five levels down, another for another subject."""
    subject = data.decode("utf-8", "surrogateescape")
    path, other = _path(subject), _path(subject + "x")
    assert path.is_relative_to(_TEMPLATE.root) and ".." not in path.parts and "\0" not in str(path)
    assert len(path.relative_to(_TEMPLATE.root).parts) == 4 and path != other
    assert all(len(part.encode()) <= 215 for part in path.parts) and str(path).isprintable()


def _verify(headers: dict[str, str], body: bytes, now_s: float) -> str:
    return vendor_named("meetstream").verify(headers, body, secrets=_SECRETS, now_s=now_s)


def _problems(make: Any) -> Any:
    try:
        return make()
    except ConfigError as error:
        assert error.problems, "what is wrong is told"
        for line in error.problems:
            assert line and "\n" not in line and "\r" not in line, f"one line each: {line!r}"
            assert CANARY not in line
        return None


def _check_stays_json(text: str) -> None:
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return
    msgspec.json.decode(redact_json(text))


def _path(subject: str) -> Path:
    event = Event(
        id="1", source="/meetstream/default", type="bot.status", time_ns=0, received_ns=NOW_NS, subject=subject,
        data=msgspec.UNSET,  # type: ignore[arg-type]  # a path asks for no data
    )  # fmt: skip
    return _TEMPLATE.path(event)
