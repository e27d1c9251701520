"""What Water AI's REST API answers: what holds beside the samples. Sections 9 to 11 of the fact sheet."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed
from receiver.record import Decoded
from receiver.vendors import waterai
from receiver.vendors.replies import Seen, reply_record
from tests.vendors.samples import NOW_NS, folders_of, is_reply, reply_of
from tests.vendors.waterai_wire import PATIENT

REPLIES = [folder for folder in folders_of("waterai") if is_reply(folder)]
CALLS = ["meeting", "transcripts", "sentenced-transcript/301", "scenario-transcripts", "else"]
SENTENCE = {"speaker": "user", "message": "Hello.", "start_duration": "00:01", "sequence_number": 1}


def decode(call: str, body: Any, *, subject: str = "789", seen: Seen | None = None) -> Decoded:
    """What an answer means."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return waterai.decode_reply(
        reply_record("waterai", "default", call, payload, subject=subject, content_type="", now_ns=NOW_NS, seen=seen)
    )


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda data: {"success": True, "data": data},
        lambda data: {"status": "success", "data": data},
        lambda data: data,
    ],
)
def test_an_envelope_makes_no_difference(wrapped: Any) -> None:
    """Each route is read in each form."""
    transcript = {"transcript_id": 301, "sentences": [SENTENCE]}
    answers = {
        "meeting": {"id": 789, "status": "ended"},
        "transcripts": [{"id": 301, "content": "Hello."}],
        "sentenced-transcript/301": {"sentences": [SENTENCE]},
        "scenario-transcripts": {"meetings": [{"meeting_id": 789, "transcripts": [transcript]}]},
    }
    for call, data in answers.items():
        [event] = decode(call, wrapped(data)).events
        assert (event.data.kind, event.subject) == ("detail" if call == "meeting" else "transcript", "789")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("call", "body", "where"),
    [
        ("meeting", {"data": {"id": [], "status": "ended"}}, "$.data.id"),
        ("meeting", {"id": 1, "updated_at": 7}, "$.updated_at"),
        ("transcripts", [{"content": 1}], "$[0].content"),
        ("sentenced-transcript/1", {"data": {"sentences": [{"message": 1}]}}, "$.data.sentences[0].message"),
        ("sentenced-transcript/1", {"sentences": {}}, "$.sentences"),
        ("scenario-transcripts", {"meetings": [{"transcripts": 1}]}, "$.meetings[0].transcripts"),
        ("meeting", b"<html>", "byte 0"),
    ],
)
def test_a_known_key_of_a_wrong_type_is_malformed(call: str, body: Any, where: str) -> None:
    """The path says which."""
    with pytest.raises(Malformed) as caught:
        decode(call, body)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("meeting", {"data": []}),
        ("meeting", {"name": "x"}),
        ("transcripts", {"data": {"content": "x"}}),
        ("transcripts", [{"text": "x"}]),
        ("transcripts", [1]),
        ("sentenced-transcript/1", {"data": {}}),
        ("scenario-transcripts", {"status": "success"}),
        ("analysis", {"data": {"score": 7}}),
        ("meeting", {"success": False, "data": {"id": 1}}),
    ],
)
def test_a_form_that_is_unknown_is_passed_on(call: str, body: Any) -> None:
    """Nothing that came is lost; an error is no meeting."""
    [event] = decode(call, body).events
    assert (event.type, event.data.kind, event.data.body) == ("artifact.fetched", "detail", body)  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", ["ended", "Ended", "completed"])
@pytest.mark.parametrize(
    ("times", "moment"),
    [
        ({}, "2026-09-01T12:00:00.000000Z"),
        ({"updated_at": "2026-09-01T11:55:00Z"}, "2026-09-01T11:55:00.000000Z"),
        ({"updated_at": "2026-09-01T11:55:00Z", "ended_at": "2026-09-01T11:50:00"}, "2026-09-01T11:50:00.000000Z"),
        ({"updated_at": "lately"}, "2026-09-01T12:00:00.000000Z"),
    ],
)
def test_an_end_that_was_missed(status: str, times: dict[str, str], moment: str) -> None:
    """At the time of the last change, where nothing tells that of the end."""
    [event] = decode("meeting", {"data": {"id": 789, "status": status, **times}}, seen=Seen()).events
    told = json.loads(event.json())
    assert (told["type"], told["vendorevent"], told["time"]) == ("meeting.ended", "meeting.ended", moment)
    assert told["data"] == {"reconciled": True}


@pytest.mark.parametrize("status", ["created", "in_progress", None, "word"])
def test_a_meeting_that_is_not_over_is_told_of_by_nothing(status: str | None) -> None:
    """Its end may come yet."""
    assert decode("meeting", {"data": {"id": 789, "status": status}}, seen=Seen()).events == []


def test_who_asked_knows_the_meeting_better_than_the_answer() -> None:
    """But for a scenario: there each meeting is told."""
    meetings = [{"meeting_id": 790, "transcripts": [{"transcript_id": 1, "sentences": [SENTENCE]}]}]
    assert decode("transcripts", [{"id": 1, "meeting_id": 790, "content": "x"}]).events[0].subject == "789"
    assert decode("transcripts", [{"id": 1, "meeting_id": 790, "content": "x"}], subject="").events[0].subject == "790"
    assert decode("scenario-transcripts", {"meetings": meetings}).events[0].subject == "790"


def test_events_of_one_answer_are_told_apart() -> None:
    """By the transcript's id, or by its place."""
    texts = [{"id": 1, "content": "a"}, {"content": "b"}, {"content": "c"}]
    assert len({event.id for event in decode("transcripts", texts).events}) == 3


@pytest.mark.parametrize("folder", REPLIES, ids=lambda folder: folder.name)
def test_every_shorter_prefix_is_malformed(folder: Any) -> None:
    """No part of an answer is taken for the whole."""
    record = reply_of(folder)
    whole = record.payload
    for length in range(len(whole)):
        record.payload = whole[:length]
        with pytest.raises(Malformed):
            waterai.decode_reply(record)


KEYS = st.sampled_from(
    ["data", "id", "status", "success", "content", "sentences", "meetings", "transcripts", "message", "speaker",
     "start_duration", "sequence_number", "meeting_info", "meeting_id", "transcript_id", "updated_at"]
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4)
    | st.sampled_from(["ended", "success", "error", "00:01", "99:99:99", "2026-09-01T11:55:00Z", 1e300, 10**400])
)  # fmt: skip
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6))
SEEN = st.sampled_from([None, Seen()])


@PATIENT
@given(st.sampled_from(CALLS), JSON, SEEN)
def test_any_json_gives_events_or_malformed(call: str, body: Any, seen: Seen | None) -> None:
    """Whatever is answered, and each event can be written."""
    with contextlib.suppress(Malformed):
        for event in decode(call, body, seen=seen).events:
            assert json.loads(event.json())["source"] == "/waterai/default"


@PATIENT
@given(st.sampled_from(CALLS), st.lists(st.dictionaries(KEYS, LEAVES, max_size=5), max_size=3), st.booleans())
def test_any_sentences_give_events_or_malformed(call: str, items: list[Any], wrapped: bool) -> None:
    """Closer to what the vendor sends."""
    body = {"sentences": items, "meetings": [{"transcripts": [{"sentences": items}]}]}
    for answer in (items, {"data": body} if wrapped else body):
        with contextlib.suppress(Malformed):
            for event in decode(call, answer).events:
                assert event.json()
