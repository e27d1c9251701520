"""Meemo's REST replies: every shape of the reference, what is malformed, and where a recording may be fetched."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed, ReceiverError
from receiver.vendors.meemo.replies import (
    Address,
    Attendee,
    RecordingReply,
    Segment,
    participants,
    recording,
    recording_address,
    summary,
    transcript,
)
from receiver.vendors.wire import MAX_DEPTH
from tests.vendors.meemo_wire import PATIENT

MEETING = {"meeting_id": 123, "title": "Weekly"}
SEGMENT = {"speaker": "Ada", "text": "Hello", "start_time": 0.5, "end_time": 2}
TRANSCRIPT = MEETING | {"total_segments": 2, "transcripts": [SEGMENT, {"text": "Hi", "speaker": None}]}
PERSON = {"id": 7, "name": "Ada", "email": "ada@example.com", "position": "CTO", "department": "R&D"}
PARTICIPANTS = MEETING | {"total_participants": 2, "participants": [PERSON, {"name": "Bo", "email": None}]}
SUMMARY = MEETING | {"summary": "# Decisions", "notes": "- none", "keywords": ["budget", "hiring"]}
RECORDING = MEETING | {
    "recording_url": "/media/meeting_records/123/recording.mp3", "duration": 1801.5, "format": "mp3",
}  # fmt: skip


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_transcript() -> None:
    """Segments as they came; seconds as whole or broken numbers; a null is absent."""
    told = transcript(encoded(TRANSCRIPT))
    assert (told.meeting, told.title) == ("123", "Weekly")
    assert told.segments == [
        Segment(speaker="Ada", text="Hello", start_s=0.5, end_s=2.0),
        Segment(speaker=None, text="Hi", start_s=None, end_s=None),
    ]
    assert transcript(encoded({"transcripts": []})).segments == []


def test_the_meeting_is_text_like_the_subject_of_events() -> None:
    """An integer in the reference; a text is taken, too; empty where there is none."""
    assert transcript(encoded({"meeting_id": "123", "transcripts": []})).meeting == "123"
    assert transcript(encoded({"transcripts": []})).meeting == ""


def test_participants() -> None:
    """Whoever was invited, with what the organisation knows of them."""
    told = participants(encoded(PARTICIPANTS))
    assert told.meeting == "123"
    assert told.participants == [
        Attendee(id=7, name="Ada", email="ada@example.com", position="CTO", department="R&D"),
        Attendee(name="Bo"),
    ]


@pytest.mark.parametrize("value", ["# Decisions", {"decisions": ["none"]}, None, ""])
def test_a_summary_is_text_an_object_or_nothing(value: Any) -> None:
    """Old meetings have an object; null says that there is none."""
    told = summary(encoded(SUMMARY | {"summary": value}))
    assert (told.meeting, told.summary, told.notes) == ("123", value, "- none")
    assert told.keywords == ["budget", "hiring"]


@pytest.mark.parametrize("notes", [None, "text", ["a"], {"a": 1}])
def test_notes_are_any_json_and_keywords_may_be_missing(notes: Any) -> None:
    """The reference does not say what type notes have."""
    told = summary(encoded({"summary": None, "notes": notes, "keywords": None}))
    assert (told.notes, told.keywords) == (notes, [])


def test_a_recording() -> None:
    """Seconds and a URL, which is relative."""
    told = recording(encoded(RECORDING))
    assert (told.meeting, told.url, told.duration_s, told.format) == ("123", RECORDING["recording_url"], 1801.5, "mp3")


BASE = "https://api-meemo.glair.ai"
ADDRESSES = [
    ("/media/1/recording.mp3", BASE, Address(f"{BASE}/media/1/recording.mp3", True)),
    (" /media/1.mp3 ", BASE, Address(f"{BASE}/media/1.mp3", True)),
    ("media/1.mp3", f"{BASE}/meemo", Address(f"{BASE}/meemo/media/1.mp3", True)),
    (f"{BASE}/media/1.mp3", f"{BASE}/", Address(f"{BASE}/media/1.mp3", True)),
    ("https://API-meemo.glair.ai:443/1.mp3", BASE, Address("https://API-meemo.glair.ai:443/1.mp3", True)),
    ("http://api-meemo.glair.ai/1.mp3", BASE, Address("http://api-meemo.glair.ai/1.mp3", False)),
    (f"{BASE}:8443/1.mp3", BASE, Address(f"{BASE}:8443/1.mp3", False)),
    ("https://cdn.example/1.mp3?sig=a", BASE, Address("https://cdn.example/1.mp3?sig=a", False)),
    ("//cdn.example/1.mp3", BASE, Address("https://cdn.example/1.mp3", False)),
    (f"{BASE}@cdn.example/1.mp3", BASE, Address(f"{BASE}@cdn.example/1.mp3", False)),
    (f"{BASE}.cdn.example/1.mp3", BASE, Address(f"{BASE}.cdn.example/1.mp3", False)),
]


@pytest.mark.parametrize(("url", "base", "address"), ADDRESSES)
def test_where_a_recording_lies_and_who_may_see_the_token(url: str, base: str, address: Address) -> None:
    """Joined with the base; the bearer token goes to the configured host, scheme and port only."""
    assert recording_address(RecordingReply(url=url), base) == address


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "https://[1", "https://a:b/"])
def test_a_recording_that_lies_nowhere(url: str) -> None:
    """Neither http nor https, or no URL."""
    with pytest.raises(Malformed) as caught:
        recording_address(RecordingReply(url=url), BASE)
    assert caught.value.where == "$.recording_url" and url not in str(caught.value)


READERS: dict[Callable[[bytes], Any], dict[str, Any]] = {
    transcript: TRANSCRIPT, participants: PARTICIPANTS, summary: SUMMARY, recording: RECORDING,
}  # fmt: skip
MALFORMED: list[tuple[Callable[[bytes], Any], Any, str]] = [
    *((read, {"detail": "Not found."}, "$") for read in READERS),
    *((read, [], "$") for read in READERS),
    *((read, reply | {"meeting_id": [123]}, "$.meeting_id") for read, reply in READERS.items()),
    *((read, reply | {"title": 5}, "$.title") for read, reply in READERS.items()),
    (transcript, TRANSCRIPT | {"transcripts": None}, "$"),
    (transcript, TRANSCRIPT | {"transcripts": {}}, "$.transcripts"),
    (transcript, TRANSCRIPT | {"transcripts": [SEGMENT, SEGMENT | {"start_time": "0"}]}, "$.transcripts[1].start_time"),
    (transcript, TRANSCRIPT | {"transcripts": [SEGMENT | {"speaker": 1}]}, "$.transcripts[0].speaker"),
    (participants, PARTICIPANTS | {"participants": ["Ada"]}, "$.participants[0]"),
    (participants, PARTICIPANTS | {"participants": [PERSON | {"email": 1}]}, "$.participants[0].email"),
    (summary, SUMMARY | {"summary": 5}, "$.summary"),
    (summary, SUMMARY | {"keywords": "budget"}, "$.keywords"),
    (summary, SUMMARY | {"keywords": [1]}, "$.keywords[0]"),
    (recording, RECORDING | {"recording_url": None}, "$"),
    (recording, RECORDING | {"recording_url": 5}, "$.recording_url"),
    (recording, RECORDING | {"duration": "long"}, "$.duration"),
]


@pytest.mark.parametrize(("read", "reply", "where"), MALFORMED)
def test_malformed_replies_name_the_place(read: Callable[[bytes], Any], reply: Any, where: str) -> None:
    """A reply without what it is about, an error's among them, is never an empty one."""
    with pytest.raises(Malformed) as caught:
        read(encoded(reply))
    assert caught.value.where == where


