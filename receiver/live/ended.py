"""Sessions that were logged out before their time. They lie in a small file, so that no restart brings them back.

What stands there are nonces, of which no session can be made.
"""

import asyncio
from pathlib import Path

import msgspec
import structlog

from receiver.secretfiles import write_private

log = structlog.get_logger()
#: the oldest are over by their own time, long before so many have come after them
_MOST = 10_000


class Ended:
    """``in`` says whether a session was ended. A file that cannot be read or written is told and costs no more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._nonces: dict[str, None] = {}
        self._writing = asyncio.Lock()
        self.load()

    def __contains__(self, nonce: str) -> bool:
        return nonce in self._nonces

    def load(self) -> None:
        """Know what the file knows too: another process may have served since."""
        try:
            known = msgspec.json.decode(self._path.read_bytes(), type=list[str])
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as problem:
            log.error("live.sessions.unread", file=self._path.name, error=f"{type(problem).__name__}: {problem}")
            return
        self._nonces = dict.fromkeys([*known, *self._nonces])

    async def add(self, nonce: str) -> None:
        """End a session; returns when that is on disk."""
        self._nonces[nonce] = None
        while len(self._nonces) > _MOST:
            del self._nonces[next(iter(self._nonces))]
        async with self._writing:
            try:
                await asyncio.to_thread(write_private, self._path, msgspec.json.encode(list(self._nonces)))
            except OSError as problem:
                log.error("live.sessions.unwritten", file=self._path.name, error=str(problem))
