"""Water AI's callback: names, ids and times wherever they stand, what identifies a delivery, what is never let out."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed, ReceiverError
from receiver.events import Artifact, MeetingInfo, format_time
from receiver.vendors import vendor_named, waterai
from receiver.vendors.wire import MAX_DEPTH
from tests.vendors.samples import NOW_NS
from tests.vendors.waterai_wire import HEADERS, OBJECTS, PATIENT, decode, record

ENDED: dict[str, Any] = {"event": "meeting.ended", "meeting_id": 789, "timestamp": "2026-08-20T09:35:00Z"}
CANARY = "cAnArY7h3lph1s1s5ecret"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJyIjoic2FsZXMifQ.{CANARY}"


def without(body: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in keys}


# Names


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"event": "meeting.ended"}, {}),
        ({"type": "meeting.ended"}, {}),
        ({"event": " meeting.ended "}, {}),
        ({"event": {"id": 1}, "type": "meeting.ended"}, {}),
        ({"event": "callback", "type": "meeting.ended"}, {}),
        ({}, {"x-waterr-event": "meeting.ended"}),
        ({}, {"x-event": "meeting.ended"}),
        ({"event": "callback"}, {"x-water-ai-event": "meeting.ended"}),
    ],
)
def test_where_the_name_stands(body: dict[str, Any], headers: dict[str, str]) -> None:
    """``event``, ``type`` or an ``X-…-Event`` header; a known name outweighs an unknown one, whatever its place."""
    event = decode(body | {"meeting_id": 789}, headers).events[0]
    assert (event.type, event.vendorevent, event.subject) == ("meeting.ended", "meeting.ended", "789")


@pytest.mark.parametrize("name", ["x-event-id", "xevent", "x-eventual", "event", "ce-x-event", "x-events"])
def test_other_headers_name_nothing(name: str) -> None:
    """Only a header that ends with ``-event`` names one."""
    assert decode({}, {name: "meeting.ended"}).events[0].vendorevent == ""


@pytest.mark.parametrize(
    "spelled", ["meeting_ended", "meetingEnded", "MEETING.ENDED", "Meeting Ended", "meeting-ended"]
)
def test_a_name_in_another_spelling(spelled: str) -> None:
    """Nothing documents the spelling: words decide. The event shows the vendor's own; a repeat in another is one."""
    decoded = decode({"event": spelled, "meeting_id": 789})
    assert (decoded.events[0].type, decoded.events[0].vendorevent) == ("meeting.ended", spelled)
    assert decoded.key == decode(ENDED).key


@pytest.mark.parametrize(
    "name", ["meeting.end", "ended", "meeting.ended.again", "analysis.failed", "", "meetings.ended"]
)
def test_an_unknown_name_is_passed_on(name: str) -> None:
    """Unknown events are kept with name, subject and time as far as they can be told."""
    event = decode({"event": name, "data": {"id": "789"}, "timestamp": 1787218500}).events[0]
    assert (event.type, event.vendorevent, event.subject) == ("vendor.event", name, "789")
    assert format_time(event.time_ns) == "2026-08-20T09:35:00.000000Z"


def test_an_analysis_is_a_summary_and_a_meeting_event_says_no_more() -> None:
    """The contract has no analysis; the callback has no facts that could be trusted."""
    assert decode({"event": "analysis.completed"}).events[0].data == Artifact(kind="summary")
    assert decode(ENDED | {"title": "x", "reason": "y"}).events[0].data == MeetingInfo()


# Ids

PLACES: list[dict[str, Any]] = [
    {"meeting_id": 789},
    {"data": {"id": 789}},
    {"data": {"meeting_id": 789}},
    {"meeting": {"id": 789}},
    {"payload": {"meeting_id": 789}},
    {"payload": {"meeting": {"id": 789}}},
    {"data": {"meeting": {"id": 789}}},
    {"payload": {"id": 789}},
    {"meeting_id": "789"},
    {"meeting_id": " 789 "},
    {"meeting_id": 789.0},
    {"meeting_id": None, "data": {"meeting_id": "", "id": 789}},
    {"data": {"id": 55, "meeting_id": 789}},
    {"data": {"id": 55}, "meeting": {"id": 789}},
    {"data": [55], "payload": "x", "meeting": {"id": 789}},
    {"id": 55, "meeting_id": 789},
]


