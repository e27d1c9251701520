"""Daily's bodies: what is malformed and where, rooms, moments, identity, secrets, and that nothing else escapes."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed, ReceiverError
from receiver.events import Artifact, Event, ParticipantChange, Transcript
from receiver.record import Record
from receiver.vendors import daily, decode_record
from tests.vendors.daily_wire import PATIENT, SENT_S, body_record, decode, envelope, opening
from tests.vendors.samples import NOW_NS

ROOM_ID = "6cfc8e3b-96c9-4bd3-b9fb-b6b4a1c1a4ac"
PERSON: dict[str, Any] = {
    "room": "standup", "session_id": "s1", "user_id": "u1", "user_name": "Ada", "joined_at": 1788263900.25,
    "duration": 11.419, "owner": True,
}  # fmt: skip
JOB: dict[str, Any] = {
    "id": "job",
    "preset": "transcript",
    "status": "finished",
    "input": {"sourceType": "recordingId"},
}
LIVE: dict[str, Any] = {
    "action": "transcription-message", "participantId": "s1", "text": "so we begin",
    "timestamp": "2026-09-01T11:59:57Z",
}  # fmt: skip
CALL = {"To": "+15550100", "From": "+15550199", "callId": "c-1", "callDomain": "d-1"}


def one(body: dict[str, Any], *, subject: str = "") -> Event:
    """The only event of a body."""
    (event,) = decode(body, subject=subject).events
    return event


def webhook(type_: str, payload: dict[str, Any], **changes: Any) -> Event:
    """The only event of a webhook."""
    return one(envelope(type_, payload, **changes))


def live(answer: dict[str, Any] | None = None, **changes: Any) -> Transcript:
    """What live text becomes, with Deepgram's ``answer`` beside it."""
    data = one(LIVE | changes | ({} if answer is None else {"rawResponse": answer})).data
    assert isinstance(data, Transcript)
    return data


