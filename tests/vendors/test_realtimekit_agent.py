"""The agent's socket: what it tells, what identifies a message that may come again, what is asked over it."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed, ReceiverError
from receiver.events import ParticipantChange, Person, Transcript
from receiver.record import Record
from receiver.vendors import decode_record
from receiver.vendors.realtimekit import connection_get, ping
from tests.vendors.realtimekit_wire import MEETING, PATIENT, SESSION, play, socket
from tests.vendors.samples import NOW_NS


def message(name: str, data: Any = None) -> str:
    return json.dumps({"category": "message", "name": name} | ({} if data is None else {"data": data}))


def started(at: str = "2026-06-03T10:00:00.000Z", session: str = SESSION) -> str:
    told = {"id": session, "meeting_id": MEETING, "started_at": at, "ended_at": None}
    return message("session.started", {"session": told})


ENDED = message(
    "session.ended",
    {
        "session": {"id": SESSION, "meeting_id": MEETING, "started_at": "2026-06-03T10:00:00Z",
                    "ended_at": "2026-06-03T10:45:00Z"},
        "reason": "host_ended_meeting",
    },
)  # fmt: skip
ADA = {"peer_id": "aaa1", "participant_id": "p-1", "custom_participant_id": "u-1", "display_name": "Ada Lovelace"}


def said(text: str = "so we", final: bool = False, **changes: Any) -> str:
    told = {
        "text": text, "is_final": final, "started_at": "2026-06-03T10:00:10.000Z",
        "ended_at": "2026-06-03T10:00:11.500Z", "confidence": 0.5, "speaker": ADA,
    }  # fmt: skip
    return message("transcript.received", told | changes)


def test_a_transcript_counts_from_the_beginning_of_the_session() -> None:
    """Times are ISO 8601: the end is the event's time, and seconds count from ``session.started``. There is no turn."""
    session = socket("transcript")
    (event,) = play(session, [started(), said()])[1:]
    assert event.data == Transcript(
        text="so we", speaker=Person(id="aaa1", name="Ada Lovelace"), start_s=10.0, end_s=11.5, confidence=0.5,
        session=SESSION,
    )  # fmt: skip
    assert (event.type, event.subject, event.vendorevent) == ("transcript.partial", MEETING, "transcript.received")
    assert json.loads(event.json())["time"] == "2026-06-03T10:00:11.500000Z"


def test_before_the_session_is_known_a_transcript_has_only_its_time() -> None:
    """The URL's id is the subject until a message names the meeting."""
    (event,) = play(socket("transcript", subject="hint"), [said(final=True)])
    assert event.data == Transcript(text="so we", speaker=Person(id="aaa1", name="Ada Lovelace"), confidence=0.5)
    assert (event.type, event.subject) == ("transcript.final", "hint")


@pytest.mark.parametrize(
    ("final", "type_"),
    [(True, "transcript.final"), (False, "transcript.partial"), (None, "transcript.final")],
)
def test_what_does_not_call_itself_partial_is_final(final: bool | None, type_: str) -> None:
    """A partial says so."""
    assert play(socket(), [said(is_final=final)])[0].type == type_


@pytest.mark.parametrize(
    ("speaker", "expected"),
    [
        (None, None),
        ({}, None),
        ({"peer_id": "", "display_name": " "}, None),
        ({"participant_id": "p-1"}, Person(id="p-1")),
        ({"display_name": "Ada"}, Person(name="Ada")),
    ],
)
def test_nobody_is_left_out(speaker: Any, expected: Person | None) -> None:
    """A speaker is told as far as known."""
    data = play(socket(), [said(speaker=speaker)])[0].data
    assert isinstance(data, Transcript) and data.speaker == expected


def test_times_that_go_backwards_tell_no_seconds() -> None:
    """The two clocks are not one: what begins before the session has no place on its clock."""
    data = play(socket(), [started("2026-06-03T10:00:11.000Z"), said()])[1].data
    assert isinstance(data, Transcript) and (data.start_s, data.end_s) == (None, 0.5)