@pytest.mark.parametrize("read", READERS)
def test_a_cut_reply_is_malformed(read: Callable[[bytes], Any]) -> None:
    """Every shorter prefix."""
    whole = encoded(READERS[read])
    for length in range(len(whole)):
        with pytest.raises(Malformed):
            read(whole[:length])


@pytest.mark.parametrize("key", ["summary", "notes"])
def test_free_form_json_has_a_depth(key: str) -> None:
    """Whatever walks it later does so recursively."""
    deep: Any = "x"
    for _ in range(MAX_DEPTH):
        deep = {"a": deep}
    with pytest.raises(Malformed):
        summary(encoded(SUMMARY | {key: deep}))


KEYS = st.sampled_from(
    ["meeting_id", "title", "transcripts", "speaker", "text", "start_time", "participants", "id", "name", "summary",
     "notes", "keywords", "recording_url", "duration"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5))


@PATIENT
@given(JSON.map(encoded) | st.binary(max_size=100))
def test_any_reply_gives_a_record_or_our_error(payload: bytes) -> None:
    """Whatever comes, only our errors escape."""
    for read in READERS:
        with contextlib.suppress(ReceiverError):
            read(payload)


@PATIENT
@given(st.text() | st.text(alphabet="htps:/@[].?#\\%1 ", max_size=20))
def test_any_url_gives_an_address_or_our_error(url: str) -> None:
    """URLs of strangers."""
    with contextlib.suppress(ReceiverError):
        address = recording_address(RecordingReply(url=url), BASE)
        assert not address.own_host or address.url.lower().startswith(BASE)
