"""Tracks that the SFU sends: sound, pictures, the sample clock, gaps, repeats, several tracks, restoring."""

import contextlib
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import FrameTruncated, Malformed, ReceiverError
from receiver.events import AudioChunk, Event, VideoChunk
from receiver.record import Record, pack_frames
from receiver.vendors import decode_record
from receiver.vendors.realtimekit.stream import RealtimeKitSession
from tests.vendors.realtimekit_wire import MEETING, MS, PATIENT, packet, pcm, play, socket
from tests.vendors.samples import NOW_NS, folders_of, messages_of

#: 20 ms
FRAMES = 960
JPEG = b"\xff\xd8\xff\xe0picture\xff\xd9"
LAST = 2**32 - 1


def audio(event: Event) -> AudioChunk:
    assert isinstance(event.data, AudioChunk)
    return event.data


def sound(sequence: int, frames: int = FRAMES, value: int | None = None) -> bytes:
    """A packet whose sound is its own."""
    return packet(pcm(frames, sequence % 65_536 if value is None else value), sequence, sequence * 960 % 2**32)


def places(session: RealtimeKitSession, sequences: Iterable[int]) -> list[tuple[int | None, float | None]]:
    """First sample and gap of each chunk."""
    chunks = [audio(event) for event in play(session, map(sound, sequences))]
    return [(chunk.first_sample, chunk.gap_ms) for chunk in chunks]


def test_sound_is_48_khz_stereo() -> None:
    """Signed 16 bit, left and right in turn; samples are counted per channel, as a view of the message."""
    message = packet(pcm(FRAMES), 5, 4800)
    (event,) = play(socket("audio", subject=MEETING), [message])
    assert event.data == AudioChunk(
        codec="pcm_s16le", rate_hz=48000, channels=2, track="mixed", first_sample=0, samples=960
    )
    assert (event.id, event.subject, event.media_type, event.time_ns) == ("c1/1", MEETING, "audio/pcm", NOW_NS)
    assert isinstance(event.media, memoryview) and event.media.obj is message and len(event.media) == 3840
    assert event.raw is message


@pytest.mark.parametrize("tail", [1, 2, 3])
def test_an_odd_tail_is_dropped(tail: int) -> None:
    """One frame is four bytes; what is left over belongs to nobody."""
    session = socket("audio")
    events = play(session, [packet(pcm(3) + bytes(tail), 1), packet(pcm(3), 2)])
    assert [bytes(event.media or b"") for event in events] == [pcm(3), pcm(3)]
    assert [audio(event).first_sample for event in events] == [0, 3]


@pytest.mark.parametrize("message", [b"", packet(b"", 2), packet(b"\x01\x02\x03", 2)])
@pytest.mark.parametrize("channel", ["audio", ""])
def test_a_packet_without_sound_is_no_event_and_no_loss(message: bytes, channel: str) -> None:
    """An empty message is a packet, too: all of it is left out."""
    session = socket(channel)
    assert places(session, [1]) == [(0, None)]
    assert play(session, [message]) == []
    assert places(session, [3 if message else 2]) == [(960, None)]


@pytest.mark.parametrize(
    ("subject", "meeting", "track"),
    [
        ("", "", "mixed"),
        (MEETING, MEETING, "mixed"),
        (f"{MEETING}:aaa1-microphone", MEETING, "aaa1-microphone"),
        (f"{MEETING}/aaa1", MEETING, "aaa1"),
        (f"{MEETING}/aaa1:microphone", MEETING, "aaa1:microphone"),
        (f"{MEETING}:", MEETING, "mixed"),
    ],
)
def test_the_url_tells_meeting_and_track(subject: str, meeting: str, track: str) -> None:
    """Nothing in the stream does. Two tracks of a meeting are two streams: the session tells them apart."""
    session = socket("audio", subject=subject)
    restored = socket("audio", state=session.snapshot())
    for number, one in enumerate((session, restored), start=1):
        (event,) = play(one, [sound(number)])
        assert (event.subject, audio(event).track) == (meeting, track)
        assert (one.subject, one.track or "mixed") == (meeting, track)


def test_a_snapshot_from_before_tracks_were_kept_apart_still_tells_both() -> None:
    """Its subject is the URL's id as it was; what it continues is the same stream."""
    older = msgspec.msgpack.encode([f"{MEETING}:mic", "audio", 1])
    for session in (socket("audio", state=older), socket("audio", subject=f"{MEETING}:mic")):
        session.adopt(older)
        (event,) = play(session, [sound(1)])
        assert (event.subject, audio(event).track, session.track) == (MEETING, "mic", "mic")


