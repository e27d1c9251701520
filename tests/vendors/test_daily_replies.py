"""What Daily's REST API answers: what holds beside the samples. Section 8 of the fact sheet."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed
from receiver.record import Decoded
from receiver.vendors import daily
from receiver.vendors.daily.webvtt import segments
from receiver.vendors.replies import Seen, reply_record
from tests.vendors.daily_wire import PATIENT
from tests.vendors.samples import NOW_NS, folders_of, is_reply, reply_of

REPLIES = [folder for folder in folders_of("daily") if is_reply(folder)]
CALLS = ["meetings", "recordings", "transcripts", "recording.link/r/s", "transcript.vtt/t/s", "summary/j", "else"]


def decode(call: str, body: Any, *, subject: str = "standup", seen: Seen | None = None) -> Decoded:
    """What an answer means."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return daily.decode_reply(
        reply_record("daily", "default", call, payload, subject=subject, content_type="", now_ns=NOW_NS, seen=seen)
    )


@pytest.mark.parametrize(
    ("call", "body", "where"),
    [
        ("meetings", {"data": [{"id": "m1"}, {"id": 7}]}, "$.data[1].id"),
        (
            "meetings",
            {"data": [{"id": "m1", "participants": [{"user_name": 7}]}]},
            "$.data[0].participants[0].user_name",
        ),
        ("meetings", {"id": "m1", "ongoing": "no"}, "$.ongoing"),
        ("meetings", [{"id": "m1", "duration": "long"}], "$[0].duration"),
        ("recordings", {"data": [{"id": "r1", "status": 1}]}, "$.data[0].status"),
        ("transcripts", {"data": [{"transcriptId": 1}]}, "$.data[0].transcriptId"),
        ("recording.link/r1", {"download_link": 1}, "$.download_link"),
        ("recording.link/r1", {"download_link": "x", "expires": []}, "$.expires"),
        ("recordings", b"<html>", "byte 0"),
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
        ("meetings", {"data": None}),
        ("meetings", {"data": [1]}),
        ("meetings", {}),
        ("recording.link/r1", {"link": "x"}),
        ("recording.link/r1", []),
        ("presence", {"data": []}),
        ("", {"a": 1}),
    ],
)
def test_a_form_that_is_unknown_is_passed_on(call: str, body: Any) -> None:
    """Nothing that came is lost."""
    [event] = decode(call, body).events
    assert (event.type, event.data.kind, event.data.body) == ("artifact.fetched", "detail", body)  # type: ignore[attr-defined]


def test_a_list_of_nothing_tells_nothing() -> None:
    """No event, and no error; the record is identified all the same."""
    for seen in (None, Seen()):
        decoded = decode("meetings", {"total_count": 0, "data": []}, seen=seen)
        assert decoded.events == []
        assert decoded.key


def test_the_same_answer_is_the_same_delivery() -> None:
    """Another subject, call or knowledge is another."""
    body = {"data": [{"id": "m1", "room": "standup"}]}
    keys = {
        decode("meetings", body).key,
        decode("meetings", body).key,
        decode("meetings", body, subject="other").key,
        decode("recordings", body).key,
        decode("meetings", body, seen=Seen()).key,
    }
    assert len(keys) == 4


def test_somebody_without_an_id_is_told_by_name() -> None:
    """Whoever came under another id is somebody else: a connection's id changes at each join."""
    people = [{"participant_id": "p1", "user_name": "Ada"}, {"user_name": "Grace"}]
    meeting = {"id": "m1", "ongoing": True, "participants": people}
    seen = Seen(statuses=frozenset({"meeting.started"}), joined=frozenset({"p0", "Ada", "Grace"}))
    [event] = decode("meetings", {"data": [meeting]}, seen=seen).events
    assert (event.type, event.data.participant.id) == ("participant.joined", "p1")  # type: ignore[attr-defined]


@pytest.mark.parametrize("call", ["meetings", "recordings", "transcripts"])
@pytest.mark.parametrize("seen", [None, Seen()])
def test_events_of_one_answer_are_told_apart(call: str, seen: Seen | None) -> None:
    """By the vendor's ids, or by their places where there are none."""
    people = [{"user_name": "Ada"}, {"user_name": "Ada"}, {"participant_id": "1"}]
    item = {"status": "finished", "ongoing": False, "participants": people}
    events = decode(call, {"data": [{**item, "id": "1"}, item, item]}, seen=seen).events
    assert len({event.id for event in events}) == len(events) >= 3


def test_older_sessions_are_told_first() -> None:
    """The vendor lists the newest first; who folds events wants them as they happened."""
    sessions = [{"id": "new", "start_time": 1788263900}, {"id": "old", "start_time": 1788260000}]
    events = decode("meetings", {"data": sessions}, seen=Seen()).events
    assert [event.data.session for event in events] == ["old", "new"]


def test_a_session_that_does_not_say_that_it_is_over_goes_on() -> None:
    """Nobody is said to have left who may still be there."""
    meeting = {"id": "m1", "participants": [{"participant_id": "p1", "join_time": 1788263700, "duration": 10}]}
    types = [event.type for event in decode("meetings", meeting, seen=Seen()).events]
    assert types == ["meeting.started", "participant.joined"]


@pytest.mark.parametrize("status", ["in-progress", "t_in_progress", "t_deleted", "", None, "new word"])
def test_what_is_neither_ready_nor_failed_is_not_told(status: str | None) -> None:
    """Words differ from page to page; one that is unknown means nothing."""
    body = {"data": [{"transcriptId": "t1", "status": status}]}
    assert decode("transcripts", body, seen=Seen()).events == []


