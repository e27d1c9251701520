"""What Daily's REST API answers, as events (docs.daily.co, REST reference, 2026): what was fetched, and, of its own
record of a room, what was missed.

A call is named ``meetings``, ``recordings`` or ``transcripts`` (a list, or one of them), or with ids that the answer
itself does not tell: ``recording.link/ID/SESSION``, ``transcript.vtt/ID/SESSION``, ``transcript.text/ID``,
``summary/ID``.
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import msgspec

from receiver.data import Artifact, FetchedArtifact, FetchedKind, MeetingInfo, Participant, ParticipantChange
from receiver.events import Event, format_time
from receiver.record import Decoded, Record
from receiver.vendors.daily.webvtt import is_webvtt, segments
from receiver.vendors.daily.wire import Moment, Number, finite, moment_ns, seconds
from receiver.vendors.replies import Seen, call_of, passed_on, reply, reply_event, seen_of
from receiver.vendors.wire import not_blank, read_json, typed

_READY = frozenset({"finished", "t_finished", "t_completed"})
_FAILED = frozenset({"error", "failed", "t_error", "t_failed"})


class _Person(msgspec.Struct):
    participant_id: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    join_time: Moment | None = None
    duration: Number | None = None

    @property
    def participant(self) -> Participant:
        return Participant(id=self.participant_id or None, name=not_blank(self.user_name), user_id=self.user_id or None)


class _Meeting(msgspec.Struct):
    id: str | None = None
    room: str | None = None
    start_time: Moment | None = None
    duration: Number | None = None
    ongoing: bool | None = None
    participants: list[_Person] | None = None

    @property
    def end_ns(self) -> int | None:
        return _later(self.start_time, self.duration)


class _Recording(msgspec.Struct):
    id: str | None = None
    room_name: str | None = None
    status: str | None = None
    duration: Number | None = None
    mtgSessionId: str | None = None  # noqa: N815 - the vendor's spelling


class _Transcript(msgspec.Struct):
    transcriptId: str | None = None  # noqa: N815 - the vendor's spelling
    status: str | None = None
    duration: Number | None = None
    mtgSessionId: str | None = None  # noqa: N815 - the vendor's spelling


class _Link(msgspec.Struct):
    download_link: str | None = None
    expires: Moment | None = None


def decode_reply(record: Record) -> Decoded:
    """Events of one answer; what is in no known form is passed on. Raises ``Malformed`` with the path of a known key
    that has the wrong type, or where an answer of JSON is none."""
    name, *ids = call_of(record).split("/")
    if name in _TEXTS:
        return _TEXTS[name](record, *_two(ids))
    body = read_json(record.payload)
    if name == "recording.link" and isinstance(body, dict) and "download_link" in body:
        return _recording_link(record, body, *_two(ids))
    at, items = "$[{}]", body
    if isinstance(body, dict):
        at, items = ("$", [body]) if "data" not in body and "id" in body else ("$.data[{}]", body.get("data"))
    if name not in _LISTS or not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return passed_on(record)
    return reply(record, list(_LISTS[name](record, items, at, seen_of(record))))


def _meetings(record: Record, items: list[dict[str, Any]], at: str, seen: Seen | None) -> Iterator[Event]:
    """Who was in each session; or, where it is known what had come, what had not: then the oldest session comes first,
    which the vendor lists last."""
    sessions = [(item, typed(item, _Meeting, at.format(number))) for number, item in enumerate(items)]
    if seen is not None:
        for number, (_, told) in reversed(list(enumerate(sessions))):
            yield from _missed(record, told, number, seen)
        return
    for number, (item, told) in enumerate(sessions):
        people = [person.participant for person in told.participants or []]
        data = FetchedArtifact(
            kind="participants", id=told.id or None, participants=people or None, duration_s=finite(told.duration),
            session=told.id or None, body=item,
        )  # fmt: skip
        yield reply_event(record, data, suffix=told.id or f"#{number}", subject=record.subject or told.room or "")


def _missed(record: Record, told: _Meeting, number: int, seen: Seen) -> Iterator[Event]:
    """Of one session. A connection is told by its id, and by its name only where the vendor gives no id.

    While a session goes on its durations still grow: then nobody has left.
    """
    session, subject = told.id or None, record.subject or told.room or ""
    base = told.id or f"#{number}"

    def event(name: str, data: MeetingInfo | ParticipantChange, time_ns: int | None, who: str = "") -> Event:
        suffix = "/".join(filter(None, (base, name, who)))
        return reply_event(
            record, data, type_=name, time_ns=time_ns or 0, suffix=suffix, vendorevent=name, subject=subject
        )

    if "meeting.started" not in seen.statuses:
        yield event("meeting.started", MeetingInfo(session=session, reconciled=True), moment_ns(told.start_time))
    for place, person in enumerate(told.participants or []):
        who = person.participant
        key, label = who.id or who.name or "", who.id or f"#{place}"
        if key not in seen.joined:
            data = ParticipantChange(participant=who, session=session, reconciled=True)
            yield event("participant.joined", data, moment_ns(person.join_time), label)
        if told.ongoing is False and key not in seen.left:
            data = ParticipantChange(
                participant=who, duration_s=finite(person.duration), session=session, reconciled=True
            )
            yield event("participant.left", data, _later(person.join_time, person.duration), label)
    if told.ongoing is False and "meeting.ended" not in seen.statuses:
        yield event("meeting.ended", MeetingInfo(session=session, reconciled=True), told.end_ns)


def _recordings(record: Record, items: list[dict[str, Any]], at: str, seen: Seen | None) -> Iterator[Event]:
    for number, item in enumerate(items):
        told = typed(item, _Recording, at.format(number))
        data = Artifact(
            kind="recording", id=told.id or None, duration_s=finite(told.duration), session=told.mtgSessionId or None
        )
        subject = record.subject or told.room_name or ""
        yield from _artifact(record, item, number, data, told.status, seen, subject)


def _transcripts(record: Record, items: list[dict[str, Any]], at: str, seen: Seen | None) -> Iterator[Event]:
    for number, item in enumerate(items):
        told = typed(item, _Transcript, at.format(number))
        data = Artifact(
            kind="transcript",
            id=told.transcriptId or None,
            duration_s=finite(told.duration),
            session=told.mtgSessionId or None,
        )
        yield from _artifact(record, item, number, data, told.status, seen, record.subject)


def _artifact(
    record: Record,
    item: dict[str, Any],
    number: int,
    data: Artifact,
    status: str | None,
    seen: Seen | None,
    subject: str,
) -> Iterator[Event]:
    """What is ready or failed, if that was missed; as it is, where nothing is known of what came before.

    Nothing tells when it became so: the time of the answer stands for it.
    """
    suffix = data.id or f"#{number}"
    if seen is None:
        kind: FetchedKind = "recording" if data.kind == "recording" else "transcript"
        fetched = FetchedArtifact(kind=kind, id=data.id, duration_s=data.duration_s, session=data.session, body=item)
        yield reply_event(record, fetched, suffix=suffix, subject=subject)
        return
    word = (status or "").lower()
    outcome = "ready" if word in _READY else "failed" if word in _FAILED else ""
    if outcome and f"{data.kind}/{outcome}" not in seen.artifacts:
        data.reconciled = True
        name = f"{data.kind}.{'ready-to-download' if outcome == 'ready' else 'error'}"
        suffix = f"{suffix}/{outcome}"
        yield reply_event(record, data, type_=f"artifact.{outcome}", suffix=suffix, vendorevent=name, subject=subject)


def _recording_link(record: Record, body: dict[str, Any], id_: str, session: str) -> Decoded:
    told = typed(body, _Link)
    expires_ns = moment_ns(told.expires)
    data = FetchedArtifact(
        kind="recording",
        id=id_ or None,
        url=told.download_link or None,
        expires_at=None if expires_ns is None else format_time(expires_ns),
        session=session or None,
    )
    return reply(record, [reply_event(record, data)])


def _webvtt(record: Record, id_: str, session: str) -> Decoded:
    """A stored transcript in segments. What does not begin as WebVTT is passed on as a text."""
    if not is_webvtt(record.payload):
        return _text(record, id_, session)
    data = FetchedArtifact(
        kind="transcript", id=id_ or None, segments=segments(record.payload) or None, session=session or None
    )
    return reply(record, [reply_event(record, data)])


def _text(record: Record, id_: str, session: str) -> Decoded:
    text = record.payload.decode("utf-8", "replace").removeprefix("\ufeff")
    kind: FetchedKind = "summary" if call_of(record).startswith("summary") else "transcript"
    data = FetchedArtifact(
        kind=kind,
        id=id_ or None,
        text=not_blank(text),
        session=session or None,
    )
    return reply(record, [reply_event(record, data)])


def _later(start: Moment | None, duration: Number | None) -> int | None:
    """When ``duration`` seconds from ``start`` on were over."""
    start_s, duration_s = seconds(start), finite(duration)
    if start_s is None or duration_s is None:
        return None
    return moment_ns(start_s + duration_s)


def _two(ids: list[str]) -> tuple[str, str]:
    found = [unquote(id_) for id_ in ids[:2]]
    return (*found, "", "")[0], (*found, "", "")[1]


_TEXTS: dict[str, Callable[[Record, str, str], Decoded]] = {
    "transcript.vtt": _webvtt,
    "transcript.text": _text,
    "summary": _text,
}
_LISTS: dict[str, Callable[[Record, list[dict[str, Any]], str, Seen | None], Iterator[Event]]] = {
    "meetings": _meetings,
    "recordings": _recordings,
    "transcripts": _transcripts,
}
