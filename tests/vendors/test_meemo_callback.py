"""Meemo's webhook: names, ids, meeting and organisation wherever they stand, what identifies a delivery, secrets."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed, ReceiverError
from receiver.events import Artifact, Data, MeetingInfo, format_time
from receiver.vendors import meemo, vendor_named
from receiver.vendors.meemo import Scheme
from receiver.vendors.wire import MAX_DEPTH
from tests.vendors.meemo_wire import HEADERS, OBJECTS, PATIENT, decode, record
from tests.vendors.samples import NOW_NS

CREATED: dict[str, Any] = {
    "event_type": "meeting.created", "event_uuid": "evt_1", "organization_id": 12,
    "created_at": "2026-08-20T08:00:01Z", "data": {"id": 123, "title": "Weekly"},
}  # fmt: skip
CANARY = "cAnArY7h3lph1s1s5ecret"


# Names

MEANINGS: dict[str, tuple[str, Data]] = {
    "meeting.created": ("meeting.created", MeetingInfo()),
    "meeting.deleted": ("meeting.deleted", MeetingInfo()),
    "meeting.transcription_completed": ("artifact.ready", Artifact(kind="transcript")),
    "meeting.transcription_failed": ("artifact.failed", Artifact(kind="transcript")),
    "meeting.summarization_completed": ("artifact.ready", Artifact(kind="summary")),
}


@pytest.mark.parametrize("name", MEANINGS)
@pytest.mark.parametrize("place", ["x-prosa-event", "x-meemo-event", "event_type", "event", "type"])
def test_the_five_events_wherever_they_are_named(place: str, name: str) -> None:
    """Header, ``event_type``, ``event``, ``type``."""
    named = ({}, {place: name}) if place.startswith("x-") else ({place: name}, {})
    event = decode(named[0] | {"meeting_id": 123}, named[1]).events[0]
    assert (event.type, event.data) == MEANINGS[name]
    assert (event.vendorevent, event.subject) == (name, "123")


def test_every_declared_name_has_a_meaning() -> None:
    """The table of this test is the table of the module."""
    assert {name: type_ for name, (type_, _) in MEANINGS.items()} == dict(meemo.EVENT_TYPES)


def test_the_header_comes_first_but_a_known_name_outweighs_it() -> None:
    """Then ``event_type``, ``event``, ``type``."""
    body = {"event_type": "meeting.created", "event": "meeting.deleted", "type": "webhook.ping"}
    failed = "meeting.transcription_failed"
    assert decode(body, {"x-prosa-event": failed}).events[0].vendorevent == failed
    assert decode(body, {"x-prosa-event": "callback"}).events[0].vendorevent == "meeting.created"
    assert decode({"event_type": "a", "event": "b"}, {"x-prosa-event": "c"}).events[0].vendorevent == "c"
    assert decode({"event_type": "a", "event": "b"}).events[0].vendorevent == "a"


def test_configured_headers_outweigh_all_others() -> None:
    """An operator who knows the names says so; in any case of their letters."""
    scheme = Scheme(event_header="Meemo-Topic", uuid_header="Meemo-Delivery")
    headers = {
        "x-prosa-event": "meeting.created",
        "x-prosa-event-uuid": "evt_1",
        "meemo-topic": "meeting.deleted",
        "meemo-delivery": "d1",
    }
    event = meemo.decode_with(scheme, record({"meeting_id": 123}, headers)).events[0]
    assert (event.type, event.id) == ("meeting.deleted", "d1")
    event = decode({"meeting_id": 123}, headers).events[0]
    assert (event.type, event.id) == ("meeting.created", "evt_1")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {"x-prosa-event": "webhook.ping"}),
        (b"ping", {"x-prosa-event": "webhook.ping"}),
        ({}, {"x-meemo-event": "webhook.ping"}),
        ({"event": "webhook.ping"}, {}),
        ({"event_type": "callback", "event": "webhook.ping"}, {}),
        ({"event_type": "webhook.ping", "event_uuid": "evt_1", "data": {"id": []}}, {}),
    ],
)
def test_a_ping_means_nothing(body: bytes | dict[str, Any], headers: dict[str, str]) -> None:
    """It is answered, whatever its body is, and nobody is told."""
    decoded = decode(body, headers)
    assert decoded.events == [] and decoded.key == b""


@pytest.mark.parametrize("name", ["meeting.renamed", "meeting.Created", "meeting_created", ""])
def test_an_unknown_name_is_passed_on(name: str) -> None:
    """Meemo's names are documented: another is another event. Id, subject and time as far as they can be told."""
    event = decode(CREATED | {"event_type": name}).events[0]
    assert (event.type, event.vendorevent, event.subject, event.id) == ("vendor.event", name, "123", "evt_1")
    assert format_time(event.time_ns) == "2026-08-20T08:00:01.000000Z"


# Meeting and organisation

