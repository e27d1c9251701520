"""The wav sink, from outside: events in, files out, read back with the standard library's ``wave``."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from receiver.errors import ConfigError
from receiver.events import AudioChunk, Event, Person, StreamOpened
from sinks.base import Batch, SinkNotConnected, SinkRejected
from sinks.resample import Resampler
from sinks.wav import WavConfig, WavSink
from sinks.wavfile import HEADER_BYTES, Header, read_header

RATE_HZ = 16_000
RNG = np.random.default_rng(7)


def noise(frames: int, channels: int = 1) -> bytes:
    return RNG.integers(-20_000, 20_000, frames * channels).astype("<i2").tobytes()


def chunk(sequence: int, pcm: bytes, first_sample: int | None = 0, subject: str = "bot-1", **data: Any) -> Event:
    speaker = data.pop("speaker", None)
    fields = {"codec": "pcm_s16le", "rate_hz": RATE_HZ, "channels": 1, **data}
    who = Person(name=speaker) if speaker else None
    return Event(
        id=f"e{sequence}",
        source="/meetstream/default",
        type="audio.chunk",
        time_ns=0,
        received_ns=1_790_000_000 * 10**9 + sequence * 20_000_000,
        subject=subject,
        sequence=sequence,
        media=pcm,
        media_type="audio/x-raw",
        data=AudioChunk(**fields, speaker=who, first_sample=first_sample),
    )


def opened(sequence: int, resumes: str | None = None) -> Event:
    data = StreamOpened(channel="audio", connection=f"c{sequence}", resumes=resumes)
    event = chunk(sequence, b"")
    return Event(
        id="o", source=event.source, type="stream.opened", time_ns=0, received_ns=event.received_ns,
        subject=event.subject, sequence=sequence, data=data,
    )  # fmt: skip


def stream_of(pcm: bytes, frames: int, rate_hz: int = RATE_HZ, **data: Any) -> list[Event]:
    """``pcm``, mono 16-bit, in chunks of ``frames``."""
    step = 2 * frames
    pieces = [pcm[at : at + step] for at in range(0, len(pcm), step)]
    return [chunk(1 + i, piece, i * frames, rate_hz=rate_hz, **data) for i, piece in enumerate(pieces)]


async def deliver(folder: Path, *batches: Iterable[Event], name: str = "wav", **keys: Any) -> WavSink:
    sink = WavSink(name, WavConfig(type="wav", **{"fsync": False, **keys}), folder)
    await sink.open()
    try:
        for events in batches:
            await sink.write(Batch(list(events)))
    finally:
        await sink.close()
    return sink


def read(path: Path) -> tuple[int, int, bytes]:
    """Rate, channels and samples, as Python's own reader sees them."""
    with wave.open(str(path)) as file:
        assert file.getsampwidth() == 2
        return file.getframerate(), file.getnchannels(), file.readframes(file.getnframes())


async def test_stream_becomes_one_file_with_its_samples(tmp_path: Path) -> None:
    """One playable file a stream, byte for byte what came, at the stream's own rate."""
    pcm = noise(16_000)
    events = stream_of(pcm, 320)
    await deliver(tmp_path, events[:7], events[7:], fsync=True)
    assert read(tmp_path / "audio/bot-1.wav") == (RATE_HZ, 1, pcm)


async def test_gap_is_silence_on_the_streams_clock(tmp_path: Path) -> None:
    """A chunk stands at first_sample / rate_hz, whatever is missing before it; a stream may also begin late."""
    first, second = noise(100), noise(200)
    await deliver(tmp_path, [chunk(1, first, 50), chunk(2, second, 5000)])
    _, _, pcm = read(tmp_path / "audio/bot-1.wav")
    assert pcm == bytes(100) + first + bytes(2 * 4850) + second


