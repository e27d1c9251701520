"""The files that RealtimeKit's links lead to, from bytes to typed records. Nothing is fetched here.

Readers raise ``Malformed`` with a line, a row or a path, never with text of the file. Files may begin with a byte order
mark. Source: RealtimeKit, transcription, chat, track recording; Dyte, AI (2026).
"""

import csv
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import msgspec

from receiver.errors import Malformed
from receiver.events import parse_time
from receiver.vendors.realtimekit.tracks import TrackFile, track_files
from receiver.vendors.wire import not_blank, typed

__all__ = [
    "ChatLine",
    "Cue",
    "TrackFile",
    "TranscriptLine",
    "chat_csv",
    "cues",
    "summary",
    "track_map",
    "transcript_csv",
    "transcript_json",
]

_COLUMNS = 6
_MOST_MS = 10**15
_MOST_FIELD_CHARACTERS = 131_072
_DIGITS = re.compile(r"[0-9]{1,15}")
_BYTE = re.compile(r"\(byte (\d+)\)")
_CUE_TIME = r"(?:([0-9]{1,4}):)?([0-9]{2}):([0-9]{2})[.,]([0-9]{3})"
_CUE_TIMES = re.compile(rf"\s*{_CUE_TIME}[ \t]+-->[ \t]+{_CUE_TIME}(?=\s|$)")