MALFORMED: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "nothing": (b"", "byte 0"),
    "no JSON": (b"hello", "byte 0"),
    "array": (b'[{"test":"test"}]', "$"),
    "null": (b"null", "$"),
    "invalid UTF-8": (b'{"type":"\xff"}', "byte 9"),
    "deep nesting": (b'{"type":"x","a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "$"),
    "deep enough to hurt": (b'{"type":"dialin.ready","payload":{"a":' + b"[" * 200 + b"]" * 200 + b"}}", "$"),
    "type": ({"type": 5, "payload": {}}, "$.type"),
    "id": (envelope("meeting.started", {}, id=17), "$.id"),
    "payload": (envelope("meeting.started", {}) | {"payload": []}, "$.payload"),
    "event_ts": (envelope("meeting.started", {}, event_ts=True), "$.event_ts"),
    "room": (envelope("meeting.started", {"room": 5}), "$.payload.room"),
    "meeting_id": (envelope("meeting.ended", {"meeting_id": 5}), "$.payload.meeting_id"),
    "start_ts": (envelope("meeting.started", {"start_ts": {}}), "$.payload.start_ts"),
    "end_ts": (envelope("meeting.ended", {"end_ts": []}), "$.payload.end_ts"),
    "session_id": (envelope("participant.joined", PERSON | {"session_id": 5}), "$.payload.session_id"),
    "user_name": (envelope("participant.joined", PERSON | {"user_name": {}}), "$.payload.user_name"),
    "owner": (envelope("participant.left", PERSON | {"owner": "yes"}), "$.payload.owner"),
    "duration as text": (envelope("participant.left", PERSON | {"duration": "11"}), "$.payload.duration"),
    "waiting": (envelope("waiting-participant.left", PERSON | {"room": []}), "$.payload.room"),
    "recording_id": (envelope("recording.started", {"recording_id": 1}), "$.payload.recording_id"),
    "tracks": (envelope("recording.ready-to-download", {"tracks": {}}), "$.payload.tracks"),
    "size": (
        envelope("recording.ready-to-download", {"tracks": [{"size": 1}, {"size": "2"}]}),
        "$.payload.tracks[1].size",
    ),
    "error_msg": (envelope("recording.error", {"error_msg": 500}), "$.payload.error_msg"),
    "status": (envelope("transcript.ready-to-download", {"status": 1}), "$.payload.status"),
    "endTs": (envelope("transcript.error", {"info": {"endTs": {}}}), "$.payload.info.endTs"),
    "error_message": (envelope("streaming.error", {"error_message": []}), "$.payload.error_message"),
    "preset": (envelope("batch-processor.error", JOB | {"preset": 1}), "$.payload.preset"),
    "output": (envelope("batch-processor.job-finished", JOB | {"output": []}), "$.payload.output"),
    "summary": (
        envelope("batch-processor.job-finished", JOB | {"output": {"summary": "x"}}),
        "$.payload.output.summary",
    ),
    "transcription": (
        envelope("batch-processor.job-finished", JOB | {"output": {"transcription": [1]}}),
        "$.payload.output.transcription[0]",
    ),
    "timestamp": (envelope("dialout.error", {"timestamp": True}), "$.payload.timestamp"),
    "call": (CALL | {"callId": 5}, "$.callId"),
    "caller": (CALL | {"From": 15550199}, "$.From"),
    "text": (LIVE | {"text": 5}, "$.text"),
    "speaker": (LIVE | {"participantId": 5}, "$.participantId"),
    "finality": (LIVE | {"rawResponse": {"is_final": "yes"}}, "$.rawResponse.is_final"),
    "word": (
        LIVE | {"rawResponse": {"channel": {"alternatives": [{"words": [{"word": "so", "start": "1"}]}]}}},
        "$.rawResponse.channel.alternatives[0].words[0].start",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_bodies_name_the_place_and_no_payload(case: str) -> None:
    """What is no JSON object, or has a wrong type in a known key, is malformed; the text names path or byte only."""
    body, where = MALFORMED[case]
    with pytest.raises(Malformed) as caught:
        decode(body)
    assert caught.value.where == where
    assert str(caught.value).count("\n") == 0 and "Ada" not in str(caught.value)


@pytest.mark.parametrize("key", PERSON)
def test_null_in_a_known_key_is_absent(key: str) -> None:
    """A null means the same as a missing key: ``user_id``, ``user_name`` and others may be null."""
    without = {name: value for name, value in PERSON.items() if name != key}
    with_null, missing = webhook("participant.left", PERSON | {key: None}), webhook("participant.left", without)
    with_null.raw = missing.raw
    assert with_null == missing != webhook("participant.left", PERSON)


# Rooms


@pytest.mark.parametrize(
    ("payload", "subject"),
    [
        ({"room": "standup"}, "standup"),
        ({"room_name": "standup", "room_id": ROOM_ID}, "standup"),
        ({"room_id": ROOM_ID}, "hint"),
        ({"room_id": ROOM_ID.upper()}, "hint"),
        ({"room_id": "standup"}, "standup"),
        ({"room_id": f"{ROOM_ID}-room"}, f"{ROOM_ID}-room"),
        ({"room": ROOM_ID}, ROOM_ID),
        ({"room": "", "room_name": None}, "hint"),
        ({}, "hint"),
    ],
)
def test_the_subject_is_the_name_of_the_room(payload: dict[str, Any], subject: str) -> None:
    """``room``, ``room_name``, and ``room_id`` where it is no UUID: one sample has the name there. Else the URL's."""
    for type_ in ("transcript.ready-to-download", "meeting.started", "dialin.ready", "a.new.event"):
        assert one(envelope(type_, payload), subject="hint").subject == subject


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    """The vendor's sample of a transcript has ``room_id`` twice: first the id, then the name."""
    body = b'{"type":"transcript.started","id":"i","payload":{"room_id":"%s","room_id":"standup"}}' % ROOM_ID.encode()
    assert decode(body).events[0].subject == "standup"


# Moments


MOMENTS: list[tuple[Any, str]] = [
    (1788263900, "2026-09-01T11:58:20.000000Z"),
    (1788263900.25, "2026-09-01T11:58:20.250000Z"),
    (1788263900.123457, "2026-09-01T11:58:20.123457Z"),
    (1788263900250, "2026-09-01T11:58:20.250000Z"),
    ("1788263900", "2026-09-01T11:58:20.000000Z"),
    ("1788263900.25", "2026-09-01T11:58:20.250000Z"),
    ("2026-09-01T13:58:20.25+02:00", "2026-09-01T11:58:20.250000Z"),
    (0, "2026-09-01T11:59:58.500000Z"),
    (-1, "2026-09-01T11:59:58.500000Z"),
    (10**30, "2026-09-01T11:59:58.500000Z"),
    ("", "2026-09-01T11:59:58.500000Z"),
    ("soon", "2026-09-01T11:59:58.500000Z"),
    ("9" * 25, "2026-09-01T11:59:58.500000Z"),
    (None, "2026-09-01T11:59:58.500000Z"),
]


@pytest.mark.parametrize(("told", "time"), MOMENTS)
def test_moments_are_seconds_in_many_forms(told: Any, time: str) -> None:
    """Whole, fractional, as text; what is no time does not lose the event: then it is when the webhook was sent."""
    for type_, key in (
        ("meeting.started", "start_ts"),
        ("recording.error", "timestamp"),
        ("dialin.ready", "timestamp"),
    ):
        assert json.loads(webhook(type_, {key: told}).json())["time"] == time


@pytest.mark.parametrize("sent", [None, "", "soon", 0])
def test_without_any_time_it_is_the_arrival(sent: Any) -> None:
    """``event_ts`` is absent in some samples."""
    assert webhook("meeting.started", {"room": "standup"}, event_ts=sent).time_ns == NOW_NS


@pytest.mark.parametrize(
    ("type_", "payload", "time_s"),
    [
        ("participant.joined", PERSON, 1788263900.25),
        ("participant.left", PERSON, 1788263911.669),
        ("participant.left", PERSON | {"duration": None}, SENT_S),
        ("participant.left", PERSON | {"joined_at": None}, SENT_S),
        ("participant.left", PERSON | {"duration": 10**400}, SENT_S),
        ("waiting-participant.joined", PERSON, 1788263900.25),
        ("waiting-participant.left", PERSON, 1788263911.669),
        ("meeting.ended", {"start_ts": 1, "end_ts": 1788263950}, 1788263950),
        ("meeting.ended", {"start_ts": 1788263900}, SENT_S),
        ("recording.ready-to-download", {"start_ts": 1788263900, "duration": 5}, SENT_S),
        ("transcript.ready-to-download", {"info": {"endTs": 1788263900}}, SENT_S),
        ("transcript.error", {"info": {"startTs": 1, "endTs": 1788263950}}, 1788263950),
        ("transcript.error", {"info": {}}, SENT_S),
        ("transcript.started", {"start_ts": 1788263900}, 1788263900),
        ("a.new.event", {"timestamp": "1788263900"}, 1788263900),
    ],
)
def test_time_is_when_it_happened(type_: str, payload: dict[str, Any], time_s: float) -> None:
    """A leave is ``joined_at`` and ``duration``; what is ready became so when it was sent, not when it began."""
    assert webhook(type_, payload).time_ns == round(time_s * 1e6) * 1000


def test_a_duration_belongs_to_a_leave() -> None:
    """On a join there is none, whatever the payload says; one beyond all floats is none."""
    told = [
        webhook("participant.joined", PERSON).data,
        webhook("participant.left", PERSON).data,
        webhook("participant.left", PERSON | {"duration": 10**400}).data,
    ]
    assert [data.duration_s for data in told if isinstance(data, ParticipantChange)] == [None, 11.419, None]


@pytest.mark.parametrize(("owner", "host"), [(True, True), (False, False), (None, None)])
def test_the_owner_is_the_host(owner: bool | None, host: bool | None) -> None:
    """Where nothing is said of it, nothing is told."""
    data = webhook("participant.joined", PERSON | {"owner": owner}).data
    assert isinstance(data, ParticipantChange) and data.participant.host is host


# Identity


def test_the_event_id_is_the_vendors() -> None:
    """Duplicates happen: dedupe on the top-level id, whatever else is in the body."""
    first, again = (
        decode(envelope("meeting.started", {"room": "a"})),
        decode(envelope("meeting.ended", {}, version="2")),
    )
    assert first.timed and first.events[0].id == again.events[0].id == "evt-1" and first.key == again.key
    other = decode(envelope("meeting.started", {"room": "a"}, id="evt-2"))
    assert other.key != first.key and other.events[0].id == "evt-2"
    assert decode(envelope("a.new.event", {})).key == first.key


@pytest.mark.parametrize("id_", [None, ""])
def test_without_an_id_the_body_is_the_key(id_: Any) -> None:
    """With a time in it, equal bodies are one delivery; without, they may honestly come again."""
    body = envelope("participant.joined", PERSON, id=id_)
    assert decode(body).timed and decode(body).key == decode(body).key != decode(body | {"version": "2"}).key
    body = envelope("meeting.started", {"room": "a"}, id=id_, event_ts=None)
    first = decode(body)
    assert not first.timed and first.events[0].id == first.key.hex()
    assert decode(body, repeat=2).events[0].id == f"{first.key.hex()}~3"


def test_an_id_of_another_shape_is_no_event_id() -> None:
    """Only what names a ``type`` is an envelope; elsewhere an id may be of anything."""
    first, second = decode({"action": "joined", "id": "x"}), decode({"action": "left", "id": "x"})
    assert first.key != second.key and first.events[0].id != "x"


def test_events_of_one_delivery_have_their_own_ids() -> None:
    """Its id, ``/``, what tells them apart; repeated, they are the same."""
    output = {
        "summary": {"format": "txt"},
        "transcription": [{"format": "txt"}, {"format": "vtt"}],
        "soap": {"format": "JSON"},
    }
    made = decode(envelope("batch-processor.job-finished", JOB | {"output": output}))
    told = [(event.id, event.type, event.vendorevent) for event in made.events]
    name = "batch-processor.job-finished"
    assert told == [
        ("evt-1/transcript", "artifact.ready", name),
        ("evt-1/summary", "artifact.ready", name),
        ("evt-1/other", "vendor.event", name),
    ]
    assert made.events[2].json().count(b'"soap"') == 1
    nameless = decode(envelope(name, JOB | {"output": output}, id=None))
    assert [event.id.partition("/")[2] for event in nameless.events] == ["transcript", "summary", "other"]


def test_live_text_is_identified_by_what_it_says_and_when() -> None:
    """A bridge that sends again, by either way, is understood once; each update is another."""
    first = decode(LIVE)
    assert first.timed and decode(LIVE | {"callClientId": "other client"}).key == first.key
    changes: tuple[dict[str, Any], ...] = (
        {"text": "so"}, {"participantId": "s2"}, {"trackType": "screen-audio"}, {"instanceId": "i2"}, {"room": "other"},
        {"timestamp": "2026-09-01T11:59:58Z"}, {"rawResponse": {"is_final": False}},
    )  # fmt: skip
    assert len({decode(LIVE | change).key for change in changes} | {first.key}) == 1 + len(changes)
    assert not decode(LIVE | {"timestamp": None}).timed


def test_a_call_is_identified_by_its_id() -> None:
    """A pinless call has no event id: call, domain and both numbers are the key."""
    first = decode(CALL)
    assert first.timed and decode(CALL | {"sipHeaders": {"X-A": "1"}}).key == first.key
    assert decode(CALL | {"callId": "c-2"}).key != first.key


# Meanings


@pytest.mark.parametrize("body", [b'{"test":"test"}', b'{"Test":"test"}', b'{ "test": "test" }\n'])
def test_a_ping_means_nothing(body: bytes) -> None:
    """No event, no key, by HTTP or on a socket."""
    made = decode(body, subject="standup")
    assert (made.events, made.key) == ([], b"")
    assert daily.session(opening()).receive(body.decode(), NOW_NS).events == []


@pytest.mark.parametrize(
    ("name", "job", "expected"),
    [
        ("job-finished", {"status": "finished", "output": {"transcription": [{}]}}, ("artifact.ready", "transcript")),
        (
            "job-finished",
            {"status": "finished", "output": {"summary": {"format": "txt"}}},
            ("artifact.ready", "summary"),
        ),
        ("job-finished", {"preset": None, "output": {"summary": {"format": "txt"}}}, ("artifact.ready", "summary")),
        ("job-finished", {"status": "error", "output": {}, "error": "e"}, ("artifact.failed", "transcript")),
        ("job-finished", {"status": "ERROR", "preset": "summarize"}, ("artifact.failed", "summary")),
        ("job-finished", {"status": "error", "preset": "soap"}, ("vendor.event", None)),
        ("job-finished", {"status": "finished", "output": {"soap": {"format": "JSON"}}}, ("vendor.event", None)),
        (
            "job-finished",
            {"status": "finished", "output": {"transcription": [], "summary": None}},
            ("vendor.event", None),
        ),
        ("job-finished", {"status": "finished", "output": {}}, ("vendor.event", None)),
        ("error", {"status": "error", "error": "e"}, ("artifact.failed", "transcript")),
        ("error", {"status": "finished", "error": "e"}, ("artifact.failed", "transcript")),
        ("error", {"preset": None}, ("vendor.event", None)),
        ("error", {"preset": "concept"}, ("vendor.event", None)),
    ],
)
def test_batch_jobs_by_name_and_status(name: str, job: dict[str, Any], expected: tuple[str, str | None]) -> None:
    """One page gives both events one name, so the status counts; the preset tells what failed."""
    event = webhook(f"batch-processor.{name}", JOB | job)
    kind = event.data.kind if isinstance(event.data, Artifact) else None
    assert (event.type, kind) == expected
    assert not isinstance(event.data, Artifact) or event.data.message == job.get("error")


@pytest.mark.parametrize("status", ["t_error", "t_failed", "T_FAILED", "error", "failed"])
def test_a_status_of_failure_outweighs_the_name(status: str) -> None:
    """The words for it differ from page to page."""
    assert webhook("transcript.ready-to-download", {"status": status}).type == "artifact.failed"
    assert webhook("recording.ready-to-download", {"status": status}).type == "artifact.failed"


@pytest.mark.parametrize("status", ["t_finished", "t_completed", "t_in_progress", "finished", "", None])
def test_other_statuses_leave_it_to_the_name(status: str | None) -> None:
    """What is called ready is ready; what is called an error is one."""
    assert webhook("transcript.ready-to-download", {"status": status}).type == "artifact.ready"
    assert webhook("transcript.error", {"status": status}).type == "artifact.failed"


@pytest.mark.parametrize(
    ("tracks", "size_bytes"),
    [
        ([{"type": "audio", "size": 1000}, {"type": "video", "size": 2000.0}], 3000),
        ([{"size": 1000}, {"type": "video"}], None),
        ([{"size": 1000}, {"size": -1}], None),
        ([{"size": 1e308}, {"size": 1e308}], None),
        ([], None),
        (None, None),
    ],
)
def test_the_size_is_that_of_all_tracks(tracks: Any, size_bytes: int | None) -> None:
    """Half a sum is no size."""
    data = webhook("recording.ready-to-download", {"tracks": tracks}).data
    assert isinstance(data, Artifact) and data.size_bytes == size_bytes


@pytest.mark.parametrize("type_", ["meeting.started", "a.new.event"])
@pytest.mark.parametrize("payload", [None, "missing"])
def test_an_envelope_without_payload_is_kept(type_: str, payload: Any) -> None:
    """Nothing is known of it but its name and when it was sent."""
    body = envelope(type_, {}) | {"payload": None}
    if payload == "missing":
        del body["payload"]
    event = one(body, subject="hint")
    assert (event.type, event.vendorevent, event.id, event.subject) == ("vendor.event", type_, "evt-1", "hint")
    assert event.time_ns == round(SENT_S * 1e9)


def test_an_unknown_name_is_kept_whatever_its_keys_hold() -> None:
    """Well-formed but unknown is ``vendor.event``, with id, room and time as far as they can be told."""
    body = {
        "type": "room.closed",
        "id": 5,
        "payload": {"room": ["x"], "timestamp": {}, "room_name": "standup"},
        "event_ts": True,
    }
    event = one(body)
    assert (event.type, event.vendorevent, event.subject, event.time_ns) == (
        "vendor.event",
        "room.closed",
        "standup",
        NOW_NS,
    )
    assert json.loads(event.json())["data"] == body


@pytest.mark.parametrize(
    "body", [{}, {"hello": "world"}, {"id": 5}, {"To": "x", "From": "y"}, {"callId": "x"}, {"text": "so"}]
)
def test_an_object_that_fits_nothing_is_kept(body: dict[str, Any]) -> None:
    """It has no name, and nothing is read into it."""
    event = one(body)
    assert (event.type, event.vendorevent, event.subject) == ("vendor.event", "", "")


# Live text


@pytest.mark.parametrize(
    ("answer", "is_final", "final"),
    [
        (None, None, True),
        ({}, None, True),
        ({"is_final": None}, None, True),
        ({"is_final": True}, None, True),
        ({"is_final": False}, None, False),
        ({"is_final": False, "speech_final": True}, None, False),
        ({"is_final": True}, False, True),
        (None, False, False),
        (None, True, True),
    ],
)
def test_when_live_text_is_final(answer: dict[str, Any] | None, is_final: bool | None, final: bool) -> None:
    """The recogniser's word counts where it is there; what says nothing of it is final."""
    body = LIVE | {"is_final": is_final, "rawResponse": answer}
    assert one(body).type == ("transcript.final" if final else "transcript.partial")


def test_the_recognisers_answer_gives_words_and_times() -> None:
    """Deepgram's seconds, words, confidence and language; its own text only where the message has none."""
    words = [
        {"word": "so", "punctuated_word": "So", "start": 1, "end": 1.5, "confidence": 0.5},
        {"word": "we", "start": 1.5, "end": 2.25, "confidence": 0},
    ]
    best = {"transcript": "So we", "confidence": 0.75, "languages": ["", "en"], "words": words}
    answer = {"start": 0.5, "duration": 2, "channel": {"alternatives": [best, {"transcript": "sow"}]}}
    data = live(answer)
    assert (data.text, data.language, data.confidence, data.start_s, data.end_s) == (
        "so we begin",
        "en",
        0.75,
        0.5,
        2.5,
    )
    assert live(answer, text="").text == "So we"
    told = [(word.text, word.formatted_text, word.start_s, word.end_s, word.confidence) for word in data.words or []]
    assert told == [("so", "So", 1.0, 1.5, 0.5), ("we", None, 1.5, 2.25, None)]
    del answer["duration"]
    assert (live(answer).start_s, live(answer).end_s) == (1.0, 2.25)
    assert live({"channel": {"alternatives": []}, "start": 3}).start_s == 3.0
    assert live({"start": 1e308, "duration": 1e308}).end_s is None


@pytest.mark.parametrize(
    ("keys", "id_", "name"),
    [
        ({"participantId": "s1"}, "s1", None),
        ({"participantId": None, "session_id": "s2", "user_name": "Ada"}, "s2", "Ada"),
        ({"participantId": "s1", "user_name": "  "}, "s1", None),
    ],
)
def test_who_speaks(keys: dict[str, Any], id_: str, name: str | None) -> None:
    """The participant's id, as in ``participant.joined``; older clients call it ``session_id`` and give a name."""
    speaker = live(**keys).speaker
    assert speaker is not None and (speaker.id, speaker.name) == (id_, name)


def test_nobody_speaks() -> None:
    """An empty id is nobody."""
    assert live(participantId="").speaker is None


@pytest.mark.parametrize("key", ["action", "type", "event", ""])
def test_a_bridge_names_live_text_as_it_likes(key: str) -> None:
    """daily-js calls the key ``action``; daily-python passes the message on without any name."""
    body = {name: value for name, value in LIVE.items() if name != "action"}
    event = one(body | ({key: "transcription-message"} if key else {}))
    assert (event.type, event.vendorevent) == ("transcript.final", "transcription-message")


@pytest.mark.parametrize("name", ["transcription-started", "transcription-stopped", "transcription-error"])
def test_companions_of_live_text_are_kept(name: str) -> None:
    """The contract has no type for them."""
    event = one({"action": name, "callClientId": "1", "instanceId": "i1", "language": "en"}, subject="standup")
    assert (event.type, event.vendorevent, event.subject) == ("vendor.event", name, "standup")


@pytest.mark.parametrize(
    "body", [LIVE, LIVE | {"timestamp": None}, LIVE | {"room": "other"}, envelope("meeting.started", {})]
)
def test_a_socket_means_what_http_means(body: dict[str, Any]) -> None:
    """A bridge may send the same as text on a WebSocket: same key, same events."""
    record = body_record(body, subject="standup")
    by_http = daily.decode(record)
    by_socket = daily.session(opening(subject="standup")).receive(record.payload.decode(), NOW_NS)
    assert (by_socket.key, by_socket.timed, by_socket.events) == (by_http.key, by_http.timed, by_http.events)


def test_the_registry_decodes_a_bridges_messages() -> None:
    """The journal keeps each message as a record of its own."""
    message: Record = opening(subject="standup")
    message.kind, message.payload = "text", json.dumps(LIVE).encode()
    assert [event.subject for event in decode_record(message).events] == ["standup"]
    with pytest.raises(Malformed):
        daily.session(opening()).receive(b"\x00", NOW_NS)


# Secrets


SHARED = {"recording_id": "r1", "room_name": "standup", "share_token": "eHl6-opens-it", "s3_key": "acme/standup/1"}


def test_the_share_token_is_not_in_the_event() -> None:
    """It opens the recording without a password; only the raw body of a sink with ``secrets = true`` has it."""
    event = webhook("recording.ready-to-download", SHARED)
    for text in (event.json(), event.json(raw=True), event.json(secrets=True)):
        assert b"opens-it" not in text
    assert b"opens-it" in event.json(secrets=True, raw=True)
    assert b"acme/standup/1" in event.json(raw=True)


@pytest.mark.parametrize(
    "body",
    [
        envelope("a.new.event", SHARED),
        envelope("dialin.connected", {"room": "standup", "sip_headers": {"Authorization": "Digest opens-it"}}),
        CALL | {"sipHeaders": {"X-Api-Key": "opens-it"}},
        envelope("streaming.started", {"layout": {"stream_key": "opens-it"}}),
        envelope("batch-processor.error", {"input": {"uri": "https://b.example/a.mp4?X-Amz-Signature=opens-it"}}),
        envelope("recording.error", {"error_msg": "cannot write https://b.example/a?X-Amz-Signature=opens-it"}),
        envelope("waiting-participant.joined", {"room": "standup", "token": "opens-it"}),
    ],
)
def test_secrets_leave_only_where_they_are_asked_for(body: dict[str, Any]) -> None:
    """Keys and links that open something are taken out of ``vendor.event``, messages and the raw body."""
    event = one(body)
    assert b"opens-it" not in event.json() and b"opens-it" not in event.json(raw=True)
    assert b"opens-it" in event.json(secrets=True, raw=True)


# Anything


@pytest.mark.parametrize("digits", [30, 400, 4000])
def test_huge_integers_pass(digits: int) -> None:
    """An integer of any size is JSON: no number of it is taken for a time or a duration."""
    number = int("9" * digits)
    for type_, key in (
        ("participant.left", "duration"), ("participant.left", "joined_at"), ("meeting.started", "start_ts"),
        ("recording.ready-to-download", "duration"), ("dialin.ready", "timestamp"), ("a.new.event", "timestamp"),
    ):  # fmt: skip
        assert json.loads(webhook(type_, PERSON | {key: number}, event_ts=number).json())["time"]
    body = b'{"action":"transcription-message","text":"so","rawResponse":{"start":%d,"duration":%d}}' % (number, number)
    assert (b"start_s" in decode(body).events[0].json()) == (digits == 30)


NAMES = st.sampled_from(
    ["type", "id", "payload", "event_ts", "version", "room", "room_name", "room_id", "session_id", "user_id",
     "user_name", "joined_at", "duration", "owner", "meeting_id", "mtg_session_id", "start_ts", "end_ts",
     "timestamp", "recording_id", "status", "tracks", "size", "info", "endTs", "error", "error_msg",
     "error_message", "preset", "output", "summary", "transcription", "soap", "To", "From", "callId",
     "callDomain", "action", "event", "participantId", "text", "test", "rawResponse", "is_final", "start",
     "channel", "alternatives", "transcript", "words", "word", "languages"]
)  # fmt: skip
VALUES = st.sampled_from(
    [*daily.EVENT_TYPES, "1788263900", "1788263900.5", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:00", ROOM_ID,
     "error", "finished", "transcript", "test", "standup", ""]
)  # fmt: skip
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.just(10**400)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=4) | VALUES
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6))
PAYLOADS = st.dictionaries(NAMES, JSON, max_size=8)
ENVELOPES = st.builds(
    lambda name, payload, rest: rest | {"type": name, "payload": payload},
    st.sampled_from(list(daily.EVENT_TYPES)), PAYLOADS, PAYLOADS,
)  # fmt: skip
OBJECTS = st.dictionaries(NAMES | st.text(max_size=3), JSON, max_size=8)


