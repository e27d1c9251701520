"""The log of a lane's next file: zeros, made while the present one is written.

To lay out a log while it is written holds a commit up for some milliseconds each time (``ahead``). Here nobody waits.
"""

import os
import shutil
import threading
from pathlib import Path

from receiver.journal.ahead import ZEROS
from receiver.journal.aside import aside

#: between two pieces others have the disk
_PAUSE_S = 0.02
#: none is made where the disk would not have so many times as much
_SPACE = 4


class Spare:
    """``want`` one in good time, ``take`` it. Used by one thread; made in another."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """What a process that was killed has left goes. Raises ``OSError``."""
        self._path = folder / "next-log.draft"
        self._path.unlink(missing_ok=True)
        self._size_bytes = size_bytes
        self._stop = threading.Event()
        self._making: threading.Thread | None = None
        self._made = False

    def want(self) -> None:
        """Begin to make one, if that has not been done. Where it cannot be made, files begin without."""
        if self._making is None:
            self._making = threading.Thread(target=aside, args=(self._make,), name="journal-spare")
            self._making.start()

    @property
    def ready(self) -> bool:
        """Whether there is one."""
        return self._made and self._making is not None and not self._making.is_alive()

    def take(self) -> Path | None:
        """The file, for who moves it away; ``None`` where it is not ready."""
        if self._making is None or self._making.is_alive():
            return None
        self._making = None
        made, self._made = self._made, False
        return self._path if made else None

    def close(self) -> None:
        """None is wanted any more."""
        self._stop.set()
        if self._making is not None:
            self._making.join()
        self._path.unlink(missing_ok=True)

    def _make(self) -> None:
        try:
            if shutil.disk_usage(self._path.parent).free < _SPACE * self._size_bytes:
                return
            with open(self._path, "wb", buffering=0) as file:
                for begin in range(0, self._size_bytes, len(ZEROS)):
                    file.write(ZEROS[: self._size_bytes - begin])
                    os.fdatasync(file.fileno())
                    if self._stop.wait(_PAUSE_S):
                        return
            self._made = True
        except OSError:
            self._path.unlink(missing_ok=True)
