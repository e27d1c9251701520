"""RealtimeKit's bodies: what is malformed and where, what identifies a delivery, what is secret."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed, ReceiverError
from receiver.events import Artifact, MeetingInfo, ParticipantChange
from receiver.vendors.wire import MAX_DEPTH
from tests.vendors.realtimekit_wire import MEETING, PATIENT, SESSION, UUID, WEBHOOK, decode
from tests.vendors.samples import NOW_NS

ROOM: dict[str, Any] = {
    "id": MEETING, "sessionId": SESSION, "title": "Weekly sync", "status": "LIVE",
    "startedAt": "2026-06-03T10:00:00.000Z", "endedAt": "2026-06-03T10:45:30.250Z",
}  # fmt: skip
STARTED: dict[str, Any] = {"event": "meeting.started", "meeting": ROOM}
LEFT: dict[str, Any] = {
    "event": "meeting.participantLeft",
    "meeting": ROOM,
    "participant": {
        "peerId": "p1", "userDisplayName": "Ada", "customParticipantId": "u1", "clientSpecificId": "u0",
        "joinedAt": "2026-06-03T10:00:05.500Z", "leftAt": "2026-06-03 10:30:06.750000Z",
    },
}  # fmt: skip
UPLOADED: dict[str, Any] = {
    "event": "recording.statusUpdate",
    "meeting": ROOM,
    "recording": {
        "id": "r1", "recordingId": "r1", "status": "UPLOADED", "meetingId": "m-of-recording", "roomUUID": "room",
        "downloadUrl": "https://s.example/r.mp4", "audioDownloadUrl": "https://s.example/r.mp3",
        "downloadUrlExpiry": "2026-06-10T10:01:00.000Z", "fileSize": 5, "recordingDuration": 7,
    },
}  # fmt: skip
LIVESTREAM: dict[str, Any] = {
    "event": "livestreaming.statusUpdate", "streamId": "s1", "status": "LIVE", "manualIngest": True, "meeting": ROOM,
    "playbackUrl": "https://play.example/s1.m3u8", "ingestServer": "rtmps://in.example/live", "streamKey": "k3y",
}  # fmt: skip


def recording(**changes: Any) -> dict[str, Any]:
    return UPLOADED | {"recording": UPLOADED["recording"] | changes}


MALFORMED: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "nothing": (b"", "byte 0"),
    "cut": (b'{"event":"meet', "byte 14"),
    "array": (b"[]", "$"),
    "null": (b"null", "$"),
    "invalid UTF-8": (b'{"event":"meeting.started","reason":"\xff"}', "byte 37"),
    "deep enough to hurt": (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", "$"),
    "event": ({**STARTED, "event": 5}, "$.event"),
    "event is a list": ({**STARTED, "event": ["meeting.started"]}, "$.event"),
    "meeting": ({**STARTED, "meeting": "m"}, "$.meeting"),
    "meeting id": ({**STARTED, "meeting": {"id": 5}}, "$.meeting.id"),
    "session id": ({**STARTED, "meeting": {"sessionId": []}}, "$.meeting.sessionId"),
    "time": ({**STARTED, "meeting": {"startedAt": 1}}, "$.meeting.startedAt"),
    "reason": ({**STARTED, "event": "meeting.ended", "reason": {}}, "$.reason"),
    "participant": ({**LEFT, "participant": "Ada"}, "$.participant"),
    "peer": ({**LEFT, "participant": {"peerId": 1}}, "$.participant.peerId"),
    "recording": ({**UPLOADED, "recording": []}, "$.recording"),
    "status": (recording(status=1), "$.recording.status"),
    "size": (recording(fileSize="2 MB"), "$.recording.fileSize"),
    "size as bool": (recording(fileSize=True), "$.recording.fileSize"),
    "size as list": (recording(fileSize=[1]), "$.recording.fileSize"),
    "signed text": (recording(fileSize="-5"), "$.recording.fileSize"),
    "digits of another script": (recording(fileSize="٣"), "$.recording.fileSize"),
    "duration": (recording(recordingDuration="1e3"), "$.recording.recordingDuration"),
    "link": (recording(downloadUrl=5), "$.recording.downloadUrl"),
    "layer": (recording(downloadUrl=["x"]), "$.recording.downloadUrl[0]"),
    "link of a track": (
        recording(downloadUrl=[{}, {"download_urls": {"a.webm": {"download_url": 5}}}]),
        "$.recording.downloadUrl[1].download_urls[...].download_url",
    ),
    "chat link": ({"event": "meeting.chatSynced", "chatDownloadUrl": 1}, "$.chatDownloadUrl"),
    "chat meeting": ({"event": "meeting.chatSynced", "meetingId": 1}, "$.meetingId"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_bodies_name_the_place_and_no_payload(case: str) -> None:
    """What is no JSON object, or has a wrong type in a known key, is malformed; the text names path or byte only."""
    body, where = MALFORMED[case]
    with pytest.raises(Malformed) as caught:
        decode(body)
    assert caught.value.where == where
    assert "\n" not in str(caught.value) and "Ada" not in str(caught.value) and "2 MB" not in str(caught.value)


UNKNOWN: list[dict[str, Any]] = [
    {"event": "meeting.pollEnded", "meeting": {"id": MEETING, "sessionId": SESSION}, "participant": 5, "recording": 1},
    {"meeting": {"id": MEETING, "sessionId": SESSION}},
    {"event": None, "meetingId": MEETING, "sessionId": SESSION},
    {"event": "Meeting.Started", "meeting": {"id": MEETING, "sessionId": SESSION}},
    {"event": "meeting.participantJoined", "meeting": {"id": MEETING, "sessionId": SESSION}},
    {"event": "recording.statusUpdate", "meeting": {"id": MEETING, "sessionId": SESSION}},
    {"event": "recording.statusUpdate", "meeting": {"id": MEETING, "sessionId": SESSION}, "recording": {}},
    recording(status="TRANSCODING"),
]


@pytest.mark.parametrize("body", UNKNOWN)
def test_what_fits_nothing_is_passed_on(body: dict[str, Any]) -> None:
    """An unknown name, status or shape is ``vendor.event`` with the body as it came, and what it is about."""
    decoded = decode(body, {"rtk-uuid": UUID})
    (event,) = decoded.events
    assert (event.type, event.vendorevent, event.id) == ("vendor.event", body.get("event") or "", UUID)
    assert (event.subject, event.data.session) == (MEETING, SESSION)
    assert json.loads(event.json(secrets=True))["data"] == body


def test_an_unknown_body_may_hold_anything_where_ids_stand() -> None:
    """Nothing is known of it, so nothing in it is wrong."""
    meetings: list[Any] = [5, [], {"id": 5}, {"id": ""}, None]
    for meeting in meetings:
        assert decode({"event": "new", "meeting": meeting}, subject="hint").events[0].subject == "hint"


def test_free_form_json_may_be_nested_to_the_limit() -> None:
    """Nesting up to the limit is passed on, also through what takes secrets out."""
    depth = MAX_DEPTH - 2
    for name in (b"new", b"livestreaming.statusUpdate"):
        body = b'{"event":"%s","playbackUrl":"https://x.example","a":%s%s}' % (name, b"[" * depth, b"]" * depth)
        assert b"[" * depth in decode(body).events[0].json()


@pytest.mark.parametrize("body", [STARTED, LEFT, UPLOADED])
def test_null_in_any_key_is_absent(body: dict[str, Any]) -> None:
    """A null means the same as a missing key, at the top and below."""
    for holder in ("", "meeting", "participant", "recording"):
        inner: dict[str, Any] = body if not holder else body.get(holder, {})
        for key in inner:
            if key == "event":
                continue
            gone = {name: value for name, value in inner.items() if name != key}
            null = inner | {key: None}
            pair = [change if not holder else body | {holder: change} for change in (gone, null)]
            missing, nulled = (decode(one, {"rtk-uuid": UUID}, subject="hint").events for one in pair)
            facts = [[(event.id, event.type, event.subject, event.time_ns) for event in told]
                     for told in (missing, nulled)]  # fmt: skip
            assert facts[0] == facts[1], (holder, key)


def test_the_session_of_the_meeting_outweighs_that_of_the_recording() -> None:
    """The two pairs of ids may disagree; the recording's stands in where the meeting names none."""
    event = decode(UPLOADED).events[0]
    assert (event.subject, event.data.session) == (MEETING, SESSION)
    event = decode(UPLOADED | {"meeting": {"title": "x"}}).events[0]
    assert (event.subject, event.data.session) == ("m-of-recording", "room")
    event = decode({"event": "meeting.started"}, subject="hint").events[0]
    assert (event.type, event.subject, event.data.session) == ("meeting.started", "hint", None)


