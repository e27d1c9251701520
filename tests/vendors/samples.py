"""Samples of what vendors push and answer, below ``tests/samples/<vendor>/<name>__<what>/``, and what they mean.

A body is ``body.bin`` with ``headers.json``. A socket is ``channel.txt`` with ``messageNN`` (``.bin``: binary, else
text). An answer of a REST API is ``call.txt``, the name of the call, with ``body.bin``, and ``seen.json`` where it is
only to tell what was missed: the fields of ``Seen``, ``{}`` for nothing. ``subject.txt``: what the URL names, or whom
the call was about. ``expected.json`` has the events, ``source.txt`` says where it comes from.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from receiver.events import Event
from receiver.record import Record
from receiver.vendors import decode_record, vendor_named
from receiver.vendors.replies import Seen, reply_record

SAMPLES = Path(__file__).parent.parent / "samples"
#: 2026-09-01T12:00:00Z
NOW_NS = 1_788_264_000_000_000_000


def folders_of(vendor: str) -> list[Path]:
    """A folder for each sample."""
    return sorted(path for path in (SAMPLES / vendor).iterdir() if path.is_dir())


def events_of(folder: Path) -> list[Event]:
    """What the vendor's decoder makes of a sample."""
    if is_reply(folder):
        return decode_record(reply_of(folder)).events
    vendor = vendor_named(folder.parent.name)
    if (folder / "body.bin").exists():
        payload, headers = (folder / "body.bin").read_bytes(), tuple(headers_of(folder).items())
        return vendor.decode(_record(folder, kind="body", payload=payload, headers=headers)).events
    channel = (folder / "channel.txt").read_text().strip()
    opening = _record(folder, kind="opened", payload=b"", channel=channel, subject=subject_of(folder), connection="c1")
    session = vendor.session(opening)
    return [event for message in messages_of(folder) for event in session.receive(message, NOW_NS).events]


def is_reply(folder: Path) -> bool:
    """Whether the sample is an answer of a REST API, which nobody pushed or signed."""
    return (folder / "call.txt").exists()


def reply_of(folder: Path) -> Record:
    """The record of a REST answer, as the receiver journals it."""
    seen = folder / "seen.json"
    return reply_record(
        folder.parent.name,
        "default",
        (folder / "call.txt").read_text().strip(),
        (folder / "body.bin").read_bytes(),
        subject=subject_of(folder),
        content_type="application/json",
        now_ns=NOW_NS,
        seen=msgspec.json.decode(seen.read_bytes(), type=Seen) if seen.exists() else None,
    )


def subject_of(folder: Path) -> str:
    """The bot or meeting that the URL of a socket or call names; empty where it names none."""
    path = folder / "subject.txt"
    return path.read_text().strip() if path.exists() else ""


def headers_of(folder: Path) -> dict[str, str]:
    """The headers of a body, by lower-case names."""
    headers: dict[str, str] = json.loads((folder / "headers.json").read_text())
    return headers


def expected_of(folder: Path) -> list[dict[str, Any]]:
    """The events that a sample means."""
    events: list[dict[str, Any]] = json.loads((folder / "expected.json").read_text())
    return events


def messages_of(folder: Path) -> list[bytes | str]:
    """The messages of a socket, in order."""
    contents = ((path.suffix, path.read_bytes()) for path in sorted(folder.glob("message*")))
    return [content if suffix == ".bin" else content.decode() for suffix, content in contents]


def _record(folder: Path, **facts: Any) -> Record:
    return Record(vendor=folder.parent.name, endpoint="default", received_ns=NOW_NS, **facts)
