"""MeetStream's live transcript, the same by webhook and by WebSocket, and the provider's own form in raw mode.

The provider decides which keys there are: no two variants of the documents and captures agree (docs and labs, 2026;
a capture of AssemblyAI raw mode, March 2026). Turns are not assembled here: each message is one event.
"""

import math
from typing import Any

import msgspec

from receiver.events import Transcript, Word
from receiver.record import Decoded
from receiver.vendors.meetstream.wire import attributes, person, speaker
from receiver.vendors.wire import Delivery, Layers, timed_key, typed_layers


class _Word(msgspec.Struct):
    word: str | None = None
    punctuated_word: str | None = None
    start: float | None = None
    end: float | None = None
    confidence: float | None = None
    speaker: str | int | None = None
    word_is_final: bool | None = None


class _Message(msgspec.Struct):
    """MeetStream's keys; ``start``, ``duration`` and ``confidence`` stand in a provider's own message only."""

    event: str | None = None
    bot_id: str | None = None
    speakerId: str | None = None  # noqa: N815 - the vendor's spelling
    speakerName: str | None = None  # noqa: N815 - the vendor's spelling
    timestamp: str | None = None
    transcript: str | None = None
    new_text: str | None = None
    utterance: str | None = None
    words: list[_Word] | None = None
    is_final: bool | None = None
    end_of_turn: bool | None = None
    turn_is_formatted: bool | None = None
    turn_order: int | None = None
    language: str | None = None
    start: float | None = None
    duration: float | None = None
    confidence: float | None = None
    custom_attributes: dict[str, Any] | None = None


def transcript_layers(body: dict[str, Any]) -> Layers | None:
    """The objects that make up the transcript in ``body``, outermost first; ``None`` where it is none.

    MeetStream's own object stands at the top or below ``data``; the provider's (``channel.alternatives[0]``) at the
    top or below ``result``.
    """
    if body.get("transcript") is not None or ("transcript" in body and isinstance(body.get("words"), list)):
        return [("$", body)]
    data = body.get("data")
    if isinstance(data, dict) and data.get("transcript") is not None:
        return [("$", body), ("$.data", data)]
    result = body.get("result")
    outer: Layers = [("$", body)]
    if isinstance(result, dict):
        outer.append(("$.result", result))
    at, holder = outer[-1]
    channel = holder.get("channel")
    best = channel.get("alternatives") if isinstance(channel, dict) else None
    if isinstance(best, list) and best and isinstance(best[0], dict) and best[0].get("transcript") is not None:
        return [*outer, (f"{at}.channel.alternatives[0]", best[0])]
    return None


def decode_transcript(layers: Layers, delivery: Delivery) -> Decoded:
    """The event of one update. Raises ``Malformed``.

    Final is what ends a turn or calls itself final, and what says neither: in one captured stream ``is_final`` never
    turned true, other documents know nothing else.
    """
    told = typed_layers(layers, _Message)
    subject = told.bot_id or delivery.subject
    final = bool(told.end_of_turn or told.is_final) or (told.end_of_turn is None and told.is_final is None)
    words = told.words or []
    start_s, end_s = _span(told, words)
    data = Transcript(
        text=_text(told, words, final) or None,
        formatted_text=told.utterance or None,
        new_text=told.new_text or None,
        speaker=person(told.speakerId, told.speakerName),
        turn=told.turn_order,
        start_s=start_s,
        end_s=end_s,
        language=told.language or None,
        confidence=told.confidence or None,
        words=[_word(word) for word in words] or None,
        attributes=attributes(told.custom_attributes),
    )
    key = None
    if told.timestamp:
        who = (told.speakerId, told.speakerName, told.turn_order)
        # Text and finality too: two updates of one turn in the same millisecond are two updates.
        key = timed_key("transcript", subject, *who, told.timestamp, final, data.text, data.formatted_text)
    type_ = "transcript.final" if final else "transcript.partial"
    return delivery.decoded(type_, data, subject=subject, timestamp=told.timestamp, name=told.event or "", key=key)


def _text(told: _Message, words: list[_Word], final: bool) -> str:
    """The turn so far as a person would be shown it.

    Some providers leave out of ``transcript`` the words that may still change, others include them, and nothing says
    which: the count of words tells, and where it fits neither, whether the text ends with them.
    """
    formatted = bool(told.turn_is_formatted)
    if not told.transcript:
        return " ".join(_spellings(words, formatted))
    waiting = [] if final else [word for word in words if word.word_is_final is False]
    if not waiting:
        return told.transcript
    count = len(told.transcript.split())
    tail = " ".join(_spellings(waiting, formatted))
    all_count = _token_count(words)
    if count == all_count - _token_count(waiting):
        return f"{told.transcript.rstrip()} {tail}"
    if count == all_count or _plain(told.transcript).endswith(_plain(" ".join(_spellings(waiting, False)))):
        return told.transcript
    return f"{told.transcript.rstrip()} {tail}"


def _spellings(words: list[_Word], formatted: bool) -> list[str]:
    """The words' texts without empty ones; punctuated ones where the turn is formatted."""
    chosen = ((w.punctuated_word or w.word) if formatted else (w.word or w.punctuated_word) for w in words)
    return [text for text in chosen if text]


def _token_count(words: list[_Word]) -> int:
    return sum(len(text.split()) for text in _spellings(words, False))


def _plain(text: str) -> str:
    """Letters and digits only, in one case: for comparing spoken words, whatever their punctuation."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _span(told: _Message, words: list[_Word]) -> tuple[float | None, float | None]:
    """Start and end in seconds on the provider's stream clock."""
    if told.start is not None and told.duration is not None:
        end_s = told.start + told.duration
        return told.start, end_s if math.isfinite(end_s) else None
    return (words[0].start, words[-1].end) if words else (told.start, None)


def _word(word: _Word) -> Word:
    return Word(
        text=word.word or None,
        formatted_text=word.punctuated_word or None,
        start_s=word.start,
        end_s=word.end,
        confidence=word.confidence or None,
        final=word.word_is_final,
        speaker=speaker(word.speaker),
    )
