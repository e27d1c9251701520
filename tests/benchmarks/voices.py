"""Many audio sockets in real time: each sends a frame every 20 ms, at moments of its own, whatever the server does.

Frames are prebuilt; only the moment of sending is written into each, as the first samples. They are masked with zeros,
which costs the server as much as any other mask.
"""

import itertools
import resource
import struct
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.frames import PCM_BYTES, connect
from tests.vendors.meetstream_wire import frame
from tests.websocket_wire import client_frame

FRAME_S = 0.02
#: of so many frames the lateness of one is noted
_STRIDE = 16
_REST_S = 0.0005
_PATIENCE_S = 10.0
_HOLD_FRAMES = 50


class Voices:
    """``tick`` sends what is due. A socket that is not read from holds a second of audio back and then loses frames, as
    a bot would.

    ``due`` frames were to be sent; ``sent`` are those that the kernel has got whole, all of them with ``finish``, or
    that are held back; ``dropped`` the others.
    """

    def __init__(self, port: int, count: int, pcm: bytes = b"") -> None:
        """``pcm``: what each frame says, in place of silence with the moment of sending."""
        room_for(count)
        self._frame = bytearray(client_frame(0x82, frame(pcm=pcm or bytes(PCM_BYTES))))
        self._stamp_at = 0 if pcm else len(self._frame) - PCM_BYTES
        self._sockets = [connect(port, f"/meetstream/default/voice-{number}/audio") for number in range(count)]
        #: what a socket did not take, so that it goes before anything else
        self._held: dict[int, bytearray] = {}
        self._step_s = FRAME_S / count
        self._late_s: list[float] = []
        self._begin_s = 0.0
        self.due = self.dropped = 0
        #: frames that a socket did not take at once
        self.waited = 0

    @property
    def sent(self) -> int:
        return self.due - self.dropped

    def begin(self, ago_s: float = 0.0) -> None:
        """The first frame was due so long ago; without, it is due now."""
        self._begin_s = time.perf_counter() - ago_s

    def due_s(self, voice: int, number: int) -> float:
        """When frame ``number`` of a voice is to be sent, of ``time.perf_counter``."""
        return self._begin_s + (number * len(self._sockets) + voice) * self._step_s

    def tick(self) -> None:
        """Send every frame that is due by now."""
        count = len(self._sockets)
        while (late_s := time.perf_counter() - self._begin_s - self.due * self._step_s) >= 0:
            if self.due % _STRIDE == 0:
                self._late_s.append(late_s)
            self._send(self.due % count)
            self.due += 1

    def speak(self, seconds: float, look: Callable[[], None], every_s: float = 0.5) -> None:
        """``tick`` for so long, and call ``look`` now and then: it holds up the frames."""
        looks = itertools.count(1)
        look_s = every_s
        while (now_s := time.perf_counter() - self._begin_s) < seconds:
            self.tick()
            if now_s >= look_s:
                look()
                look_s = next(looks) * every_s + every_s
            time.sleep(_REST_S)

    def finish(self) -> None:
        """Send what was held back, as far as the server takes it; the rest is dropped."""
        deadline_s = time.perf_counter() + _PATIENCE_S
        while self._held and time.perf_counter() < deadline_s:
            for number in list(self._held):
                self._push(number)
            time.sleep(_REST_S)
        self.dropped += sum(-(-len(held) // len(self._frame)) for held in self._held.values())
        self._held.clear()

    def late_ms(self, share: float) -> float:
        """So late or less was ``share`` of the frames sent."""
        return float(np.percentile(self._late_s, share * 100)) * 1000 if self._late_s else 0.0

    def close(self) -> None:
        for one in self._sockets:
            one.close()

    def __enter__(self) -> "Voices":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _send(self, number: int) -> None:
        if self._stamp_at:
            struct.pack_into("<Q", self._frame, self._stamp_at, time.time_ns())
        held = self._held.get(number)
        if held is not None:
            self.waited += 1
            if len(held) < _HOLD_FRAMES * len(self._frame):
                held += self._frame
            else:
                self.dropped += 1
            self._push(number)
            return
        try:
            done = self._sockets[number].send(self._frame)
        except BlockingIOError:
            done = 0
        if done < len(self._frame):
            self.waited += 1
            self._held[number] = self._frame[done:]

    def _push(self, number: int) -> None:
        held = self._held[number]
        try:
            done = self._sockets[number].send(held)
        except BlockingIOError:
            return
        del held[:done]
        if not held:
            del self._held[number]


def room_for(sockets: int) -> None:
    """Files that this process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < sockets + 100 <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (sockets + 100, hard))
