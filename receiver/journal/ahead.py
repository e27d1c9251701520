"""Where the log of an open file ends, and zeros behind that.

A sync of what lies in places that a file has already takes two thirds of the time, and of the processor's, that one
takes which has to give it a place as well. So zeros are written, now and then, where the log will go on; to SQLite it
ends where no frame of it follows, whatever else there is.
"""

import contextlib
import errno
import os
import sqlite3

#: of a log and of each of its frames (https://www.sqlite.org/fileformat2.html, 4.1): how long their heads are, and
#: where the salts stand, which are those of the log in each frame that belongs to it
LOG_HEAD_BYTES, FRAME_HEAD_BYTES = 32, 24
#: what is laid out at once
ZEROS = memoryview(bytes(1 << 20))
_SALTS, _FRAME_SALTS, _PAGE, _NO_PAGE = slice(16, 24), slice(8, 16), slice(0, 4), bytes(4)


class Ahead:
    """``follow`` behind each commit, then ``lay_out`` where it was synced. In the thread that commits."""

    def __init__(self, db: sqlite3.Connection, log: int) -> None:
        """``db``: the connection that commits; ``log``: a descriptor of its log, which may be written by it."""
        #: how many of ``ZEROS`` are written each time that the log comes near the end of the last ones; 0: none
        self.step_bytes = 0
        self._db = db
        self._log = log
        self._frame_bytes: int = FRAME_HEAD_BYTES + db.execute("PRAGMA page_size").fetchone()[0]
        self._salts = b""
        #: where the log ended when it was last looked at
        self.end = 0
        self._find_end()
        self._laid_bytes = os.fstat(log).st_size

    def follow(self) -> int:
        """Where the log ends, found from where it ended before; what was undone and is still there counts.

        The size of the file does not tell; and where Linux stamps files finely, to ask for that would have the next
        sync write the time as well.
        """
        if not self.step_bytes:
            return os.fstat(self._log).st_size
        self._find_end()
        return self.end

    def lay_out(self) -> None:
        """Write zeros where few are left. Where that cannot be done, the log goes on without."""
        if not self.step_bytes or self._laid_bytes - self.end >= self.step_bytes // 4:
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")  # until they are written, nobody else's commit goes where they go
            if os.pread(self._log, LOG_HEAD_BYTES, 0)[_SALTS] != self._salts:
                raise OSError(errno.ESTALE, "somebody else has folded the log and begun it anew")
            begin = max(self._laid_bytes, self.follow())
            self._laid_bytes = begin + os.pwrite(self._log, ZEROS[: self.step_bytes], begin)
        except (sqlite3.Error, OSError):
            self.step_bytes = 0
        finally:
            if self._db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")

    def _find_end(self) -> None:
        if not any(self._salts):  # nothing was written to it yet
            self._salts = os.pread(self._log, LOG_HEAD_BYTES, 0)[_SALTS]
            self.end = LOG_HEAD_BYTES if any(self._salts) else 0
        while self.end and self._is_frame(os.pread(self._log, FRAME_HEAD_BYTES, self.end)):
            self.end += self._frame_bytes

    def _is_frame(self, head: bytes) -> bool:
        return head[_FRAME_SALTS] == self._salts and head[_PAGE] != _NO_PAGE