def test_the_track_of_a_picture_is_absent_where_nobody_named_it() -> None:
    """Nobody mixes pictures."""
    for subject, track in ((MEETING, None), (f"{MEETING}:cam", "cam")):
        (event,) = play(socket("video", subject=subject), [packet(JPEG)])
        assert event.data == VideoChunk(codec="mjpeg", container="jpeg", track=track)
        assert (event.subject, event.media_type, bytes(event.media or b"")) == (MEETING, "image/jpeg", JPEG)


def test_pictures_need_no_numbers_and_may_be_alike() -> None:
    """Sequence and timestamp of pictures may be unset; a still picture is sent again and again."""
    events = play(socket("video"), [packet(JPEG), packet(JPEG), packet(JPEG, 7), packet(JPEG, 7), packet(b"", 8)])
    assert [event.id for event in events] == ["c1/1", "c1/2", "c1/3", "c1/4"]


# The sample clock


def test_numbers_that_follow_tell_no_gap() -> None:
    """However late they come: within a connection late is not lost."""
    session = socket("audio")
    chunks = [audio(session.receive(sound(at), NOW_NS + at * 5000 * MS).events[0]) for at in (7, 8, 9)]
    assert [(chunk.first_sample, chunk.gap_ms) for chunk in chunks] == [(0, None), (960, None), (1920, None)]


def test_missing_numbers_are_a_gap() -> None:
    """Two packets of 20 ms are missing; the clock goes on behind them."""
    assert places(socket("audio"), [1, 2, 5, 6]) == [(0, None), (960, None), (3840, 40.0), (4800, None)]
    assert places(socket("audio"), [0, 3]) == [(0, None), (2880, 40.0)]


@pytest.mark.parametrize("first", [LAST - 1, LAST])
def test_numbers_wrap(first: int) -> None:
    """After 4,294,967,295 comes 0, which proto3 leaves out."""
    numbers = [first, (first + 1) % 2**32, (first + 2) % 2**32, (first + 5) % 2**32]
    assert places(socket("audio"), numbers) == [(0, None), (960, None), (1920, None), (4800, 40.0)]


def test_a_gap_is_told_only_where_the_size_tells_it() -> None:
    """Nothing promises a size: between packets of two sizes nobody knows how much is missing."""
    session = socket("audio")
    events = play(session, [sound(1), sound(2), sound(5, frames=480), sound(7, frames=480)])
    assert [(audio(event).first_sample, audio(event).gap_ms) for event in events] == [
        (0, None), (960, None), (1920, None), (2880, 10.0),
    ]  # fmt: skip


def test_a_step_that_is_never_one_is_no_loss() -> None:
    """The step is not documented: where numbers rise by more, at most the first step is taken for a gap."""
    numbers = range(960, 960 * 6, 960)
    gaps = [gap for _, gap in places(socket("audio"), numbers)]
    assert gaps == [None] * 5
    assert [gap for _, gap in places(socket("audio"), [1, 3, 5, 6, 8])] == [None, 20.0, None, None, 20.0]


def test_a_number_far_ahead_belongs_to_another_count() -> None:
    """A loss of more than a minute is none; the count goes on from there."""
    assert places(socket("audio"), [1, 2, 50_000, 50_001, 50_003]) == [
        (0, None), (960, None), (1920, None), (2880, None), (4800, 20.0),
    ]  # fmt: skip


def test_sound_without_numbers_is_never_a_repeat() -> None:
    """Silence is alike."""
    silence = packet(pcm(FRAMES, 0))
    chunks = [audio(event) for event in play(socket("audio"), [silence] * 3)]
    assert [(chunk.first_sample, chunk.gap_ms) for chunk in chunks] == [(0, None), (960, None), (1920, None)]


# Reconnection


def continued(before: RealtimeKitSession, channel: str = "audio") -> RealtimeKitSession:
    session = socket(channel, connection="c2")
    session.adopt(before.snapshot())
    return session


def test_what_the_sfu_sends_again_is_dropped() -> None:
    """It redials with a backlog: packets with the number and the sound of ones that were here give no event."""
    first = socket("audio", subject=MEETING)
    assert len(places(first, range(10, 20))) == 10
    second = continued(first)
    assert places(second, [17, 18, 19]) == []
    assert places(second, [20, 21]) == [(9600, None), (10_560, None)]
    assert second.subject == MEETING


def test_a_repeat_right_across_the_wrap() -> None:
    """Numbers are compared on their circle."""
    first = socket("audio")
    places(first, [LAST - 1, LAST, 0, 1])
    assert places(continued(first), [LAST, 0, 1, 2]) == [(3840, None)]