async def test_silence_costs_no_disk(tmp_path: Path) -> None:
    """Hours of silence are a hole in the file, and past 4 GiB the header becomes RF64 with true sizes."""
    rate_hz, hours = 192_000, 11
    far = rate_hz * 3600 * hours
    await deliver(tmp_path, [chunk(1, noise(10), rate_hz=rate_hz), chunk(2, noise(10), far, rate_hz=rate_hz)])
    path = tmp_path / "audio/bot-1.wav"
    assert path.stat().st_blocks * 512 < 1_000_000
    with path.open("rb") as file:
        packed = file.read(HEADER_BYTES)
    assert packed[:4] == b"RF64"
    assert packed[12:16] == b"ds64"
    assert int.from_bytes(packed[28:36], "little") == 2 * (far + 10)
    assert read_header(path) == Header.unpack(packed)
    assert path.stat().st_size == HEADER_BYTES + 2 * (far + 10)


async def test_jump_beyond_the_limit_begins_a_new_file(tmp_path: Path) -> None:
    """A lying position cannot fill the disk: past max_gap_s a new file begins with that chunk."""
    first, second, third = noise(10), noise(20), noise(30)
    events = [chunk(1, first), chunk(2, second, 100 * RATE_HZ), chunk(3, third, 100 * RATE_HZ + 25)]
    await deliver(tmp_path, events, max_gap_s=60)
    assert read(tmp_path / "audio/bot-1.wav")[2] == first
    assert read(tmp_path / "audio/bot-1-2.wav")[2] == second + bytes(10) + third


async def test_resumed_stream_goes_on_in_its_file(tmp_path: Path) -> None:
    """A lost connection, a resumed one and a restart of the sink leave one file without a seam."""
    pcm = noise(960)
    events = stream_of(pcm, 320)
    await deliver(tmp_path, [opened(1), *events[:1]])
    await deliver(tmp_path, [opened(20, resumes="c1"), chunk(21, pcm[640:1280], 320)], [chunk(22, pcm[1280:], 640)])
    assert read(tmp_path / "audio/bot-1.wav")[2] == pcm
    assert not (tmp_path / "audio/bot-1-2.wav").exists()


async def test_new_stream_of_the_same_subject_gets_its_own_file(tmp_path: Path) -> None:
    """A sample clock that starts again is a new stream: name-2.wav, then name-3.wav; nothing is written over."""
    takes = [noise(640) for _ in range(3)]
    for number, pcm in enumerate(takes):
        start = 10 * number
        await deliver(tmp_path, [chunk(start + 1, pcm[:640], 0), chunk(start + 2, pcm[640:], 320)])
    names = ["bot-1.wav", "bot-1-2.wav", "bot-1-3.wav"]
    assert [read(tmp_path / "audio" / name)[2] for name in names] == takes


async def test_two_connections_at_once_do_not_mix(tmp_path: Path) -> None:
    """Two sample clocks of one subject that run side by side end in two files, each complete."""
    one, two = noise(1600), noise(1600)
    first, second = stream_of(one, 160), stream_of(two, 160)
    mixed: list[Event] = list(first[:3])
    for left, right in zip(first[3:], second, strict=False):
        mixed += [right, left]
    mixed += second[7:]
    for sequence, event in enumerate(mixed, 1):
        event.sequence, event.received_ns = sequence, 10**9 * 1_790_000_000 + sequence
    await deliver(tmp_path, mixed[:9], mixed[9:])
    await deliver(tmp_path, mixed)
    assert [read(path)[2] for path in sorted((tmp_path / "audio").glob("*.wav"))] == [two, one]


async def test_chunks_without_position_are_appended(tmp_path: Path) -> None:
    """No first_sample: right behind the last chunk, after the silence that gap_ms tells; an opening: a new file."""
    one, two, three = noise(100), noise(100), noise(100)
    await deliver(tmp_path, [chunk(1, one, None), chunk(2, two, None, gap_ms=10.0)])
    await deliver(tmp_path, [opened(3)], [chunk(4, three, None)])
    assert read(tmp_path / "audio/bot-1.wav")[2] == one + bytes(320) + two
    assert read(tmp_path / "audio/bot-1-2.wav")[2] == three


async def test_repeated_events_are_written_once(tmp_path: Path) -> None:
    """Everything again from the start changes no byte, neither of the audio nor of the RTTM."""
    events = stream_of(noise(3200), 320, speaker="Ada")
    await deliver(tmp_path, events)
    before = [path.read_bytes() for path in sorted((tmp_path / "audio").iterdir())]
    await deliver(tmp_path, events[:4], events)
    assert [path.read_bytes() for path in sorted((tmp_path / "audio").iterdir())] == before


