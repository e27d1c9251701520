"""A small file system for a test, and filling it. Needs root: a test that cannot mount is skipped, and says so."""

import os
import subprocess
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PIECE = bytes(64 << 10)


class SmallDisk:
    """``folder`` lies on it; ``fill`` and ``free`` change what is left, from outside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        self._ballast.touch()

    def left_bytes(self) -> int:
        """What may still be written."""
        stat = os.statvfs(self.folder)
        return stat.f_bavail * stat.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Take space until only ``leave_bytes`` are left."""
        try:
            with self._ballast.open("ab", buffering=0) as file:
                while (more := self.left_bytes() - leave_bytes) > 0:
                    file.write(_PIECE[:more])
        except OSError:
            assert leave_bytes == 0, "less was left than is to be left"

    def free(self) -> None:
        """Give it all back."""
        os.truncate(self._ballast, 0)


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """A file system in memory of that size, mounted at ``folder``; gone at the end, with all that is on it."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size_bytes},mode=0755"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        raise unittest.SkipTest(f"needs a small file system, and mounting one failed: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