MEETINGS: list[dict[str, Any]] = [
    {"meeting_id": 123},
    {"data": {"meeting_id": 123}},
    {"data": {"id": 123}},
    {"meeting": {"id": 123}},
    {"payload": {"meeting_id": 123}},
    {"payload": {"id": 123}},
    {"payload": {"meeting": {"id": 123}}},
    {"meeting_id": "123"},
    {"data": {"id": 9, "meeting_id": 123}},
    {"data": {"id": "evt_1"}, "meeting": {"id": 123}},
    {"id": 9, "meeting_id": 123},
]


@pytest.mark.parametrize("place", MEETINGS, ids=json.dumps)
def test_where_the_meeting_is_named(place: dict[str, Any]) -> None:
    """Numbers and texts; what is called a meeting outweighs a bare id."""
    assert decode({"event": "meeting.deleted"} | place, subject="hint").events[0].subject == "123"


@pytest.mark.parametrize("place", [{}, {"id": 123}, {"data": {"id": "evt_1"}}, {"data": "123"}], ids=json.dumps)
def test_the_url_names_the_meeting_where_the_body_does_not(place: dict[str, Any]) -> None:
    """An event's id is no meeting's."""
    assert decode({"event": "meeting.deleted"} | place, subject="hint").events[0].subject == "hint"


@pytest.mark.parametrize("name", MEANINGS)
@pytest.mark.parametrize("holder", ["", "data", "payload", "meeting"])
@pytest.mark.parametrize("organization", [12, "org-12"])
def test_the_organisation_is_an_attribute(name: str, holder: str, organization: int | str) -> None:
    """A hook belongs to one organisation; its id is passed on as the vendor has it."""
    told: dict[str, Any] = {"organization_id": organization}
    body = {"event": name, "meeting_id": 123} | ({holder: told} if holder else told)
    assert decode(body).events[0].data.attributes == {"organization_id": organization}


@pytest.mark.parametrize("told", [{}, {"organization_id": None}, {"organization_id": ""}, {"data": [1]}])
def test_without_an_organisation_there_are_no_attributes(told: dict[str, Any]) -> None:
    """Absent, never null."""
    assert decode({"event": "meeting.created"} | told).events[0].data.attributes is None


@pytest.mark.parametrize(
    "place", [{"title": "Weekly"}, {"data": {"title": "Weekly"}}, {"meeting": {"title": "Weekly"}}]
)
def test_a_meetings_title(place: dict[str, Any]) -> None:
    """Where the delivery shows the meeting."""
    assert decode({"event": "meeting.created"} | place).events[0].data == MeetingInfo(title="Weekly")


MALFORMED: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "nothing": (b"", "byte 0"),
    "no JSON": (b"hello", "byte 0"),
    "array": (b"[]", "$"),
    "invalid UTF-8": (b'{"a":"\xff"}', "byte 6"),
    "too deep": (b'{"a":' + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"}", "$"),
    "meeting_id": (CREATED | {"meeting_id": [123]}, "$.meeting_id"),
    "bool for a meeting": (CREATED | {"meeting_id": True}, "$.meeting_id"),
    "half a meeting": (CREATED | {"meeting_id": 0.5}, "$.meeting_id"),
    "data.id": (CREATED | {"data": {"id": {}}}, "$.data.id"),
    "meeting.id": (CREATED | {"data": None, "meeting": {"id": []}}, "$.meeting.id"),
    "organisation": (CREATED | {"organization_id": [12]}, "$.organization_id"),
    "bool for an organisation": (CREATED | {"payload": {"organization_id": True}}, "$.payload.organization_id"),
    "event id": (CREATED | {"event_uuid": 1}, "$.event_uuid"),
    "title": (CREATED | {"data": {"id": 123, "title": 5}}, "$.data.title"),
    "title of a meeting": (CREATED | {"payload": {"meeting": {"title": 5}}, "data": None}, "$.payload.meeting.title"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_bodies_name_the_place(case: str) -> None:
    """A known key with a wrong type names its path; the payload is not in the text."""
    body, where = MALFORMED[case]
    with pytest.raises(Malformed) as caught:
        decode(body)
    assert caught.value.where == where
    assert "Weekly" not in str(caught.value) and "hello" not in str(caught.value)


@pytest.mark.parametrize("case", [case for case, (body, _) in MALFORMED.items() if isinstance(body, dict)])
def test_an_unknown_event_may_hold_anything(case: str) -> None:
    """Nobody knows its types."""
    body = MALFORMED[case][0]
    assert isinstance(body, dict)
    assert decode(body | {"event_type": "other"}).events[0].type == "vendor.event"


# Identity


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({}, {"x-prosa-event-uuid": "evt_1"}),
        ({"event_uuid": "evt_2"}, {"x-prosa-event-uuid": "evt_1"}),
        ({}, {"x-meemo-event-uuid": "evt_1"}),
        ({"event_uuid": "evt_1"}, {}),
        ({"event_uuid": "evt_1", "id": "evt_2"}, {}),
        ({"data": {"event_uuid": "evt_1"}, "id": "evt_2"}, {}),
        ({"id": "evt_1"}, {}),
        ({"data": {"id": "evt_1"}}, {}),
        ({"event_uuid": "evt_1"}, {"x-prosa-event-uuid": " "}),
    ],
)
@pytest.mark.parametrize("name", ["meeting.deleted", "other"])
def test_the_event_id_is_key_and_id(name: str, body: dict[str, Any], headers: dict[str, str]) -> None:
    """Header, ``event_uuid``, or an ``id`` that begins with ``evt_``; a repeat may differ in anything else."""
    decoded = decode(body | {"event": name, "n": 1}, headers)
    assert decoded.events[0].id == "evt_1" and decoded.timed
    assert decoded.key == decode({"event_uuid": "evt_1"}).key != decode({"event_uuid": "evt_3"}).key


