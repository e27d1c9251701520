"""What the settings mean for the machine: the journal's limits, the lock of the data folder, TLS, memory. No wiring."""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from receiver.errors import ConfigError
from receiver.journal.lane import LaneLimits
from receiver.secretfiles import LOCK, is_there
from receiver.settings import Settings

#: between two times that free memory is handed back; each takes some milliseconds of a thread
_GIVE_BACK_S = 10.0
_LET_GO_S, _HELPER_S, _TRY_S = 1.0, 10.0, 0.01
#: what may wait for a lane's writer, in memory. Of media, so much that a pause of the disk, or a new file, does not
#: hold up a thousand sockets at once: to let in each of them costs more than to read it. And no more than sinks have
#: room for in memory (``tail_bytes``)
_PENDING_BYTES = {"events": 8 << 20, "media": 20 << 20, "quarantine": 8 << 20}
#: what one turn of the loop brings. Of frames there are many, and the more of a turn, the colder is what each meets
_TURN_BYTES = {"events": 8 << 20, "media": 3 << 19, "quarantine": 8 << 20}


def lane_limits(settings: Settings) -> dict[str, LaneLimits]:
    """The journal's lanes from the config. A file is at most a quarter of its lane, so that retention can work."""
    journal = settings.journal
    return {
        name: LaneLimits(
            sync_every_ms=lane.sync_every_ms,
            segment_bytes=min(lane.segment_bytes, max(1 << 20, lane.max_bytes // 4)),
            max_bytes=lane.max_bytes,
            max_age_s=lane.max_age_s,
            tail_bytes=lane.tail_bytes,
            pending_bytes=_PENDING_BYTES[name],
            turn_bytes=_TURN_BYTES[name],
        )
        for name, lane in (("events", journal.events), ("media", journal.media), ("quarantine", journal.quarantine))
    }


def lock(data_dir: Path) -> int:
    """Hold a data folder for this process. Raises ``ConfigError`` where another one has it and does not let go: a
    server within a second, the helper of one that was killed within ten, for it may be left little time."""
    descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    begin_s = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace") or "unknown"
            if time.monotonic() < begin_s + (_LET_GO_S if _may_be_there(holder) else _HELPER_S):
                time.sleep(_TRY_S)
                continue
            os.close(descriptor)
            raise ConfigError(
                f"data_dir: found {data_dir} in use by another receiver (process {holder}), allowed a folder of its own"
            ) from None
        with contextlib.suppress(OSError):  # on a full disk nobody is told who has it, and it is held all the same
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor


def _may_be_there(process: str) -> bool:
    """Also where nobody has told its id."""
    try:
        return is_there(int(process))
    except (ValueError, OverflowError, PermissionError):
        return True


async def give_back_memory(let_go: Callable[[float], None]) -> None:
    """``let_go`` for ever of what was not used for so many seconds, then hand back to the system what the C library
    keeps of free memory: glibc keeps what a burst took, for each of its threads."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while True:
        await asyncio.sleep(_GIVE_BACK_S)
        let_go(_GIVE_BACK_S / 2)
        if trim is not None:
            await asyncio.to_thread(trim, 0)


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Certificate and key of the config; ``None`` where somebody else ends TLS. Raises ``ConfigError``."""
    if not settings.server.tls_cert_file:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.server.tls_cert_file, settings.server.tls_key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"server.tls_cert_file: found a pair that does not load ({error}), allowed PEM files"
        ) from error
    return context
