"""The event contract: envelope, data of each type, times, JSON and binary forms, secrets."""

import base64
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.events import (
    DATA_TYPES,
    MEDIA_TYPES,
    Artifact,
    AudioChunk,
    BotStatus,
    ChatMessage,
    ControlMessage,
    Data,
    DataDeleted,
    Event,
    FetchedArtifact,
    MeetingInfo,
    Message,
    Participant,
    ParticipantChange,
    Person,
    RecordingStatus,
    Segment,
    StreamClosed,
    StreamOpened,
    Transcript,
    VendorBody,
    VideoChunk,
    Word,
    batch_json,
    format_sequence,
    format_time,
    http_headers,
    media_attributes,
    parse_time,
    quote_header,
)
from receiver.redaction import REDACTED
from tests.test_redaction import CANARY, JSON_VALUES, SIGNED_URLS, planted

PCM = bytes(range(256)) * 3
ADA = Person(id="p-1", name="Ada Löwe")
EXTRA: dict[str, Any] = {"attributes": {"team": "a", "n": [1, None]}, "session": "s-1", "reconciled": True}
WORD = Word(text="hi", formatted_text="Hi", start_s=0.5, end_s=0.75, confidence=0.5, final=True, speaker=ADA)
#: data with every key, by class
FULL: dict[type[Data], Data] = {
    type(data): data
    for data in (
        BotStatus(status="stopped", reason="kicked", final=True, message="removed", code=410, **EXTRA),
        RecordingStatus(status="recording", recording="rec-1", **EXTRA),
        MeetingInfo(title="Weekly", reason="all left", **EXTRA),
        ParticipantChange(
            participant=Participant(
                id="p-1", name="Ada", user_id="u", email="a@b.c", host=True, bot=False, platform="web"
            ),
            offset_s=1.5,
            duration_s=2.0,
            reason="left",
            **EXTRA,
        ),
        Transcript(
            text="hi there", formatted_text="Hi there.", new_text="there", speaker=ADA, turn=3, start_s=0.5, end_s=1.0,
            language="en", confidence=0.9, words=[WORD, Word(text="there")], **EXTRA,
        ),
        ChatMessage(text="hello", sender=ADA, to="everyone", **EXTRA),
        AudioChunk(
            codec="pcm_s16le", rate_hz=48_000, channels=1, speaker=ADA, track="mixed", first_sample=96_000, samples=384,
            gap_ms=20.5, **EXTRA,
        ),
        VideoChunk(codec="h264", container="fmp4", width=1280, height=720, track="camera", **EXTRA),
        StreamOpened(channel="audio", connection="c-2", resumes="c-1", **EXTRA),
        StreamClosed(
            channel="video", connection="c-1", code=1006, clean=False, messages=7, bytes=900, duration_s=3.5, **EXTRA
        ),
        Artifact(
            kind="video", id="v-1", url=SIGNED_URLS["Azure"], expires_at="2026-11-21T10:00:00Z", message="ready",
            duration_s=60.0, size_bytes=1000, **EXTRA,
        ),
        FetchedArtifact(
            kind="transcript", id="t-1", title="Weekly", text="hi there", notes="none", keywords=["hi"], language="en",
            segments=[
                Segment(text="hi", speaker=ADA, start_s=0.5, end_s=1.0, language="en", confidence=0.9, words=[WORD])
            ],
            participants=[Participant(id="p-1", name="Ada")],
            messages=[Message(text="hello", sender=ADA, to="all", time="2026-11-21T10:00:00Z")],
            url=SIGNED_URLS["Azure"], expires_at="2026-11-21T10:00:00Z", content_type="text/vtt", duration_s=60.0,
            size_bytes=1000, body={"id": 7}, **EXTRA,
        ),
        DataDeleted(objects=0, ok=False, **EXTRA),
        ControlMessage(command="usermsg", text="hi", speaker=ADA, **EXTRA),
        VendorBody(body={"event": "new", "n": None, "list": [1, {"a": "ü"}]}),
    )
}  # fmt: skip
#: the same with the required keys alone
BARE = {
    kind: kind(**{field.name: getattr(full, field.name) for field in msgspec.structs.fields(kind) if field.required})
    for kind, full in FULL.items()
}
JSON_TYPES = [name for name in DATA_TYPES if name not in MEDIA_TYPES]
NOON_NS = 1_790_000_000 * 10**9


