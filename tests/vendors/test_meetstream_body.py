"""MeetStream's bodies: what is malformed and where, what identifies a delivery, and that nothing else ever escapes."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed, ReceiverError
from receiver.events import BotStatus, Transcript
from receiver.vendors.wire import MAX_DEPTH
from tests.vendors.meetstream_wire import BOT, PATIENT, decode, play, socket
from tests.vendors.samples import NOW_NS

CALLBACK: dict[str, Any] = {
    "event": "bot.joining", "bot_event": "bot.joining", "bot_id": BOT, "bot_status": "Joining", "message": "m",
    "status_code": 200, "timestamp": "2026-06-11T09:30:00.125Z",
}  # fmt: skip
UPDATE: dict[str, Any] = {
    "bot_id": BOT, "speakerName": "Ada", "timestamp": "2026-03-28T15:00:00.010Z", "transcript": "so we",
    "turn_order": 3, "end_of_turn": False,
}  # fmt: skip
CHANGE: dict[str, Any] = {
    "event": "participant_events.join",
    "timestamp": "2026-05-26T10:01:02.003Z",
    "data": {"data": {"action": "join", "participant": {"id": "d/1", "name": "Ada"}}, "bot": {"id": BOT}},
}

MALFORMED: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "nothing": (b"", "byte 0"),
    "no JSON": (b"hello", "byte 0"),
    "cut": (b'{"event":"bot.jo', "byte 16"),
    "two values": (b"{} {}", "byte 4"),
    "array": (b"[]", "$"),
    "number": (b"7", "$"),
    "null": (b"null", "$"),
    "invalid UTF-8 in a string": (b'{"event":"bot.joining","message":"\xff"}', "byte 34"),
    "invalid UTF-8 in an unknown key": (b'{"a":"\xc3("}', "byte 6"),
    "lone surrogate": (b'{"message":"\\ud800\\u0041"}', "byte 24"),
    "deep nesting": (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "$"),
    "deep enough to hurt": (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", "$"),
    "number too large for a float": (b'{"a":1e999}', "$[...]"),
    "event": ({**CALLBACK, "event": 5}, "$.event"),
    "bot_event": ({**CALLBACK, "bot_event": ["x"]}, "$.bot_event"),
    "bot_id": ({**CALLBACK, "bot_id": 17}, "$.bot_id"),
    "message": ({**CALLBACK, "message": {}}, "$.message"),
    "status_code as text": ({**CALLBACK, "status_code": "200"}, "$.status_code"),
    "bool for an int": ({**CALLBACK, "status_code": True}, "$.status_code"),
    "timestamp as number": ({**CALLBACK, "timestamp": 1}, "$.timestamp"),
    "attributes as text": ({**CALLBACK, "custom_attributes": "a"}, "$.custom_attributes"),
    "bot id of generation 1": ({"bot_status": "joining", "bot_id": 5}, "$.bot_id"),
    "nothing but a wrong id": ({"bot_id": 5}, "$.bot_id"),
    "deleted_objects": ({"event": "data_deletion", "deleted_objects": 1.5}, "$.deleted_objects"),
    "participant": ({**CHANGE, "data": {"data": {"participant": "Ada"}}}, "$.data.data.participant"),
    "participant id": ({**CHANGE, "data": {"data": {"participant": {"id": 1}}}}, "$.data.data.participant.id"),
    "participant data": ({**CHANGE, "data": []}, "$.data"),
    "transcript": ({**UPDATE, "transcript": 5}, "$.transcript"),
    "word": ({**UPDATE, "words": [{"word": "so"}, {"word": "we", "start": "1"}]}, "$.words[1].start"),
    "turn": ({**UPDATE, "turn_order": True}, "$.turn_order"),
    "finality": ({**UPDATE, "end_of_turn": "yes"}, "$.end_of_turn"),
    "wrapped": ({"bot_id": BOT, "data": {"transcript": "x", "speakerName": 1}}, "$.data.speakerName"),
    "wrapper": ({"bot_id": 1, "data": {"transcript": "x"}}, "$.bot_id"),
    "native": (
        {"result": {"channel": {"alternatives": [{"transcript": "x", "confidence": "high"}]}}},
        "$.result.channel.alternatives[0].confidence",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_bodies_name_the_place_and_no_payload(case: str) -> None:
    """What is no JSON object, or has a wrong type in a known key, is malformed; the text names path or byte only."""
    body, where = MALFORMED[case]
    with pytest.raises(Malformed) as caught:
        decode(body)
    assert caught.value.where == where
    assert str(caught.value).count("\n") == 0
    assert "Ada" not in str(caught.value) and "hello" not in str(caught.value)


@pytest.mark.parametrize("key", CALLBACK)
def test_null_in_a_known_key_is_absent(key: str) -> None:
    """A null means the same as a missing key."""
    without = {name: value for name, value in CALLBACK.items() if name != key}
    with_null = decode(CALLBACK | {key: None}, subject="hint").events[0]
    missing = decode(without, subject="hint").events[0]
    assert (with_null.type, with_null.subject, with_null.data) == (missing.type, missing.subject, missing.data)


def test_key_order_does_not_matter() -> None:
    """The order of keys differs between generations."""
    assert decode(dict(reversed(CALLBACK.items()))).key == decode(CALLBACK).key


@pytest.mark.parametrize("name", ["event", "bot_event", "type", "command"])
def test_an_unknown_name_is_kept_whatever_its_keys_hold(name: str) -> None:
    """Well-formed but unknown is ``vendor.event``, with name, subject and time as far as they can be told."""
    body = {name: "new.thing", "status_code": "odd", "transcript": 5, "message": [], "data": {"bot": {"id": BOT}}}
    event = decode(body | {"timestamp": "2026-06-11T09:30:00+02:00"}).events[0]
    assert (event.type, event.vendorevent, event.subject) == ("vendor.event", "new.thing", BOT)
    assert event.json().count(b"2026-06-11T07:30:00.000000Z") == 1


def test_free_form_json_may_be_nested_to_the_limit() -> None:
    """Nesting up to the limit is passed on, also through what takes secrets out."""
    depth = MAX_DEPTH - 2
    event = decode(b'{"event":"x","a":' + b"[" * depth + b"]" * depth + b"}").events[0]
    assert b"[" * depth in event.json()


@pytest.mark.parametrize("digits", [30, 4000])
def test_huge_integers_pass(digits: int) -> None:
    """An integer of any size is JSON."""
    number = b"9" * digits
    assert number in decode(b'{"event":"x","n":' + number + b"}").events[0].json()
    assert number in decode(b'{"event":"bot.done","status_code":' + number + b"}").events[0].json()


def test_the_body_outweighs_the_url() -> None:
    """The subject is the body's bot; the URL's where the body names none."""
    nameless = {key: value for key, value in CALLBACK.items() if key != "bot_id"}
    assert decode(CALLBACK, subject="hint").events[0].subject == BOT
    assert decode(nameless, subject="hint").events[0].subject == "hint"
    assert decode(nameless).events[0].subject == ""


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01T00:00:00Z"])
def test_a_time_that_is_none_is_the_arrival(text: str) -> None:
    """An unreadable timestamp does not lose the event."""
    assert decode(CALLBACK | {"timestamp": text}).events[0].time_ns == NOW_NS


def test_a_repeated_callback_has_the_same_key_and_id() -> None:
    """The sheet's key is bot, event, bot_event, timestamp: wording and status are not part of it."""
    first, again = decode(CALLBACK), decode(CALLBACK | {"message": "other words", "status_code": 500})
    assert first.timed and first.key == again.key and first.events[0].id == again.events[0].id == first.key.hex()
    for key in ("event", "bot_event", "bot_id", "timestamp"):
        assert decode(CALLBACK | {key: "2026-06-11T09:30:00.126Z"}).key != first.key


