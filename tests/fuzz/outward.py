"""Targets: what a stranger's text becomes on its way out. Signatures, headers, topics, paths of recordings."""

import base64
import hashlib
import hmac
import re
from pathlib import Path

import msgspec

from receiver.errors import ConfigError
from receiver.events import Event, http_headers
from sinks.kafka_message import TopicTemplate
from sinks.standard_webhooks import message_id, parse_secrets, sign, webhook_headers
from sinks.wav_stream import WavPaths, owner_digest
from tests.fuzz.promises import NOW_NS

_ROOT = Path("/nonexistent/fuzz")
_HEADER = re.compile(r"[!-~]([ -~]*[!-~])?|")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_TOPICS = TopicTemplate("meetings.{vendor}.{type}.{subject}")
_RECORDINGS = WavPaths("audio/{vendor}/{date}/{subject}/{track}.wav", _ROOT, "sinks.wav.path")


def webhook(data: bytes) -> None:
    """Lines: secret, id, body. A secret is understood or refused without being told; what is signed can be checked."""
    secret, name, body = (*data.split(b"\n", 2), b"", b"")[:3]
    text = secret.decode("utf-8", "surrogateescape")
    id_ = message_id([name.decode("utf-8", "surrogateescape"), "x"])
    assert re.fullmatch(r"msg_[0-9a-f]{40}", id_)
    try:
        keys = parse_secrets(text)
    except ValueError as problem:
        assert len(text) < 8 or text not in str(problem), "the secret is not told"
        return
    headers = webhook_headers(keys, id_, 1_788_264_000, body)
    assert headers["webhook-signature"].count("v1,") == len(keys)
    signed = f"{id_}.1788264000.".encode() + body
    for key, shown in zip(keys, headers["webhook-signature"].split(" "), strict=True):
        assert key and shown == sign(key, id_, 1_788_264_000, body)
        assert shown == "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def names(data: bytes) -> None:
    """Lines: subject, type, source, the vendor's name for it. No header ends early, topics and paths are legal."""
    texts = [part.decode("utf-8", "surrogateescape") for part in (*data.split(b"\n", 3), b"", b"", b"")[:4]]
    subject, type_, source, vendorevent = texts
    event = Event(
        id=subject or "1", source=f"/{source}", type=type_, time_ns=0, received_ns=NOW_NS, subject=subject,
        vendorevent=vendorevent, data=msgspec.UNSET,  # type: ignore[arg-type]  # names ask for no data
    )  # fmt: skip
    for name, value in http_headers(event).items():
        assert re.fullmatch(r"[a-z0-9-]+", name) and _HEADER.fullmatch(value), f"{name}: {value!r}"
    assert _TOPIC.fullmatch(_TOPICS.name(event)) and _TOPICS.name(event) not in (".", "..")
    for path in _RECORDINGS.candidates((event.source, subject, type_), NOW_NS):
        assert (
            path.is_relative_to(_ROOT / "audio") and ".." not in path.parts and len(path.parts) == len(_ROOT.parts) + 5
        )
        assert all(len(part.encode()) <= 240 for part in path.parts) and str(path).isprintable()
    assert len(owner_digest("wav", (source, subject, type_))) == 16


def templates(data: bytes) -> None:
    """An operator's template of topics or recordings: taken, or refused with a sentence."""
    text = data.decode(errors="replace")  # a config is UTF-8
    event = Event(
        id="1", source="/v/e", type="bot.status", time_ns=0, received_ns=NOW_NS, subject="../\r\n",
        data=msgspec.UNSET,  # type: ignore[arg-type]  # names ask for no data
    )  # fmt: skip
    try:
        topic = TopicTemplate(text).name(event)
    except ValueError as problem:
        assert str(problem)
    else:
        assert _TOPIC.fullmatch(topic), topic
    try:
        paths = WavPaths(text, _ROOT, "sinks.wav.path").candidates(("/v/e", "../\r\n", ".."), NOW_NS)
    except ConfigError as problem:
        assert problem.problems and all(line.isprintable() for line in problem.problems)
    else:
        assert all(".." not in path.parts and "\0" not in str(path) for path in paths)
