"""MeetStream's REST answers: what is malformed and where, what identifies an answer, and that nothing else escapes."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed, ReceiverError
from receiver.events import Artifact, BotStatus, Event, FetchedArtifact, ParticipantChange
from receiver.record import Decoded, Record
from receiver.vendors import decode_record, meetstream
from receiver.vendors.replies import Seen, reply_record
from tests.vendors.meetstream_wire import BOT, PATIENT
from tests.vendors.samples import NOW_NS, folders_of, is_reply, reply_of

CALLS = (
    "detail", "participant_events", "get_transcript", "caption_file", "summary", "get_audio", "get_video", "get_chats",
    "get_participants", "get_speaker_timeline", "get_screenshots", "get_audio_streams", "get_recording_streams",
    "transcriptions", "status", "new_call",
)  # fmt: skip


def record_of(call: str, body: Any, *, seen: Seen | None = None, subject: str = BOT) -> Record:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return reply_record(
        "meetstream", "default", call, payload,
        subject=subject, content_type="application/json", now_ns=NOW_NS, seen=seen,
    )  # fmt: skip


def decode(call: str, body: Any, **facts: Any) -> Decoded:
    return decode_record(record_of(call, body, **facts))


def missed(details: dict[str, Any], **seen: set[str]) -> list[Event]:
    """The events of a bot's details that ``seen`` lacks."""
    known = Seen(**{name: frozenset(values) for name, values in seen.items()})
    return decode("detail", {"bot_details": {"BotID": BOT, **details}}, seen=known).events


def reached(**stages: str) -> dict[str, Any]:
    """A timeline; each stage with the minute when it was reached."""
    return {
        name: {"message": "", "status": True, "timestamp": f"2026-06-11T09:{minute}:00Z"}
        for name, minute in stages.items()
    }