def test_without_a_timestamp_the_whole_body_is_the_key() -> None:
    """Three equal ``bot.joining`` are legitimate: the key is untimed, and a repetition is another event."""
    body = {key: value for key, value in CALLBACK.items() if key != "timestamp"}
    first = decode(body)
    assert not first.timed and first.key == decode(body).key != decode(body | {"message": "n"}).key
    assert decode(body, repeat=2).events[0].id == f"{first.events[0].id}~3"
    assert decode(body, repeat=2).key == first.key


def test_untimed_bodies_of_two_bots_differ() -> None:
    """Equal bytes at two bots' URLs are two deliveries."""
    body = {"transcript": "yes", "speakerName": "Ada"}
    assert decode(body, subject="bot-1").key != decode(body, subject="bot-2").key


def test_generation_1_statuses_of_one_second_differ() -> None:
    """Nameless deliveries with one timestamp are told apart by what they mean."""
    body = {"bot_id": BOT, "timestamp": "2026-01-01T00:00:00Z"}
    assert decode(body | {"bot_status": "joining"}).key != decode(body | {"bot_status": "InMeeting"}).key


def test_participants_are_identified_by_who_and_when() -> None:
    """Key: bot, event, participant, timestamp."""
    first = decode(CHANGE)
    assert first.timed and decode(CHANGE | {"custom_attributes": {"a": 1}}).key == first.key
    assert decode(CHANGE | {"event": "participant_events.leave"}).key != first.key
    other = {"data": {"participant": {"id": "d/2", "name": "Ada"}}, "bot": {"id": BOT}}
    assert decode(CHANGE | {"data": other}).key != first.key