def test_what_the_backlog_lost_is_a_gap() -> None:
    """The numbers know it better than the time of arrival."""
    first = socket("audio")
    places(first, [10, 11])
    second = continued(first)
    (event,) = play(second, [sound(62)], NOW_NS + 4_000 * MS)
    assert (audio(event).gap_ms, audio(event).first_sample) == (1000.0, 1920 + 48_000)


def test_other_sound_under_an_old_number_is_a_new_count() -> None:
    """A new adapter at the same URL begins at zero: nothing of it is dropped, and arrival tells the gap."""
    first = socket("audio")
    places(first, range(0, 100))
    second = continued(first)
    events = play(second, [sound(0, value=7777), sound(1, value=7777)], NOW_NS + 8_020 * MS)
    chunks = [audio(event) for event in events]
    assert [(chunk.first_sample, chunk.gap_ms) for chunk in chunks] == [
        (96_000 + 384_000, 8000.0), (96_000 + 384_960, None),
    ]  # fmt: skip


def test_an_old_number_that_nobody_remembers_is_a_new_count() -> None:
    """Sound outweighs: what cannot be known as a repeat is passed."""
    first = socket("audio")
    places(first, range(1, 400))
    assert len(places(continued(first), [1, 2, 3])) == 3


def test_within_a_connection_a_repeat_is_dropped_and_a_new_count_tells_no_gap() -> None:
    """The same rules, but for the time of arrival."""
    session = socket("audio")
    assert len(places(session, [5, 6, 6, 5, 7])) == 3
    (event,) = play(session, [sound(5, value=7777)], NOW_NS + 60_000 * MS)
    assert (audio(event).first_sample, audio(event).gap_ms) == (2880, None)


@pytest.mark.parametrize("arrival_ns", [NOW_NS, NOW_NS - 1000 * MS])
def test_no_gap_is_absent(arrival_ns: int) -> None:
    """A new count that comes at once, or by a clock that went back, tells none."""
    first = socket("audio")
    places(first, range(500, 600))
    (event,) = play(continued(first), [sound(3)], arrival_ns)
    assert (audio(event).gap_ms, audio(event).first_sample) == (None, 96_000)


def test_a_gap_survives_a_connection_without_sound() -> None:
    """Dropped, back, dropped again before a packet: the next one still tells all of the gap."""
    first = socket("audio")
    places(first, [10])
    third = continued(continued(first))
    (event,) = play(third, [sound(3)], NOW_NS + 2_020 * MS)
    assert audio(event).gap_ms == 2000.0


def test_continuing_what_had_no_sound_begins_at_zero() -> None:
    """Where there was nothing there is no gap."""
    session = continued(socket("audio"))
    session.adopt(b"")
    assert places(session, [9]) == [(0, None)]


def test_the_memory_of_packets_is_bounded() -> None:
    """A snapshot goes into every record."""
    session = socket("audio")
    places(session, range(1, 2000))
    assert len(session.snapshot()) < 1000
    places(session, range(4900, 4910))
    assert len(session.snapshot()) < 1000


# Channels


@pytest.mark.parametrize(
    ("messages", "channel"),
    [
        ([sound(1)], "audio"),
        ([packet(JPEG)], "video"),
        ([b""], ""),
        ([packet(b"", 4)], ""),
        ([b"\x2a"], ""),
        ([packet(b"\xff\xd8"), sound(1)], "video"),
        ([sound(1), packet(JPEG)], "audio"),
        (['{"category":"message","name":"participant.kick_all"}'], "transcript"),
        (['{"category":"result","request_id":"r"}'], "transcript"),
        (['{"hello":1}', "no JSON"], ""),
    ],
)
def test_messages_tell_the_channel(messages: list[bytes | str], channel: str) -> None:
    """Without a hint the first that tells it does, whether it is only looked at or received."""
    looked, received = socket(), socket()
    for message in messages:
        looked.learn(message)
        with contextlib.suppress(Malformed):
            received.receive(message, NOW_NS)
    assert looked.channel == received.channel == channel


def test_a_hint_outweighs_what_sound_looks_like() -> None:
    """Loud sound may begin like a JPEG, and what the URL calls video is video."""
    assert play(socket("audio"), [packet(JPEG)])[0].type == "audio.chunk"
    assert play(socket("video"), [sound(1)])[0].type == "video.chunk"
    assert [event.type for event in play(socket("control"), [sound(1), packet(JPEG)])] == ["audio.chunk", "video.chunk"]
    assert socket("http").channel == ""


def test_looking_at_a_message_changes_nothing_that_it_means() -> None:
    """The ingress looks first and receives then."""
    for folder in folders_of("realtimekit"):
        messages = messages_of(folder)
        looked, plain = socket(), socket()
        for message in messages:
            looked.learn(message)
            assert looked.receive(message, NOW_NS) == plain.receive(message, NOW_NS)