def test_the_last_of_two_equal_keys_counts() -> None:
    """One documented body has a key twice."""
    body = b'{"event":"meeting.started","meeting":{"id":"a","title":"x","id":"b"}}'
    assert decode(body).events[0].subject == "b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-03T10:00:00.000Z", "2026-06-03T10:00:00.000000Z"),
        ("2023-01-25 04:51:35.903816Z", "2023-01-25T04:51:35.903816Z"),
        ("2026-06-03T12:00:00+02:00", "2026-06-03T10:00:00.000000Z"),
        ("soon", "2026-09-01T12:00:00.000000Z"),
        ("", "2026-09-01T12:00:00.000000Z"),
    ],
)
def test_both_shapes_of_time(text: str, expected: str) -> None:
    """A ``T`` or a space, milliseconds or microseconds; what is no time is the arrival."""
    event = decode({**STARTED, "meeting": ROOM | {"startedAt": text}}).events[0]
    assert json.loads(event.json())["time"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2023-01-25 04:51:35.903816Z", "2023-01-25T04:51:35.903816Z"), ("soon", "soon"), ("", None), (None, None)],
)
def test_expiry_is_a_time_or_what_was_told(text: str | None, expected: str | None) -> None:
    """An expiry is written like all times, unless it cannot be read."""
    data = decode({"event": "meeting.summary", "summaryDownloadUrlExpiry": text}).events[0].data
    assert isinstance(data, Artifact) and data.expires_at == expected


