"""How fast meetings are folded: ``python -m tests.benchmarks.meetings [events]``, 100,000 without.

Of all events 80 % are partials, of turns of forty updates, each with its words, as a recogniser in raw mode sends them;
100 bots at once. Printed: events a second, the best of five; then what the public answers take; then, with a meeting of
10,000 turns beside them, what it takes to write the book down and to know it again at a start. All in processor time.
"""

import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from receiver.events import BotStatus, Data, Event, Participant, ParticipantChange, Person, Transcript, Word
from receiver.meetings.book import MeetingBook
from receiver.meetings.formats import transcript_json, transcript_srt, transcript_txt, transcript_vtt
from receiver.meetings.snapshot import Anchor, Head, Restored, frames_of, sealed, unsealed

T = TypeVar("T")
_BOTS = 100
_MAKER = bytes(16)
_UPDATES = 40
_TEXT = "so we begin with the numbers of last week and then go on to what is planned for the next"
_WORDS = _TEXT.split()
_ZERO_NS = 1_781_082_000 * 10**9


def bot(name: str, choice: random.Random) -> Iterator[tuple[str, Data]]:
    """What one bot tells, without end."""
    yield "bot.status", BotStatus(status="joining")
    yield "bot.status", BotStatus(status="recording")
    for turn in itertools.count(300):
        speaker = Person(name=choice.choice(("Ada Lovelace", "Charles Babbage", "Mary Somerville")))
        start_s = turn * 12.0
        for update in range(1, _UPDATES + 1):
            words = [
                Word(text=_WORDS[n % len(_WORDS)], start_s=start_s + n / 4, end_s=start_s + n / 4 + 0.2, final=True)
                for n in range(update)
            ]
            keys = {"speaker": speaker, "turn": turn, "start_s": start_s, "end_s": start_s + update / 4, "words": words}
            text = " ".join(word.text or "" for word in words)
            yield "transcript.partial", Transcript(text=text, **keys)  # type: ignore[arg-type]
        yield "transcript.final", Transcript(text=text, formatted_text=text.capitalize() + ".", **keys)  # type: ignore[arg-type]
        for number in range(9):
            who = Participant(id=f"{name}/{choice.randrange(20)}", name="Somebody")
            type_ = choice.choice(("participant.joined", "participant.left"))
            yield type_, ParticipantChange(participant=who, offset_s=start_s + number)


def story(count: int) -> list[Event]:
    """Events of all bots in turn."""
    choice = random.Random(7)
    bots = [(f"bot-{n}", bot(f"bot-{n}", choice)) for n in range(_BOTS)]
    events = []
    for number in range(count):
        subject, told = bots[number % _BOTS]
        type_, data = next(told)
        time_ns = _ZERO_NS + number * 400_000
        events.append(
            Event(
                id=f"event-{number}",
                source="/meetstream/default",
                type=type_,
                time_ns=time_ns,
                received_ns=time_ns,
                data=data,
                subject=subject,
                sequence=number + 1,
            )
        )
    return events


def took_s(call: Callable[[], object]) -> float:
    """Seconds of processor time that ``call`` takes."""
    begin_s = time.process_time()
    call()
    return time.process_time() - begin_s


def snapshots(book: MeetingBook) -> None:
    """The book as bytes and back, the best of five; the longest slice is what others wait for."""
    meetings, counters = book.everything()
    head = Head((0.0, *book.bounds), Anchor(1, 1, 0, "", "", 0), counters, len(meetings))
    turns = sum(len(meeting.transcript.turns) for meeting in meetings)
    made = min((sliced(list(frames_of(head, meetings))) for _ in range(5)), key=_total_s)
    content = b"".join(sealed(made.results, _MAKER))
    print(f"snapshot of {len(meetings)} meetings, {turns} turns: {len(content) / 1e6:.2f} MB, {made}")
    loads = []
    for _ in range(5):
        begin_s = time.process_time()
        frames = unsealed(content, _MAKER)
        restored = Restored(frames[0])
        checked_s = time.process_time() - begin_s
        taken = sliced([partial(restored.take, frame) for frame in frames[1:]])
        again = MeetingBook()
        taken.total_s += checked_s + took_s(lambda again=again, one=restored: again.restore(one.all(), counters))  # type: ignore[misc]
        assert again.known == book.known and again.events == book.events
        loads.append(taken)
    print(f"start from it: {min(loads, key=_total_s)}")


class Sliced(Generic[T]):
    """What a row of calls gave, and took: in seconds, all and the longest."""

    def __init__(self) -> None:
        self.results: list[T] = []
        self.total_s = self.longest_s = 0.0

    def __str__(self) -> str:
        return f"{self.total_s * 1e3:.1f} ms, the longest of {len(self.results)} slices {self.longest_s * 1e3:.2f} ms"


def sliced(calls: Sequence[Callable[[], T]]) -> Sliced[T]:
    """Do one after another."""
    done: Sliced[T] = Sliced()
    for call in calls:
        begin_s = time.process_time()
        done.results.append(call())
        slice_s = time.process_time() - begin_s
        done.total_s += slice_s
        done.longest_s = max(done.longest_s, slice_s)
    return done


def _total_s(one: Sliced[Any]) -> float:
    return one.total_s


def main(count: int) -> None:
    events = story(count)
    partials = sum(event.type == "transcript.partial" for event in events)
    best_s = min(took_s(lambda: MeetingBook().fold(events)) for _ in range(5))
    print(f"{count} events, {partials / count:.0%} partials: {best_s:.3f} s, {count / best_s:,.0f} events/s")
    book = MeetingBook()
    book.fold(events)
    print(f"/meetings of {book.known}: {took_s(book.meetings) * 1e3:.1f} ms")
    print(f"tick of {book.known}: {took_s(lambda: book.tick(_ZERO_NS)) * 1e3:.2f} ms")
    book.fold(Event(id=str(n), source="s", type="transcript.final", time_ns=n * 10**9, received_ns=n, subject="long",
                    data=Transcript(text=" ".join(_WORDS), turn=n, start_s=float(n), end_s=n + 1.0))
              for n in range(10_000))  # fmt: skip
    view = book.transcript("long")
    assert view is not None
    print(f"transcript of {len(view.turns)} turns: {took_s(lambda: book.transcript('long')) * 1e3:.1f} ms")
    for make in (transcript_json, transcript_txt, transcript_vtt, transcript_srt):
        print(f"  {make.__name__}: {took_s(lambda make=make: make(view)) * 1e3:.1f} ms")  # type: ignore[misc]
    snapshots(book)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
