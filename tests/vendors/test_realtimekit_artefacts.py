"""The files that links lead to: transcripts in four formats, chat, the files of tracks. Section 2 of the fact sheet."""

import contextlib
import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed, ReceiverError
from receiver.vendors.realtimekit.artefacts import (
    ChatLine,
    Cue,
    TrackFile,
    TranscriptLine,
    chat_csv,
    cues,
    track_map,
    transcript_csv,
    transcript_json,
)
from tests.vendors.realtimekit_wire import PATIENT

READERS: list[Callable[[bytes], list[Any]]] = [transcript_csv, transcript_json, cues, chat_csv, track_map]
HEADINGS = "id,participantId,sessionId,meetingId,displayName,pinned,isEdited,payloadType,payload,createdAt"


# Transcripts


def test_a_csv_transcript_has_six_cells_and_no_headings() -> None:
    """Milliseconds from the beginning of the session, three ids, the name, the text."""
    content = b'"1000","peer-1","user-1","cust-1","Ada","Hello everyone"\r\n"2500","peer-2","","","","Hi, ""all"""\r\n'
    assert transcript_csv(content) == [
        TranscriptLine(
            text="Hello everyone", name="Ada", start_ms=1000, peer_id="peer-1", user_id="user-1",
            custom_participant_id="cust-1",
        ),
        TranscriptLine(text='Hi, "all"', start_ms=2500, peer_id="peer-2"),
    ]  # fmt: skip