def test_without_an_event_id_the_body_is_the_key() -> None:
    """Equal bodies are repeats for good only if they tell a time; an ``id`` without ``evt_`` is not the event's."""
    body = {"event": "meeting.summarization_completed", "meeting_id": 123, "id": "5"}
    timed = body | {"timestamp": 1787218800}
    assert not decode(body).timed and decode(timed).timed
    assert decode(body).key == decode(body).key != decode(timed).key
    assert decode(body, repeat=1).events[0].id == f"{decode(body).key.hex()}~2"
    assert decode(body, subject="a").key == decode(body, subject="b").key


def test_a_name_in_a_header_is_part_of_the_key() -> None:
    """Equal bodies under two names are two deliveries."""
    keys = {decode({"meeting_id": 123}, {"x-prosa-event": name}).key for name in MEANINGS}
    assert len(keys) == len(MEANINGS)


def test_when_it_happened() -> None:
    """The event's own time at the top; a meeting's creation is that of no other event."""
    told = {"data": {"id": 123, "created_at": "2026-08-20T08:00:00Z"}}
    assert decode({"event": "meeting.deleted"} | told).events[0].time_ns == NOW_NS
    created = decode({"event": "meeting.created"} | told).events[0]
    assert format_time(created.time_ns) == "2026-08-20T08:00:00.000000Z"
    sent = decode({"event": "meeting.transcription_failed", "timestamp": 1787218800500} | told).events[0]
    assert format_time(sent.time_ns) == "2026-08-20T09:40:00.500000Z"


# Secrets

SECRETS: dict[str, dict[str, Any]] = {
    key: {key: CANARY} for key in ("secret_key", "user_token", "client_secret", "access_token", "recording_url")
} | {
    "webhook secret under any key": {"note": f"whsec_{CANARY}"},
    "personal token under any key": {"note": f"pt_{CANARY}"},
}


@pytest.mark.parametrize("case", SECRETS)
def test_secrets_leave_only_where_they_are_asked_for(case: str) -> None:
    """Neither in ``data`` nor in ``raw``, of known and unknown events."""
    unknown = decode({"event": "other", "data": SECRETS[case]}).events[0]
    known = decode(CREATED | {"extra": SECRETS[case]}).events[0]
    for text in (unknown.json(), unknown.json(raw=True), known.json(raw=True)):
        assert CANARY.encode() not in text
    for text in (unknown.json(secrets=True), known.json(raw=True, secrets=True)):
        assert CANARY.encode() in text


# The vendor as a whole


def test_a_bridge_may_send_deliveries_as_text() -> None:
    """A text message means what the same body means; a binary one is malformed."""
    session = vendor_named("meemo").session(record(b"", subject="hint"))
    assert session.receive(json.dumps(CREATED), NOW_NS) == decode(json.dumps(CREATED).encode(), subject="hint")
    with pytest.raises(Malformed):
        session.receive(b"{}", NOW_NS)


@PATIENT
@given(OBJECTS, HEADERS)
def test_any_object_gives_json_or_our_error(body: dict[str, Any], headers: dict[str, str]) -> None:
    """Whatever an object and its headers hold, only our errors escape, and an event can be printed."""
    with contextlib.suppress(ReceiverError):
        decoded = decode(json.dumps(body).encode(), headers)
        for event in decoded.events:
            printed = json.loads(event.json(raw=True))
            assert printed["type"] == "vendor.event" or None not in printed["data"].values()
        assert bool(decoded.key) == bool(decoded.events)
        assert decode(json.dumps(body).encode(), headers) == decoded


@PATIENT
@given(st.binary(max_size=200), HEADERS)
def test_any_bytes_give_events_or_our_error(body: bytes, headers: dict[str, str]) -> None:
    """Whatever the bytes are, only our errors escape."""
    with contextlib.suppress(ReceiverError):
        decode(body, headers)


@pytest.mark.parametrize("length", range(len(json.dumps(CREATED))))
def test_a_cut_body_is_malformed(length: int) -> None:
    """Every shorter prefix of a body is refused with a place."""
    with pytest.raises(Malformed) as caught:
        decode(json.dumps(CREATED).encode()[:length])
    assert caught.value.where
