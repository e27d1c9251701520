"""Makes the speech and the picture that the simulator ships; run by hand when the script of the meeting changes.

    python tests/tools/make_speech.py receiver/simulator/assets

Needs Debian's ``espeak-ng`` (its library is called directly, because only the library tells when each word is spoken)
and ``ffmpeg``. Writes ``meeting.wav`` (mono, 16 kHz, mu-law), ``meeting.json`` (who says what and when, in seconds from
the first sample of the WAV) and ``camera.mp4`` (a few seconds of fragmented MP4, H.264 and AAC).
"""

import ctypes
import json
import struct
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import soxr

RATE_HZ = 16_000
LEAD_S, GAP_S, TAIL_S = 0.8, 0.45, 1.2
SIZE, SOUND = (320, 180), (44100, "24k")
VIDEO: dict[str, Any] = {"width": SIZE[0], "height": SIZE[1], "framerate": 10, "duration_s": 10}
VIDEO |= {"audio_sample_rate": SOUND[0], "audio_bitrate": SOUND[1]}

SPEAKERS: dict[str, dict[str, Any]] = {
    "a": {"voice": "en-gb+f3", "rate": 172, "names": ["Chloé Martin", "Anna Lindqvist", "Maeve O'Connor"]},
    "b": {"voice": "en-us+m3", "rate": 178, "names": ["José Álvarez", "Jürgen Weiß", "Łukasz Nowak"]},
    "c": {"voice": "en-us+f4", "rate": 176, "names": ["Priya Nair", "山田 花子", "Grace Kim"]},
}
LINES = (
    ("a", "Good morning. Let's start with the checkout incident."),
    ("b", "Error rates went up right after the last deploy."),
    ("c", "The payment service timed out on every third request."),
    ("a", "Did we roll back?"),
    ("b", "Yes, and the errors stopped within a minute."),
    ("c", "The fix is ready, and Zoë is reviewing it."),
    ("a", "Great. Please add an alert before the weekend."),
    ("b", "I will do that today."),
    ("c", "One more thing: the Zürich office sees the old dashboard."),
    ("a", "We look at it after this call. Thanks, goodbye."),
)

AUDIO_OUTPUT_RETRIEVAL, CHARS_UTF8, POS_CHARACTER = 1, 1, 1
EVENT_END_OF_LIST, EVENT_WORD = 0, 1
PARAMETER_RATE = 1