def test_each_row_tells_its_age() -> None:
    """Dyte's older rows begin with a time; all digits are an offset."""
    content = (
        b'"2023-01-25T04:51:35.903Z","p","u","c","Ada","old"\n'
        b'"2023-01-25 04:51:36Z","p","u","c","Ada","older"\n"90061000","p","u","c","Ada","new"'
    )
    assert [(line.start_ms, line.time_ns) for line in transcript_csv(content)] == [
        (None, 1_674_622_295_903_000_000), (None, 1_674_622_296_000_000_000), (90_061_000, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\r\n\r\n", b"\xef\xbb\xbf", b'\xef\xbb\xbf"0","","","","",""', b'"0","","","","",""\n\n']
)
def test_blank_lines_and_byte_order_marks_are_nothing(content: bytes) -> None:
    """A meeting in which nobody spoke has an empty file."""
    assert transcript_csv(content) == ([TranscriptLine(text="", start_ms=0)] if b'"0"' in content else [])


def test_a_text_may_have_line_ends_and_unusual_ones() -> None:
    """Quoted cells hold anything; U+2028 ends no line, in quotes or out of them."""
    content = '"1","p","u","c","A\u2028B","one\r\ntwo\n\nthree"\n2,p,u,c,A\u2028B,four\n'.encode()
    assert [(line.name, line.text) for line in transcript_csv(content)] == [
        ("A\u2028B", "one\ntwo\n\nthree"), ("A\u2028B", "four"),
    ]  # fmt: skip


def test_a_json_transcript() -> None:
    """``leftAt`` may be empty and is not read; numbers may be whole floats; what is missing is absent."""
    sentences = [
        {"startTime": 1000, "endTime": 2500.0, "sentence": "Hello",
         "peerData": {"id": "peer-1", "userId": "user-1", "displayName": "Ada", "cpi": "cust-1",
                      "joinedAt": "2026-06-03T10:00:00Z", "leftAt": ""}},
        {"sentence": "Hi", "peerData": None, "endTime": None},
    ]  # fmt: skip
    assert transcript_json(json.dumps(sentences).encode()) == [
        TranscriptLine(
            text="Hello", name="Ada", start_ms=1000, end_ms=2500, peer_id="peer-1", user_id="user-1",
            custom_participant_id="cust-1",
        ),
        TranscriptLine(text="Hi"),
    ]  # fmt: skip


SRT = b"""1
00:00:01,000 --> 00:00:02,500
Ada: Hello: everyone

2
01:02:03,004 --> 100:00:00,000
Grace: one

two
three

00:00:09,000 --> 00:00:10,000
nobody speaks

4
00:00:11,000 --> 00:00:12,000
"""
VTT = b"""WEBVTT - made by hand
Kind: captions

NOTE
not a cue: at all

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.500 align:start position:0%
Ada: &lt;b&gt; &amp; more

01:02:03.004 --> 01:02:04.000
Grace: one
two
"""


def test_srt() -> None:
    """``Name: text``, up to the first colon with a space; numbers may be missing, blank lines inside a text stay."""
    assert (
        cues(SRT)
        == cues(SRT.replace(b"\n", b"\r\n"))
        == cues(b"\xef\xbb\xbf" + SRT)
        == [
            Cue(start_ms=1000, end_ms=2500, name="Ada", text="Hello: everyone"),
            Cue(start_ms=3_723_004, end_ms=360_000_000, name="Grace", text="one\n\ntwo\nthree"),
            Cue(start_ms=9000, end_ms=10_000, text="nobody speaks"),
            Cue(start_ms=11_000, end_ms=12_000, text=""),
        ]
    )


def test_vtt() -> None:
    """Head, notes, styles, names and settings are no text; hours may be missing; characters are written as in HTML."""
    assert cues(VTT) == [
        Cue(start_ms=1000, end_ms=2500, name="Ada", text="<b> & more"),
        Cue(start_ms=3_723_004, end_ms=3_724_000, name="Grace", text="one\ntwo"),
    ]
    assert cues(b"WEBVTT") == cues(b"") == []


def test_srt_is_not_html() -> None:
    """What looks like an entity there is text, and so is a word that opens a note in WebVTT."""
    content = b"1\n00:00:01,000 --> 00:00:02,000\nA: &amp;\n\nNOTE\nb"
    assert cues(content) == [Cue(start_ms=1000, end_ms=2000, name="A", text="&amp;\n\nNOTE\nb")]


# Chat and tracks


def test_a_chat_dump_has_headings() -> None:
    """Cells are found by their heading, in any order; a payload is text, whatever its type."""
    content = (
        f'{HEADINGS}\n"m1","p1","s1","r1","Ada","false","TRUE","TEXT_MESSAGE",'
        '"Hi, ""all""","2026-06-03T10:00:01.000Z"\n'
        "m2,p2,s1,r1,,1,,FILE_MESSAGE,https://files.example/x,soon\n"
    )
    assert chat_csv(content.encode()) == [
        ChatLine(
            id="m1", participant_id="p1", session_id="s1", meeting_id="r1", name="Ada", pinned=False, edited=True,
            kind="TEXT_MESSAGE", payload='Hi, "all"', time_ns=1_780_480_801_000_000_000,
        ),
        ChatLine(
            id="m2", participant_id="p2", session_id="s1", meeting_id="r1", pinned=True, kind="FILE_MESSAGE",
            payload="https://files.example/x",
        ),
    ]  # fmt: skip
    assert chat_csv(b'new,payload,"id"\n1,x,2\n') == [ChatLine(payload="x", id="2")]
    assert chat_csv(b"") == chat_csv(HEADINGS.encode()) == []


def test_the_files_of_a_track_recording() -> None:
    """The name tells whose track it is; a prefix may have underscores; another name is kept, and tells nothing."""
    layers = [
        {
            "layer_name": "default",
            "download_urls": {
                "my_call_user-42_aaa1_peer_audio_1780480812000.webm": {"download_url": "https://s.example/1"},
                "other.webm": {"download_url": None},
            },
        },
        {"layer_name": None, "download_urls": {"_u_p_screenshare_video_5.webm": {}}},
        {"layer_name": "empty"},
    ]
    assert track_map(json.dumps(layers).encode()) == [
        TrackFile(
            "default", "my_call_user-42_aaa1_peer_audio_1780480812000.webm", "https://s.example/1", "my_call",
            "user-42", "aaa1", "peer", "audio", 1_780_480_812_000,
        ),
        TrackFile("default", "other.webm", ""),
        TrackFile("", "_u_p_screenshare_video_5.webm", "", "", "u", "p", "screenshare", "video", 5),
    ]  # fmt: skip


# What is wrong

MALFORMED: dict[str, tuple[Callable[[bytes], list[Any]], bytes, str]] = {
    "five cells": (transcript_csv, b'"1","p","u","c","Ada"', "row 1"),
    "seven cells": (transcript_csv, b'\n"1","p","u","c","Ada","x"\n1,p,u,c,Ada,x,y', "row 3"),
    "no time": (transcript_csv, b'"soon","p","u","c","Ada","x"', "row 1"),
    "negative": (transcript_csv, b'"-5","p","u","c","Ada","x"', "row 1"),
    "digits of another script": (transcript_csv, '"٣","p","u","c","Ada","x"'.encode(), "row 1"),
    "open quote": (transcript_csv, b'"1","p","u","c","Ada","x', "row 1"),
    "text behind a quote": (transcript_csv, b'"1","p","u","c","Ada","x"y', "row 1"),
    "huge cell": (transcript_csv, b'"1","p","u","c","Ada","' + b"x" * 140_000 + b'"', "row 1"),
    "no UTF-8": (transcript_csv, b'"1","\xff"', "byte 5"),
    "no JSON": (transcript_json, b"[{]", "byte 2"),
    "an object": (transcript_json, b"{}", "$"),
    "two arrays": (transcript_json, b'[],"b":[]', "byte 3"),
    "no object inside": (transcript_json, b"[{},5]", "$[1]"),
    "sentence": (transcript_json, b'[{"sentence":5}]', "$[0].sentence"),
    "peer": (transcript_json, b'[{},{"peerData":{"id":5}}]', "$[1].peerData.id"),
    "start": (transcript_json, b'[{"startTime":"1"}]', "$[0].startTime"),
    "negative start": (transcript_json, b'[{"startTime":-1}]', "$[0].startTime"),
    "endless end": (transcript_json, b'[{"endTime":1e300}]', "$[0].endTime"),
    "deep": (transcript_json, b"[" * 10_000 + b"]" * 10_000, "$"),
    "text before a time": (cues, b"Ada: Hello\n", "line 1"),
    "no cue": (cues, b"\n\nhello\nyou\n\n1\n00:00:01,000 --> 00:00:02,000\nx", "line 3"),
    "bad time": (cues, b"1\n00:00:01 --> 00:00:02\nx", "line 2"),
    "bad time, first line": (cues, b"WEBVTT\n\n00:01.000 --> soon\nx", "line 3"),
    "no payload": (chat_csv, b"id,text\n1,2", "row 1"),
    "short row": (chat_csv, b"id,payload\n1,2\n\n1", "row 4"),
    "layers": (track_map, b'{"layer_name":"x"}', "$"),
    "layer": (track_map, b'[{"download_urls":5}]', "$[0].download_urls"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_name_the_place_and_nothing_of_the_file(case: str) -> None:
    """A row, a line, a byte or a path."""
    read, content, where = MALFORMED[case]
    with pytest.raises(Malformed) as caught:
        read(content)
    assert caught.value.where == where
    assert "Ada" not in str(caught.value) and "soon" not in str(caught.value)


# Whatever is said

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r\0\ufeff"), max_size=12)


@PATIENT
@given(st.lists(st.tuples(st.integers(0, 10**12), CELL, CELL, CELL, CELL, CELL), max_size=5))
def test_csv_gives_back_what_a_writer_of_csv_wrote(rows: list[tuple[int, str, str, str, str, str]]) -> None:
    """The standard library's writer quotes all cells, as the vendor does."""
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    lines = transcript_csv(file.getvalue().encode())
    assert [(line.start_ms, line.text) for line in lines] == [(row[0], row[5]) for row in rows]
    assert [line.peer_id or "" for line in lines] == [row[1] if row[1].strip() else "" for row in rows]


@PATIENT
@given(
    st.lists(
        st.fixed_dictionaries({
            "startTime": st.integers(0, 10**12), "endTime": st.integers(0, 10**12), "sentence": st.text(max_size=9)
        }),
        max_size=5,
    )
)  # fmt: skip
def test_json_gives_back_what_was_written(sentences: list[dict[str, Any]]) -> None:
    """Any text is a sentence."""
    lines = transcript_json(json.dumps(sentences, ensure_ascii=True).encode())
    expected = [(one["startTime"], one["endTime"], one["sentence"]) for one in sentences]
    assert [(line.start_ms, line.end_ms, line.text) for line in lines] == expected


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"], exclude_characters="->&:"), min_size=1)


@PATIENT
@given(st.lists(st.tuples(st.integers(0, 359_999_999), st.integers(0, 359_999_999), WORDS, WORDS), max_size=5))
def test_srt_and_vtt_tell_the_same(told: list[tuple[int, int, str, str]]) -> None:
    """A time in milliseconds, with a comma or a point."""

    def clock(ms: int, mark: str) -> str:
        return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{mark}{ms % 1000:03d}"

    for head, mark in (("", ","), ("WEBVTT\n\n", ".")):
        text = head + "".join(
            f"{clock(begin, mark)} --> {clock(end, mark)}\n{name}: {words}\n\n" for begin, end, name, words in told
        )
        found = cues(text.encode())
        assert [(cue.start_ms, cue.end_ms, cue.name, cue.text) for cue in found] == told


@PATIENT
@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_give_records_or_one_of_our_errors(content: bytes) -> None:
    """Files come from wherever a link leads."""
    for read in READERS:
        with contextlib.suppress(ReceiverError):
            assert isinstance(read(content), list)


@pytest.mark.parametrize(
    ("read", "content"), [(transcript_csv, b'"1","p","u","c","Ada","Hello"\n'), (cues, SRT), (cues, VTT)]
)
def test_prefixes_of_a_file_raise_only_our_errors(read: Callable[[bytes], list[Any]], content: bytes) -> None:
    """A download that breaks off gives what is whole, or says where it ends."""
    whole = read(content)
    for length in range(len(content)):
        with contextlib.suppress(ReceiverError):
            assert len(read(content[:length])) <= len(whole)