def test_an_end_is_expected_and_told() -> None:
    """After ``session.ended`` the vendor closes; the reason stays as it is written."""
    session = socket()
    play(session, [started()])
    assert not session.close_expected()
    (event,) = play(session, [ENDED])
    assert session.close_expected()
    told = json.loads(event.json())
    assert (told["type"], told["time"]) == ("meeting.ended", "2026-06-03T10:45:00.000000Z")
    assert told["data"] == {"session": SESSION, "reason": "host_ended_meeting"}


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("participant.join", {}, None),
        ("participant.join", {"waitlisted": True}, "waitlisted"),
        ("participant.leave", {}, None),
        ("participant.leave", {"participant_id": None, "custom_participant_id": None, "display_name": None}, "kicked"),
        ("participant.leave", {"custom_participant_id": None, "display_name": None}, None),
    ],
)
def test_of_who_was_kicked_nothing_is_told_but_the_peer(name: str, changes: dict[str, Any], reason: str | None) -> None:
    """And who waits for admission is marked."""
    who = ADA | {"meeting_id": MEETING, "waitlisted": False} | changes
    event = play(socket(), [message(name, {"participant": who})])[0]
    assert isinstance(event.data, ParticipantChange) and event.data.reason == reason
    assert (event.subject, event.data.participant.id) == (MEETING, "aaa1")
    assert event.type == ("participant.joined" if name.endswith("join") else "participant.left")


def test_results_are_no_events_and_name_the_connection() -> None:
    """With its id a new connection continues this one; a refused request is passed on."""
    session = socket()
    result: dict[str, Any] = {"category": "result", "request_id": "r1", "name": "connection.get", "error": None}
    connection = {"id": "conn_7", "subscriptions": ["transcript"]}
    assert play(session, [json.dumps(result | {"data": {"connection": connection}})]) == []
    assert session.connection_id == "conn_7"
    assert play(session, [json.dumps(result | {"data": {}})]) == [] and session.connection_id == "conn_7"
    assert socket(state=session.snapshot()).connection_id == "conn_7"
    failed = result | {"data": None, "error": {"code": "INTERNAL_ERROR", "message": "m"}}
    (event,) = play(session, [json.dumps(failed)])
    assert (event.type, event.id, event.vendorevent) == ("vendor.event", "c1/1", "connection.get")


OTHERS: list[dict[str, Any]] = [
    {"category": "message", "name": "participant.kick_all"},
    {"category": "message", "name": "poll.created", "data": {"session": 5, "text": []}},
    {"category": "message", "name": "broadcast.received", "data": {"type": "x", "payload": {"a": 1}, "created_at": 5}},
    {"category": "message", "name": "session.started", "data": {}},
    {"category": "message", "name": "participant.join"},
    {"category": "message", "name": "transcript.received", "data": {"is_final": True}},
    {"category": "request", "name": "session.started", "data": {}},
    {"category": "message", "name": 5},
    {"event": "meeting.started"},
]


@pytest.mark.parametrize("body", OTHERS)
def test_what_has_no_type_is_passed_on(body: dict[str, Any]) -> None:
    """A broadcast is the application's own, and no chat: ``vendor.event``, like whatever fits nothing."""
    (event,) = play(socket(subject="hint"), [json.dumps(body)])
    name = body.get("name")
    assert (event.type, event.subject) == ("vendor.event", "hint")
    assert event.vendorevent == (name if isinstance(name, str) else "")
    assert json.loads(event.json())["data"] == body


MALFORMED: list[tuple[str, str]] = [
    ("hello", "byte 0"),
    ("[]", "$"),
    (message("session.started", []), "$.data"),
    (message("session.started", {"session": {"id": 5}}), "$.data.session.id"),
    (message("participant.join", {"participant": {"peer_id": 5}}), "$.data.participant.peer_id"),
    (message("transcript.received", {"text": 5}), "$.data.text"),
    (said(is_final="yes"), "$.data.is_final"),
    (said(confidence="high"), "$.data.confidence"),
    (said(ended_at=5), "$.data.ended_at"),
    ('{"category":"result","data":{"connection":5}}', "$.data.connection"),
    ('{"a":' + "[" * 200 + "]" * 200 + "}", "$"),
]


@pytest.mark.parametrize(("text", "where"), MALFORMED)
def test_a_bad_message_is_malformed_and_the_session_goes_on(text: str, where: str) -> None:
    """A known message with a wrong type names the path; what the session knew it still knows."""
    session = socket("transcript")
    play(session, [started()])
    before = session.snapshot()
    with pytest.raises(Malformed) as caught:
        session.receive(text, NOW_NS)
    assert caught.value.where == where
    assert session.snapshot() == before


