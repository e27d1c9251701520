"""Another try at dead letters: in the order of their sequence, through the sink's own worker.

What the far side takes now leaves the table; what it refuses again stays, with the new reason and one more try.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from operator import itemgetter

import msgspec

from receiver.delivery.decoding import decode_again
from receiver.delivery.worker import READ_BYTES, SinkWorker
from receiver.events import Event
from receiver.journal.base import Journal
from receiver.journal.dead import DeadLetter, DeadLetters, unpack_event
from receiver.record import Decoded, Record

#: how far before an event its record may begin, and how far behind it end
_RECORD_EVENTS = 1000


class Outcome(msgspec.Struct, frozen=True):
    """What became of letter ``number``: ``delivered``, or it is kept (or was not there) and ``text`` says why."""

    number: int
    delivered: bool
    text: str


Tell = Callable[[Outcome], None]


class Retry:
    """Tries letters again. ``workers`` by the name of their sink."""

    def __init__(
        self,
        workers: Mapping[str, SinkWorker],
        dead: DeadLetters,
        journal: Journal,
        decode: Callable[[Record], Decoded],
    ) -> None:
        self._workers = workers
        self._dead = dead
        self._journal = journal
        self._decode = decode

    async def run(self, numbers: Iterable[int], tell: Tell) -> None:
        """Try each letter once; ``tell`` is called with the outcome of each. Waits for as long as a sink is down."""
        wanted = set(numbers)
        places = sorted(place for place in await self._dead.places() if place[2] in wanted)
        for number in sorted(wanted - {place[2] for place in places}):
            tell(Outcome(number, False, "there is no such dead letter; see `receiver dead list`"))
        for sink, group in groupby(places, key=itemgetter(0)):
            worker = self._workers.get(sink)
            for part in _parts([(seq, number) for _, seq, number in group], worker):
                await self._retry_part(worker, part, tell)

    async def _retry_part(self, worker: SinkWorker | None, part: list[tuple[int, int]], tell: Tell) -> None:
        letters: list[tuple[DeadLetter, Event]] = []
        size = 0
        for seq, number in part:
            if worker is None:
                tell(Outcome(number, False, "kept: its sink is not in the config any more"))
            elif seq > worker.cursor:
                tell(Outcome(number, False, "kept: the sink has not come past it yet and is given it once more anyway"))
            elif (found := await self._load(worker, number)) is None:
                tell(Outcome(number, False, "kept: its event cannot be rebuilt, and the journal has let go of it"))
            else:
                letters.append(found)
                size += found[0].size_bytes
            if worker is not None and letters and size >= READ_BYTES:
                await self._write(worker, letters, tell)
                letters, size = [], 0
        if worker is not None and letters:
            await self._write(worker, letters, tell)

    async def _write(self, worker: SinkWorker, letters: list[tuple[DeadLetter, Event]], tell: Tell) -> None:
        refusals = await worker.hand_over([event for _, event in letters], late=True)
        refused = {id(refusal.event): refusal.reason for refusal in refusals}
        await self._dead.drop(letter.number for letter, event in letters if id(event) not in refused)
        for letter, event in letters:
            if id(event) in refused:
                tell(Outcome(letter.number, False, f"refused again (try {letter.tries + 1}): {refused[id(event)]}"))
            else:
                tell(Outcome(letter.number, True, f"delivered to {letter.sink}"))

    async def _load(self, worker: SinkWorker, number: int) -> tuple[DeadLetter, Event] | None:
        """A letter and its event: as it was packed, or else decoded once more from the journal."""
        for letter in await self._dead.read([number]):
            if letter.packed is not None:
                try:
                    return letter, unpack_event(letter.packed)
                except msgspec.MsgspecError:  # damaged, or of a later version: the journal may still have it
                    pass
            event = await self._find(worker, letter)
            return None if event is None else (letter, event)
        return None

    async def _find(self, worker: SinkWorker, letter: DeadLetter) -> Event | None:
        after, end = max(0, letter.seq - _RECORD_EVENTS), letter.seq + _RECORD_EVENTS
        while after < letter.seq:
            records, reached = await self._journal.reread(after, end, media=worker.media, limit_bytes=READ_BYTES)
            for record in records:
                if record.seq <= letter.seq <= record.last_seq:
                    events = decode_again(record, self._decode, worker.name) or []
                    return next((event for event in events if event.id == letter.id), None)
            if reached <= after:
                break
            after = reached
        return None


def _parts(numbers: list[tuple[int, int]], worker: SinkWorker | None) -> Iterable[list[tuple[int, int]]]:
    size = worker.config.batch_events if worker is not None else len(numbers)
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]
