"""The meeting that is played: its sound, who says what and when, and a few seconds of picture.

Read once, shared by all bots. The files in ``assets`` are made by ``tests/tools/make_speech.py``. Times are seconds
from the first sample.
"""

import json
import struct
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

RATE_HZ = 48_000
_MU_LAW = 7


@dataclass(frozen=True, slots=True)
class Word:
    """One word as written, with its punctuation."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one voice says in one go; ``role`` is a key of ``Speech.names``."""

    role: str
    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Speech:
    """``pcm``: signed 16 bit little-endian, 48 kHz, mono. ``names``: for each voice, the names it may go by."""

    pcm: bytes
    duration_s: float
    utterances: tuple[Utterance, ...]
    names: dict[str, tuple[str, ...]]
    video: dict[str, Any]
    video_pieces: tuple[bytes, ...]  # the opening boxes, then one piece for each fragment


@lru_cache(maxsize=1)
def load() -> Speech:
    """Read the shipped meeting; about 3 MB in memory, once for the process."""
    assets = resources.files("receiver.simulator") / "assets"
    content = json.loads((assets / "meeting.json").read_text(encoding="utf-8"))
    duration_s = float(content["duration_s"])
    utterances = tuple(
        Utterance(
            role=line["speaker"],
            text=line["text"],
            start_s=line["start_s"],
            end_s=line["end_s"],
            words=tuple(Word(word["word"], word["start_s"], word["end_s"]) for word in line["words"]),
        )
        for line in content["utterances"]
    )
    return Speech(
        pcm=_to_48_khz((assets / "meeting.wav").read_bytes(), duration_s),
        duration_s=duration_s,
        utterances=utterances,
        names={role: tuple(cast["names"]) for role, cast in content["speakers"].items()},
        video=content["video"],
        video_pieces=_split_fragments((assets / "camera.mp4").read_bytes()),
    )


def _to_48_khz(wav: bytes, duration_s: float) -> bytes:
    rate_hz, codes = _read_wav(wav)
    samples = soxr.resample(_expand_mu_law(codes), rate_hz, RATE_HZ, quality="HQ")
    whole = np.zeros(round(duration_s * RATE_HZ), dtype="<i2")
    length = min(len(samples), len(whole))
    whole[:length] = np.clip(np.rint(samples[:length]), -32768, 32767)
    return whole.tobytes()


def _read_wav(wav: bytes) -> tuple[int, npt.NDArray[np.uint8]]:
    """Rate in hertz and mu-law codes. The standard library's reader knows linear PCM only."""
    offset, rate_hz = 12, 0
    while offset + 8 <= len(wav):
        name, length = struct.unpack_from("<4sI", wav, offset)
        offset += 8
        if name == b"fmt ":
            tag, channels, rate_hz = struct.unpack_from("<HHI", wav, offset)
            if (tag, channels) != (_MU_LAW, 1):
                raise ValueError("meeting.wav is not mono mu-law")
        elif name == b"data":
            return rate_hz, np.frombuffer(wav, np.uint8, length, offset)
        offset += length + length % 2
    raise ValueError("meeting.wav holds no samples")


def _expand_mu_law(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """ITU-T G.711 mu-law to samples of ±32124."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + 132 << ((code >> 4) & 7)) - 132
    table = np.where(code & 0x80, -magnitude, magnitude).astype(np.float32)
    return table[codes]


def _split_fragments(movie: bytes) -> tuple[bytes, ...]:
    """Cut a fragmented MP4 before each ``moof`` box."""
    cuts, offset = [0], 0
    while offset + 8 <= len(movie):
        length, name = struct.unpack_from(">I4s", movie, offset)
        if name == b"moof":
            cuts.append(offset)
        offset += length
    return tuple(movie[start:end] for start, end in zip(cuts, [*cuts[1:], len(movie)], strict=True))