def test_binary_messages_are_malformed() -> None:
    """The agent's socket has none."""
    with pytest.raises(Malformed):
        socket("transcript").receive(b"\x08\x01", NOW_NS)


# What identifies a message


@pytest.mark.parametrize(
    "text",
    [
        started(), ENDED, said(), said(final=True),
        message("broadcast.received", {"type": "x", "payload": 1, "created_at": "2026-06-03T10:00:00Z"}),
    ],
)  # fmt: skip
def test_a_message_with_a_time_has_one_id_on_every_connection(text: str) -> None:
    """A continued connection may send it again."""
    first, second = socket(connection="c1"), socket(connection="c2")
    play(first, [started()])
    second.adopt(first.snapshot())
    one, other = first.receive(text, NOW_NS), second.receive(text, NOW_NS + 1)
    assert one.timed and one.key and one.key == other.key
    assert [event.id for event in one.events] == [event.id for event in other.events] == [one.key.hex()]


def test_updates_that_say_something_else_are_others() -> None:
    """Speaker, times, text and finality tell them apart."""
    changes: list[dict[str, Any]] = [
        {}, {"text": "so"}, {"is_final": True}, {"ended_at": "2026-06-03T10:00:11.501Z"},
        {"started_at": "2026-06-03T10:00:10.001Z"}, {"speaker": {"peer_id": "bbb2"}},
    ]  # fmt: skip
    assert len({socket().receive(said(**change), NOW_NS).key for change in changes}) == len(changes)
    assert not socket().receive(said(started_at=None, ended_at=None), NOW_NS).timed


def test_joins_may_come_again_for_a_short_time_only() -> None:
    """They tell no time: the whole message is the key, and what comes later is another event."""
    text = message("participant.join", {"participant": ADA | {"meeting_id": MEETING}})
    one, other = socket().receive(text, NOW_NS), socket(connection="c2").receive(text, NOW_NS)
    assert one.key == other.key and not one.timed
    again = socket(connection="c2", repeat=1).receive(text, NOW_NS)
    assert again.events[0].id == f"{one.events[0].id}~2"


def test_messages_without_any_are_numbered() -> None:
    """Like frames: the connection and a number."""
    decoded = [socket().receive(message("participant.kick_all"), NOW_NS)]
    assert (decoded[0].key, decoded[0].events[0].id) == (b"", "c1/1")


def test_a_record_decodes_like_the_stream() -> None:
    """A journalled message and what the session knew before it give the same event."""
    live = socket("transcript")
    play(live, [started()])
    state = live.snapshot()
    record = Record(
        vendor="realtimekit", endpoint="default", kind="text", payload=said().encode(), received_ns=NOW_NS,
        channel="transcript", connection="c1", subject=MEETING, state=state,
    )  # fmt: skip
    assert decode_record(record) == live.receive(said(), NOW_NS)


# Requests


def test_requests() -> None:
    """A ping each 20 s keeps the socket; its answer is a result with the same id."""
    assert json.loads(ping("r1")) == {
        "category": "request", "request_id": "r1", "name": "connection.ping", "data": {},
    }  # fmt: skip
    assert json.loads(connection_get("x" * 128))["name"] == "connection.get"


@pytest.mark.parametrize("request_id", ["", "x" * 129, "a b", "é", "a\n"])
def test_a_request_id_has_1_to_128_characters(request_id: str) -> None:
    """The vendor refuses others."""
    with pytest.raises(Malformed):
        ping(request_id)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ADA, "session", "participant", "id",
        "meeting_id", "started_at", "text", "is_final", "speaker", "connection", "created_at"]), inner),
    max_leaves=10,
)  # fmt: skip
NAMES = st.sampled_from(["session.started", "session.ended", "participant.join", "participant.leave",
                         "transcript.received", "broadcast.received", "participant.kick_all", "x"])  # fmt: skip


@PATIENT
@given(st.sampled_from(["message", "result", "request", 5]), NAMES | JSON, JSON, JSON)
def test_any_object_gives_events_or_one_of_our_errors(category: Any, name: Any, data: Any, error: Any) -> None:
    """Whatever the keys hold; and what is decoded can be written."""
    text = json.dumps({"category": category, "name": name, "data": data, "error": error})
    with contextlib.suppress(ReceiverError):
        for event in socket().receive(text, NOW_NS).events:
            event.json()
