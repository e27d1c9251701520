"""A listener's connection that keeps what it is sent."""

import asyncio

import numpy as np

from receiver.audio.pcm import Raw, Samples
from tests.live_audio.house import place_of, samples_of


class Tape:
    """A line that keeps what it is sent, as long as it has room and is not cut."""

    def __init__(self) -> None:
        self.sent: list[Samples] = []
        self.room = asyncio.Event()
        self.room.set()
        self.drains = 0
        self.cut = False

    @property
    def sound(self) -> Samples:
        return np.concatenate([np.empty((0, 1), np.int16), *self.sent])

    def has(self, sound: Samples) -> bool:
        """Whether the begin of ``sound`` was sent."""
        heard = self.sound
        return len(heard) >= 50 and place_of(sound, heard) >= 0

    def send(self, samples: Samples | Raw) -> bool:
        if self.cut:
            raise ConnectionResetError("cut")
        self.sent.append(samples if isinstance(samples, np.ndarray) else samples_of(bytes(samples)))
        return self.room.is_set()

    async def drain(self) -> None:
        self.drains += 1
        await self.room.wait()