def make_event(type_: str, data: Data, **changes: Any) -> Event:
    """An event of this type; audio and video with ``PCM`` as their bytes."""
    if type_ in MEDIA_TYPES:
        changes = {"media": PCM, "media_type": "audio/L16;rate=48000"} | changes
    return Event(
        id="d-1/0", source="/meetstream/default", type=type_, time_ns=NOON_NS, received_ns=NOON_NS + 1_500, data=data,
        **{"sequence": 42, **changes},
    )  # fmt: skip


def parsed(event: Event, **wishes: bool) -> dict[str, Any]:
    """The JSON form, read by another library."""
    value: dict[str, Any] = json.loads(event.json(**wishes))
    return value


def nulls(value: Any) -> int:
    """How many nulls there are in a JSON value."""
    if isinstance(value, dict):
        return sum(map(nulls, value.values()))
    return sum(map(nulls, value)) if isinstance(value, list) else value is None


def test_every_type_has_an_example_here() -> None:
    """A new type without an example would pass these tests unseen; so would a new key."""
    assert set(FULL) == set(DATA_TYPES.values())
    for kind, full in FULL.items():
        told = (full.body,) if isinstance(full, VendorBody) else msgspec.structs.astuple(full)
        assert None not in told, kind


@pytest.mark.parametrize("type_", JSON_TYPES)
@pytest.mark.parametrize("examples", [FULL, BARE], ids=["full", "bare"])
def test_json_form_gives_the_data_back(type_: str, examples: dict[type[Data], Data]) -> None:
    """What a sink with secrets sends holds the whole data; every attribute is where the envelope says."""
    data = examples[DATA_TYPES[type_]]
    told = parsed(make_event(type_, data, subject="bot-7", vendorevent="bot.kicked"), secrets=True)
    content = told.pop("data")
    assert told == {
        "specversion": "1.0",
        "id": "d-1/0",
        "source": "/meetstream/default",
        "type": type_,
        "subject": "bot-7",
        "time": "2026-09-21T14:13:20.000000Z",
        "receivedtime": "2026-09-21T14:13:20.000001Z",
        "sequence": "00000000000000000042",
        "datacontenttype": "application/json",
        "vendorevent": "bot.kicked",
    }
    assert content == data.body if isinstance(data, VendorBody) else msgspec.convert(content, type(data)) == data


@pytest.mark.parametrize("type_", DATA_TYPES)
def test_optional_keys_are_absent_never_null(type_: str) -> None:
    """Nothing to say is said by leaving the key out; ``final`` is told only where it is true."""
    data = VendorBody(body={}) if type_ == "vendor.event" else BARE[DATA_TYPES[type_]]
    told = parsed(make_event(type_, data), raw=True)
    assert nulls(told) == 0
    assert not {"subject", "vendorevent", "raw", "rawbase64", "session", "attributes"} & set(told)
    assert "final" not in told.get("data", {})


def test_audio_keys_become_attributes() -> None:
    """Beside ``data_base64`` there is no ``data``: the keys are attributes without underscore, the speaker is two."""
    told = parsed(make_event("audio.chunk", FULL[AudioChunk]))
    assert "data" not in told
    assert base64.b64decode(told["data_base64"], validate=True) == PCM
    assert told["datacontenttype"] == "audio/L16;rate=48000"
    assert {name: told[name] for name in list(told)[list(told).index("datacontenttype") + 1 : -1]} == {
        "codec": "pcm_s16le", "ratehz": 48_000, "channels": 1, "speakerid": "p-1", "speakername": "Ada Löwe",
        "track": "mixed", "firstsample": 96_000, "samples": 384, "gapms": 20.5, "session": "s-1",
    }  # fmt: skip