async def test_a_dead_letter_that_the_file_has_gone_past_is_refused(tmp_path: Path) -> None:
    """Where a repeat is skipped, a late event must not be: it is nowhere else. What is new is written."""
    events = stream_of(noise(960), 320)
    sink = WavSink("wav", WavConfig(type="wav", fsync=False), tmp_path)
    await sink.open()
    await sink.write(Batch([events[1]]))
    with pytest.raises(SinkRejected) as refusal:
        await sink.write(Batch([events[0], events[2]], late=True))
    await sink.close()
    assert refusal.value.events == (events[0],)
    written = bytes(events[1].media or b"") + bytes(events[2].media or b"")
    assert read(tmp_path / "audio/bot-1.wav")[2].endswith(written)


async def test_empty_journal_does_not_swallow_new_audio(tmp_path: Path) -> None:
    """Sequence numbers that begin again, with a later arrival, are new audio and no repetition."""
    old, new = noise(320), noise(320)
    await deliver(tmp_path, [chunk(1000, old, 0)])
    late = chunk(5, new, 0)
    late.received_ns += 3600 * 10**9
    await deliver(tmp_path, [late])
    assert read(tmp_path / "audio/bot-1-2.wav")[2] == new


async def test_existing_strangers_file_is_left_alone(tmp_path: Path) -> None:
    """A file of that name that is not this stream's is never touched; an empty one is taken over."""
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio/bot-1.wav").write_bytes(b"mine" * 200)
    (tmp_path / "audio/bot-1-2.wav").touch()
    pcm = noise(320)
    await deliver(tmp_path, [chunk(1, pcm)])
    await deliver(tmp_path, [chunk(1, pcm)], name="other")
    assert (tmp_path / "audio/bot-1.wav").read_bytes() == b"mine" * 200
    assert read(tmp_path / "audio/bot-1-2.wav")[2] == read(tmp_path / "audio/bot-1-3.wav")[2] == pcm


@pytest.mark.parametrize("subject", ["../../etc/passwd", "/abs", "a\0b\n", "..", "", "ä" * 300, "x/../../y"])
async def test_no_subject_leaves_the_folder(tmp_path: Path, subject: str) -> None:
    """Subjects and tracks come from strangers: each becomes one component below the folder."""
    root = tmp_path / "data"
    await deliver(root, [chunk(1, noise(32), subject=subject, track=subject)], path="audio/{subject}/{track}.wav")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 1
    assert files[0].parent.parent == root / "audio"


async def test_day_in_the_path_is_that_of_the_beginning(tmp_path: Path) -> None:
    """A stream that runs past midnight stays in the file of the day on which it began, also across a restart."""
    events = stream_of(noise(640), 320)
    midnight_ns = 1_790_000_000 * 10**9 // (86_400 * 10**9) * 86_400 * 10**9
    events[0].received_ns, events[1].received_ns = midnight_ns - 1, midnight_ns
    await deliver(tmp_path, events[:1], path="{vendor}/{date}/{subject}.wav")
    await deliver(tmp_path, events[1:], path="{vendor}/{date}/{subject}.wav")
    (path,) = tmp_path.rglob("*.wav")
    assert path.parts[-3:-1] == ("meetstream", "2026-09-20")
    assert len(read(path)[2]) == 1280


async def test_mulaw_is_expanded(tmp_path: Path) -> None:
    """G.711 mu-law becomes 16-bit PCM: the standard's end points, zeros of both signs, and symmetry."""
    codes = bytes([0x00, 0x80, 0x7F, 0xFF, 0x0F, 0x8F, 0x70, 0xF0])
    await deliver(tmp_path, [chunk(1, codes, codec="pcm_mulaw", rate_hz=8000)])
    rate_hz, _, pcm = read(tmp_path / "audio/bot-1.wav")
    assert rate_hz == 8000
    assert np.frombuffer(pcm, "<i2").tolist() == [-32124, 32124, 0, 0, -16764, 16764, -120, 120]


