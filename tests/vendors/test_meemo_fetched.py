"""What Meemo's API answered, as events: one identity with the callbacks, and only our errors whatever it says."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed, ReceiverError
from receiver.events import Artifact, FetchedArtifact, Segment, VendorBody
from receiver.record import Decoded, Record
from receiver.vendors import decode_record, meemo
from receiver.vendors.replies import Seen, reply_record
from tests.vendors.meemo_wire import JSON, OBJECTS, PATIENT, VALUES, decode
from tests.vendors.samples import NOW_NS, SAMPLES, is_reply

CALLS = ["detail", "transcript", "summary", "participants", "recording", "delivery-log"]
ENTRY = {"id": 501, "event_uuid": "evt_1", "event_type": "meeting.created", "created_at": "2026-08-20T08:00:01Z"}
#: call -> an answer, and a key of it with the wrong type
WRONG = {
    "detail": ({"id": 1, "keywords": "planning"}, "$.keywords"),
    "transcript": ({"transcripts": [{"text": "a"}, {"text": 1}]}, "$.transcripts[1].text"),
    "summary": ({"summary": 1}, "$.summary"),
    "participants": ({"participants": [{"name": []}]}, "$.participants[0].name"),
    "recording": ({"recording_url": 1}, "$.recording_url"),
    "delivery-log": (ENTRY | {"event_type": 1}, "$.event_type"),
}


def reply_of(call: str, body: Any, *, subject: str = "123", seen: Seen | None = None) -> Record:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return reply_record(
        "meemo", "default", call, payload, subject=subject, content_type="application/json", now_ns=NOW_NS, seen=seen
    )


def meaning(call: str, body: Any, **facts: Any) -> Decoded:
    """By the one way that the journal's records go."""
    return decode_record(reply_of(call, body, **facts))


def fetched(call: str, body: Any) -> FetchedArtifact:
    (event,) = meaning(call, body).events
    assert event.type == "artifact.fetched" and isinstance(event.data, FetchedArtifact)
    return event.data


@pytest.mark.parametrize("name", meemo.EVENT_TYPES)
def test_an_entry_of_the_log_is_the_callback_that_never_came(name: str) -> None:
    """Same key, id and type as the callback of that ``event_uuid``: whichever comes second is a repeat."""
    entry = meaning("delivery-log", ENTRY | {"event_type": name}, subject="")
    callback = decode({"event_uuid": "evt_1", "event_type": name, "meeting_id": 123})
    by_header = decode(b'{"meeting_id":123}', {"x-prosa-event": name, "x-prosa-event-uuid": "evt_1"})
    assert entry.key == callback.key == by_header.key and entry.timed
    (missed,), (pushed,) = entry.events, callback.events
    assert (missed.id, missed.type, missed.vendorevent) == (pushed.id, pushed.type, pushed.vendorevent)
    assert missed.data is not None and missed.data.reconciled and not pushed.data.reconciled
    if isinstance(pushed.data, Artifact):
        assert isinstance(missed.data, Artifact) and missed.data.kind == pushed.data.kind
    assert missed.time_ns < missed.received_ns


def test_entries_differ_by_their_event() -> None:
    """And what the journal knew before changes nothing: the key decides."""
    keys = {meaning("delivery-log", ENTRY | {"event_uuid": uuid}).key for uuid in ("evt_1", "evt_2")}
    assert len(keys) == 2
    assert meaning("delivery-log", ENTRY, seen=Seen()).key in keys


def test_an_unknown_event_in_the_log_is_passed_on() -> None:
    """``vendor.event`` under the vendor's name and id."""
    (event,) = meaning("delivery-log", ENTRY | {"event_type": "meeting.renamed", "meeting_id": 7}).events
    assert (event.type, event.vendorevent, event.id, event.subject) == ("vendor.event", "meeting.renamed", "evt_1", "7")
    assert isinstance(event.data, VendorBody) and event.data.body["id"] == 501


def test_an_entry_without_an_event_id_is_passed_on() -> None:
    """Nothing tells which callback it was."""
    assert fetched("delivery-log", {"id": 501, "event_type": "meeting.created"}).body