TEXTS = st.none() | st.text(max_size=5)
AUDIO = st.builds(
    AudioChunk,
    codec=st.text(max_size=5), rate_hz=st.integers(1, 10**6), channels=st.integers(1, 8),
    speaker=st.none() | st.builds(Person, id=TEXTS, name=TEXTS), track=TEXTS, session=TEXTS,
    first_sample=st.none() | st.integers(0, 2**60), samples=st.none() | st.integers(0, 10**6),
    gap_ms=st.none() | st.floats(0, 1e9),
)  # fmt: skip
VIDEO = st.builds(VideoChunk, codec=TEXTS, container=TEXTS, width=st.none() | st.integers(1, 9999), track=TEXTS)
MEDIA = st.builds(
    make_event,
    st.sampled_from(sorted(MEDIA_TYPES)), AUDIO | VIDEO, subject=st.text(max_size=5), vendorevent=st.text(max_size=5),
    media=st.binary(max_size=7), media_type=st.sampled_from(["", "audio/L16", "video/mp4"]), sequence=st.integers(0),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(MEDIA, max_size=6))
def test_media_tell_their_attributes_and_bytes(events: list[Event]) -> None:
    """Whatever came before: what lasts is written once for a stream, and is not another stream's. In the order of
    ``attributes``, for whoever looks at it."""
    for event in events:
        told = parsed(event)
        assert base64.b64decode(told.pop("data_base64"), validate=True) == event.media
        assert list(told) == list(event.attributes())
        assert {name: value if isinstance(value, str) else str(value) for name, value in told.items()} == (
            event.attributes()
        )


def test_media_keep_no_json() -> None:
    """A frame waits in memory for sinks; its JSON would be half as much again."""
    event = make_event("audio.chunk", FULL[AudioChunk])
    assert event.json() == event.json()
    assert not event.cached_json


def test_video_keys_become_attributes() -> None:
    """As for audio; an absent key is an absent attribute."""
    assert {"codec": "h264", "container": "fmp4", "width": 1280, "height": 720}.items() <= parsed(
        make_event("video.chunk", FULL[VideoChunk])
    ).items()
    assert set(parsed(make_event("video.chunk", VideoChunk()))).isdisjoint(media_attributes(VideoChunk))
    nameless = AudioChunk(codec="pcm_mulaw", rate_hz=8000, channels=1, speaker=Person(id="p-2"))
    assert parsed(make_event("audio.chunk", nameless)).keys() & {"speakerid", "speakername"} == {"speakerid"}


def test_attribute_names_are_legal() -> None:
    """CloudEvents: lower-case letters and digits only."""
    for type_ in DATA_TYPES:
        event = make_event(type_, FULL[DATA_TYPES[type_]], subject="s", vendorevent="v")
        assert all(re.fullmatch("[a-z0-9]+", name) for name in event.attributes())
        assert set(event.attributes()) == set(parsed(event)) - {"data", "data_base64"}


def test_media_bytes_may_be_a_view() -> None:
    """A slice of a larger message is sent as if it were bytes."""
    event = make_event("audio.chunk", FULL[AudioChunk], media=memoryview(b"xx" + PCM)[2:])
    assert base64.b64decode(parsed(event)["data_base64"]) == PCM
    assert bytes(event.body()) == PCM


def test_body_is_the_data_alone() -> None:
    """Binary mode: JSON of the data, without secrets unless asked for; of media the bytes."""
    artifact = make_event("artifact.ready", Artifact(kind="audio", url=SIGNED_URLS["Azure"]))
    assert json.loads(bytes(artifact.body())) == {"kind": "audio"}
    assert json.loads(bytes(artifact.body(secrets=True))) == {"kind": "audio", "url": SIGNED_URLS["Azure"]}
    assert json.loads(bytes(make_event("vendor.event", VendorBody(body=[1])).body())) == [1]
    assert make_event("audio.chunk", FULL[AudioChunk]).body() == PCM


# Binary headers


def test_header_quoting_check_value() -> None:
    """The example of CloudEvents HTTP 3.1.3.2: Euro sign and emoji as percent-encoded UTF-8."""
    assert quote_header("Euro € 😀") == "Euro%20%E2%82%AC%20%F0%9F%98%80"


