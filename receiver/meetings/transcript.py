"""What was said: turns assembled from partials and finals. A fold, pure.

Late partials never shrink a turn, formatted text wins, a final that comes twice is one turn. A turn whose stream stops
is cut, until an update of it comes all the same. Turns are in the order in which they were begun to be spoken. Memory:
at most so many turns and characters (``bounds``); then the oldest turns go and are counted in ``dropped``.
"""

from bisect import insort
from collections.abc import Sequence
from operator import attrgetter

import msgspec

from receiver.events import Event, Person, Transcript
from receiver.meetings.bounds import MOST_CHARACTERS, MOST_TURNS, TURN_CHARACTERS
from receiver.meetings.turn import Fit, Key, Turn, sane

#: beginnings of one recogniser's clock, as its messages tell them, lie this near to each other
_CLOCK_NS = 10 * 10**9
_MOST_CLOCKS = 16
#: bits of a mark
_LATEST, _NUMBERED, _OPEN, _FINAL = 1, 2, 4, 8
_position = attrgetter("position_ns")


class TranscriptFold(msgspec.Struct, eq=False, array_like=True):
    """The turns of one meeting."""

    most_turns: int = MOST_TURNS
    most_characters: int = MOST_CHARACTERS
    #: in the order in which they began
    turns: list[Turn] = []
    #: of all texts, with something for each turn
    characters: int = 0
    dropped: int = 0
    _latest: dict[Key, Turn] = {}
    #: the latest of each number, whoever speaks
    _numbered: dict[tuple[str | None, int | str], Turn] = {}
    _open: dict[Key, Turn] = {}
    _finals: dict[str, Turn] = {}
    #: when recognisers' clocks began, in nanoseconds since the epoch
    _zeros_ns: list[int] = []

    def fold(self, event: Event, data: Transcript) -> None:
        """Take a ``transcript.partial`` or ``transcript.final``."""
        speaker = data.speaker
        who = "" if speaker is None else speaker.id or speaker.name or ""
        key = (data.session, data.turn, who)
        final = event.type == "transcript.final"
        if final and event.id in self._finals:
            return
        turn = self._latest.get(key) or self._of_other_name(key)
        fit = Fit.OTHER if turn is None else turn.fit(event.time_ns, data, final=final)
        if fit is Fit.STALE:
            if turn is not None and data.formatted_text and data.turn is not None:
                self._format_late(turn, data)
            return
        if turn is None or fit is Fit.OTHER:
            if not (data.text or data.formatted_text):
                return
            turn = self._begin(key, event, data, final)
        elif turn.key != key and who:
            self._name(turn, key, data)
        self._apply(turn, event, data, final)

    def cut(self) -> None:
        """The stream is over: nothing more is expected of the turns that are open."""
        for turn in self._open.values():
            turn.state = "cut"
        self._open.clear()

    def cut_idle(self, before_ns: int) -> None:
        """The same, for turns of which nothing has arrived since ``before_ns``."""
        for turn in [turn for turn in self._open.values() if turn.received_ns < before_ns]:
            self._cut(turn)

    def bare(self) -> "TranscriptFold":
        """The same without turns: what is written of it beside them."""
        return msgspec.structs.replace(self, turns=[], _latest={}, _numbered={}, _open={}, _finals={})

    def marks(self, turns: Sequence[Turn]) -> bytes:
        """Which indexes lead to each of ``turns``, a bit for an index. An index has a turn under what the turn tells
        of itself, or not at all."""
        return bytes(
            (self._latest.get(turn.key) is turn) * _LATEST
            + (self._numbered.get(turn.key[:2]) is turn) * _NUMBERED  # type: ignore[arg-type]
            + (self._open.get(turn.key) is turn) * _OPEN
            + (self._finals.get(turn.final_id) is turn) * _FINAL
            for turn in turns
        )

    def take_back(self, turns: Sequence[Turn], marks: bytes) -> None:
        """Add ``turns`` behind those that are there, as ``marks`` tells of them. Raises ``ValueError``."""
        for turn, mark in zip(turns, marks, strict=True):
            if mark & _LATEST:
                self._latest[turn.key] = turn
            if mark & _NUMBERED:
                session, number, _ = turn.key
                self._numbered[session, number] = turn  # type: ignore[index]
            if mark & _OPEN:
                self._open[turn.key] = turn
            if mark & _FINAL:
                self._finals[turn.final_id] = turn
        self.turns += turns

    def _of_other_name(self, key: Key) -> Turn | None:
        """The turn of this number that nobody was named for, or, for an update that names nobody, of whoever speaks."""
        session, number, who = key
        if number is None:
            return None
        return self._latest.get((session, number, "")) if who else self._numbered.get((session, number))

    def _name(self, turn: Turn, key: Key, data: Transcript) -> None:
        if self._latest.get(turn.key) is turn:
            del self._latest[turn.key]
        if self._open.pop(turn.key, None) is turn:
            self._open[key] = turn
        turn.key, turn.speaker = key, data.speaker
        self._latest[key] = turn

    def _begin(self, key: Key, event: Event, data: Transcript, final: bool) -> Turn:
        before = self._latest.get(key)
        turn = Turn(
            key=key,
            speaker=data.speaker,
            first_ns=event.time_ns,
            time_ns=event.time_ns,
            received_ns=event.received_ns,
            position_ns=0,
            zero_ns=None,
        )
        self._place(turn, event.time_ns, data)
        # a final of words before those that are being said, of a stream without numbers, leaves these as they are
        aside = final and data.turn is None and before is not None and before.state != "final"
        if before is None or (before.time_ns <= event.time_ns and not aside):
            if before is not None:
                self._cut(before)
            self._latest[key] = turn
            if data.turn is not None:
                self._numbered[data.session, data.turn] = turn
        turn.characters = TURN_CHARACTERS + sum(len(part) for part in key if isinstance(part, str))
        if turn.speaker is not None:
            turn.characters += len(turn.speaker.name or "")
        self.characters += turn.characters
        return turn

    def _place(self, turn: Turn, time_ns: int, data: Transcript) -> None:
        """Put ``turn`` where it belongs."""
        start_s = sane(data.start_s)
        if start_s is None:
            turn.position_ns = time_ns
        else:
            if turn.zero_ns is None:
                end_s = sane(data.end_s)
                turn.zero_ns = self._zero_ns(time_ns - _ns(start_s if end_s is None else end_s))
            turn.position_ns = turn.zero_ns + _ns(start_s)
        if not self.turns or self.turns[-1].position_ns <= turn.position_ns:
            self.turns.append(turn)
        else:
            insort(self.turns, turn, key=_position)

    def _zero_ns(self, told_ns: int) -> int:
        """When the clock began that a message tells as begun at ``told_ns``: a known one, if that is near."""
        for zero_ns in reversed(self._zeros_ns):
            if abs(zero_ns - told_ns) <= _CLOCK_NS:
                return zero_ns
        self._zeros_ns = [*self._zeros_ns[1 - _MOST_CLOCKS :], told_ns]
        return told_ns

    def _apply(self, turn: Turn, event: Event, data: Transcript, final: bool) -> None:
        newer = event.time_ns > turn.time_ns
        settles = final and turn.state != "final"
        if data.text and (newer or settles or len(data.text) >= len(turn.text)):
            self._count(turn, len(data.text) - len(turn.text))
            turn.text = data.text
        if data.formatted_text:
            self._format(turn, data.formatted_text, data.text or turn.text or data.formatted_text)
        if newer:
            turn.time_ns = event.time_ns
        turn.received_ns = event.received_ns
        if data.start_s is not None:
            self._time(turn, data, final)
        if data.language:
            turn.language = data.language
        if final:
            self._settle(turn, event, data)
        elif turn.state != "open" or turn.key not in self._open:
            turn.state = "open"
            self._open[turn.key] = turn
        if self.characters > self.most_characters or len(self.turns) > self.most_turns:
            self._shrink()

    def _format_late(self, turn: Turn, data: Transcript) -> None:
        """A formatted text that was overtaken is still the best there is, unless a longer one is there."""
        source = data.text or data.formatted_text or ""
        if len(source) > len(turn.formatted_from):
            self._format(turn, data.formatted_text or "", source)

    def _format(self, turn: Turn, formatted: str, source: str) -> None:
        text = turn.text or source
        more = len(formatted) + len(source) + len(text)
        self._count(turn, more - len(turn.formatted) - len(turn.formatted_from) - len(turn.text))
        turn.formatted, turn.formatted_from, turn.text = formatted, source, text

    def _count(self, turn: Turn, more: int) -> None:
        turn.characters += more
        self.characters += more

    def _time(self, turn: Turn, data: Transcript, final: bool) -> None:
        start_s, end_s = sane(data.start_s), sane(data.end_s)
        if final and start_s is not None and turn.position_ns != (turn.zero_ns or 0) + _ns(start_s):
            index = len(self.turns) - 1
            while self.turns[index] is not turn:
                index -= 1
            del self.turns[index]
            self._place(turn, turn.time_ns, data)
        turn.start_s = turn.start_s if start_s is None else start_s
        turn.end_s = turn.end_s if end_s is None else end_s

    def _settle(self, turn: Turn, event: Event, data: Transcript) -> None:
        turn.state = "final"
        if self._open.get(turn.key) is turn:
            del self._open[turn.key]
        turn.confidence = data.confidence or turn.confidence
        if turn.speaker is None:
            turn.speaker = data.speaker or _speaker_of_words(data)
        if turn.final_id:
            self._finals.pop(turn.final_id, None)
        turn.final_id = event.id
        self._finals[event.id] = turn

    def _cut(self, turn: Turn) -> None:
        if self._open.get(turn.key) is turn:
            turn.state = "cut"
            del self._open[turn.key]

    def _shrink(self) -> None:
        """Let the oldest turns go, but not the last one."""
        gone = 0
        characters = self.characters
        while gone < len(self.turns) - 1 and (
            characters > self.most_characters or len(self.turns) - gone > self.most_turns
        ):
            turn = self.turns[gone]
            characters -= turn.characters
            gone += 1
            for index in (self._latest, self._open):
                if index.get(turn.key) is turn:
                    del index[turn.key]
            session, number, _ = turn.key
            if number is not None and self._numbered.get((session, number)) is turn:
                del self._numbered[session, number]
            self._finals.pop(turn.final_id, None)
        del self.turns[:gone]
        self.characters = characters
        self.dropped += gone


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _speaker_of_words(data: Transcript) -> Person | None:
    """Who said all the words of a turn that names nobody itself."""
    speakers = [word.speaker for word in data.words or ()]
    return speakers[0] if speakers and all(speaker == speakers[0] for speaker in speakers) else None