def test_transcript_updates_are_identified_by_turn_time_and_text() -> None:
    """Key: bot, speaker, turn, timestamp; what differs in text or finality is another update all the same."""
    first = decode(UPDATE)
    assert first.timed and decode(UPDATE | {"new_text": "we"}).key == first.key
    changes = ({"turn_order": 4}, {"speakerName": "Bo"}, {"transcript": "so"}, {"end_of_turn": True})
    assert len({decode(UPDATE | change).key for change in changes} | {first.key}) == 5
    assert not decode({key: value for key, value in UPDATE.items() if key != "timestamp"}).timed


@pytest.mark.parametrize("body", [UPDATE, {"transcript": "yes"}])
def test_a_transcript_has_one_id_by_webhook_and_by_websocket(body: dict[str, Any]) -> None:
    """Who switches both ways on still sees each update once."""
    text = json.dumps(body)
    by_socket = socket("transcript", subject=BOT).receive(text, NOW_NS)
    by_webhook = decode(text.encode(), subject=BOT)
    assert (by_socket.key, by_socket.timed) == (by_webhook.key, by_webhook.timed)
    assert by_socket.events == by_webhook.events


FINALITY = [
    ({}, True),
    ({"end_of_turn": True}, True),
    ({"is_final": True}, True),
    ({"end_of_turn": False, "is_final": True}, True),
    ({"end_of_turn": True, "is_final": False}, True),
    ({"end_of_turn": False}, False),
    ({"is_final": False}, False),
    ({"end_of_turn": None, "is_final": False}, False),
]


@pytest.mark.parametrize(("keys", "final"), FINALITY)
def test_when_text_is_final(keys: dict[str, Any], final: bool) -> None:
    """``end_of_turn`` or ``is_final`` true, or neither there; a null is not there."""
    event = decode({"transcript": "so", "words": [{"word": "so", "word_is_final": not final}], **keys}).events[0]
    assert event.type == ("transcript.final" if final else "transcript.partial")


