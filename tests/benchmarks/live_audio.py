"""``python -m tests.benchmarks.live_audio``: how long a frame of live audio takes from a bot to a listener.

The server has a core; the bots (WebSocket) and one listener for each (HTTP) have the other, as bare sockets in one
loop, so that what is measured is the server. Frames of 20 ms come in real time, each bot at a moment of its own. Told
is the time from when a frame was due until its first sample, and until its last one, has arrived; at another rate than
the bots' 48,000 Hz the filter's delay is part of it, and the last samples of a frame come with the next one.
"""

import argparse
import select
import socket
import time

import numpy as np

from tests.benchmarks.contenders import Contender, pin_load, running
from tests.benchmarks.voices import FRAME_S, Voices, room_for

_OURS = Contender("ours", sinks='[sinks.file]\ntype = "file"\ntypes = ["bot.*"]\n')
BOT_RATE_HZ = 48_000
#: frames before these are not counted: everybody connects meanwhile
_WARM_FRAMES = 50
#: how long the loop waits at most before it looks whether a frame is due
_LOOK_S = 0.0005
_READ_BYTES = 1 << 16
#: between the last connection and the first frame
_SETTLE_S = 0.2
#: what is still on its way may come so long after the last frame
_PATIENCE_S = 1.0


class Listener:
    """Notes when each frame's first and last sample have arrived. Frame 0 begins where it is not silent any more."""

    def __init__(self, port: int, bot: str, rate_hz: int) -> None:
        self.frames = round(rate_hz * FRAME_S)
        self.began = -1
        self.heard = 0
        self.first_s: list[float] = []
        self.last_s: list[float] = []
        self._rest = b""
        self._begun = False
        self.wire = socket.create_connection(("127.0.0.1", port), 10.0)
        # 1.0: what follows the head are the samples alone, without lengths of chunks
        self.wire.sendall(f"GET /live/audio/{bot}.pcm?rate={rate_hz}&wait=60 HTTP/1.0\r\n\r\n".encode())
        self.wire.setblocking(False)

    def read(self) -> None:
        """Take what has come. Raises: RuntimeError where the server says no, or ends the stream."""
        part = self.wire.recv(_READ_BYTES)
        now_s = time.perf_counter()
        if not part:
            raise RuntimeError("the server has ended a stream that goes on")
        part, self._rest = self._rest + part, b""
        if not self._begun:
            head, end, part = part.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            if b" 200 " not in head[:16]:
                raise RuntimeError(f"a listener was refused: {head[:200]!r}")
            self._begun = True
        if len(part) % 2:
            part, self._rest = part[:-1], part[-1:]
        if self.began < 0:
            loud = np.flatnonzero(np.abs(np.frombuffer(part, "<i2").astype(np.int32)) > 1000)
            if len(loud):
                self.began = self.heard + int(loud[0])
        self.heard += len(part) // 2
        if self.began >= 0:
            known = self.heard - self.began
            while len(self.first_s) * self.frames < known:
                self.first_s.append(now_s)
            while (len(self.last_s) + 1) * self.frames <= known:
                self.last_s.append(now_s)


def drive(voices: Voices, listeners: list[Listener], seconds: float) -> None:
    """Have the bots speak, and hear them. Raises: RuntimeError where the server does not take what they say."""
    poll, of = select.epoll(), {one.wire.fileno(): one for one in listeners}
    for number in of:
        poll.register(number, select.EPOLLIN)
    voices.begin(-_SETTLE_S)
    end_s = voices.due_s(0, round(seconds / FRAME_S))
    while (now_s := time.perf_counter()) < end_s + _PATIENCE_S:
        if now_s < end_s:
            voices.tick()
        for number, _ in poll.poll(_LOOK_S):
            of[number].read()
    if voices.dropped:
        raise RuntimeError(f"{voices.dropped} frames found no room in a second: the server needs fewer streams")


def measure(streams: int, seconds: float, rate_hz: int) -> None:
    """Start a server, be its bots and listeners, tell what came of it."""
    tone = np.rint(9000 * np.sin(2 * np.pi * 500 * np.arange(960) / BOT_RATE_HZ) + 12_000).astype("<i2").tobytes()
    room_for(2 * streams)
    with running(_OURS) as server:
        listeners = [Listener(server.port, f"voice-{number}", rate_hz) for number in range(streams)]
        with Voices(server.port, streams, tone) as voices:
            begin_s, cpu_s, own_s = time.perf_counter(), server.cpu_s(), time.process_time()
            drive(voices, listeners, seconds)
            lasted_s = time.perf_counter() - begin_s
            share, own = (server.cpu_s() - cpu_s) / lasted_s, (time.process_time() - own_s) / lasted_s
    said = round(seconds / FRAME_S)  # what comes behind is silence
    print(f"{streams} streams, listeners at {rate_hz} Hz, {seconds:g} s")
    print(f"  server {share:.0%} of a core, bots and listeners {own:.0%}; bots late p99 {voices.late_ms(0.99):.1f} ms")
    for name in ("first", "last"):
        took = [
            (heard_s - voices.due_s(voice, number)) * 1000
            for voice, one in enumerate(listeners)
            for number, heard_s in list(enumerate(getattr(one, f"{name}_s")[:said]))[_WARM_FRAMES:]
        ]
        p50, p99 = np.percentile(took, (50, 99))
        print(f"  until its {name} sample is out: p50 {p50:5.1f} ms, p99 {p99:5.1f} ms   ({len(took)} frames)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.live_audio", description=__doc__)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=int, default=BOT_RATE_HZ, help="hertz, for the listeners")
    options = parser.parse_args()
    pin_load()
    measure(options.streams, options.seconds, options.rate)


if __name__ == "__main__":
    main()