@pytest.mark.parametrize(
    ("told", "size"),
    [(2044680, 2044680), ("2044680", 2044680), (2044680.0, 2044680), ("2044680.0", 2044680), ("", None), (None, None),
     (-1, None), (10**4000, None), (1e300, None), (0, 0)],
)  # fmt: skip
def test_sizes_are_numbers_or_numeric_texts(told: Any, size: int | None) -> None:
    """``2044680`` and ``"2044680"`` both occur."""
    data = decode(json.dumps(recording(fileSize=told)).encode()).events[0].data
    assert isinstance(data, Artifact) and data.size_bytes == size


@pytest.mark.parametrize(
    ("told", "begin", "end", "duration_s"),
    [
        (1800, "2023-01-25 04:52:10Z", "2023-01-25 04:52:57Z", 1800.0),
        ("1800", None, None, 1800.0),
        (0, "2023-01-25 04:52:10Z", "2023-01-25T04:52:57.500Z", 47.5),
        (None, "2023-01-25 04:52:10Z", "2023-01-25T04:52:57.500Z", 47.5),
        (0, "2023-01-25 04:52:57Z", "2023-01-25 04:52:10Z", None),
        (0, "2023-01-25 04:52:57Z", None, None),
        (0, "soon", "later", None),
    ],
)
def test_a_duration_of_zero_is_none(told: Any, begin: str | None, end: str | None, duration_s: float | None) -> None:
    """A captured recording of 47 s says 0; begin and end know better."""
    body = recording(recordingDuration=told, startedTime=begin, stoppedTime=end)
    data = decode(body).events[0].data
    assert isinstance(data, Artifact) and data.duration_s == duration_s


def test_a_stop_reason_is_kept_as_text() -> None:
    """It looks like JSON and is none; were it an object, the recording would not be lost for it."""
    reason = "{'reason':'ALL_PEERS_LEFT','caller':{'type':'INTERNAL'}}"
    data = decode(recording(stopReason=reason)).events[0].data
    assert isinstance(data, Artifact) and data.message == reason
    data = decode(recording(stopReason={"reason": "API_CALL"})).events[0].data
    assert isinstance(data, Artifact) and data.message is None


def test_a_person_is_named_by_the_customers_id_and_a_connection_by_its_peer() -> None:
    """``customParticipantId``, else its deprecated twin; ``peerId`` is another one after a rejoin."""
    data = decode(LEFT).events[0].data
    assert isinstance(data, ParticipantChange)
    assert (data.participant.id, data.participant.user_id, data.duration_s) == ("p1", "u1", 1801.25)
    twin = LEFT["participant"] | {"customParticipantId": "", "leftAt": "2026-06-03T10:00:05.000Z"}
    data = decode(LEFT | {"participant": twin}).events[0].data
    assert isinstance(data, ParticipantChange)
    assert (data.participant.user_id, data.duration_s) == ("u0", None)


