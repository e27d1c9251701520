"""What was fetched of a meeting, as the public answers show it. Pure."""

from collections.abc import Callable

from receiver.events import Participant, Segment, format_time
from receiver.meetings.fetched import Answer, FetchedFold
from receiver.meetings.turn import sane
from receiver.meetings.views import ArtifactView, SummaryView, TurnView

Clean = Callable[[str | None], str | None]
#: how long a turn of unknown end takes: the pace of speech, and the least (seconds)
_WORD_S, _LEAST_S = 0.4, 1.0


def fetched_turns(answer: Answer, clean: Clean) -> list[TurnView]:
    """A transcript as turns, each final. One without segments is a turn as a whole; a segment of unknown beginning
    begins where the one before it ends."""
    data, turns = answer.data, []
    segments = data.segments or ([Segment(text=data.text)] if data.text else [])
    at_s = 0.0
    for one in segments:
        text = clean(one.text) or ""
        start_s, end_s = sane(one.start_s), sane(one.end_s)
        begin_s = at_s if start_s is None else start_s
        at_s = end_s if end_s is not None and end_s > begin_s else begin_s + spoken_s(text)
        turns.append(
            TurnView(
                text=text,
                state="final",
                time=format_time(answer.time_ns),
                at_s=round(begin_s, 3),
                until_s=round(at_s, 3),
                speaker=one.speaker,
                session=data.session,
                start_s=one.start_s,
                end_s=one.end_s,
                language=one.language or data.language,
                confidence=one.confidence,
            )
        )
    return turns


def fetched_artifact(answer: Answer, secrets: bool) -> ArtifactView:
    """A line among the artifacts."""
    data = answer.data
    return ArtifactView(
        kind=data.kind,
        state="fetched",
        time=format_time(answer.time_ns),
        id=data.id,
        url=data.url if secrets else None,
        expires_at=data.expires_at,
        duration_s=data.duration_s,
        size_bytes=data.size_bytes,
    )


def fetched_participants(fetched: FetchedFold) -> list[Participant] | None:
    """Who was there by the vendor's list, of whichever kind of answer has one; the newest."""
    found = [one for one in list(fetched.answers.values()) if one.data.participants]
    return max(found, key=lambda one: one.time_ns).data.participants if found else None


def fetched_summary(fetched: FetchedFold, clean: Clean) -> SummaryView | None:
    """The newest summary that says something."""
    answer = fetched.newest("summary")
    if answer is None:
        return None
    data = answer.data
    return SummaryView(
        time=format_time(answer.time_ns),
        title=clean(data.title),
        text=clean(data.text),
        notes=clean(data.notes),
        keywords=None if data.keywords is None else [clean(one) or "" for one in data.keywords],
        language=data.language,
    )


def spoken_s(text: str) -> float:
    """Seconds that words take."""
    return max(_LEAST_S, _WORD_S * len(text.split()))


def seconds(span_ns: int) -> float:
    """To the millisecond."""
    return round(span_ns / 1e9, 3)