@pytest.mark.parametrize("place", PLACES, ids=json.dumps)
def test_where_the_meeting_is_named(place: dict[str, Any]) -> None:
    """Numbers and texts; what is called a meeting outweighs a bare id, which may be the analysis's."""
    event = decode({"event": "analysis.completed"} | place, subject="hint").events[0]
    assert event.subject == "789"


def test_the_url_names_the_meeting_where_the_body_does_not() -> None:
    """A bare ``id`` at the top is the delivery's or anybody's."""
    assert decode({"event": "meeting.ended", "id": 5}, subject="hint").events[0].subject == "hint"
    assert decode({"event": "meeting.ended", "id": 5}).events[0].subject == ""


WRONG: list[Any] = [True, [789], {"id": 789}, 78.9]


@pytest.mark.parametrize("wrong", WRONG, ids=json.dumps)
@pytest.mark.parametrize("path", ["meeting_id", "data.id", "data.meeting_id", "meeting.id", "payload.meeting_id"])
def test_an_id_that_is_none_is_malformed_where_the_event_is_known(path: str, wrong: Any) -> None:
    """A known key with a wrong type names its path; of an unknown event it just tells nothing."""
    outer, _, inner = path.rpartition(".")
    body = {outer: {inner: wrong}} if outer else {inner: wrong}
    with pytest.raises(Malformed) as caught:
        decode({"event": "meeting.ended"} | body)
    assert caught.value.where == f"$.{path}"
    assert decode({"event": "other"} | body, subject="hint").events[0].subject == "hint"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "byte 0"),
        (b"hello", "byte 0"),
        (b'{"event":"meeting.en', "byte 20"),
        (b"[]", "$"),
        (b"789", "$"),
        (b"null", "$"),
        (b'{"event":"x","a":"\xff"}', "byte 18"),
        (b'{"event":"x","a":' + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"}", "$"),
    ],
)
def test_malformed_bodies_name_the_place(body: bytes, where: str) -> None:
    """What is no JSON object is malformed, also where a header names the event."""
    with pytest.raises(Malformed) as caught:
        decode(body)
    assert caught.value.where == where and "hello" not in str(caught.value)


# Times

MOMENTS: list[tuple[dict[str, Any], str]] = [
    ({"timestamp": "2026-08-20T09:35:00Z"}, "09:35:00.000000"),
    ({"timestamp": "2026-08-20T11:35:00.5+02:00"}, "09:35:00.500000"),
    ({"timestamp": "2026-08-20 09:35:00"}, "09:35:00.000000"),
    ({"timestamp": 1787218500}, "09:35:00.000000"),
    ({"timestamp": 1787218500.125}, "09:35:00.125000"),
    ({"timestamp": 1787218500125}, "09:35:00.125000"),
    ({"timestamp": 1787218500125.0}, "09:35:00.125000"),
    ({"timestamp": "1787218500"}, "09:35:00.000000"),
    ({"timestamp": "1787218500.125"}, "09:35:00.125000"),
    ({"timestamp": " 1787218500125 "}, "09:35:00.125000"),
    ({"event_ts": 1787218500}, "09:35:00.000000"),
    ({"data": {"ended_at": 1787218500}, "timestamp": 1787218502}, "09:35:00.000000"),
    ({"data": {"ended_at": 1787218500}, "ended_at": 1787218599}, "09:35:00.000000"),
    ({"data": {"timestamp": 1787218500}}, "09:35:00.000000"),
    ({"timestamp": None, "payload": {"end_time": "2026-08-20T09:35:00Z"}}, "09:35:00.000000"),
    ({"timestamp": "yesterday", "sent_at": 1787218500}, "09:35:00.000000"),
    ({"data": {"created_at": "2026-08-20T09:00:00Z", "updated_at": "2026-08-20T09:35:00Z"}}, "09:35:00.000000"),
    ({"created_at": "2026-08-20T09:35:00Z", "data": {"created_at": "2026-08-20T09:00:00Z"}}, "09:35:00.000000"),
]  # fmt: skip
NO_MOMENTS: list[Any] = [
    "yesterday", "", 0, -1, True, [], {}, 10**15, 10**400, 1e300, "9" * 400, "00:35", "2026-13-01T00:00:00Z", 45,
    99_999_999, "12345678901234567890",
]  # fmt: skip