async def test_channels_and_odd_bytes(tmp_path: Path) -> None:
    """Stereo stays stereo; an incomplete last frame is dropped; a change of channels begins a new file."""
    pcm, mono = noise(100, 2), noise(50)
    await deliver(tmp_path, [chunk(1, pcm + b"\1\2\3", channels=2), chunk(2, mono, 100)])
    assert read(tmp_path / "audio/bot-1.wav") == (RATE_HZ, 2, pcm)
    assert read(tmp_path / "audio/bot-1-2.wav") == (RATE_HZ, 1, bytes(200) + mono)


@pytest.mark.parametrize(
    "bad",
    [
        {"codec": "opus"},
        {"rate_hz": 0},
        {"channels": 0},
        {"channels": -1},
        {"first_sample": -1},
        {"first_sample": 2**60},
    ],
)
async def test_what_is_no_pcm_is_rejected_and_the_rest_written(tmp_path: Path, bad: dict[str, Any]) -> None:
    """Only the events that cannot be written are refused, with the reason; their neighbours are in the file."""
    pcm = noise(64)
    good = stream_of(pcm, 32)
    refused = chunk(9, b"abcd", **{"first_sample": 64, **bad})
    with pytest.raises(SinkRejected, match="1 events") as caught:
        await deliver(tmp_path, [good[0], refused, good[1]])
    assert caught.value.events == (refused,)
    assert read(tmp_path / "audio/bot-1.wav")[2] == pcm


