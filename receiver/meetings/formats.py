"""A transcript as JSON, plain text, WebVTT and SRT. Pure: each takes the public view and gives the whole file.

Whatever a vendor sends, a cue is one line, cannot end itself, and is no markup: control and direction characters become
U+FFFD, line breaks a space. WebVTT has escapes; SRT has none, so there ``<``, ``>`` and ``{\\`` become look-alikes.
Times are hours of any number of digits, as both formats allow.
"""

import re

import msgspec

from receiver.events import Person
from receiver.meetings.views import TranscriptView, TurnView

#: controls, direction overrides and lone surrogates; line breaks and tabs are blanks by then
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb]")
#: what stands behind a turn that is not final
_MARKS = {"open": " …", "cut": " [cut]", "final": ""}
_encode = msgspec.json.Encoder().encode


def transcript_json(view: TranscriptView) -> bytes:
    """One JSON object; see :class:`TranscriptView`."""
    return _encode(view)


def transcript_txt(view: TranscriptView) -> str:
    """A line for each turn: ``[00:01:07] Ada: Good morning.``"""
    lines = (f"[{_clock(turn.at_s, '')}] {_said_by(turn)}{_words(turn)}\n" for turn in view.turns)
    return "".join(lines)


def transcript_vtt(view: TranscriptView) -> str:
    """WebVTT: a cue for each turn, with a voice tag where somebody is named. Source: W3C, WebVTT, 4 April 2019."""
    cues = ["WEBVTT\n"]
    for turn in view.turns:
        name = _name(turn.speaker)
        voice = f"<v {_escaped(name)}>" if name else ""
        cues.append(f"\n{_span(turn, '.')}\n{voice}{_escaped(_words(turn))}\n")
    return "".join(cues)


def transcript_srt(view: TranscriptView) -> str:
    """SubRip: numbered cues, the speaker's name before the words."""
    cues = []
    for number, turn in enumerate(view.turns, 1):
        said = f"{_said_by(turn)}{_words(turn)}".replace("<", "‹").replace(">", "›").replace("{\\", "{ \\")
        cues.append(f"{number}\n{_span(turn, ',')}\n{said}\n")
    return "\n".join(cues)


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if text.isprintable() else _UNSAFE.sub("\ufffd", text)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _words(turn: TurnView) -> str:
    return (_line(turn.text) or "…") + _MARKS[turn.state]


def _name(speaker: Person | None) -> str:
    return _line((speaker.name or speaker.id or "") if speaker is not None else "")


def _said_by(turn: TurnView) -> str:
    name = _name(turn.speaker)
    return f"{name}: " if name else ""


def _span(turn: TurnView, point: str) -> str:
    """A cue ends at least a millisecond after it begins."""
    until_s = max(turn.until_s, turn.at_s + 0.001)
    return f"{_clock(turn.at_s, point)} --> {_clock(until_s, point)}"


def _clock(seconds: float, point: str) -> str:
    """``01:02:03.004``; without milliseconds where ``point`` is empty."""
    whole_s, ms = divmod(round(seconds * 1000), 1000)
    clock = f"{whole_s // 3600:02d}:{whole_s // 60 % 60:02d}:{whole_s % 60:02d}"
    return f"{clock}{point}{ms:03d}" if point else clock