MALFORMED: dict[str, tuple[str, Any, Seen | None, str]] = {
    "nothing": ("detail", b"", None, "byte 0"),
    "no JSON": ("get_audio", b"<html>", None, "byte 0"),
    "cut": ("get_transcript", b'[{"speaker": "A', None, "byte 15"),
    "not UTF-8": ("get_chats", b'{"a": "\xff"}', None, "byte 7"),
    "a number": ("detail", b"7", None, "$"),
    "null": ("get_participants", b"null", None, "$"),
    "deep": ("summary", b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", None, "$"),
    "audio": ("get_audio", {"audio_url": 5}, None, "$.audio_url"),
    "video": ("get_video", {"video_url": "u", "video_info": {"duration": "x"}}, None, "$.video_info.duration"),
    "segment": ("get_transcript", [{"transcript": "a"}, {"transcript": 5}], None, "$[1].transcript"),
    "segment is none": ("get_transcript", ["text"], None, "$[0]"),
    "word": ("get_transcript", {"message": [{"words": [{"start": "1"}]}]}, None, "$.message[0].words[0].start"),
    "raw": ("get_transcript", {"id": 5, "text": "a"}, None, "$.id"),
    "chat": ("get_chats", {"chatMessages": [{"text": {}}]}, None, "$.chatMessages[0].text"),
    "person": ("get_participants", [{"fullName": []}], None, "$[0].fullName"),
    "person in an object": ("get_participants", {"participants": [{"deviceId": 1}]}, None,
                            "$.participants[0].deviceId"),
    "timeline": ("detail", {"bot_details": {"StatusTimeline": []}}, Seen(), "$.bot_details.StatusTimeline"),
    "stage": ("detail", {"StatusTimeline": {"Joining": {"status": "yes"}}}, Seen(), "$.StatusTimeline[...].status"),
    "state": ("detail", {"bot_details": {"AudioStatus": 1}}, Seen(), "$.bot_details.AudioStatus"),
    "attributes": ("detail", {"custom_attributes": "a"}, Seen(), "$.custom_attributes"),
    "no record": ("detail", [], Seen(), "$"),
    "came": ("detail", {"bot_details": {"participant_events": [{"participant": {"id": 1}}]}}, Seen(),
             "$.bot_details.participant_events[0].participant.id"),
    "went": ("participant_events", [{"data": {"data": {"participant": {"name": []}}}}], Seen(),
             "$[0].data.data.participant.name"),
    "nothing to compare with": ("get_audio", {"audio_url": "u"}, Seen(), "$"),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_answers_name_the_place(case: str) -> None:
    """A known key of the wrong type, or no JSON object or array: the path or byte, and no content."""
    call, body, seen, where = MALFORMED[case]
    with pytest.raises(Malformed) as caught:
        decode(call, body, seen=seen)
    assert caught.value.where == where
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("body", [{"new": {"form": [1]}}, {}, [], [{}], [{"new": 1}]])
def test_an_unknown_form_is_passed_on(call: str, body: Any) -> None:
    """Never refused: one event, with the bot that was asked about."""
    (event,) = decode(call, body).events
    assert (event.type, event.subject) == ("artifact.fetched", BOT)
    assert isinstance(event.data, FetchedArtifact)
    if call == "caption_file" or not isinstance(body, list):
        assert event.data.body == body


def test_an_answer_is_identified_by_what_was_asked_and_said() -> None:
    """The same answer again is a repeat; another call, bot, answer or knowledge is none."""
    told = {"bot_details": {"BotID": BOT}}
    first = decode("detail", told)
    assert decode("detail", told).key == first.key and decode("detail", told).events[0].id == first.events[0].id
    others = [
        decode("summary", told), decode("detail", told, subject="b2"), decode("detail", {"bot_details": {}}),
        decode("detail", told, seen=Seen()),
        decode("detail", told, seen=Seen(joined=frozenset({"a"}))),
    ]  # fmt: skip
    assert len({first.key, *(other.key for other in others)}) == 6


def test_our_own_urls_are_never_handed_on() -> None:
    """``RequestPayload`` repeats the body that created the bot, wherever it stands."""
    for told in ({"RequestPayload": {"callback_url": "https://h/t"}}, {"bot_details": {"RequestPayload": {"a": "b"}}}):
        for call in ("detail", "summary"):
            (event,) = decode(call, told).events
            assert b"RequestPayload" not in event.json(secrets=True)


def test_links_are_secrets() -> None:
    """A sink without secrets gets when a link expires, and no link."""
    (event,) = decode("get_audio", {"audio_url": "https://h.example/a?X-Amz-Signature=s3cret"}).events
    assert b"s3cret" not in event.json() and b"expires_at" in event.json()
    assert b"s3cret" in event.json(secrets=True)


@pytest.mark.parametrize(
    ("stages", "status", "name", "reason"),
    [
        (("Stopped",), "Done", "bot.stopped", "left"),
        (("Stopped",), "FAILED", "bot.failed", "failed"),
        (("Stopped",), "notallowed", "bot.notallowed", "not_admitted"),
        (("Stopped", "BotRejected"), "Done", "bot.denied", "denied"),
        (("Stopped", "BotNotAllowed"), "Stopped", "bot.notallowed", "not_admitted"),
        (("BotRejected",), None, "bot.denied", "denied"),
        (("Error",), "Error", "bot.failed", "failed"),
        (("Error", "Done"), None, "bot.failed", "failed"),
    ],
)
def test_one_exit_with_its_reason(stages: tuple[str, ...], status: str | None, name: str, reason: str) -> None:
    """Whichever stages stand for it; the bot's status tells what ``Stopped`` does not."""
    found = missed({"Status": status, "StatusTimeline": reached(**dict.fromkeys(stages, "30"))})
    exits = [event for event in found if isinstance(event.data, BotStatus) and event.data.status == "stopped"]
    assert [(one.vendorevent, one.data.reason, one.data.final) for one in exits] == [  # type: ignore[attr-defined]
        (name, reason, True)
    ]


@pytest.mark.parametrize("known", ["stopped", "bot.stopped", "bot.kicked", "bot.denied"])
def test_an_exit_that_was_seen_under_any_name_is_seen(known: str) -> None:
    """A kick is ``Stopped`` in the record: it must not come again as a clean exit."""
    assert missed({"StatusTimeline": reached(Stopped="30")}, statuses={known}) == []


def test_trouble_is_no_exit() -> None:
    """``Error`` of a bot that goes on: the transcription service failed."""
    found = missed({"Status": "InMeeting", "StatusTimeline": reached(InMeeting="30", Error="31")})
    assert [event.vendorevent for event in found] == ["bot.inmeeting", "bot.error"]
    assert not any(event.data.final for event in found if isinstance(event.data, BotStatus))


def test_stages_that_were_not_reached_tell_nothing() -> None:
    """``status`` false, or null, or a new name."""
    timeline = {
        "Scheduled": {"message": "", "status": False, "timestamp": "2026-06-11T09:30:00Z"},
        "Joining": None, "InMeeting": False, "Recording": "", "Levitating": True, "Leaving": {},
        "MediaExpired": {"status": True, "timestamp": "2026-06-12T09:30:00Z"},
    }  # fmt: skip
    assert missed({"StatusTimeline": timeline}) == []


@pytest.mark.parametrize(
    ("details", "outcomes"),
    [
        ({"AudioStatus": "Success"}, {"audio/ready"}),
        ({"AudioStatus": "SUCCESS", "TranscriptStatus": "error"}, {"audio/ready", "transcript/failed"}),
        ({"AudioStatus": "Skipped", "ManifestStatus": "Failed"}, {"audio/skipped", "manifest/failed"}),
        ({"AudioStatus": "in_progress", "StatusTimeline": reached(AudioProcessing="30", Done="40")}, set()),
        ({"StatusTimeline": reached(AudioProcessing="30", VideoProcessing="31")}, set()),
        ({"StatusTimeline": reached(AudioProcessing="30", VideoProcessing="31", Done="40")},
         {"audio/ready", "video/ready"}),
        ({"StatusTimeline": reached(TranscriptionReady="30")}, {"transcript/ready"}),
    ],
)  # fmt: skip
def test_what_was_made(details: dict[str, Any], outcomes: set[str]) -> None:
    """By its state; a stage of processing is its end only once the bot is done."""
    found = [event for event in missed(details) if isinstance(event.data, Artifact)]
    assert {f"{event.data.kind}/{event.type.removeprefix('artifact.')}" for event in found} == outcomes  # type: ignore[attr-defined]
    assert [event for event in missed(details, artifacts=outcomes) if isinstance(event.data, Artifact)] == []


def test_people_are_known_by_id_else_by_name() -> None:
    """A second device of the same name is somebody else; who has no id is known by name; nobody is nobody."""
    people = [
        {"action": "join", "participant": {"id": "d/1", "name": "Ada"}},
        {"action": "join", "participant": {"id": "d/2", "name": "Ada"}},
        {"action": "join", "participant": {"name": "Bo"}},
        {"action": "join", "participant": {"id": "", "name": "Unknown"}},
        {"action": "wave", "participant": {"id": "d/3"}},
        {"action": "join"},
        "text",
    ]
    found = missed({"participant_events": people}, joined={"d/1", "Ada", "Bo"})
    assert [
        (event.type, event.data.participant.id) for event in found if isinstance(event.data, ParticipantChange)
    ] == [("participant.joined", "d/2")]


def test_events_of_one_record_have_ids_of_their_own() -> None:
    """And come in the order in which it happened."""
    people = [{"action": "join", "participant": {"id": f"d/{n}"}} for n in range(3)]
    found = missed(
        {"participant_events": people, "StatusTimeline": reached(Joining="10", Stopped="50", Done="55"),
         "AudioStatus": "Success"}
    )  # fmt: skip
    assert len({event.id for event in found}) == len(found) == 7
    assert [event.time_ns for event in found] == sorted(event.time_ns for event in found)


def test_every_missed_event_has_a_declared_name() -> None:
    """What is made up for is what a push would have told."""
    for folder in filter(is_reply, folders_of("meetstream")):
        for event in decode_record(reply_of(folder)).events:
            if event.vendorevent:
                assert meetstream.EVENT_TYPES[event.vendorevent] == event.type or event.type == "artifact.failed"


@pytest.mark.parametrize("folder", [one for one in folders_of("meetstream") if is_reply(one)], ids=lambda one: one.name)
def test_every_shorter_answer_is_malformed(folder: Any) -> None:
    """An answer that is cut at any byte gives no event; captions are any text."""
    record = reply_of(folder)
    if record.headers[0][1] == "caption_file":
        return
    step = max(1, len(record.payload) // 400)
    for length in range(0, len(record.payload), step):
        record.payload, whole = record.payload[:length], record.payload
        with pytest.raises(Malformed):
            meetstream.decode_reply(record)
        record.payload = whole


KEYS = st.sampled_from([
    "bot_details", "StatusTimeline", "Joining", "Stopped", "Error", "Done", "status", "timestamp", "message",
    "participant_events", "events", "data", "participant", "action", "event", "id", "name", "absolute", "relative",
    "AudioStatus", "TranscriptStatus", "Status", "transcript", "speaker", "words", "start", "start_time", "text",
    "chatMessages", "chats", "participants", "deviceId", "fullName", "audio_url", "video_url", "video_info",
    "duration", "summary", "Summary", "custom_attributes", "BotID", "bot_id", "metadata", "RequestPayload",
])  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | KEYS, inner, max_size=5),
    max_leaves=20,
)


@PATIENT
@given(call=st.sampled_from(CALLS), body=JSON, seen=st.sampled_from([None, Seen()]))
def test_any_json_gives_events_or_our_errors(call: str, body: Any, seen: Seen | None) -> None:
    """Whatever a vendor answers: events that can be written, or ``Malformed``."""
    with contextlib.suppress(ReceiverError):
        for event in decode(call, body, seen=seen).events:
            json.loads(event.json())
            json.loads(event.json(secrets=True, raw=True))


@PATIENT
@given(call=st.sampled_from(CALLS), payload=st.binary(max_size=60))
def test_any_bytes_give_events_or_our_errors(call: str, payload: bytes) -> None:
    """The same for what is no JSON."""
    with contextlib.suppress(ReceiverError):
        decode(call, payload)