@pytest.mark.parametrize("code", range(128))
def test_header_quoting_of_ascii(code: int) -> None:
    """Space, double quote, percent and control characters are encoded, all else printable stays."""
    letter = chr(code)
    kept = 0x21 <= code <= 0x7E and letter not in '"%'
    assert quote_header(f"a{letter}b") == f"a{letter if kept else f'%{code:02X}'}b"


@settings(deadline=None)
@given(st.text())
def test_headers_decode_to_the_attributes(text: str) -> None:
    """Decoded as the binding says (one round of percent-decoding, strict UTF-8), each header is the attribute."""
    audio = AudioChunk(codec="pcm_s16le", rate_hz=16_000, channels=1, speaker=Person(id="p", name=text))
    event = make_event("audio.chunk", audio, subject=text)
    headers = http_headers(event)
    assert headers.pop("content-type") == "audio/L16;rate=48000"
    assert all(re.fullmatch("[!-~]*", value) for value in headers.values())
    decoded = {name.removeprefix("ce-"): unquote(value, errors="strict") for name, value in headers.items()}
    expected = {name: value for name, value in event.attributes().items() if name != "datacontenttype"}
    assert decoded == expected
    assert decoded["speakername"] == text


def test_json_events_are_json_by_header() -> None:
    """Binary mode of all but media: ``application/json``, and no second header for it."""
    headers = http_headers(make_event("bot.status", FULL[BotStatus], subject="bot-7"))
    assert headers["content-type"] == "application/json"
    assert "ce-datacontenttype" not in headers
    assert headers["ce-subject"] == "bot-7"


def test_batch_is_an_array() -> None:
    """CloudEvents batch mode; it may be empty."""
    events = [make_event("bot.status", FULL[BotStatus]), make_event("data.deleted", DataDeleted(), raw=b"{}")]
    assert json.loads(batch_json(events, raw=True)) == [parsed(event, raw=True) for event in events]
    assert batch_json([]) == b"[]"


# Times


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-21T09:30:05Z", "2026-11-21T09:30:05.000000Z"),
        ("2026-11-21T09:30:05", "2026-11-21T09:30:05.000000Z"),
        (" 2026-11-21 09:30:05.5 ", "2026-11-21T09:30:05.500000Z"),
        ("2026-11-21T09:30:05.123456789Z", "2026-11-21T09:30:05.123456Z"),
        ("2026-11-21T09:30:05.999999999+00:00", "2026-11-21T09:30:05.999999Z"),
        ("2026-11-21T01:30:05+05:30", "2026-11-20T20:00:05.000000Z"),
        ("2026-11-21T01:30:05.25-0800", "2026-11-21T09:30:05.250000Z"),
        ("2026-11-21", "2026-11-21T00:00:00.000000Z"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_times_of_all_shapes(text: str, seconds: str) -> None:
    """Without a zone it is UTC; with an offset it is brought there; beyond microseconds it is cut."""
    time_ns = parse_time(text)
    assert time_ns is not None
    assert format_time(time_ns) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "now", "1790000000", "1790000000.5", "2026-13-01T00:00:00Z", "2026-02-30", "2026-11-21T25:00:00Z",
     "2026-11-21T09:30:05+99:00", "10000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
     "٢٠٢٦-١١-٢١", "\ud800", "9" * 10_000],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    """``None``, also where bringing it to UTC leaves the years that can be written."""
    assert parse_time(text) is None


@given(st.text())
def test_any_text_is_a_time_or_none(text: str) -> None:
    """No text raises."""
    assert isinstance(parse_time(text), int | None)


@given(st.integers())
def test_any_integer_can_be_written(time_ns: int) -> None:
    """Years 1 to 9999 exactly, to the microsecond; beyond, the nearest that can be written."""
    written = format_time(time_ns)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", written)
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)
    except OverflowError:
        assert written == ("9999-12-31T23:59:59.999999Z" if time_ns > 0 else "0001-01-01T00:00:00.000000Z")
    else:
        assert datetime.fromisoformat(written) == moment
        assert parse_time(written) == time_ns // 1000 * 1000


@given(st.lists(st.integers(0, 10**20 - 1)))
def test_sequences_sort_like_numbers(numbers: list[int]) -> None:
    """Text of twenty digits, in the order of arrival."""
    assert sorted(map(format_sequence, numbers)) == [f"{number:020}" for number in sorted(numbers)]