@pytest.mark.parametrize("status", ["t_finished", "t_completed", "T_FINISHED", "finished"])
def test_every_word_for_ready(status: str) -> None:
    """REST and webhooks spell it differently."""
    body = {"data": [{"transcriptId": "t1", "status": status}]}
    assert [event.type for event in decode("transcripts", body, seen=Seen()).events] == ["artifact.ready"]


def test_ids_in_a_call_may_hold_anything() -> None:
    """They are escaped, so that none of them is taken for two."""
    [event] = decode("transcript.text/a%2Fb/s%201", b"hello").events
    assert (event.data.id, event.data.session) == ("a/b", "s 1")  # type: ignore[attr-defined]


# WebVTT


@pytest.mark.parametrize(
    ("cue", "told"),
    [
        ("<v Ada>Hello.", [("Ada", "Hello.")]),
        ("<v Ada Lovelace>Hello.</v>", [("Ada Lovelace", "Hello.")]),
        ("<v>Ada:</v>Hello.", [("Ada", "Hello.")]),
        ("<v>Ada</v> Hello.", [("Ada", "Hello.")]),
        ("<v.first.loud Ada>Hello.</v>", [("Ada", "Hello.")]),
        ("<v Ada>Hello.</v>\n<v Grace>Hi.</v>", [("Ada", "Hello."), ("Grace", "Hi.")]),
        ("Well. <v Ada>Hello.</v>", [("", "Well."), ("Ada", "Hello.")]),
        ("Ada: Hello.", [("Ada", "Hello.")]),
        ("We said: Hello. Ada: no.", [("We said", "Hello. Ada: no.")]),
        ("It is 3:50.", [("", "It is 3:50.")]),
        ("No. But: yes.", [("", "No. But: yes.")]),
        ("1 &lt; 2 &amp; 3 <i>so</i> <00:00:01.000>there", [("", "1 < 2 & 3 so there")]),
        ("two\nlines", [("", "two lines")]),
        ("a < b and b > c", [("", "a < b and b > c")]),
        ("<v Ada></v>", []),
        ("", []),
    ],
)
def test_how_a_speaker_may_be_named(cue: str, told: list[tuple[str, str]]) -> None:
    """Tags of voices in each spelling; no document shows which of them the vendor writes."""
    found = segments(f"WEBVTT\n\n00:01.000 --> 00:02.000\n{cue}\n".encode())
    assert [(one.speaker.name if one.speaker else "", one.text) for one in found] == told


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ("00:01.500 --> 00:02.000", (1.5, 2.0)),
        ("01:00:01.500 --> 100:00:00.000 line:0", (3601.5, 360_000.0)),
        ("00:00:01,5 --> 00:00:02,25", (1.5, 2.25)),
        ("00:02.000 --> 00:01.000", (2.0, 2.0)),
        ("  0:01.000-->0:02.000", (1.0, 2.0)),
        ("1 --> 2", None),
        ("--> 00:02.000", None),
    ],
)
def test_times_of_cues(times: str, seconds: tuple[float, float] | None) -> None:
    """Hours may be left out; an end before its beginning is none; what cannot be read costs the cue, not the file."""
    content = f"WEBVTT\n\n{times}\nhello\n\n00:07.000 --> 00:08.000\nafter\n".encode()
    found = [(one.start_s, one.end_s) for one in segments(content)]
    assert found == ([seconds, (7.0, 8.0)] if seconds else [(7.0, 8.0)])


# Any bytes


@pytest.mark.parametrize("folder", REPLIES, ids=lambda folder: folder.name)
def test_a_truncated_answer_raises_nothing_but_our_errors(folder: Any) -> None:
    """Every shorter prefix of every sample; of JSON none of them is whole."""
    record = reply_of(folder)
    whole, is_json = record.payload, record.payload[:1] == b"{"
    for length in range(len(whole)):
        record.payload = whole[:length]
        with contextlib.suppress(Malformed):
            daily.decode_reply(record)
            assert not is_json


KEYS = st.sampled_from(
    ["data", "id", "room", "room_name", "start_time", "duration", "ongoing", "participants", "participant_id",
     "user_name", "join_time", "status", "transcriptId", "mtgSessionId", "download_link", "expires", "total_count"]
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4)
    | st.sampled_from(["t_finished", "finished", "t_error", "error", 1788263700, 1e300, 10**400])
)  # fmt: skip
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6))
SEEN = st.sampled_from([None, Seen(), Seen(statuses=frozenset({"meeting.started"}), joined=frozenset({"p1"}))])


@PATIENT
@given(st.sampled_from(CALLS), JSON | JSON.map(lambda inner: {"data": [inner]}), SEEN)
def test_any_json_gives_events_or_malformed(call: str, body: Any, seen: Seen | None) -> None:
    """Whatever is answered, and each event can be written."""
    with contextlib.suppress(Malformed):
        for event in decode(call, body, seen=seen).events:
            assert json.loads(event.json())["source"] == "/daily/default"


@PATIENT
@given(
    st.sampled_from(CALLS), st.binary(max_size=60) | st.text(alphabet="WEBVT<v>: -0123.\n", max_size=80).map(str.encode)
)
def test_any_bytes_give_events_or_malformed(call: str, body: bytes) -> None:
    """A file is no JSON, and may be anything."""
    for payload in (body, b"WEBVTT\n\n00:01.000 --> 00:02.000\n" + body):
        with contextlib.suppress(Malformed):
            for event in decode(call, payload).events:
                assert event.json()
