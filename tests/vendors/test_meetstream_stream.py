"""MeetStream's sockets: frames, the sample clock, what opens and ends a stream, answers, commands, restoring."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import FrameInvalid, FrameTruncated, Malformed, ReceiverError
from receiver.events import AudioChunk, Event
from receiver.record import Record, pack_frames
from receiver.vendors import decode_record
from receiver.vendors.meetstream.stream import MeetStreamSession
from tests.vendors.meetstream_wire import BOT, PATIENT, READY, SAMPLES, frame, play, socket
from tests.vendors.samples import NOW_NS, messages_of

START = json.dumps({"type": "video_stream_start", "bot_id": BOT, "codec": "h264", "container": "fmp4", "width": 16})
PING = json.dumps({"type": "video_latency_ping", "bot_id": BOT, "seq": 7, "sent_at_ms": 1_788_263_999_990})
END = json.dumps({"type": "video_stream_end", "bot_id": BOT, "duration_seconds": 2})
PIECE = b"\x00\x00\x00\x0cmoof\x00\x00\x00\x01"
MS = 1_000_000


def audio(event: Event) -> AudioChunk:
    assert isinstance(event.data, AudioChunk)
    return event.data


HEADER = len(frame(pcm=b""))


@pytest.mark.parametrize("length", range(HEADER))
def test_every_shorter_prefix_of_a_header_is_truncated(length: int) -> None:
    """A frame that is cut inside its header names the byte where the missing part begins, and yields nothing."""
    session = socket("audio")
    with pytest.raises(FrameTruncated) as caught:
        session.receive(frame()[:length], NOW_NS)
    starts = [0, 1, 3, 3 + len(b"spk_1"), 5 + len(b"spk_1")]
    assert caught.value.offset in starts and caught.value.offset <= length
    assert audio(play(session, [frame()])[0]).first_sample == 0


@pytest.mark.parametrize(
    ("message", "offset"),
    [(b"", 0), (b"\x01", 1), (b"\x01\x05", 1), (b"\x01\x05\x00abc", 3), (b"\x01\x00\x00\x01", 3),
     (b"\x01\x00\x00\x02\x00a", 5), (b"\x01\xff\xffabc", 3)],
)  # fmt: skip
def test_where_a_frame_is_cut(message: bytes, offset: int) -> None:
    """The offset is that of the length, or of the text that the length counts."""
    with pytest.raises(FrameTruncated) as caught:
        socket("audio").receive(message, NOW_NS)
    assert (caught.value.offset, caught.value.where) == (offset, f"byte {offset}")


@pytest.mark.parametrize("kind", [0, 2, 255])
def test_other_kinds_of_frames_are_invalid(kind: int) -> None:
    """Only kind 0x01 is defined; the stream goes on."""
    session = socket("audio")
    with pytest.raises(FrameInvalid) as caught:
        session.receive(bytes([kind]) + frame()[1:], NOW_NS)
    assert caught.value.offset == 0
    assert [event.id for event in play(session, [frame()])] == ["c1/1"]


def test_the_smallest_frame_has_no_samples() -> None:
    """Five bytes: nobody, nothing; the counts are there all the same."""
    event = play(socket("audio"), [b"\x01\x00\x00\x00\x00"])[0]
    assert (audio(event).samples, audio(event).first_sample, audio(event).speaker) == (0, 0, None)
    assert event.body() == b"" and event.attributes()["samples"] == "0"


def test_samples_are_a_view_of_the_message() -> None:
    """The hot path copies no sound."""
    message = frame(pcm=b"\x01\x02\x03\x04\x05")
    event = play(socket("audio"), [message])[0]
    assert isinstance(event.media, memoryview) and event.media.obj is message
    assert bytes(event.media) == b"\x01\x02\x03\x04"
    assert event.raw is message


def test_audio_before_ready_belongs_to_the_url() -> None:
    """Bridge, handshake: a frame before ``ready`` is kept; its bot is the one that the URL names."""
    session = socket("audio", subject="hint")
    assert [event.subject for event in play(session, [frame(), READY, frame()])] == ["hint", BOT]
    second = json.dumps({"type": "ready", "bot_id": "other"})
    assert play(session, [second, frame()])[0].subject == "other"


def test_the_sample_clock_counts_within_a_connection_and_invents_no_gap() -> None:
    """Late frames of one connection are late, not lost."""
    session = socket("audio")
    chunks = [audio(session.receive(frame(pcm=bytes(960)), NOW_NS + at * MS).events[0]) for at in (0, 10, 5000)]
    assert [(chunk.first_sample, chunk.gap_ms) for chunk in chunks] == [(0, None), (480, None), (960, None)]


def test_a_connection_that_continues_tells_the_gap() -> None:
    """The gap is what passed since the last frame, less the sound of this one; then the clock goes on."""
    before = socket("audio")
    before.receive(frame(pcm=bytes(960)), NOW_NS)
    session = socket("audio", connection="c2")
    session.adopt(before.snapshot())
    arrivals = (NOW_NS + 1_010 * MS + 250_400, NOW_NS + 1_020 * MS)
    chunks = [session.receive(frame(pcm=bytes(960)), at).events[0] for at in arrivals]
    assert [audio(chunk).gap_ms for chunk in chunks] == [1000.25, None]
    assert [audio(chunk).first_sample for chunk in chunks] == [480 + 48_012, 480 + 48_012 + 480]
    assert [chunk.id for chunk in chunks] == ["c2/1", "c2/2"]


@pytest.mark.parametrize("arrival_ns", [NOW_NS, NOW_NS + 5 * MS, NOW_NS - 1000 * MS])
def test_no_gap_is_absent(arrival_ns: int) -> None:
    """A frame that comes at once, or by a clock that went back, tells no gap."""
    before = socket("audio")
    before.receive(frame(pcm=bytes(960)), NOW_NS)
    session = socket("audio")
    session.adopt(before.snapshot())
    chunk = audio(session.receive(frame(pcm=bytes(960)), arrival_ns).events[0])
    assert (chunk.gap_ms, chunk.first_sample) == (None, 480)


def test_a_gap_survives_a_connection_without_sound() -> None:
    """Dropped, back, dropped again before a frame: the next one still tells all of the gap."""
    first = socket("audio")
    first.receive(frame(pcm=bytes(960)), NOW_NS)
    second, third = socket("audio"), socket("audio")
    second.adopt(first.snapshot())
    play(second, [READY])
    third.adopt(second.snapshot())
    assert third.subject == BOT
    assert audio(third.receive(frame(pcm=bytes(960)), NOW_NS + 2_010 * MS).events[0]).gap_ms == 2000.0


def test_continuing_what_had_no_sound_begins_at_zero() -> None:
    """Where there was nothing there is no gap."""
    session = socket("audio")
    session.adopt(socket("audio").snapshot())
    session.adopt(b"")
    assert audio(play(session, [frame()])[0]).gap_ms is None


@pytest.mark.parametrize(
    ("messages", "channel"),
    [
        ([READY], ""),
        ([frame()], "audio"),
        ([PIECE], "video"),
        ([frame(b"afreeman")], "audio"),
        ([START], "video"),
        ([PING], "video"),
        (['{"type":"PCMChunk","audioData":""}'], "audio"),
        (['{"command":"usermsg"}'], "control"),
        (['{"transcript":"x"}'], "transcript"),
        (["no JSON", b""], ""),
    ],
)
def test_messages_tell_the_channel(messages: list[bytes | str], channel: str) -> None:
    """Without a hint the shape of a message tells its channel, whether it is only looked at or received."""
    looked, received = socket(), socket()
    for message in messages:
        looked.learn(message)
        with contextlib.suppress(Malformed):
            received.receive(message, NOW_NS)
    assert looked.channel == received.channel == channel


def test_a_hint_stands_until_video_starts() -> None:
    """What stands in the URL decides about binary messages, but a stream that says it is video is video."""
    assert play(socket("video"), [frame()])[0].type == "video.chunk"
    assert play(socket("audio"), [START, PIECE])[0].type == "video.chunk"
    assert [event.type for event in play(socket("control"), [frame(), PIECE])] == ["audio.chunk", "video.chunk"]
    assert socket("http").channel == ""


def test_looking_at_a_message_changes_nothing_that_it_means() -> None:
    """The ingress looks first and receives then."""
    for folder in SAMPLES.glob("*__*"):
        messages = messages_of(folder)
        looked, plain = socket(), socket()
        for message in messages:
            looked.learn(message)
            assert looked.receive(message, NOW_NS) == plain.receive(message, NOW_NS)


@pytest.mark.parametrize(
    ("channel", "answer"),
    [
        ("audio", [{"type": "ack", "message": "ready received"}]),
        ("control", [{"command": "ack", "bot_id": BOT, "message": "ready received"}]),
        ("", [{"type": "ack", "command": "ack", "bot_id": BOT, "message": "ready received"}]),
        ("transcript", []),
        ("video", []),
    ],
)
def test_ready_is_answered_where_the_bridge_answers_it(channel: str, answer: list[dict[str, str]]) -> None:
    """The acknowledgement is optional and handed out once; ``ready`` itself is no event."""
    session = socket(channel)
    assert play(session, [READY]) == []
    assert [json.loads(reply) for reply in session.replies()] == answer
    assert session.replies() == []


def test_a_latency_ping_is_answered_with_its_own_numbers() -> None:
    """Pong: seq and sent_at_ms as they came, the time of arrival in milliseconds, the bot."""
    session = socket("video")
    assert play(session, [START, PING], NOW_NS + 999_999) == []
    assert [json.loads(reply) for reply in session.replies()] == [
        {
            "type": "video_latency_pong", "seq": 7, "sent_at_ms": 1_788_263_999_990,
            "server_received_at_ms": NOW_NS // MS, "bot_id": BOT,
        }
    ]  # fmt: skip


def test_the_end_of_video_is_expected() -> None:
    """After ``video_stream_end`` the close is clean; a new start takes it back."""
    session = socket("video")
    play(session, [START, PIECE])
    assert not session.close_expected()
    play(session, [END])
    assert session.close_expected()
    play(session, [START])
    assert not session.close_expected()


def test_a_malformed_start_of_video_is_still_one() -> None:
    """What follows it is video; nothing else is taken from it."""
    session = socket()
    with pytest.raises(Malformed) as caught:
        session.receive('{"type":"video_stream_start","codec":"h264","width":"x"}', NOW_NS)
    assert caught.value.where == "$.width"
    assert "codec" not in play(session, [frame()])[0].attributes() and session.channel == "video"


BAD_MESSAGES: list[bytes | str] = [
    "", "no JSON", "[]", '"ready"', "{", "\ud800", '{"type":"ready","bot_id":5}', '{"command":5}', b"", b"\x02abc",
    '{"command":"usermsg","message":5}', '{"type":"PCMChunk"}', '{"type":"PCMChunk","audioData":"A A="}',
    '{"type":"PCMChunk","audioData":"\u00e9"}', '{"transcript":5}',
    '{"type":"video_latency_ping","seq":"1"}', '{"type":"video_stream_end","bot_id":[]}', "[" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("message", BAD_MESSAGES)
def test_a_bad_message_is_malformed_and_the_session_goes_on(message: bytes | str) -> None:
    """What means nothing is kept in quarantine; numbers, samples and answers are as if it had not come."""
    session = socket("audio", subject=BOT)
    with pytest.raises(Malformed):
        session.receive(message, NOW_NS)
    assert session.replies() == []
    events = play(session, [frame(), frame()])
    assert [(event.id, audio(event).first_sample) for event in events] == [("c1/1", 0), ("c1/2", 2)]


def test_control_messages_with_an_id_are_identified_by_it() -> None:
    """``event_id`` or ``id`` identifies a message across connections, together with what it says."""
    message = {"command": "transcript", "text": "hi", "event_id": "e1"}
    first = socket("control", subject=BOT).receive(json.dumps(message), NOW_NS)
    again = socket("control", subject=BOT, connection="c2").receive(json.dumps(message), NOW_NS)
    longer = socket("control", subject=BOT).receive(json.dumps(message | {"text": "hi there"}), NOW_NS)
    assert first.key and first.key == again.key != longer.key
    assert first.events[0].id == again.events[0].id
    plain = socket("control").receive('{"command":"interrupt"}', NOW_NS)
    assert (plain.key, plain.events[0].id) == (b"", "c1/1")


COMMANDS: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    ("sendmsg", {"message": "hi"}, [{"message": "hi", "msg": "hi"}]),
    ("sendchat", {"text": "h"}, [{"role": "assistant", "text": "h", "is_final": True}]),
    ("sendchat", {"text": "h", "role": "user", "is_final": False}, [{"role": "user", "text": "h", "is_final": False}]),
    ("interrupt", {}, [{"action": "clear_audio_queue"}]),
    ("sendimg", {"img": b"\xff\xd8"}, [{"img": "/9g="}]),
    ("sendimg", {"img": "/9g="}, [{"img": "/9g="}]),
    ("sendimg_url", {"img_url": "https://x.example/a.png"}, [{"img_url": "https://x.example/a.png"}]),
]


@pytest.mark.parametrize(("name", "arguments", "messages"), COMMANDS)
def test_commands_are_the_vendors_messages(
    name: str, arguments: dict[str, Any], messages: list[dict[str, Any]]
) -> None:
    """Every command names the bot and has the keys of the fact sheet, section 8."""
    sent = [json.loads(text) for text in socket("control", subject=BOT).command(name, arguments)]
    assert sent == [{"command": name, "bot_id": BOT, **message} for message in messages]


@pytest.mark.parametrize("as_text", [False, True])
def test_sound_is_sent_in_pieces_of_a_second(as_text: bool) -> None:
    """One second is 96,000 bytes; joined, the pieces are the sound, in the format that the bot plays."""
    pcm = bytes(range(250)) * 800
    arguments = {"pcm": base64.b64encode(pcm).decode() if as_text else pcm}
    sent = [json.loads(text) for text in socket("control", subject=BOT).command("sendaudio", arguments)]
    pieces = [base64.b64decode(message.pop("audiochunk"), validate=True) for message in sent]
    assert [len(piece) for piece in pieces] == [96_000, 96_000, 8_000] and b"".join(pieces) == pcm
    form = {"sample_rate": 48000, "encoding": "pcm16", "channels": 1, "endianness": "little"}
    assert sent == [{"command": "sendaudio", "bot_id": BOT, **form}] * 3


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("dance", {}, "'dance'; allowed: sendmsg, sendchat, interrupt, sendaudio, sendimg, sendimg_url"),
        ("sendmsg", {}, "`message`; it takes: message"),
        ("sendmsg", {"message": 5}, "$.message"),
        ("sendmsg", {"message": "m", "to": "x"}, "`to`; it takes: message"),
        ("sendchat", {"text": "t", "role": "boss"}, "$.role"),
        ("sendaudio", {"pcm": "A A="}, "$.pcm"),
        ("sendaudio", {"pcm": b""}, "pcm has 0 bytes"),
        ("sendaudio", {"pcm": b"abc"}, "pcm has 3 bytes"),
    ],
)
def test_a_wrong_command_says_what_is_allowed(name: str, arguments: dict[str, Any], told: str) -> None:
    """The bot ignores what it does not understand, so it is refused here."""
    with pytest.raises(Malformed) as caught:
        socket("control", subject=BOT).command(name, arguments)
    assert told in str(caught.value)


def test_a_command_needs_a_bot() -> None:
    """Every message names the bot: before it is known there is nobody to tell."""
    with pytest.raises(Malformed, match="not known yet"):
        socket("control").command("interrupt", {})


TEXTS = st.sampled_from(
    [READY, START, PING, END, '{"command":"usermsg","message":"m"}', '{"transcript":"x"}', '{"a":1}', "no",
     '{"type":"PCMChunk","audioData":"AAAA","speakerName":"Ada"}', '{"event":"bot.done","bot_id":"b"}',
     '{"data":{"bot_id":"z"}}']
)  # fmt: skip
BINARIES = st.builds(frame, st.binary(max_size=3), st.binary(max_size=3), st.binary(max_size=9)) | st.just(PIECE)
MESSAGES = st.lists(TEXTS | BINARIES | st.binary(max_size=12) | st.text(max_size=5), max_size=12)
HINTS = st.sampled_from(["", "audio", "video", "transcript", "control"])


def outcome(session: MeetStreamSession, message: bytes | str, now_ns: int) -> object:
    try:
        return session.receive(message, now_ns)
    except ReceiverError as error:
        return str(error)


@PATIENT
@given(MESSAGES, HINTS, st.booleans())
def test_a_restored_session_decodes_the_next_message_alike(
    messages: list[bytes | str], hint: str, continues: bool
) -> None:
    """Decoding is a pure function of message and snapshot: whatever came before, replay gives the same events."""
    session = socket(hint)
    if continues:
        before = socket("audio")
        before.receive(frame(), NOW_NS - 5_000 * MS)
        session.adopt(before.snapshot())
    for number, message in enumerate(messages):
        now_ns = NOW_NS + number * 20 * MS
        restored = socket(hint, state=session.snapshot())
        assert outcome(restored, message, now_ns) == outcome(session, message, now_ns)
        assert restored.replies() == session.replies()
        assert restored.snapshot() == session.snapshot()


@pytest.mark.parametrize("state", [b"\xff", b"\x91\x05", b"x"])
def test_a_state_that_cannot_be_read_is_malformed(state: bytes) -> None:
    """A damaged snapshot is our error, not a crash."""
    with pytest.raises(Malformed):
        socket(state=state)
    with pytest.raises(Malformed):
        socket().adopt(state)


def test_packed_frames_decode_like_the_stream() -> None:
    """A record of many frames gives the events that the live session gave."""
    live = socket("audio", subject=BOT)
    live.receive(frame(), NOW_NS)
    state = live.snapshot()
    frames = [(NOW_NS + at * MS, frame(pcm=bytes(at))) for at in (20, 40, 60)]
    record = Record(
        vendor="meetstream", endpoint="default", kind="frames", payload=pack_frames(frames), received_ns=NOW_NS,
        channel="audio", connection="c1", subject=BOT, state=state,
    )  # fmt: skip
    events = [event for at, message in frames for event in live.receive(message, at).events]
    assert decode_record(record).events == events


@pytest.mark.parametrize("cut", range(1, len(frame(pcm=b""))))
def test_a_cut_frame_behind_a_whole_one_is_truncated_all_the_same(cut: int) -> None:
    """Also where it begins as the one before."""
    session = socket("audio")
    session.receive(frame(), NOW_NS)
    with pytest.raises(FrameTruncated):
        session.receive(frame()[:cut], NOW_NS)


def test_each_frame_has_its_own_speaker() -> None:
    """Frames of several speakers come in any order; one name may begin as another."""
    session = socket("audio")
    spoken = [b"Ada", b"Ada", b"Ada L", b"Bob", b"Ada"]
    events = [session.receive(frame(b"", name, b"\x01\x00" * 3), NOW_NS).events[0] for name in spoken]
    assert [
        event.data.speaker.name for event in events if isinstance(event.data, AudioChunk) and event.data.speaker
    ] == [name.decode() for name in spoken]
    assert [bytes(event.media or b"") for event in events] == [b"\x01\x00" * 3] * len(spoken)