# Raw


@pytest.mark.parametrize(
    "body",
    [
        b'{ "b":1.0 , "a":"\\u00e9\\/" }\r\n',
        "ü😀\u2028".encode(),
        b"\x00\x01",
        b'{"a":1,"a":2}',
        b"not json",
        b"[" * 5000,
    ],
)
@pytest.mark.parametrize("secrets", [True, False])
def test_raw_is_the_body_byte_for_byte(body: bytes, secrets: bool) -> None:
    """Where there is no secret in it, ``raw`` is what was received: spaces, escapes, doubled keys."""
    told = parsed(make_event("bot.status", FULL[BotStatus], raw=body), raw=True, secrets=secrets)
    assert told["raw"].encode() == body
    assert "rawbase64" not in told


@pytest.mark.parametrize("body", [b"\xff\xfe{}", b'{"a":"\xe4"}', bytes(range(256)), b"\xed\xa0\x80"])
@pytest.mark.parametrize("secrets", [True, False])
def test_raw_that_is_no_text_is_base64(body: bytes, secrets: bool) -> None:
    """Bytes that are no UTF-8 come whole, too."""
    told = parsed(make_event("bot.status", FULL[BotStatus], raw=body), raw=True, secrets=secrets)
    assert base64.b64decode(told["rawbase64"], validate=True) == body
    assert "raw" not in told


def test_raw_is_told_only_where_it_is_asked_for() -> None:
    """A sink without ``raw`` gets the data alone, and an event without a body has no ``raw``."""
    event = make_event("bot.status", FULL[BotStatus], raw=b"{}")
    assert "raw" not in parsed(event)
    assert "raw" not in parsed(event, secrets=True)
    assert event.raw_member() == ("raw", "{}")
    assert make_event("bot.status", FULL[BotStatus]).raw_member() is None


def test_media_message_that_is_text_is_searched_too() -> None:
    """A vendor's audio in a JSON message: its ``raw`` has no secrets, but binary frames are not looked through."""
    dirty = json.dumps({"token": CANARY}).encode()
    told = parsed(make_event("audio.chunk", FULL[AudioChunk], raw=dirty), raw=True)
    assert json.loads(told["raw"]) == {"token": REDACTED}
    frame = b"\xff" + dirty
    told = parsed(make_event("audio.chunk", FULL[AudioChunk], raw=frame), raw=True)
    assert base64.b64decode(told["rawbase64"]) == frame


# Secrets


def test_artifact_url_is_a_secret_whatever_it_looks_like() -> None:
    """It opens without a password: only a sink with ``secrets`` gets it."""
    event = make_event("artifact.ready", Artifact(kind="video", url="https://example.com/v.mp4", size_bytes=1))
    assert parsed(event)["data"] == {"kind": "video", "size_bytes": 1}
    assert parsed(event, raw=True)["data"] == {"kind": "video", "size_bytes": 1}
    assert parsed(event, secrets=True)["data"]["url"] == "https://example.com/v.mp4"


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("bot.status", BotStatus(status="error", message=f"upload to {SIGNED_URLS['Azure']} failed")),
        ("artifact.failed", Artifact(kind="audio", message=f"Bearer {CANARY}")),
        ("meeting.ended", MeetingInfo(reason=SIGNED_URLS["Zoom"])),
        ("chat.message", ChatMessage(text=f"join at {SIGNED_URLS['Zoom, password']}")),
        ("control.message", ControlMessage(command="usermsg", text=f"sk-{CANARY}")),
        ("artifact.fetched", FetchedArtifact(kind="chat", messages=[Message(text="Hi"), Message(text=f"sk-{CANARY}")])),
        ("artifact.fetched", FetchedArtifact(kind="transcript", segments=[Segment(text=f"sk-{CANARY}")])),
    ],
)
def test_texts_lose_their_secrets(type_: str, data: Data) -> None:
    """Not only custom attributes: a signed URL in a message or chat is one, too."""
    event = make_event(type_, data)
    assert CANARY.encode() not in event.json()
    assert REDACTED in event.json().decode()
    assert CANARY.encode() in event.json(secrets=True)
    assert data.without_secrets().without_secrets() == data.without_secrets()


