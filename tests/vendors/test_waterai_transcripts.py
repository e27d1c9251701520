"""Water AI's transcript routes: each in every envelope, sentences in order, clock texts, and what is malformed."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed, ReceiverError
from receiver.vendors.waterai.transcripts import (
    PlainTranscript,
    Sentence,
    SentencedTranscript,
    clock_s,
    meeting_transcripts,
    scenario_transcripts,
    sentenced_transcript,
)
from tests.vendors.waterai_wire import PATIENT

HELLO = {"id": 1001, "speaker": "user", "message": "Hello", "start_duration": "00:00", "sequence_number": 1}
REPLY = {"id": 1002, "speaker": "assistant", "message": "Hi", "start_duration": "01:05", "sequence_number": 2}
SAID = [
    Sentence(id="1001", speaker="user", text="Hello", start_s=0.0, sequence_number=1),
    Sentence(id="1002", speaker="assistant", text="Hi", start_s=65.0, sequence_number=2),
]
SCENARIO = {
    "scenario_info": {"id": 456, "name": "Sales"},
    "meetings": [
        {
            "meeting_id": 789,
            "person_name": "Ada",
            "created_at": "2026-08-20T09:00:00Z",
            "transcripts": [{"transcript_id": 301, "sentences": [REPLY, HELLO]}],
        },
        {"meeting_id": 790, "transcripts": []},
    ],
}
ONE = {"sentences": [HELLO, REPLY], "meeting_info": {"id": 789}, "scenario_info": {"id": 456}}
PLAIN = [
    {"id": 301, "meeting_id": 789, "content": "user: Hello", "status": "completed", "language": "en",
     "created_at": "2026-08-20T09:36:00Z"}
]  # fmt: skip
ENVELOPES: dict[str, Callable[[Any], Any]] = {
    "success": lambda data: {"success": True, "data": data},
    "status": lambda data: {"status": "success", "data": data},
    "none": lambda data: data,
}


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_all_transcripts_of_a_scenario(envelope: str) -> None:
    """Meeting by meeting; a meeting without transcripts has none."""
    assert scenario_transcripts(encoded(ENVELOPES[envelope](SCENARIO))) == [
        SentencedTranscript(
            id="301", meeting="789", person_name="Ada", created_at="2026-08-20T09:00:00Z", sentences=SAID
        )
    ]


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_one_transcript_in_sentences(envelope: str) -> None:
    """Its own id stands in the route only."""
    expected = SentencedTranscript(meeting="789", sentences=SAID)
    assert sentenced_transcript(encoded(ENVELOPES[envelope](ONE))) == expected


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_plain_transcripts_of_a_meeting(envelope: str) -> None:
    """Documented as a bare array."""
    assert meeting_transcripts(encoded(ENVELOPES[envelope](PLAIN))) == [
        PlainTranscript(
            id="301", meeting="789", content="user: Hello", status="completed", language="en",
            created_at="2026-08-20T09:36:00Z",
        )
    ]  # fmt: skip


def test_bare_arrays_of_the_other_routes() -> None:
    """The inner list alone is understood, too."""
    assert [one.id for one in scenario_transcripts(encoded(SCENARIO["meetings"]))] == ["301"]
    assert sentenced_transcript(encoded([HELLO, REPLY])).sentences == SAID


def test_the_order_is_that_of_the_sequence_numbers() -> None:
    """Not of the clock, which is coarse; where a number is missing, as they came."""
    numbers = [3, 10, 1, 2.0]
    shuffled = [HELLO | {"sequence_number": number, "start_duration": "00:00"} for number in numbers]
    ordered = sentenced_transcript(encoded(shuffled)).sentences
    assert [one.sequence_number for one in ordered] == [1, 2, 3, 10]
    unnumbered = sentenced_transcript(encoded([REPLY, HELLO | {"sequence_number": None}])).sentences
    assert [one.text for one in unnumbered] == ["Hi", "Hello"]


def test_what_is_not_told_is_empty() -> None:
    """Nulls and missing keys; a sentence without text is none."""
    sentences = [{"message": "Hello", "speaker": None}, {"message": ""}, {"message": " "}, {"id": 1}]
    assert sentenced_transcript(encoded({"sentences": sentences})) == SentencedTranscript(
        sentences=[Sentence(text="Hello")]
    )
    assert meeting_transcripts(encoded([{"content": "", "id": "t1"}])) == [PlainTranscript(content="", id="t1")]


CLOCKS = [
    ("00:00", 0.0),
    ("01:05", 65.0),
    ("75:10", 4510.0),
    ("01:15:10", 4510.0),
    ("100:00:01", 360_001.0),
    ("0:5", 5.0),
    ("00:05.25", 5.25),
    (" 00:05 ", 5.0),
    (7, 7.0),
    (7.5, 7.5),
    (None, None),
    ("", None),
    ("5", None),
    ("00:00:00:05", None),
    ("-00:05", None),
    ("00:٥5", None),
    ("soon", None),
]


@pytest.mark.parametrize(("told", "seconds"), CLOCKS)
def test_clock_texts(told: Any, seconds: float | None) -> None:
    """``mm:ss`` and ``hh:mm:ss``; a text that is no time is no time, and the sentence stays."""
    assert clock_s(told) == seconds
    (sentence,) = sentenced_transcript(encoded([HELLO | {"start_duration": told}])).sentences
    assert sentence.start_s == seconds


MALFORMED: list[tuple[Callable[[bytes], Any], Any, str]] = [
    (scenario_transcripts, {"success": True, "data": {}}, "$.data"),
    (scenario_transcripts, {"success": True, "data": None}, "$.data"),
    (scenario_transcripts, {"data": {"meetings": [{"meeting_id": 1}]}}, "$.data.meetings[0]"),
    (
        scenario_transcripts,
        {"meetings": [{"transcripts": [{"sentences": [HELLO | {"message": 5}]}]}]},
        "$.meetings[0].transcripts[0].sentences[0].message",
    ),
    (sentenced_transcript, {"data": {"meeting_info": {"id": 789}}}, "$.data"),
    (sentenced_transcript, {"data": {"sentences": [HELLO | {"id": [1]}]}}, "$.data.sentences[0].id"),
    (sentenced_transcript, {"data": {"sentences": [], "meeting_info": 5}}, "$.data.meeting_info"),
    (sentenced_transcript, {"data": {"sentences": [HELLO | {"sequence_number": "1"}]}},
     "$.data.sentences[0].sequence_number"),
    (meeting_transcripts, {"data": {}}, "$.data"),
    (meeting_transcripts, {}, "$"),
    (meeting_transcripts, [PLAIN[0], 5], "$[1]"),
    (meeting_transcripts, [{"id": 301}], "$[0]"),
    (meeting_transcripts, {"data": [{"content": "x", "status": 5}]}, "$.data[0].status"),
]  # fmt: skip


@pytest.mark.parametrize(("read", "reply", "where"), MALFORMED)
def test_malformed_replies_name_the_place(read: Callable[[bytes], Any], reply: Any, where: str) -> None:
    """A reply without what it is about is never an empty transcript."""
    with pytest.raises(Malformed) as caught:
        read(encoded(reply))
    assert caught.value.where == where


ROUTES = (scenario_transcripts, sentenced_transcript, meeting_transcripts)


@pytest.mark.parametrize("read", ROUTES)
@pytest.mark.parametrize("reply", [{"status": "error", "message": "no such meeting 789"}, {"success": False}])
def test_a_reply_that_says_failure_is_none(read: Callable[[bytes], Any], reply: Any) -> None:
    """The vendor's error envelope; its words stay out of ours."""
    with pytest.raises(Malformed) as caught:
        read(encoded(reply | {"data": [], "details": "789"}))
    assert "789" not in str(caught.value)


