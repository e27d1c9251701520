"""The sample clock of one SFU track: where a packet's sound belongs, what is missing before it, what is a repeat.

The SFU numbers packets and retries a lost socket for up to 5 s, with a short backlog: then numbers are missing, or come
again (WebSocket adapter, reconnection, 2026). Their step is not documented. One is assumed, and only believed while the
stream does not contradict it; timestamps are of an unknown unit and not used.
"""

import msgspec

from receiver.vendors.realtimekit.packet import UINT32

RATE_HZ = 48_000
#: a number that is further ahead belongs to another count: about a minute of packets of 20 ms
MOST_MISSING = 3000
#: packets that are remembered, to know one that comes again
MOST_REMEMBERED = 128
#: the SFU holds sound back for no longer: a gap that is longer than what has passed, and this, is none
_MOST_BACKLOG_S = 5
_NS_PER_S = 1_000_000_000
#: stands for a packet that never came
_HOLE = -1


class SampleClock(msgspec.Struct, array_like=True):
    """Samples are counted per channel. ``arrival_ns`` is that of the last packet with sound; 0: none yet."""

    samples: int = 0
    arrival_ns: int = 0
    #: whether the next packet is the first after another connection's
    resumes: bool = False
    #: number of the last packet; -1: none yet
    sequence: int = -1
    #: samples in the last packet
    size: int = 0
    #: whether a step of one, or another one, has been seen
    by_one: bool = False
    otherwise: bool = False
    #: digests of the packets up to ``sequence``, the newest last
    recent: list[int] = []

    def gap_before(self, sequence: int, digest: int, samples: int, now_ns: int) -> int | None:
        """Samples that are missing before a packet with ``samples`` (at least one); ``None``: it is a repeat.

        A repeat has the number and the sound of a packet that came before. Missing packets are told as a gap where the
        packets around them are of one size. After another connection, what the numbers do not tell, the arrival does.
        The clock moves on, behind the gap and the packet.
        """
        missing = self._missing(sequence, digest)
        if missing is not None and missing < 0:
            return None
        self._remember(sequence, digest, missing)
        gap = self._gap(missing, samples, now_ns)
        self.samples += gap + samples
        self.size = samples
        self.arrival_ns = now_ns
        self.resumes = False
        return gap

    def pass_by(self, sequence: int, digest: int) -> None:
        """A packet without sound is no loss."""
        if self.sequence >= 0 and (sequence - self.sequence) % UINT32 == 1:
            self._remember(sequence, digest, 0)

    def _missing(self, sequence: int, digest: int) -> int | None:
        """How many packets are missing; -1: this one is a repeat; ``None``: nothing tells."""
        if self.sequence < 0 or sequence == self.sequence == 0:  # zero, and zero again: packets are not numbered
            return None
        ahead = (sequence - self.sequence) % UINT32
        if 0 < ahead <= MOST_MISSING + 1:
            return ahead - 1
        back = -ahead % UINT32
        return -1 if back < len(self.recent) and self.recent[-1 - back] == digest else None

    def _remember(self, sequence: int, digest: int, missing: int | None) -> None:
        if missing is None:
            self.recent = []
        self.recent += [_HOLE] * min(missing or 0, MOST_REMEMBERED)
        self.recent.append(digest)
        del self.recent[:-MOST_REMEMBERED]
        self.sequence = sequence

    def _gap(self, missing: int | None, samples: int, now_ns: int) -> int:
        if missing == 0:
            self.by_one = True
            return 0
        elapsed = max(0, (now_ns - self.arrival_ns) * RATE_HZ // _NS_PER_S)
        if missing is not None:
            believed = self.by_one or not self.otherwise
            self.otherwise = True
            if believed and samples == self.size and missing * samples <= elapsed + _MOST_BACKLOG_S * RATE_HZ:
                return missing * samples
        return max(0, elapsed - samples) if self.resumes else 0