def test_segments_keep_what_is_told() -> None:
    """Without times they stay in their order; who is nobody is left out; so is what says nothing."""
    told = fetched(
        "transcript", {"transcripts": [{"text": "b", "speaker": "NoSpeaker"}, {"text": "a"}, {"text": ""}, {}]}
    )
    assert told.segments == [Segment(text="b"), Segment(text="a")]
    assert fetched("transcript", {"transcripts": []}).segments == []


def test_the_meeting_of_the_answer_outweighs_that_of_the_call() -> None:
    """They are the same; where the answer tells none, the call's counts."""
    assert meaning("summary", {"summary": "a", "meeting_id": 9}).events[0].subject == "9"
    assert meaning("summary", {"summary": "a"}).events[0].subject == "123"


def test_notes_of_another_type_stay_as_they_are() -> None:
    """Their type is not documented."""
    told = fetched("summary", {"summary": "a", "notes": {"x": [1]}})
    assert told.text == "a" and told.notes is None and isinstance(told.body, dict) and told.body["notes"] == {"x": [1]}


def test_a_recording_is_shown_without_its_link() -> None:
    """Whoever has the link may have the sound; a format that nobody knows has no media type."""
    told = fetched("recording", {"recording_url": "https://x/y.bin", "format": "bin", "duration": 1})
    assert (told.url, told.content_type, told.duration_s) == ("https://x/y.bin", None, 1.0)
    assert msgspec.to_builtins(told.without_secrets()) == {"kind": "recording", "duration_s": 1.0}


@pytest.mark.parametrize("call", CALLS)
def test_the_same_answer_is_a_repeat(call: str) -> None:
    """Another answer, or one about another meeting, is not; the log's identity is the event's alone."""
    body = {"x": 1}
    assert meaning(call, body).key == meaning(call, body).key != meaning(call, {"x": 2}).key
    assert meaning(call, body).key != meaning(call, body, subject="124").key


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("body", [{}, {"detail": "Not found."}, [], [{"id": 1}], 1])
def test_an_unknown_form_is_passed_on(call: str, body: Any) -> None:
    """Never refused."""
    assert fetched(call, body).body == body


@pytest.mark.parametrize("call", WRONG)
def test_a_known_key_of_the_wrong_type_is_malformed_with_its_path(call: str) -> None:
    """The path is the body's."""
    body, path = WRONG[call]
    with pytest.raises(Malformed) as caught:
        meaning(call, body)
    assert caught.value.where == path


@pytest.mark.parametrize("name", sorted(one.name for one in (SAMPLES / "meemo").iterdir() if is_reply(one)))
def test_every_prefix_is_malformed(name: str) -> None:
    """What is cut short is never taken for the whole."""
    folder = SAMPLES / "meemo" / name
    body, call = (folder / "body.bin").read_bytes(), (folder / "call.txt").read_text().strip()
    for length in range(len(body)):
        with pytest.raises(Malformed):
            meaning(call, body[:length])


KEYS = st.sampled_from(
    ["meeting_id", "id", "title", "transcripts", "summary", "notes", "keywords", "participants", "recording_url",
     "duration", "format", "event_uuid", "event_type", "created_at", "text", "speaker", "start_time", "name"]
)  # fmt: skip
ANSWERS = JSON | OBJECTS | st.dictionaries(KEYS, JSON | st.lists(st.dictionaries(KEYS, JSON | VALUES, max_size=4)))


@PATIENT
@given(st.sampled_from([*CALLS, "new-call"]), ANSWERS)
def test_any_answer_is_events_or_malformed(call: str, body: Any) -> None:
    """Only our errors, and events that can be encoded, secrets or not."""
    with contextlib.suppress(Malformed):
        for event in meaning(call, body).events:
            assert event.json()


@PATIENT
@given(st.sampled_from(CALLS), st.binary(max_size=40))
def test_any_bytes_are_events_or_malformed(call: str, body: bytes) -> None:
    """Nothing but our errors."""
    with contextlib.suppress(ReceiverError):
        meaning(call, body)