def test_meeting_status_decides_nothing() -> None:
    """It stays ``LIVE`` in ``meeting.ended``."""
    event = decode({**STARTED, "event": "meeting.ended", "reason": "ALL_PARTICIPANTS_LEFT"}).events[0]
    assert (event.type, event.data) == (
        "meeting.ended",
        MeetingInfo(title="Weekly sync", reason="ALL_PARTICIPANTS_LEFT", session=SESSION),
    )


# What identifies a delivery


@pytest.mark.parametrize("name", ["rtk-uuid", "dyte-uuid"])
def test_the_uuid_of_the_header_is_the_id_and_the_key(name: str) -> None:
    """One id, one event, whatever the body says and however it was sent."""
    first, again = decode(STARTED, {name: UUID}), decode(LEFT, {name: UUID, "rtk-webhook-id": WEBHOOK})
    assert first.timed and first.key == again.key and first.events[0].id == again.events[0].id == UUID
    assert decode(STARTED, {name: UUID[:-1] + "b"}).key != first.key


def test_a_uuid_may_change_between_the_tries_of_a_delivery() -> None:
    """Sheet 1.4, seen in public: webhook and body are a second key, the same one that a delivery without uuid has."""
    tries = [decode(STARTED, {"rtk-uuid": uuid, "rtk-webhook-id": WEBHOOK}) for uuid in ("one", "two")]
    assert tries[0].key != tries[1].key and tries[0].also == tries[1].also
    assert tries[0].also == (decode(STARTED, {"rtk-webhook-id": WEBHOOK}).key,)
    assert decode(STARTED, {"rtk-uuid": "one", "rtk-webhook-id": "other"}).also != tries[0].also
    assert decode(STARTED, {"rtk-webhook-id": WEBHOOK}).also == ()


def test_the_newer_name_counts_first() -> None:
    """Whether both are sent at once is not known."""
    both = {"dyte-uuid": "old", "rtk-uuid": UUID}
    assert decode(STARTED, both).key == decode(STARTED, {"dyte-uuid": UUID}).key
    assert decode(STARTED, both | {"rtk-uuid": ""}).events[0].id == "old"


@pytest.mark.parametrize("value", ["", " ", "a b", "é", "\udcff", "x" * 129, "a\nb", "<i>", "a,b"])
def test_a_header_that_is_no_id_is_none(value: str) -> None:
    """It is not signed and may be anything: it does not become an event's id."""
    assert decode(STARTED, {"rtk-uuid": value}).key == decode(STARTED).key


def test_several_events_of_a_delivery_have_ids_of_their_own() -> None:
    """The delivery's id, and the part."""
    events = decode(UPLOADED, {"rtk-uuid": UUID}).events
    assert [event.id for event in events] == [f"{UUID}/recording", f"{UUID}/audio"]
    assert [event.id for event in decode(recording(audioDownloadUrl=""), {"rtk-uuid": UUID}).events] == [UUID]


def test_without_a_uuid_webhook_and_body_are_the_key() -> None:
    """The second key of the fact sheet: the raw body's digest, for each configured webhook."""
    first = decode(STARTED, {"rtk-webhook-id": WEBHOOK})
    assert first.timed and first.key == decode(STARTED, {"dyte-webhook-id": WEBHOOK}).key
    assert first.events[0].id == first.key.hex()
    others = [
        decode(STARTED),
        decode(STARTED, {"rtk-webhook-id": "other"}),
        decode(json.dumps(STARTED, indent=1).encode(), {"rtk-webhook-id": WEBHOOK}),
        decode(STARTED, {"rtk-webhook-id": WEBHOOK}, subject="hint"),
    ]
    assert len({one.key for one in others} | {first.key}) == 5


@pytest.mark.parametrize(
    ("body", "timed"),
    [
        (STARTED, True),
        (LEFT, True),
        (UPLOADED, True),
        ({"event": "meeting.transcript", "meeting": ROOM}, True),
        ({"event": "meeting.started", "meeting": {"id": MEETING}}, False),
        ({"event": "meeting.started", "meeting": {"id": MEETING, "startedAt": "2026-06-03T10:00:00Z"}}, True),
        (recording(status="RECORDING"), False),
        (recording(status="PAUSED"), False),
        (LIVESTREAM, False),
        ({"event": "livestreaming.statusUpdate", "streamId": "s", "status": "LIVE"}, False),
        ({"event": "new", "meeting": ROOM}, False),
    ],
)
def test_what_may_honestly_come_again_is_a_repeat_for_a_short_time_only(body: dict[str, Any], timed: bool) -> None:
    """Without a uuid: a recording that goes on, a livestream that ends twice, what names no session and no time."""
    decoded = decode(body)
    assert decoded.timed is timed
    by_uuid = decode(body, {"rtk-uuid": UUID})
    assert by_uuid.timed and by_uuid.also == ((decoded.key,) if timed else ())
    if not timed:
        assert decode(body, repeat=2).events[0].id == f"{decoded.events[0].id}~3"