@PATIENT
@given(ENVELOPES | OBJECTS)
def test_any_object_gives_json_or_our_error(body: dict[str, Any]) -> None:
    """Whatever an object holds, only our errors escape, and events can be printed, without nulls of their own."""
    text = json.dumps(body)
    with contextlib.suppress(ReceiverError):
        events = decode(text.encode()).events
        assert len({event.id for event in events}) == len(events)
        for event in events:
            printed = json.loads(event.json(raw=True))
            assert printed["type"] == "vendor.event" or None not in printed["data"].values()
    with contextlib.suppress(ReceiverError):
        daily.session(opening()).receive(text, NOW_NS)


@PATIENT
@given(
    st.binary(max_size=200) | st.builds(lambda inner: b'{"type":"dialin.ready","payload":' + inner + b"}", st.binary())
)
def test_any_bytes_give_events_or_our_error(body: bytes) -> None:
    """Whatever the bytes are, only our errors escape."""
    with contextlib.suppress(ReceiverError):
        decode(body)


@pytest.mark.parametrize(
    "body", [envelope("participant.left", PERSON), LIVE | {"rawResponse": {"is_final": True}}, CALL]
)
def test_every_shorter_prefix_is_malformed(body: dict[str, Any]) -> None:
    """A body that was cut is never taken for a whole one."""
    whole = json.dumps(body).encode()
    for size in range(len(whole)):
        with pytest.raises(Malformed):
            decode(whole[:size])
