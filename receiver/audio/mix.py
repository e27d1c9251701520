"""What one listener hears of a meeting: some tracks of it, or one speaker, mixed down on one clock. Pure."""

from collections.abc import Sequence

import numpy as np

from receiver.audio.pcm import MAX_POSITION, Raw, Samples, Sound, decode_sound
from receiver.audio.timeline import QUIET_NS, Clock, Track
from receiver.events import AudioChunk, Event, Person

#: the track that a vendor mixes itself
MIXED = "mixed"
#: what a chunk can be told to be: at less, or for longer, a few bytes would become hours of sound
_LEAST_RATE_HZ, _MOST_CHUNK_S = 4000, 60
#: above so many, tracks that rest and wait for nothing are forgotten
_MOST_TRACKS = 64

TrackKey = tuple[str, str]


class Mixer:
    """``push`` events, tell the time by ``advance``, ``take`` what can be sent. ``head``: frames taken so far.

    Without a choice of track or speaker it is the vendor's own mix where there is one, else the sum of all tracks,
    held to the range of 16 bits. A track that pauses holds the others up for a fifth of a second.
    """

    def __init__(self, clock: Clock, channels: int, track: str = "", speaker: str = "") -> None:
        """``speaker``: id or name."""
        self.head = 0
        self.clock = clock
        self._channels = channels
        self._track = track
        self._speaker = speaker
        self._tracks: dict[TrackKey, Track] = {}
        self._vendor_mixes = False
        self._now_ns = clock.zero_ns
        self._ended = False

    def push(self, event: Event, latest_ns: int | None = None) -> None:
        """Add an ``audio.chunk``; others are ignored. ``latest_ns``: see :meth:`Track.push`.

        Raises ``ValueError``, with a text for the operator, where it is no PCM.
        """
        data = event.data
        if not isinstance(data, AudioChunk) or not self._wants(data.track or ""):
            return
        key = event.source, data.track or ""
        track = self._tracks.get(key)
        other = bool(self._speaker) and not is_speaker(data.speaker, self._speaker)
        if track is None and other:
            return
        sound = live_sound(event)
        if other:
            sound.samples = np.zeros_like(sound.samples)
        if track is None:
            track = self._tracks[key] = self._new_track()
        latest_ns = event.received_ns if latest_ns is None else latest_ns
        track.push(sound, event.sequence, event.received_ns, self.head, latest_ns)
        self._now_ns = max(self._now_ns, track.heard_ns)

    def straight(self, events: Sequence[Event], now_ns: int, most_frames: int) -> tuple[int, list[Raw]]:
        """How many of the first ``events`` go on with the only track, where there is nothing to choose or mix, and
        their sound, which ``push``, ``advance`` and ``take`` would give too. The others are to be pushed."""
        found: list[Raw] = []
        if len(self._tracks) != 1 or self._speaker or self._ended:
            return 0, found
        ((source, name), track) = next(iter(self._tracks.items()))
        if track.end != self.head:
            return 0, found
        for event in events:
            if event.source != source or not isinstance(event.data, AudioChunk) or (event.data.track or "") != name:
                return 0, found
        known_ns = max(self._now_ns, now_ns)
        count = 0
        for event in events:
            data, raw = event.data, event.media
            if raw is None or not isinstance(data, AudioChunk):
                break
            frames, torn = divmod(len(raw), 2 * self._channels)
            most_frames -= track.frames_out(frames)
            if torn or not frames or most_frames < 0 or data.codec != "pcm_s16le" or data.channels != self._channels:
                break
            if (data.first_sample or 0) > MAX_POSITION:
                break
            sound = track.follow(data, raw, frames, event, now_ns, known_ns)
            if sound is None:
                break
            count += 1
            self.head, self._now_ns = track.end, known_ns
            if sound:
                found.append(sound)
        return count, found

    def renew(self, source: str) -> None:
        """A stream of ``source`` begins that continues none."""
        for key, track in self._tracks.items():
            if key[0] == source:
                track.renew()

    def advance(self, now_ns: int) -> None:
        """It is ``now_ns``: what nobody has filled by now is silence, but for what may still be under way."""
        self._now_ns = max(self._now_ns, now_ns)

    def due_ns(self) -> int:
        """Before this time nothing more can be taken unless something is pushed; it may be over."""
        running = [track for track in self._tracks.values() if track.running]
        return min((track.rests_ns for track in running), default=self._now_ns)

    def end(self) -> None:
        """Nothing more will come: all that was pushed can be taken."""
        for track in self._tracks.values():
            track.end_run()
        self._ended = True

    def skip(self, frames: int) -> None:
        """Leave out so many frames, and all that was pushed."""
        self._tracks.clear()
        self.head += frames

    def take(self, most_frames: int) -> Samples:
        """The next frames, [frame, channel], ``most_frames`` of them at most; none: wait."""
        count = min(most_frames, self._known() - self.head)
        if count <= 0:
            return np.empty((0, self._channels), np.int16)
        parts = [part for track in self._tracks.values() for part in self._parts(track, count)]
        begin, self.head = self.head, self.head + count
        if len(parts) == 1 and len(parts[0][1]) == count:
            return parts[0][1]
        if len(self._tracks) == 1:  # its pieces never overlap
            whole = np.zeros((count, self._channels), np.int16)
            for at, samples in parts:
                whole[at - begin : at - begin + len(samples)] = samples
            return whole
        total = np.zeros((count, self._channels), np.int32)
        for at, samples in parts:
            total[at - begin : at - begin + len(samples)] += samples
        return np.clip(total, -32768, 32767).astype(np.int16)

    def _wants(self, track: str) -> bool:
        if self._track:
            return track == self._track
        if self._speaker:
            return True
        if track == MIXED and not self._vendor_mixes:
            self._vendor_mixes = True
            self._tracks.clear()
        return track == MIXED or not self._vendor_mixes

    def _new_track(self) -> Track:
        if len(self._tracks) >= _MOST_TRACKS:
            self._tracks = {key: one for key, one in self._tracks.items() if one.running or one.pieces}
        return Track(self.clock, self._channels)

    def _known(self) -> int:
        """The frame up to which everything is known."""
        tracks = self._tracks.values()
        for track in tracks:
            track.rest(self._now_ns)
        running = [track.end for track in tracks if track.running]
        if running:
            return min(running)
        known = max((track.end for track in tracks), default=0)
        if self._ended:
            return known
        longest_ns = max((track.longest_ns for track in tracks), default=0)
        return max(known, self.clock.frame(self._now_ns - QUIET_NS - longest_ns))

    def _parts(self, track: Track, count: int) -> list[tuple[int, Samples]]:
        """Take from ``track`` what belongs to the next ``count`` frames."""
        parts = []
        stop = self.head + count
        while track.pieces and track.pieces[0].at < stop:
            piece = track.pieces.popleft()
            samples = piece.samples
            if (left := piece.at + len(samples) - stop) > 0:
                track.pieces.appendleft(piece._replace(at=stop, samples=samples[-left:]))
                samples = samples[:-left]
            parts.append((piece.at, samples))
        return parts


def live_sound(event: Event) -> Sound:
    """The samples of an ``audio.chunk`` as far as they can be mixed. Raises ``ValueError`` as :func:`decode_sound`."""
    sound = decode_sound(event)
    if sound.rate_hz < _LEAST_RATE_HZ:
        raise ValueError(f"{sound.rate_hz} Hz, allowed {_LEAST_RATE_HZ} or more")
    if len(sound.samples) > _MOST_CHUNK_S * sound.rate_hz:
        raise ValueError(f"a chunk of more than {_MOST_CHUNK_S} s")
    return sound


def is_speaker(who: Person | None, wanted: str) -> bool:
    """Whether ``wanted`` is the id or the name of ``who``."""
    return who is not None and wanted in (who.id, who.name)