@pytest.mark.parametrize("kind", [kind for kind in FULL if kind not in (AudioChunk, VideoChunk)])
def test_every_text_of_the_vendors_loses_its_secrets(kind: type[Data]) -> None:
    """Whatever its field is called: each that may hold a text or an object is looked at. (Beside media stand formats
    and names of tracks only.)"""
    type_ = next(type_ for type_, data in DATA_TYPES.items() if data is kind)
    fields = {field.name: msgspec.json.schema(field.type) for field in msgspec.structs.fields(kind)}
    for name, shape in fields.items():
        told = {one.get("type") for one in shape.get("anyOf", [shape]) if "enum" not in one}
        secret: Any = {"string": f"sk-{CANARY}", "object": {"password": CANARY}}
        for value in [secret[one] for one in told & {"string", "object"}]:
            data = msgspec.structs.replace(FULL[kind], **{name: value})
            assert CANARY.encode() not in make_event(type_, data).json(), name


@pytest.mark.parametrize("kind", [kind for kind in FULL if kind not in (Artifact, FetchedArtifact)])
def test_data_without_secrets_are_themselves(kind: type[Data]) -> None:
    """Nothing is copied where nothing is taken out."""
    assert FULL[kind].without_secrets() is FULL[kind]


@settings(max_examples=100, deadline=None)
@given(planted())
def test_no_sink_gets_a_planted_secret(value: Any) -> None:
    """Custom attributes, unknown vendor events, raw bodies, whole or torn or in another encoding: no way out."""
    text = json.dumps(value)
    for body in (text.encode(), text[:-1].encode(), b"\xff" + text.encode()):
        for event in (
            make_event("chat.message", ChatMessage(attributes={"of": value}), raw=body),
            make_event("vendor.event", VendorBody(body=value), raw=body),
        ):
            told = parsed(event, raw=True)
            plain = base64.b64decode(told.pop("rawbase64", ""))
            assert CANARY not in json.dumps(told)
            assert CANARY.encode() not in plain
            assert CANARY.encode() not in event.json()
            assert CANARY.encode() not in bytes(event.body())


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(), JSON_VALUES), st.text(), st.booleans(), st.booleans())
def test_any_attributes_give_one_line_of_json(value: dict[str, Any], text: str, secrets: bool, raw: bool) -> None:
    """Whatever strangers write: one JSON object, without a raw line break."""
    for data in (BotStatus(status="done", message=text, attributes=value), VendorBody(body=[value, text])):
        event = make_event("bot.status", data, subject=text, raw=text.encode())
        line = event.json(secrets=secrets, raw=raw)
        assert isinstance(json.loads(line), dict)
        assert not {b"\n", b"\r"} & {line[index : index + 1] for index in range(len(line))}


@pytest.mark.parametrize("depth", [90, 110, 400, 900])
@pytest.mark.parametrize("wishes", [{}, {"raw": True}, {"secrets": True}, {"secrets": True, "raw": True}])
def test_depth_of_json_stops_no_sink(depth: int, wishes: dict[str, bool]) -> None:
    """Nested as deep as a decoder takes it, and the stack nearly used up: there is still JSON, with the body in raw."""
    body = b'{"a":' * depth + b"1" + b"}" * depth
    event = make_event("vendor.event", VendorBody(body=msgspec.json.decode(body)), raw=body)

    def deep_in_a_program(frames: int) -> dict[str, Any]:
        return deep_in_a_program(frames - 1) if frames else msgspec.json.decode(event.json(**wishes), type=dict)

    told = deep_in_a_program(sys.getrecursionlimit() // 2)
    assert told["id"] == "d-1/0"
    assert told.get("raw", body.decode()) == body.decode()


def test_plain_form_is_made_once() -> None:
    """All sinks without wishes share the same bytes; a wish makes its own."""
    event = make_event("artifact.ready", FULL[Artifact], raw=b"{}")
    assert event.json() is event.json()
    assert event.json(secrets=True) != event.json()
    assert event.json(raw=True) != event.json()