# Secrets


@pytest.mark.parametrize(
    ("body", "secrets"),
    [
        (LIVESTREAM, ["play.example", "in.example", "k3y"]),
        (UPLOADED, ["s.example/r.mp4", "s.example/r.mp3"]),
        ({"event": "meeting.chatSynced", "chatDownloadUrl": "https://s.example/c"}, ["s.example/c"]),
        ({"event": "meeting.transcript", "transcriptDownloadUrl": "https://s.example/t"}, ["s.example/t"]),
        ({"event": "meeting.summary", "summaryDownloadUrl": "https://s.example/s"}, ["s.example/s"]),
        (recording(downloadUrl=[{"download_urls": {"a": {"download_url": "https://s.example/w"}}}]), ["s.example/w"]),
    ],
)
def test_links_and_keys_leave_only_where_secrets_are_asked_for(body: dict[str, Any], secrets: list[str]) -> None:
    """In data and, where the redaction knows the name, in the raw body; with secrets all of it is there."""
    events = decode(body).events
    plain = b"".join(event.json() for event in events).decode()
    full = b"".join(event.json(secrets=True) for event in events).decode()
    for secret in secrets:
        assert secret not in plain and secret in full
        if secret != "play.example":
            assert all(secret not in event.json(raw=True).decode() for event in events)


def test_a_livestream_without_secrets_says_what_state_it_is_in() -> None:
    """Only what opens it is taken out, and the body itself stays as it is."""
    event = decode(LIVESTREAM).events[0]
    told = json.loads(event.json())["data"]
    gone = dict.fromkeys(("playbackUrl", "ingestServer", "streamKey"), "[redacted]")
    assert told == LIVESTREAM | gone
    assert json.loads(event.json(secrets=True))["data"] == LIVESTREAM
    assert json.loads(decode(LIVESTREAM | {"playbackUrl": None}).events[0].json())["data"]["playbackUrl"] is None


# Whatever comes

NAMES = st.sampled_from(
    ["meeting.started", "meeting.ended", "meeting.participantJoined", "meeting.participantLeft", "meeting.chatSynced",
     "meeting.transcript", "meeting.summary", "recording.statusUpdate", "livestreaming.statusUpdate", "new", None, 5]
)  # fmt: skip
KEYS = st.sampled_from(
    ["meeting", "participant", "recording", "id", "sessionId", "status", "startedAt", "peerId", "fileSize",
     "downloadUrl", "audioDownloadUrl", "recordingDuration", "stopReason", "reason", "playbackUrl", "meetingId"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.sampled_from(
    ["UPLOADED", "RECORDING", "ERRORED", "2026-06-03T10:00:00.000Z", "0001-01-01 00:00:00Z", "12"]
)  # fmt: skip
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner), max_leaves=12)


@PATIENT
@given(NAMES, st.dictionaries(KEYS, VALUES), st.dictionaries(st.sampled_from(["rtk-uuid", "dyte-uuid"]), st.text()))
def test_any_object_gives_events_or_one_of_our_errors(name: Any, body: dict[str, Any], headers: dict[str, str]) -> None:
    """Whatever the keys hold, with whatever headers; and what is decoded can be written."""
    with contextlib.suppress(ReceiverError):
        decoded = decode(body | {"event": name}, headers)
        assert decoded.events and decoded.key
        for event in decoded.events:
            assert event.received_ns == NOW_NS
            event.json()
            event.json(secrets=True, raw=True)


@PATIENT
@given(st.binary(max_size=60))
def test_any_bytes_give_one_of_our_errors_or_events(body: bytes) -> None:
    """Bodies come from strangers."""
    with contextlib.suppress(ReceiverError):
        assert decode(body).events


@pytest.mark.parametrize("body", [STARTED, LEFT, UPLOADED, LIVESTREAM])
def test_every_shorter_prefix_of_a_body_is_malformed(body: dict[str, Any]) -> None:
    """A body that is cut is never half believed."""
    whole = json.dumps(body).encode()
    for length in range(len(whole)):
        with pytest.raises(Malformed):
            decode(whole[:length])