@pytest.mark.parametrize(("keys", "time"), MOMENTS, ids=[json.dumps(keys) for keys, _ in MOMENTS])
def test_when_it_happened(keys: dict[str, Any], time: str) -> None:
    """ISO 8601, or seconds or milliseconds since the epoch; what happened outweighs what was sent."""
    event = decode({"event": "meeting.ended", "meeting_id": 789} | keys).events[0]
    assert format_time(event.time_ns) == f"2026-08-20T{time}Z"


@pytest.mark.parametrize("value", NO_MOMENTS, ids=lambda value: repr(value)[:20])
def test_a_time_that_is_none_is_the_arrival(value: Any) -> None:
    """An unreadable time does not lose the event."""
    decoded = decode({"event": "analysis.completed", "timestamp": value})
    assert decoded.events[0].time_ns == NOW_NS and not decoded.timed


def test_the_meetings_creation_is_not_its_end() -> None:
    """``created_at`` in the meeting tells when that was created, and nothing else."""
    told = {"data": {"id": 789, "created_at": "2026-08-20T09:00:00Z"}}
    assert decode({"event": "meeting.ended"} | told).events[0].time_ns == NOW_NS
    created = decode({"event": "meeting.created"} | told).events[0]
    assert format_time(created.time_ns) == "2026-08-20T09:00:00.000000Z"


# Identity


@pytest.mark.parametrize("name", ["meeting.created", "meeting.ended"])
def test_what_happens_once_is_identified_by_event_and_meeting(name: str) -> None:
    """No event id is known: name and meeting make one, whatever else the body says and wherever the meeting stands."""
    first = decode({"event": name, "meeting_id": 789})
    again = decode({"type": name, "data": {"id": "789"}, "timestamp": 1787218500})
    assert first.timed and first.key == again.key and first.events[0].id == again.events[0].id == first.key.hex()
    assert decode({"event": name, "meeting_id": 790}).key != first.key
    assert len({decode({"event": each, "meeting_id": 789}).key for each in waterai.EVENT_TYPES}) == 4


@pytest.mark.parametrize("name", ["meeting.started", "analysis.completed", "recording.ready"])
def test_what_may_happen_again_is_identified_by_its_body_too(name: str) -> None:
    """A second analysis of a meeting is another event; equal bodies are repeats for good only if they tell a time."""
    body = {"event": name, "meeting_id": 789}
    timed = body | {"timestamp": 1787218500}
    assert not decode(body).timed and decode(timed).timed
    assert decode(body).key == decode(body).key and decode(timed).key == decode(timed).key
    assert len({decode(body).key, decode(timed).key, decode(timed | {"timestamp": 1787218501}).key}) == 3
    assert decode(body, repeat=2).events[0].id == f"{decode(body).events[0].id}~3"


def test_without_a_meeting_of_its_own_the_body_is_the_key() -> None:
    """The URL's hint may be one word for all meetings: it must not make two ends of meetings one."""
    first = decode({"event": "meeting.ended", "room": "a"}, subject="sales")
    assert not first.timed and first.key != decode({"event": "meeting.ended", "room": "b"}, subject="sales").key
    assert first.key != decode({"event": "meeting.ended", "room": "a"}, subject="support").key


def test_a_name_in_a_header_is_part_of_the_key() -> None:
    """Equal bodies under two names are two deliveries."""
    keys = {decode({"meeting_id": 789}, {"x-event": name}).key for name in ("meeting.started", "a", "b")}
    assert len(keys) == 3


# Secrets

