"""What a server takes of its machine."""

import errno
import os
import subprocess
import threading
from pathlib import Path

import pytest

from receiver.errors import ConfigError
from receiver.resources import lock


def test_a_data_folder_is_waited_for_a_moment(tmp_path: Path) -> None:
    """The helper of a server that was killed may have it for some milliseconds longer than the server."""
    held = lock(tmp_path)
    threading.Timer(0.2, os.close, (held,)).start()
    os.close(lock(tmp_path))


def test_it_is_waited_for_longer_where_its_server_is_gone(tmp_path: Path) -> None:
    """The helper of one that was killed yields to all others, and so may take seconds to die."""
    held = lock(tmp_path)
    server = subprocess.Popen(["true"])
    server.wait()
    os.pwrite(held, b"%d" % server.pid, 0)
    threading.Timer(1.5, os.close, (held,)).start()
    os.close(lock(tmp_path))


def test_a_data_folder_that_another_server_has_is_refused(tmp_path: Path) -> None:
    """And that is told with what to do about it."""
    held = lock(tmp_path)
    told = rf"in use by another receiver \(process {os.getpid()}\), allowed a folder of its own"
    with pytest.raises(ConfigError, match=told):
        lock(tmp_path)
    os.close(held)
    os.close(lock(tmp_path))


def test_a_data_folder_is_held_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which has no room for the process id either: then it is not told to others."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    held = lock(tmp_path)
    with pytest.raises(ConfigError, match=r"in use by another receiver \(process unknown\)"):
        lock(tmp_path)
    os.close(held)
