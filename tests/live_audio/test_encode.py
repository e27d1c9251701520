"""Bytes of a live stream, read by others than ourselves."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.audio.encode import Cutter, encode, silence, wav_header
from receiver.audio.pcm import MULAW_VALUES
from tests.live_audio.chunks import noise, tone
from tests.live_audio.tools import needs_ffmpeg


@needs_ffmpeg
@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (16_000, 1), (48_000, 2)])
def test_ffmpeg_reads_a_wav_without_end(tmp_path: Path, rate_hz: int, channels: int) -> None:
    """The sizes in the header are unknown; all that follows is sound."""
    samples = noise(rate_hz, channels)
    path = tmp_path / "a.wav"
    path.write_bytes(wav_header(rate_hz, channels) + encode("pcm_s16le", samples))
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-c:a", "pcm_s16le", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == samples.tobytes()


@needs_ffmpeg
def test_ffmpeg_understands_our_mulaw(tmp_path: Path) -> None:
    """Its decoder shares no code with ours."""
    samples = tone(440, 8000, 1, 30_000)
    path = tmp_path / "a.mulaw"
    path.write_bytes(encode("pcm_mulaw", samples))
    command = ["ffmpeg", "-v", "error", "-f", "mulaw", "-ar", "8000", "-i", str(path), "-f", "s16le", "-"]
    got = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, "<i2").astype(int)
    assert len(got) == 8000 and np.abs(got - samples[:, 0]).max() <= 520


def test_mulaw_takes_the_nearest_of_its_values() -> None:
    """For every 16-bit sample."""
    every = np.arange(-32_768, 32_768).astype(np.int16).reshape(-1, 1)
    got = MULAW_VALUES[np.frombuffer(encode("pcm_mulaw", every), np.uint8)].astype(int)
    nearest = np.abs(np.arange(-32_768, 32_768)[:, None] - MULAW_VALUES.astype(int)[None, :]).min(axis=1)
    assert np.array_equal(np.abs(got - every[:, 0]), nearest)


def test_silence_is_what_zeros_become() -> None:
    """In both codecs."""
    for codec in ("pcm_s16le", "pcm_mulaw"):
        assert silence(codec, 2, 100) == encode(codec, np.zeros((100, 2), np.int16))


@given(st.lists(st.binary(max_size=50)), st.integers(1, 40))
def test_messages_have_one_length(parts: list[bytes], size: int) -> None:
    """However the bytes come in, none is lost and none is out of order."""
    cutter = Cutter(size)
    messages = [message for part in parts for message in cutter.push(part)]
    assert all(len(message) == size for message in messages)
    whole = b"".join(parts)
    assert b"".join(messages) == whole[: len(whole) // size * size] and cutter.held_bytes == len(whole) % size