SECRETS: dict[str, dict[str, Any]] = {
    "room_token": {"room_token": CANARY},
    "JWT under any key": {"note": f"joined with {JWT}"},
    "API secret": {"note": f"wai_{CANARY}"},
    "room_url": {"room_url": f"https://waterrai.daily.co/sales-1?t={JWT}"},
    "room_url, token by name": {"room_url": f"https://waterrai.daily.co/sales-1?token={CANARY}"},
}
MEMBER_URLS: dict[str, dict[str, Any]] = {
    key: {key: f"https://app.waterr.ai/s/1?end_user_id=123&membership_id={CANARY}"}
    for key in ("scenario_url", "meeting_url", "scenario_link")
}


def printed(body: dict[str, Any], *, secrets: bool) -> list[bytes]:
    events = [decode(each | {"data": body}).events[0] for each in ({"event": "recording.ready"}, ENDED)]
    return [event.json(raw=True, secrets=secrets) for event in events] + [events[0].json(secrets=secrets)]


@pytest.mark.parametrize("case", SECRETS)
def test_secrets_leave_only_where_they_are_asked_for(case: str) -> None:
    """Neither in ``data`` nor in ``raw``, of known and unknown events."""
    for text in printed(SECRETS[case], secrets=False):
        assert CANARY.encode() not in text
    assert all(CANARY.encode() in text for text in printed(SECRETS[case], secrets=True))


@pytest.mark.parametrize("case", MEMBER_URLS)
def test_links_that_open_a_membership_are_secrets(case: str) -> None:
    """Links to a scenario bear the end user's membership in the query."""
    for text in printed(MEMBER_URLS[case], secrets=False):
        assert CANARY.encode() not in text


# The vendor as a whole


@pytest.mark.parametrize("secrets", [[], ["wai_secret"]])
def test_no_signature_is_known(secrets: list[str]) -> None:
    """Whatever is shown is unsigned: the ingress then wants its token."""
    shown = {"x-waterr-signature": "sha256=00", "x-waterr-event": "meeting.ended"}
    assert waterai.verify(shown, b"{}", secrets=secrets, now_s=0.0) == "unsigned"


def test_a_bridge_may_send_callbacks_as_text() -> None:
    """A text message means what the same body means; a binary one is malformed."""
    vendor = vendor_named("waterai")
    session = vendor.session(record(b"", subject="hint"))
    assert session.receive(json.dumps(ENDED), NOW_NS) == decode(json.dumps(ENDED).encode(), subject="hint")
    with pytest.raises(Malformed):
        session.receive(b"{}", NOW_NS)


@pytest.mark.parametrize("digits", [30, 4000, 5000])
def test_huge_integers_raise_nothing_else(digits: int) -> None:
    """An integer of any size is JSON; as an id it is an id, or malformed."""
    body = b'{"event":"meeting.ended","meeting_id":' + b"9" * digits + b',"timestamp":' + b"9" * digits + b"}"
    with contextlib.suppress(Malformed):
        assert decode(body).events[0].subject == "9" * digits


@PATIENT
@given(OBJECTS, HEADERS)
def test_any_object_gives_json_or_our_error(body: dict[str, Any], headers: dict[str, str]) -> None:
    """Whatever an object and its headers hold, only our errors escape, and the event can be printed."""
    with contextlib.suppress(ReceiverError):
        decoded = decode(json.dumps(body).encode(), headers)
        (event,) = decoded.events
        printed = json.loads(event.json(raw=True))
        assert printed["type"] == "vendor.event" or None not in printed["data"].values()
        assert decoded.key and decode(json.dumps(body).encode(), headers) == decoded


@PATIENT
@given(st.binary(max_size=200), HEADERS)
def test_any_bytes_give_events_or_our_error(body: bytes, headers: dict[str, str]) -> None:
    """Whatever the bytes are, only our errors escape."""
    with contextlib.suppress(ReceiverError):
        decode(body, headers)


@pytest.mark.parametrize("length", range(len(json.dumps(ENDED))))
def test_a_cut_body_is_malformed(length: int) -> None:
    """Every shorter prefix of a body is refused with a place."""
    with pytest.raises(Malformed) as caught:
        decode(json.dumps(ENDED).encode()[:length])
    assert caught.value.where