BAD = [b"\x2a", b"\x2a\x05abc", b"\x08", b"\x00", b"\x0b\x0c", "no JSON", "[]", "\ud800", ""]


@pytest.mark.parametrize("message", BAD)
def test_a_bad_message_is_malformed_and_the_session_goes_on(message: bytes | str) -> None:
    """Numbers, samples and ids are as if it had not come."""
    session = socket("audio", subject=MEETING)
    places(session, [1])
    before = session.snapshot()
    with pytest.raises(Malformed):
        session.receive(message, NOW_NS)
    assert session.snapshot() == before and session.replies() == [] and not session.close_expected()
    assert [event.id for event in play(session, [sound(2)])] == ["c1/2"]


@pytest.mark.parametrize("length", range(1, len(sound(300, frames=2))))
def test_every_shorter_prefix_of_a_packet_is_truncated_or_without_sound(length: int) -> None:
    """Sound is whole or not there."""
    session = socket("audio")
    try:
        assert session.receive(sound(300, frames=2)[:length], NOW_NS).events == []
    except FrameTruncated as problem:
        assert problem.offset <= length


def test_nobody_takes_commands() -> None:
    """The SFU reads nothing on this socket."""
    with pytest.raises(Malformed):
        socket("audio").command("sendaudio", {"pcm": b"ab"})


# Restoring

TEXTS = st.sampled_from(
    ['{"category":"message","name":"session.started","data":{"session":{"id":"s","meeting_id":"m"}}}',
     '{"category":"message","name":"transcript.received","data":{"text":"x","started_at":"2026-06-03T10:00:10Z"}}',
     '{"category":"result","data":{"connection":{"id":"conn_1"}}}', '{"a":1}', "no",
     '{"category":"message","name":"participant.kick_all"}']
)  # fmt: skip
BINARIES = st.builds(
    lambda data, number: packet(data, number),
    st.sampled_from([b"", b"a", pcm(1), pcm(2), pcm(2, 2), JPEG]),
    st.sampled_from([0, 1, 2, 3, 5, 9, 200, LAST, LAST - 1]),
)
MESSAGES = st.lists(TEXTS | BINARIES | st.binary(max_size=12) | st.text(max_size=5), max_size=14)
HINTS = st.sampled_from(["", "audio", "video", "transcript", "control"])


def outcome(session: RealtimeKitSession, message: bytes | str, now_ns: int) -> object:
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
        play(before, [packet(pcm(2), 1), packet(pcm(2, 2), 2)], NOW_NS - 5_000 * MS)
        session.adopt(before.snapshot())
    for number, message in enumerate(messages):
        now_ns = NOW_NS + number * 20 * MS
        restored = socket(hint, state=session.snapshot())
        assert outcome(restored, message, now_ns) == outcome(session, message, now_ns)
        assert restored.replies() == session.replies() == []
        assert restored.snapshot() == session.snapshot()


@PATIENT
@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 4)), max_size=20))
def test_the_clock_never_goes_back(packets: list[tuple[int, int]]) -> None:
    """Whatever the numbers, each chunk begins where the one before ended, or behind a gap that it tells."""
    head = 0
    for event in play(socket("audio"), [packet(pcm(frames), number) for number, frames in packets]):
        chunk = audio(event)
        gap = round((chunk.gap_ms or 0) * 48)
        assert chunk.first_sample == head + gap
        head += gap + (chunk.samples or 0)


@pytest.mark.parametrize("state", [b"\xff", b"\x91\x05", b"x"])
def test_a_state_that_cannot_be_read_is_malformed(state: bytes) -> None:
    """A damaged snapshot is our error, not a crash."""
    with pytest.raises(Malformed):
        socket(state=state)
    with pytest.raises(Malformed):
        socket().adopt(state)


def test_packed_frames_decode_like_the_stream() -> None:
    """A record of many frames gives the events that the live session gave."""
    live = socket("audio", subject=f"{MEETING}:mic")
    play(live, [sound(1)])
    state = live.snapshot()
    frames = [(NOW_NS + at * MS, sound(at // 20 + 1, frames=at)) for at in (20, 40, 80)]
    record = Record(
        vendor="realtimekit", endpoint="default", kind="frames", payload=pack_frames(frames), received_ns=NOW_NS,
        channel="audio", connection="c1", subject=f"{MEETING}:mic", state=state,
    )  # fmt: skip
    events = [event for at, message in frames for event in live.receive(message, at).events]
    assert len(events) == 3 and decode_record(record).events == events