TEXTS = [
    ("", "so", "so"),
    ("so we", "so we beg*", "so we beg"),
    ("so we beg", "so we beg*", "so we beg"),
    ("So, we beg", "so we beg*", "So, we beg"),
    ("so we", "so we be* gin*", "so we be gin"),
    ("New York so", "New_York so we*", "New York so we"),
    ("2.5 and so", "two point five and so*", "2.5 and so"),
    ("2.5 and", "two point five and so*", "2.5 and so"),
    ("so we", "so we", "so we"),
    ("so we", "", "so we"),
]


@pytest.mark.parametrize(("transcript", "spoken", "shown"), TEXTS)
def test_a_partial_ends_with_the_words_that_may_still_change(transcript: str, spoken: str, shown: str) -> None:
    """Some providers include interim words (marked * here) in the text and some do not; they are shown once."""
    words = [
        {"word": word.rstrip("*").replace("_", " "), "word_is_final": not word.endswith("*")} for word in spoken.split()
    ]
    data = decode({"transcript": transcript, "words": words, "end_of_turn": False}).events[0].data
    assert isinstance(data, Transcript) and data.text == shown


@pytest.mark.parametrize(
    ("names", "status", "reason"),
    [
        ({"event": "bot.stopped", "bot_event": "bot.kicked"}, "NotAllowed", "kicked"),
        ({"event": "bot.stopped", "bot_event": "bot.stopped"}, "denied", "denied"),
        ({"event": "bot.stopped"}, "ERROR", "failed"),
        ({"event": "bot.stopped"}, "Failed", "failed"),
        ({"event": "bot.stopped"}, "Leaving", "left"),
        ({}, "STOPPED", "left"),
    ],
)
def test_why_a_bot_left(names: dict[str, str], status: str, reason: str) -> None:
    """The specific name decides where it tells a reason, else the status in any letters; never the code."""
    for code in (200, 500):
        data = decode({**names, "bot_status": status, "status_code": code}).events[0].data
        assert isinstance(data, BotStatus) and (data.status, data.reason, data.final) == ("stopped", reason, True)


NAMES = st.sampled_from(
    ["event", "bot_event", "bot_id", "bot_status", "message", "status_code", "timestamp", "custom_attributes", "status",
     "audio_status", "deleted_objects", "data", "bot", "id", "participant", "action", "relative", "absolute", "name",
     "transcript", "words", "word", "start", "end", "duration", "confidence", "speaker", "speakerName", "turn_order",
     "word_is_final", "is_final", "end_of_turn", "channel", "alternatives", "result", "type", "command", "text", "seq",
     "sent_at_ms", "width", "audioData", "event_id"]
)  # fmt: skip
VALUES = st.sampled_from(
    ["bot.joining", "bot.stopped", "audio.processed", "data_deletion", "participant_events.join", "Failed", "joining",
     "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:00", "ready", "video_stream_start", "video_latency_ping",
     "PCMChunk", "usermsg", "AAAA", "Unknown", ""]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4) | VALUES
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6))
OBJECTS = st.dictionaries(NAMES | st.text(max_size=3), JSON, max_size=8)


@PATIENT
@given(OBJECTS)
def test_any_object_gives_json_or_our_error(body: dict[str, Any]) -> None:
    """Whatever an object holds, only our errors escape, and an event can be printed, without nulls of its own."""
    text = json.dumps(body)
    with contextlib.suppress(ReceiverError):
        for event in decode(text.encode()).events:
            printed = json.loads(event.json(raw=True))
            assert printed["type"] == "vendor.event" or None not in printed["data"].values()
    with contextlib.suppress(ReceiverError):
        for event in play(socket(), [text]):
            event.json(raw=True)


BROKEN = st.builds(lambda inner: b'{"event":"bot.joining","message":' + inner + b"}", st.binary())


@PATIENT
@given(st.binary(max_size=200) | BROKEN)
def test_any_bytes_give_events_or_our_error(body: bytes) -> None:
    """Whatever the bytes are, only our errors escape."""
    with contextlib.suppress(ReceiverError):
        decode(body)
