"""The event contract: envelope, data of each type, times, JSON and binary forms, secrets."""

import base64
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.events import (
    DATA_TYPES,
    MEDIA_TYPES,
    Artifact,
    AudioChunk,
    BotStatus,
    ChatMessage,
    ControlMessage,
    Data,
    DataDeleted,
    Event,
    MeetingInfo,
    Participant,
    ParticipantChange,
    Person,
    RecordingStatus,
    StreamClosed,
    StreamOpened,
    Transcript,
    VendorBody,
    VideoChunk,
    Word,
    batch_json,
    format_sequence,
    format_time,
    http_headers,
    media_attributes,
    parse_time,
    quote_header,
)
from receiver.redaction import REDACTED
from tests.test_redaction import CANARY, JSON_VALUES, SIGNED_URLS, planted

PCM = bytes(range(256)) * 3
ADA = Person(id="p-1", name="Ada Löwe")
EXTRA: dict[str, Any] = {"attributes": {"team": "a", "n": [1, None]}, "session": "s-1"}
WORD = Word(text="hi", formatted_text="Hi", start_s=0.5, end_s=0.75, confidence=0.5, final=True, speaker=ADA)
#: data with every key, by class
FULL: dict[type[Data], Data] = {
    type(data): data
    for data in (
        BotStatus(status="stopped", reason="kicked", final=True, message="removed", code=410, **EXTRA),
        RecordingStatus(status="recording", id="rec-1", **EXTRA),
        MeetingInfo(title="Weekly", reason="all left", **EXTRA),
        ParticipantChange(
            participant=Participant(id="p-1", name="Ada", user_id="u", email="a@b.c", host=True, bot=False, platform="web"),
            offset_s=1.5,
            duration_s=2.0,
            reason="left",
            **EXTRA,
        ),
        Transcript(
            text="hi there", formatted_text="Hi there.", new_text="there", speaker=ADA, turn=3, start_s=0.5, end_s=1.0,
            language="en", confidence=0.9, words=[WORD, Word(text="there")], **EXTRA,
        ),
        ChatMessage(text="hello", sender=ADA, to="everyone", **EXTRA),
        AudioChunk(
            codec="pcm_s16le", rate_hz=48_000, channels=1, speaker=ADA, track="mixed", first_sample=96_000, samples=384,
            gap_ms=20.5, **EXTRA,
        ),
        VideoChunk(codec="h264", container="fmp4", width=1280, height=720, track="camera", **EXTRA),
        StreamOpened(channel="audio", connection="c-2", resumes="c-1", **EXTRA),
        StreamClosed(
            channel="video", connection="c-1", code=1006, clean=False, messages=7, bytes=900, duration_s=3.5, **EXTRA
        ),
        Artifact(
            kind="video", url=SIGNED_URLS["Azure"], expires_at="2026-11-21T10:00:00Z", message="ready", duration_s=60.0,
            size_bytes=1000, **EXTRA,
        ),
        DataDeleted(objects=0, ok=False, **EXTRA),
        ControlMessage(command="usermsg", text="hi", speaker=ADA, **EXTRA),
        VendorBody(body={"event": "new", "n": None, "list": [1, {"a": "ü"}]}),
    )
}  # fmt: skip
#: data with the required keys alone, by class
BARE: dict[type[Data], Data] = {kind: kind() for kind in FULL if kind not in (VendorBody,) and not kind.__struct_encode_fields__[-1:] == ()
                                and all(not field.required for field in msgspec.structs.fields(kind))}
