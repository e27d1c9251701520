"""What a server takes of its machine."""

import os
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


def test_a_data_folder_that_another_server_has_is_refused(tmp_path: Path) -> None:
    """And that is told with what to do about it."""
    held = lock(tmp_path)
    with pytest.raises(ConfigError, match=r"in use by another receiver, allowed a folder of its own"):
        lock(tmp_path)
    os.close(held)
    os.close(lock(tmp_path))