class TranscriptLine(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence. ``start_ms`` and ``end_ms`` count from the beginning of the session.

    Dyte's older files tell the time of day instead: ``time_ns``, since the epoch.
    """

    text: str
    name: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    time_ns: int | None = None
    peer_id: str | None = None
    user_id: str | None = None
    custom_participant_id: str | None = None


class Cue(msgspec.Struct, frozen=True, kw_only=True):
    """One cue of an SRT or WebVTT file."""

    start_ms: int
    end_ms: int
    text: str
    name: str | None = None


class ChatLine(msgspec.Struct, frozen=True, kw_only=True):
    """One chat message. ``kind``: ``TEXT_MESSAGE``, ``IMAGE_MESSAGE`` or ``FILE_MESSAGE``; of the last two ``payload``
    may be a link that needs no password."""

    payload: str
    kind: str | None = None
    id: str | None = None
    participant_id: str | None = None
    session_id: str | None = None
    meeting_id: str | None = None
    name: str | None = None
    pinned: bool | None = None
    edited: bool | None = None
    time_ns: int | None = None


class _Peer(msgspec.Struct):
    id: str | None = None
    userId: str | None = None  # noqa: N815 - the vendor's spelling
    displayName: str | None = None  # noqa: N815 - the vendor's spelling
    cpi: str | None = None


class _Sentence(msgspec.Struct):
    startTime: int | float | None = None  # noqa: N815 - the vendor's spelling
    endTime: int | float | None = None  # noqa: N815 - the vendor's spelling
    sentence: str = ""
    peerData: _Peer = msgspec.field(default_factory=_Peer)  # noqa: N815 - the vendor's spelling


def transcript_csv(content: bytes) -> list[TranscriptLine]:
    """Lines of a CSV transcript: no headings; start, peer id, user id, custom participant id, name, text.

    The start is an offset in milliseconds, in Dyte's older files a time; each row tells which by being all digits.
    Raises ``Malformed`` (``row 3``) where there are not six cells or the first is neither.
    """
    return [_transcript_row(cells, number) for number, cells in _rows(content)]


def transcript_json(content: bytes) -> list[TranscriptLine]:
    """Lines of a JSON transcript: ``[{startTime, endTime (ms), sentence, peerData{id, userId, displayName, cpi}}]``.

    Raises ``Malformed`` with a byte or a path such as ``$[2].sentence``.
    """
    lines: list[TranscriptLine] = []
    for index, item in enumerate(_array(content)):
        if not isinstance(item, dict):
            raise Malformed("expected a JSON object", f"$[{index}]")
        told = typed(item, _Sentence, f"$[{index}]")
        lines.append(
            TranscriptLine(
                text=told.sentence,
                name=not_blank(told.peerData.displayName),
                start_ms=_milliseconds(told.startTime, f"$[{index}].startTime"),
                end_ms=_milliseconds(told.endTime, f"$[{index}].endTime"),
                peer_id=not_blank(told.peerData.id),
                user_id=not_blank(told.peerData.userId),
                custom_participant_id=not_blank(told.peerData.cpi),
            )
        )
    return lines


def cues(content: bytes) -> list[Cue]:
    """Cues of an SRT or WebVTT transcript; the text of one is ``Name: text``.

    Numbers, names and settings of cues are left out, and so are WebVTT's head, notes and styles. A blank line inside a
    text does not end it. Raises ``Malformed`` (``line 7``) where a time is none, or a text has no time before it.
    """
    text = _text(content)
    is_vtt = text.startswith("WEBVTT")
    found: list[tuple[int, int, list[str]]] = []
    for first, block in _blocks(text):
        timing = next((at for at, line in enumerate(block[:2]) if "-->" in line), None)
        if timing is not None:
            start_ms, end_ms = _times(block[timing], first + timing)
            found.append((start_ms, end_ms, block[timing + 1 :]))
        elif is_vtt and (first == 1 or block[0].startswith(("NOTE", "STYLE", "REGION"))):
            continue
        elif not found:
            raise Malformed("expected a cue, found a text without a time before it", f"line {first}")
        else:
            found[-1][2].extend(["", *block])
    return [_cue(start_ms, end_ms, "\n".join(lines), is_vtt) for start_ms, end_ms, lines in found]


def chat_csv(content: bytes) -> list[ChatLine]:
    """Messages of a chat dump: a CSV with headings, in any order; unknown ones are ignored.

    Raises ``Malformed`` (``row 1``) where a row has not as many cells as there are headings, or ``payload`` is none.
    """
    rows = _rows(content)
    _, headings = next(rows, (0, []))
    if headings and "payload" not in headings:
        raise Malformed("expected the heading `payload`", "row 1")
    lines: list[ChatLine] = []
    for number, cells in rows:
        if len(cells) != len(headings):
            raise Malformed(f"expected {len(headings)} cells, found {len(cells)}", f"row {number}")
        lines.append(_chat_line(dict(zip(headings, cells, strict=True))))
    return lines


def summary(content: bytes) -> str:
    """A summary: plain text or Markdown, as it is. Raises ``Malformed`` where it is not UTF-8."""
    return _text(content)


def track_map(content: bytes) -> list[TrackFile]:
    """The files of a track recording from the JSON array that stands for its ``download_url``. Raises ``Malformed``."""
    return track_files(_array(content))


def _transcript_row(cells: list[str], number: int) -> TranscriptLine:
    if len(cells) != _COLUMNS:
        raise Malformed(f"expected {_COLUMNS} cells, found {len(cells)}", f"row {number}")
    when, peer_id, user_id, custom_participant_id, name, text = cells
    when = when.strip()
    start_ms = int(when) if _DIGITS.fullmatch(when) else None
    time_ns = parse_time(when) if start_ms is None else None
    if start_ms is None and time_ns is None:
        raise Malformed("the first cell is neither milliseconds nor a time", f"row {number}")
    return TranscriptLine(
        text=text,
        name=not_blank(name),
        start_ms=start_ms,
        time_ns=time_ns,
        peer_id=not_blank(peer_id),
        user_id=not_blank(user_id),
        custom_participant_id=not_blank(custom_participant_id),
    )


def _chat_line(cells: dict[str, str]) -> ChatLine:
    return ChatLine(
        payload=cells["payload"],
        kind=not_blank(cells.get("payloadType")),
        id=not_blank(cells.get("id")),
        participant_id=not_blank(cells.get("participantId")),
        session_id=not_blank(cells.get("sessionId")),
        meeting_id=not_blank(cells.get("meetingId")),
        name=not_blank(cells.get("displayName")),
        pinned=_flag(cells.get("pinned", "")),
        edited=_flag(cells.get("isEdited", "")),
        time_ns=parse_time(cells.get("createdAt", "")),
    )


def _flag(text: str) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.strip().lower())


def _milliseconds(value: int | float | None, at: str) -> int | None:
    if value is not None and not 0 <= value <= _MOST_MS:
        raise Malformed("no number of milliseconds in a session", at)
    return None if value is None else round(value)


def _text(content: bytes) -> str:
    """``content`` as text with plain line ends."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Malformed("the file is not UTF-8", f"byte {error.start}") from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV file with their numbers, from 1; blank ones are left out but counted."""
    lines = [line + "\n" for line in _text(content).split("\n")]
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            text = f"quotes do not fit, or a cell has more than {_MOST_FIELD_CHARACTERS} characters"
            raise Malformed(text, f"row {number}") from None
        if cells:
            yield number, cells


def _array(content: bytes) -> list[Any]:
    """The JSON array that ``content`` holds."""
    text = _text(content)
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        raise Malformed("JSON is nested too deeply", "$") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        byte = _BYTE.search(str(error))
        raise Malformed("the file is no JSON", f"byte {byte[1]}" if byte else "$") from None
    if not isinstance(value, list):
        raise Malformed("expected a JSON array", "$")
    return value


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines that follow each other without a blank one, and the number of the first of them, from 1."""
    block: list[str] = []
    lines = [*text.split("\n"), ""]
    for number, line in enumerate(lines, start=1):
        if line.strip():
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _times(line: str, number: int) -> tuple[int, int]:
    """Milliseconds of a line such as ``00:00:01,000 --> 00:00:02,500``; WebVTT may leave out hours and add settings."""
    found = _CUE_TIMES.match(line)
    if found is None:
        raise Malformed("expected times such as 00:00:01,000 --> 00:00:02,500", f"line {number}")
    h1, m1, s1, ms1, h2, m2, s2, ms2 = (int(part or 0) for part in found.groups())
    return ((h1 * 60 + m1) * 60 + s1) * 1000 + ms1, ((h2 * 60 + m2) * 60 + s2) * 1000 + ms2


def _cue(start_ms: int, end_ms: int, text: str, is_vtt: bool) -> Cue:
    text = unescape(text) if is_vtt else text
    name, found, said = text.partition(": ")
    if not found or "\n" in name or not not_blank(name):
        return Cue(start_ms=start_ms, end_ms=end_ms, text=text)
    return Cue(start_ms=start_ms, end_ms=end_ms, text=said, name=name)