class Event(ctypes.Structure):
    """``espeak_EVENT`` of ``speak_lib.h``; positions in the text count characters from 1."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


class Voice:
    """espeak-ng's library. It has one synthesiser per process, so there is one of these."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self._rate_hz = self._library.espeak_Initialize(AUDIO_OUTPUT_RETRIEVAL, 0, None, 0)
        self._samples: list[np.ndarray] = []
        self._words: list[tuple[int, float]] = []
        self._callback = CALLBACK(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, voice: str, words_per_minute: int) -> tuple[np.ndarray, list[tuple[int, float]]]:
        """Samples at ``RATE_HZ`` (float, ±1) and, for each word that espeak-ng knows of, (offset in text, start_s)."""
        self._samples, self._words = [], []
        self._library.espeak_SetVoiceByName(voice.encode())
        self._library.espeak_SetParameter(PARAMETER_RATE, words_per_minute, 0)
        data = text.encode() + b"\0"
        self._library.espeak_Synth(data, len(data), 0, POS_CHARACTER, 0, CHARS_UTF8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._samples).astype(np.float64) / 32768
        return soxr.resample(samples, self._rate_hz, RATE_HZ), self._words

    def _take(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._samples.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        index = 0
        while events[index].type != EVENT_END_OF_LIST:
            if events[index].type == EVENT_WORD:
                self._words.append((events[index].text_position - 1, events[index].audio_position_ms / 1000))
            index += 1
        return 0


def trim(samples: np.ndarray) -> tuple[np.ndarray, float]:
    """``samples`` without silence at either end, and the seconds that were cut from the start."""
    loud = np.flatnonzero(np.abs(samples) > 0.004)
    first, last = max(int(loud[0]) - 80, 0), min(int(loud[-1]) + 800, len(samples))
    return samples[first:last], first / RATE_HZ


def word_times(text: str, known: list[tuple[int, float]], cut_s: float, length_s: float) -> list[dict[str, Any]]:
    """Start and end of each space-separated word; words that espeak-ng ran together share the time by their length."""
    words, offset = [], 0
    for word in text.split():
        offset = text.index(word, offset)
        starts = [start_s for position, start_s in known if offset <= position < offset + len(word)]
        words.append((word, max(starts[0] - cut_s, 0.0) if starts else None))
        offset += len(word)
    timed, index = [], 0
    while index < len(words):
        group = index + 1
        while group < len(words) and words[group][1] is None:
            group += 1
        start_s = words[index][1] or 0.0
        end_s = words[group][1] if group < len(words) else length_s
        assert end_s is not None
        weight = sum(len(word) for word, _ in words[index:group])
        for word, _ in words[index:group]:
            share_s = (end_s - start_s) * len(word) / weight
            timed.append({"word": word, "start_s": round(start_s, 2), "end_s": round(start_s + share_s, 2)})
            start_s += share_s
            weight -= len(word)
        index = group
    return timed


def mu_law(samples: np.ndarray) -> bytes:
    """G.711 mu-law of float samples (±1)."""
    pcm = np.clip(samples * 32767, -32635, 32635).astype(np.int32)
    magnitude = np.abs(pcm) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    code = ~(np.where(pcm < 0, 0x80, 0) | (exponent << 4) | mantissa) & 0xFF
    return bytes(code.astype(np.uint8).tobytes())


def write_wav(path: Path, samples: np.ndarray) -> None:
    """A WAV with format tag 7 (mu-law), which the standard library's ``wave`` can neither write nor read."""
    data = mu_law(samples)
    header = struct.pack("<4sIHHIIHHH", b"fmt ", 18, 7, 1, RATE_HZ, RATE_HZ, 1, 8, 0)
    fact = struct.pack("<4sII", b"fact", 4, len(data))
    body = b"WAVE" + header + fact + struct.pack("<4sI", b"data", len(data)) + data + b"\0" * (len(data) % 2)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def make_meeting(folder: Path) -> np.ndarray:
    """Write ``meeting.wav`` and ``meeting.json``; returns the samples."""
    voice = Voice()
    pieces, utterances, at_s = [np.zeros(round(LEAD_S * RATE_HZ))], [], LEAD_S
    for speaker, text in LINES:
        spoken, known = voice.say(text, SPEAKERS[speaker]["voice"], SPEAKERS[speaker]["rate"])
        spoken, cut_s = trim(spoken)
        spoken *= 0.6 / np.abs(spoken).max()
        length_s = len(spoken) / RATE_HZ
        words = word_times(text, known, cut_s, length_s)
        for word in words:
            word["start_s"], word["end_s"] = round(word["start_s"] + at_s, 2), round(word["end_s"] + at_s, 2)
        times = {"start_s": words[0]["start_s"], "end_s": words[-1]["end_s"]}
        utterances.append({"speaker": speaker, "text": text, **times, "words": words})
        pieces += [spoken, np.zeros(round(GAP_S * RATE_HZ))]
        at_s += (len(spoken) + len(pieces[-1])) / RATE_HZ
    pieces.append(np.zeros(round((TAIL_S - GAP_S) * RATE_HZ)))
    samples = np.concatenate(pieces)
    samples = samples[: len(samples) // 320 * 320]  # whole frames of 20 ms
    write_wav(folder / "meeting.wav", samples)
    names = {speaker: {"names": cast["names"]} for speaker, cast in SPEAKERS.items()}
    content = {"duration_s": len(samples) / RATE_HZ, "speakers": names, "utterances": utterances, "video": VIDEO}
    (folder / "meeting.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return samples


def make_video(folder: Path, samples: np.ndarray) -> None:
    """Write ``camera.mp4``: a test picture with the beginning of the meeting as its sound, in fragments of 2 s."""
    sound = folder / "camera.tmp.wav"
    with wave.open(str(sound), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes((samples[: VIDEO["duration_s"] * RATE_HZ] * 32767).astype("<i2").tobytes())
    picture = f"testsrc=size={SIZE[0]}x{SIZE[1]}:rate={VIDEO['framerate']}:duration={VIDEO['duration_s']}"
    command = ["ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", picture, "-i", str(sound)]
    command += ["-c:v", "libx264", "-preset", "veryslow", "-crf", "38", "-g", "20", "-pix_fmt", "yuv420p"]
    command += ["-c:a", "aac", "-b:a", SOUND[1], "-ar", str(SOUND[0]), "-ac", "1"]
    command += ["-movflags", "frag_keyframe+empty_moov+default_base_moof", str(folder / "camera.mp4")]
    subprocess.run(command, check=True)
    sound.unlink()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    make_video(target, make_meeting(target))