@pytest.mark.parametrize("read", ROUTES)
@pytest.mark.parametrize(
    ("payload", "where"),
    [(b"", "byte 0"), (b"[", "byte 1"), (b"hello", "byte 0"), (b"5", "$"), (b'["\xff"]', "byte 2")],
)
def test_replies_that_are_no_json(read: Callable[[bytes], Any], payload: bytes, where: str) -> None:
    """An error page, or half a reply."""
    with pytest.raises(Malformed) as caught:
        read(payload)
    assert caught.value.where == where


@pytest.mark.parametrize(("read", "reply"), [*zip(ROUTES, (SCENARIO, ONE, PLAIN), strict=True)])
def test_a_cut_reply_is_malformed(read: Callable[[bytes], Any], reply: Any) -> None:
    """Every shorter prefix."""
    whole = encoded(reply)
    for length in range(len(whole)):
        with pytest.raises(Malformed):
            read(whole[:length])


KEYS = st.sampled_from(
    ["data", "status", "success", "meetings", "transcripts", "sentences", "meeting_info", "meeting_id", "id", "content",
     "message", "speaker", "start_duration", "sequence_number", "transcript_id"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["00:05", "x", ""])
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5))


@PATIENT
@given(JSON.map(encoded) | st.binary(max_size=100))
def test_any_reply_gives_transcripts_or_our_error(payload: bytes) -> None:
    """Whatever comes, only our errors escape."""
    for read in ROUTES:
        with contextlib.suppress(ReceiverError):
            read(payload)
