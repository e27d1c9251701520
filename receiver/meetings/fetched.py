"""What a vendor's REST API gave of a meeting when it was asked: the newest answer of each kind. A fold, pure.

Memory: ``characters`` counts what is kept of texts; a transcript or summary beyond the bound is told of and not kept.
"""

import msgspec

from receiver.events import Event, FetchedArtifact, FetchedKind, Segment
from receiver.meetings.bounds import MOST_CHARACTERS, MOST_REMARK_CHARACTERS, MOST_TURNS, TURN_CHARACTERS, clipped

#: by kind and the vendor's id; later ones are not kept
_MOST_ANSWERS = 100


class Answer(msgspec.Struct, eq=False, array_like=True):
    """``time_ns``: when it was given. ``data`` without what is not shown: the vendor's own body and the like."""

    time_ns: int
    data: FetchedArtifact
    characters: int


class FetchedFold(msgspec.Struct, eq=False, array_like=True):
    """The answers about one meeting."""

    answers: dict[tuple[FetchedKind, str], Answer] = {}
    characters: int = 0
    #: texts that are not kept
    dropped: int = 0

    def fold(self, event: Event, data: FetchedArtifact) -> None:
        """Take an ``artifact.fetched``. One that is older than what is known changes nothing."""
        key = data.kind, (data.id or "")[:64]
        known = self.answers.get(key)
        if known is not None and event.time_ns < known.time_ns:
            return
        if known is None and len(self.answers) >= _MOST_ANSWERS:
            return
        kept = msgspec.structs.replace(
            data,
            attributes=None,
            body=None,
            messages=None,
            title=clipped(data.title, MOST_REMARK_CHARACTERS),
            segments=data.segments and [_without_words(one) for one in data.segments],
        )
        size = _characters(kept)
        if size > MOST_CHARACTERS or len(kept.segments or ()) > MOST_TURNS:
            kept = msgspec.structs.replace(kept, segments=None, text=None, notes=None, participants=None)
            self.dropped += 1
            size = 0
        self.characters += size - (0 if known is None else known.characters)
        self.answers[key] = Answer(event.time_ns, kept, size)

    def bare(self) -> "FetchedFold":
        """The same without answers: what is written of it beside them."""
        return msgspec.structs.replace(self, answers={})

    def newest(self, kind: FetchedKind) -> Answer | None:
        """The newest answer of ``kind`` that says something; of several runs, the last."""
        found = [one for (of, _), one in self.answers.items() if of == kind and one.characters]
        return max(found, key=_time_ns, default=None)


def _time_ns(answer: Answer) -> int:
    return answer.time_ns


def _without_words(segment: Segment) -> Segment:
    return segment if segment.words is None else msgspec.structs.replace(segment, words=None)


def _characters(data: FetchedArtifact) -> int:
    size = sum(len(text) for text in (data.text, data.notes, *(data.keywords or ())) if text)
    size += sum(len(one.text) + TURN_CHARACTERS for one in data.segments or ())
    return size + TURN_CHARACTERS * len(data.participants or ())
