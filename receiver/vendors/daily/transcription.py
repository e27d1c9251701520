"""Live text, which exists only inside call clients: ``transcription-message``, as a bridge forwards it.

Daily's own keys are those of daily-js (transcription events, docs.daily.co, 2026); ``rawResponse`` is Deepgram's
answer, where the client asked for it. Older daily-python names the speaker ``session_id`` and ``user_name``. The
message names neither room nor occurrence (``instanceId`` is the recogniser's run, not the meeting's): a bridge may add
``room``, else the address tells it.
"""

from typing import Any

import msgspec

from receiver.events import Person, Transcript, Word
from receiver.record import Decoded
from receiver.vendors.daily.wire import News, Number, Payload, decoded, finite, moment_ns
from receiver.vendors.wire import Delivery, not_blank, timed_key, typed

NAME = "transcription-message"
_NAME_KEYS = ("action", "type", "event")


class _Word(msgspec.Struct):
    word: str | None = None
    punctuated_word: str | None = None
    start: Number | None = None
    end: Number | None = None
    confidence: Number | None = None


class _Alternative(msgspec.Struct):
    transcript: str | None = None
    confidence: Number | None = None
    languages: list[str] | None = None
    words: list[_Word] | None = None


class _Channel(msgspec.Struct):
    alternatives: list[_Alternative] | None = None


class _Answer(msgspec.Struct):
    is_final: bool | None = None
    start: Number | None = None
    duration: Number | None = None
    channel: _Channel | None = None


class _Message(Payload):
    participantId: str | None = None  # noqa: N815 - the vendor's spelling
    session_id: str | None = None
    user_name: str | None = None
    instanceId: str | None = None  # noqa: N815 - the vendor's spelling
    trackType: str | None = None  # noqa: N815 - the vendor's spelling
    text: str | None = None
    is_final: bool | None = None
    rawResponse: _Answer | None = None  # noqa: N815 - the vendor's spelling


def is_transcription(body: dict[str, Any]) -> bool:
    """Whether ``body`` is named so, or has no name and the keys of one: daily-python passes it on without a name."""
    names = [body[key] for key in _NAME_KEYS if body.get(key) is not None]
    if names:
        return NAME in names
    speaker = body.get("participantId") is not None or body.get("session_id") is not None
    return speaker and isinstance(body.get("text"), str)


def decode_transcription(body: dict[str, Any], delivery: Delivery) -> Decoded:
    """``transcript.final``, or ``transcript.partial`` where it says that it is not final. Raises ``Malformed``.

    Identified by speaker, track, instance, time, text and finality; seconds are those of the recogniser's clock.
    """
    told = typed(body, _Message)
    answer = told.rawResponse or _Answer()
    best = _best(answer)
    final = answer.is_final if answer.is_final is not None else told.is_final is not False
    speaker = told.participantId or told.session_id or None
    words = [_word(word) for word in best.words or []]
    start_s, end_s = _span(answer, words)
    data = Transcript(
        text=told.text or best.transcript or None,
        speaker=_person(speaker, told.user_name),
        start_s=start_s,
        end_s=end_s,
        language=next((code for code in best.languages or [] if code), None),
        confidence=finite(best.confidence) or None,
        words=words or None,
        session=told.session,
    )
    key = None
    if told.timestamp is not None and told.timestamp != "":
        source = (told.subject or delivery.subject, told.instanceId, speaker, told.trackType)
        key = timed_key("transcription", *source, told.timestamp, final, data.text)
    type_ = "transcript.final" if final else "transcript.partial"
    news = News([(type_, data)], subject=told.subject, session=told.session, time_ns=moment_ns(told.timestamp))
    return decoded(news, body, delivery, name=NAME, key=key)


def _best(answer: _Answer) -> _Alternative:
    alternatives = answer.channel.alternatives if answer.channel else None
    return alternatives[0] if alternatives else _Alternative()


def _span(answer: _Answer, words: list[Word]) -> tuple[float | None, float | None]:
    start_s, duration_s = finite(answer.start), finite(answer.duration)
    if start_s is not None and duration_s is not None:
        return start_s, finite(start_s + duration_s)
    return (words[0].start_s, words[-1].end_s) if words else (start_s, None)


def _person(id_: str | None, name: str | None) -> Person | None:
    name = not_blank(name)
    return None if id_ is None and name is None else Person(id=id_, name=name)


def _word(word: _Word) -> Word:
    return Word(
        text=word.word or None,
        formatted_text=word.punctuated_word or None,
        start_s=finite(word.start),
        end_s=finite(word.end),
        confidence=finite(word.confidence) or None,
    )
