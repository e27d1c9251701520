"""Answers of RealtimeKit's REST API beside the samples: what is malformed, what is passed on, what is a repeat."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.data import FetchedArtifact, VideoChunk
from receiver.errors import Malformed, ReceiverError
from receiver.record import Record
from receiver.vendors.realtimekit import decode_reply
from receiver.vendors.realtimekit.jpeg import jpeg_size
from receiver.vendors.replies import Seen, reply_record
from tests.vendors.realtimekit_wire import MEETING, PATIENT, SESSION, packet, play, socket
from tests.vendors.samples import NOW_NS, SAMPLES, folders_of, is_reply, reply_of

CALLS = [f"sessions/{SESSION}{what}" for what in ("", "/transcript", "/summary", "/chat", "/participants")]
CALLS += ["recordings", "recordings/rec-1", "meetings/m1", "sessions"]
REPLIES = [folder for folder in folders_of("realtimekit") if is_reply(folder)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(max_size=8), child, max_size=3),
    max_leaves=8,
)
#: names that are looked at
NAMES = st.sampled_from(
    ["data", "participants", "id", "display_name", "joined_at", "left_at", "duration", "status", "download_url",
     "download_urls", "layer_name", "file_size", "recording_duration", "stop_reason", "meeting", "session_id",
     "transcript_download_url", "summaryDownloadUrl", "startTime", "sentence", "peerData"]
)  # fmt: skip
KNOWN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["UPLOADED", "ERRORED", "2026-06-03T10:00:00Z", "x", ""]),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(NAMES, child, max_size=5),
    max_leaves=12,
)


def answer(call: str, told: Any, *, seen: Seen | None = None, subject: str = MEETING) -> Record:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return reply_record(
        "realtimekit", "default", call, body, subject=subject, content_type="application/json", now_ns=NOW_NS, seen=seen
    )


def fetched(record: Record) -> FetchedArtifact:
    [event] = decode_reply(record).events
    assert event.type == "artifact.fetched"
    assert isinstance(event.data, FetchedArtifact)
    return event.data


@pytest.mark.parametrize(
    ("call", "body", "where"),
    [
        (CALLS[4], {"data": {"participants": [{"id": 7}]}}, "$.data.participants[0].id"),
        (CALLS[4], {"data": {"participants": "all"}}, "$.data.participants"),
        (CALLS[1], {"data": {"transcript_download_url": 7}}, "$.data.transcript_download_url"),
        (CALLS[1], [{"sentence": 7}], "$[0].sentence"),
        (CALLS[1], b'"1000","p","u","c","Alice"\n', "row 1"),
        (CALLS[2], b"\xff", "byte 0"),
        (CALLS[3], b"a,b\n1,2\n", "row 1"),
        ("recordings", {"data": [{"status": 7}]}, "$.data[0].status"),
        ("recordings", {"data": ["rec-1"]}, "$.data[0]"),
        ("recordings", {"data": [{"status": "UPLOADED", "file_size": "much"}]}, "$.data[0].file_size"),
        ("recordings/rec-1", {"data": {"download_url": ["x"]}}, "$.data.download_url[0]"),
        ("recordings", b"nothing", "byte 4"),
    ],
)
def test_a_known_key_of_a_wrong_type_is_named_by_its_place(call: str, body: Any, where: str) -> None:
    """The path is that of the answer, not of the webhook that would mean the same."""
    with pytest.raises(Malformed) as error:
        decode_reply(answer(call, body))
    assert error.value.where.startswith(where)


@pytest.mark.parametrize("call", CALLS)
def test_an_answer_in_an_unknown_form_is_passed_on(call: str) -> None:
    """Nothing that the vendor may come to say is lost, or refused."""
    assert fetched(answer(call, {"success": True, "news": [1]})).kind == "detail"


def test_of_an_unknown_answer_nothing_counts_as_missed_but_it_is_passed_on() -> None:
    """Also where it was to be compared with what had come."""
    assert fetched(answer(CALLS[4], {"data": {}}, seen=Seen())).body == {"data": {}}


def test_who_has_no_id_is_known_by_name() -> None:
    """A name that has come is no news; one that has not is."""
    told = {"data": {"participants": [{"display_name": "Alice"}, {"display_name": "Bob"}, {"duration": 3}]}}
    events = decode_reply(answer(CALLS[4], told, seen=Seen(joined=frozenset({"Alice"})))).events
    assert [(event.type, event.id.rpartition("/")[2]) for event in events] == [("participant.joined", "Bob")]


def test_minutes_tell_how_long_somebody_stayed_where_times_do_not() -> None:
    """``duration`` is in minutes; times are believed before it."""
    told = {"data": {"participants": [{"id": "p", "left_at": "2026-06-03T10:30:00.000Z", "duration": 1.5}]}}
    joined, left = decode_reply(answer(CALLS[4], told, seen=Seen())).events
    assert msgspec.to_builtins(left.data)["duration_s"] == 90.0
    assert joined.time_ns == NOW_NS


def test_the_same_answer_to_the_same_call_is_a_repeat() -> None:
    """And to another call, about another meeting, or compared with something else it is none."""
    told: dict[str, Any] = {"data": {"participants": []}}
    keys = [
        decode_reply(answer(CALLS[4], told)).key,
        decode_reply(answer(CALLS[4], told, subject="m2")).key,
        decode_reply(answer("sessions/s2/participants", told)).key,
        decode_reply(answer(CALLS[4], told, seen=Seen())).key,
    ]
    assert len(set(keys)) == 4
    assert decode_reply(answer(CALLS[4], told)).key == keys[0]


def test_links_are_secrets() -> None:
    """A sink without ``secrets`` sees none, in no kind of answer; one with them does."""
    for folder in REPLIES:
        plain = json.dumps([json.loads(event.json()) for event in decode_reply(reply_of(folder)).events])
        assert "https://" not in plain, folder.name
    link = SAMPLES / "realtimekit" / "rest_transcript__link"
    assert fetched(reply_of(link)).url == "https://store.example.net/f/b8c5.csv"


@pytest.mark.parametrize("folder", REPLIES, ids=lambda folder: folder.name)
def test_every_shorter_answer_is_understood_or_malformed(folder: Any) -> None:
    """A file that was cut off never gives anything but our own error."""
    record = reply_of(folder)
    for length in range(len(record.payload)):
        with contextlib.suppress(ReceiverError):
            decode_reply(msgspec.structs.replace(record, payload=record.payload[:length]))


@PATIENT
@given(call=st.sampled_from(CALLS), told=JSON | KNOWN, seen=st.booleans())
def test_any_json_gives_events_or_our_error(call: str, told: Any, seen: bool) -> None:
    """Whatever an answer says; and its events can be written."""
    with contextlib.suppress(ReceiverError):
        for event in decode_reply(answer(call, told, seen=Seen() if seen else None)).events:
            event.json()


@PATIENT
@given(call=st.sampled_from(CALLS), body=st.binary(max_size=60))
def test_any_bytes_give_events_or_our_error(call: str, body: bytes) -> None:
    """Files are not JSON."""
    with contextlib.suppress(ReceiverError):
        decode_reply(answer(call, body))


# The size of a picture

SOF = b"\xff\xc0\x00\x0b\x08\x00\x30\x00\x41\x01\x01\x11\x00"  # 65 by 48
DQT = b"\xff\xdb\x00\x04\x00\x01"
SOS = b"\xff\xda\x00\x02"


@pytest.mark.parametrize(
    ("image", "size"),
    [
        (b"\xff\xd8" + SOF, (65, 48)),
        (b"\xff\xd8" + DQT + SOF, (65, 48)),
        (b"\xff\xd8" + DQT + b"\xff\xff" + SOF, (65, 48)),
        (b"\xff\xd8\xff\xc2" + SOF[2:], (65, 48)),
        (b"\xff\xd8\xff\xc4\x00\x04\x00\x01" + SOF, (65, 48)),
        (b"\xff\xd8" + SOS + SOF, None),
        (b"\xff\xd8\xff\xd9", None),
        (b"\xff\xd8\x00" + SOF, None),
        (b"\xff\xd8" + SOF[:5] + b"\x00\x00" + SOF[7:], None),
        (b"\xff\xd8\xff\xe0\xff\xff", None),
        (b"", None),
    ],
    ids=["at_once", "behind_a_table", "padded", "progressive", "huffman_is_no_frame", "too_late", "none", "broken",
         "height_is_told_later", "length_beyond_the_end", "empty"],
)  # fmt: skip
def test_the_size_of_a_jpeg_stands_in_its_frame_header(image: bytes, size: tuple[int, int] | None) -> None:
    """ITU-T T.81, annex B; and nothing shorter is ever misread."""
    assert jpeg_size(image) == size
    assert jpeg_size(memoryview(image)) == size
    for length in range(len(image)):
        assert jpeg_size(image[:length]) in (None, size)


@PATIENT
@given(image=st.binary(max_size=80))
def test_no_picture_is_a_fault(image: bytes) -> None:
    """Whatever the bytes."""
    jpeg_size(b"\xff\xd8" + image)


def test_a_picture_of_the_sfu_tells_its_size() -> None:
    """``video.chunk`` has width and height where the JPEG tells them, and passes without where it does not."""
    events = play(socket("video"), [packet(b"\xff\xd8" + SOF), packet(b"\xff\xd8\xff\xd9")])
    sizes = [(event.data.width, event.data.height) for event in events if isinstance(event.data, VideoChunk)]
    assert sizes == [(65, 48), (None, None)]