@pytest.mark.parametrize("rate_out_hz", [8000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("rate_in_hz", [8000, 22_050, 48_000])
async def test_resampled_stream_equals_one_shot(tmp_path: Path, rate_in_hz: int, rate_out_hz: int) -> None:
    """Chunk borders cannot be heard: piecewise resampling equals that of the whole, within one step of 16 bit."""
    moment = np.arange(rate_in_hz * 3 // 2 + 37) / rate_in_hz
    whole = np.rint(12_000 * np.sin(2 * np.pi * 440 * moment) + 6000 * np.sin(2 * np.pi * 3100 * moment)).astype("<i2")
    events = stream_of(whole.tobytes(), rate_in_hz // 50, rate_in_hz)
    await deliver(tmp_path, events[:1], events[1:9], *([event] for event in events[9:]), rate_hz=rate_out_hz)
    rate_hz, _, pcm = read(tmp_path / "audio/bot-1.wav")
    got = np.frombuffer(pcm, "<i2").astype(float)
    want = soxr.resample(whole.astype(np.float32), rate_in_hz, rate_out_hz) if rate_in_hz != rate_out_hz else whole
    assert rate_hz == rate_out_hz
    assert len(got) == len(want)
    assert np.abs(got - np.clip(want, -32768, 32767)).max() <= 1.0
    assert abs(len(got) / rate_out_hz - len(whole) / rate_in_hz) < 0.001


@pytest.mark.parametrize(
    ("rate_in_hz", "rate_out_hz"), [(11_025, 48_000), (44_099, 16_001), (48_000, 1000), (1000, 48_000)]
)
def test_any_pair_of_rates_keeps_length_and_place(rate_in_hz: int, rate_out_hz: int) -> None:
    """Whatever the rates and however odd the pieces, the result has the length and the samples of the whole."""
    samples = RNG.integers(-9000, 9000, (rate_in_hz * 2, 2)).astype("<i2")
    resampler = Resampler(rate_in_hz, rate_out_hz, 2)
    out = np.zeros((resampler.frames_out(len(samples)), 2))
    at = 0
    while at < len(samples):
        size = int(RNG.integers(1, rate_in_hz // 10))
        start, piece = resampler.push(samples[at : at + size])
        assert start + len(piece) == resampler.length
        out[start : start + len(piece)] = piece
        at += size
    want = soxr.resample(samples.astype(np.float32), rate_in_hz, rate_out_hz)
    assert len(out) == len(want)
    assert np.abs(out - want).max() <= 1.0


async def test_resampled_gaps_and_restarts_keep_the_clock(tmp_path: Path) -> None:
    """After a gap and after a restart the samples stand where the stream's clock says, to the frame."""
    tone = np.rint(9000 * np.sin(2 * np.pi * 1000 * np.arange(4800) / 48_000)).astype("<i2").tobytes()
    starts = [0, 4800, 48_000, 52_800]
    events = [chunk(i, tone, start, rate_hz=48_000) for i, start in enumerate(starts, 1)]
    await deliver(tmp_path, events[:3], rate_hz=RATE_HZ)
    await deliver(tmp_path, events, rate_hz=RATE_HZ)
    got = np.frombuffer(read(tmp_path / "audio/bot-1.wav")[2], "<i2").astype(int)
    assert len(got) == 57_600 // 3
    assert not got[3200:16_000].any()
    want = np.rint(9000 * np.sin(2 * np.pi * 1000 * np.arange(1600) / RATE_HZ))
    for start in starts:
        settled = slice(start // 3 + 100, start // 3 + 1500)
        assert np.abs(got[settled] - want[100:1500]).max() <= 60


async def test_change_of_rate_in_mid_stream(tmp_path: Path) -> None:
    """A connection that goes on at another rate stays in the file, at the file's rate, on the same clock."""
    events = [chunk(1, noise(1600), 0), chunk(2, noise(4800), 4800, rate_hz=48_000), chunk(3, noise(1600), 3200)]
    await deliver(tmp_path, events)
    rate_hz, _, pcm = read(tmp_path / "audio/bot-1.wav")
    assert (rate_hz, len(pcm)) == (RATE_HZ, 2 * 4800)
    assert pcm[-3200:] == bytes(events[2].media or b"")


async def test_more_streams_than_open_files(tmp_path: Path) -> None:
    """With few descriptors allowed, many streams are written just the same, resampled without a seam."""
    whole = np.rint(9000 * np.sin(2 * np.pi * 500 * np.arange(4800) / 48_000)).astype("<i2").tobytes()
    sequence = 0
    batches: list[list[Event]] = []
    for at in range(0, 4800, 960):
        batch = []
        for number in range(12):
            sequence += 1
            batch.append(chunk(sequence, whole[2 * at : 2 * at + 1920], at, f"bot-{number}", rate_hz=48_000))
        batches.append(batch)
    sink = WavSink("wav", WavConfig(type="wav", fsync=False, rate_hz=RATE_HZ, max_open_files=2), tmp_path)
    await sink.open()
    for batch in batches:
        await sink.write(Batch(batch))
        links = []
        for path in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                links.append(str(path.readlink()))
        assert sum(link.startswith(str(tmp_path)) for link in links) <= 2
    await sink.close()
    want = soxr.resample(np.frombuffer(whole, "<i2").astype(np.float32), 48_000, RATE_HZ)
    for number in range(12):
        got = np.frombuffer(read(tmp_path / f"audio/bot-{number}.wav")[2], "<i2")
        assert np.abs(got - want).max() <= 1


async def test_idle_streams_are_let_go(tmp_path: Path) -> None:
    """After close_idle_s a stream holds no descriptor and no memory, and goes on when it speaks again."""
    sink = WavSink("wav", WavConfig(type="wav", fsync=False, close_idle_s=1e-6), tmp_path)
    await sink.open()
    events = stream_of(noise(640), 320)
    await sink.write(Batch(events[:1]))
    await sink.write(Batch([]))
    assert not sink._streams
    await sink.write(Batch(events[1:]))
    await sink.close()
    await sink.close()
    assert len(read(tmp_path / "audio/bot-1.wav")[2]) == 1280


async def test_failed_write_is_repeated_without_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails in mid-write costs nothing: the engine repeats the batch and the file is as if it had not."""
    events = stream_of(noise(3200), 320, speaker="Ada")
    sink = WavSink("wav", WavConfig(type="wav", fsync=False), tmp_path)
    await sink.open()
    await sink.write(Batch(events[:3]))
    calls, pwrite = 0, os.pwrite

    def fails_once(descriptor: int, content: bytes, offset: int) -> int:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(28, "No space left on device")
        return pwrite(descriptor, content[:100], offset)

    monkeypatch.setattr("sinks.wavfile.os.pwrite", fails_once)
    with pytest.raises(OSError, match="No space"):
        await sink.write(Batch(events[3:]))
    await sink.write(Batch(events[3:]))
    await sink.close()
    assert read(tmp_path / "audio/bot-1.wav")[2] == b"".join(bytes(event.media or b"") for event in events)


CHILD = """
import asyncio, sys
from pathlib import Path
import tests.sinks.test_wav as t
async def main():
    sink = t.WavSink("wav", t.WavConfig(type="wav", fsync=False), Path(sys.argv[1]))
    await sink.open()
    events = t.story()
    for at in range(0, len(events), 3):
        await sink.write(t.Batch(events[at:at + 3]))
        print(at, flush=True)
asyncio.run(main())
"""


def story() -> list[Event]:
    """The same 3000 chunks in every process: two speakers and nobody, with a gap now and then."""
    pcm = (np.arange(3000 * 160) * 7919 % 30_000 - 15_000).astype("<i2").tobytes()
    who = ["Ada Lovelace", "Grace Hopper", None]
    shift = np.cumsum([800 if i % 97 == 96 else 0 for i in range(3000)])
    starts = [i * 160 + int(shift[i]) for i in range(3000)]
    return [chunk(i + 1, pcm[320 * i :][:320], starts[i], speaker=who[i // 40 % 3]) for i in range(3000)]


def write_and_kill(folder: Path, batches: int) -> None:
    """Let another process write the story and kill it when it has told of so many batches."""
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE, cwd=root) as child:
        assert child.stdout is not None
        for _ in range(batches):
            assert child.stdout.readline()
        child.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("batches", [1, 40, 150])
async def test_kill_at_any_moment_and_deliver_again(tmp_path: Path, batches: int) -> None:
    """kill -9: the file plays and its header claims only what is there; all again from the start makes it complete."""
    await asyncio.to_thread(write_and_kill, tmp_path, batches)
    path = tmp_path / "audio/bot-1.wav"
    _, _, cut = read(path)
    assert len(cut) >= (batches - 1) * 3 * 320
    assert path.stat().st_size >= HEADER_BYTES + len(cut)
    await deliver(tmp_path / "whole", story())
    whole = read(tmp_path / "whole/audio/bot-1.wav")[2]
    assert whole.startswith(cut)
    await deliver(tmp_path, story()[:50], story()[50:])
    assert read(path)[2] == whole
    rttm = path.with_suffix(".rttm").read_text()
    assert rttm == (tmp_path / "whole/audio/bot-1.rttm").read_text()
    assert rttm.count("\n") > 40
    assert [each.name for each in sorted((tmp_path / "audio").iterdir())] == ["bot-1.rttm", "bot-1.wav"]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"path": "audio/{speaker}.wav"}, r"sinks\.w\.path: found \{speaker\}, allowed"),
        ({"path": "audio/{subject}.mp3"}, r"sinks\.w\.path"),
        ({"path": "../{subject}.wav"}, r"sinks\.w\.path"),
        ({"path": "a/{subject}{subject}{track}.wav"}, r"sinks\.w\.path: found .*, up to 264 bytes long"),
        ({"rate_hz": -1}, r"sinks\.w\.rate_hz: found -1"),
        ({"max_open_files": 0}, r"sinks\.w\.max_open_files: found 0"),
    ],
)
def test_configuration_is_checked_at_the_start(tmp_path: Path, keys: dict[str, Any], text: str) -> None:
    """A wrong key refuses to start and names itself, what was found and what is allowed."""
    with pytest.raises(ConfigError, match=text):
        WavSink("w", WavConfig(type="wav", **keys), tmp_path)


async def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Opening tells in one sentence that the folder is not to be had."""
    (tmp_path / "audio").write_text("a file is in the way")
    with pytest.raises(SinkNotConnected, match="cannot make the folder"):
        await deliver(tmp_path, [])


async def test_many_streams_are_written_fast(tmp_path: Path) -> None:
    """300 streams of 20 ms chunks are written many times faster than they are spoken."""
    pcm = noise(320)
    events = [chunk(at * 300 + n + 1, pcm, at * 320, f"bot-{n}") for at in range(10) for n in range(300)]
    start_s = time.process_time()
    await deliver(tmp_path, events[:1500], events[1500:])
    assert time.process_time() - start_s < 10
