"""The runner itself: what breaks a promise and what hangs is counted and saved."""

import json
import subprocess
import sys
from pathlib import Path

_PLANTED = """
import sys, time
from pathlib import Path
from tests.fuzz import run, targets

def breaks(data):
    assert b"x" not in data

def hangs(data):
    while b"x" in data:
        pass

targets.TARGETS |= {"breaks": breaks, "hangs": hangs}
targets._MADE |= {"breaks": lambda: [b"x"], "hangs": lambda: [b"x"]}
run.HANG_S = 0.2
run.blind_child(sys.argv[1], 50, 60.0, 1, Path(sys.argv[2]))
"""


def _planted(name: str, work: Path) -> dict[str, object]:
    command = [sys.executable, "-c", _PLANTED, name, str(work)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    said: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_a_broken_promise_and_a_hang_are_found_and_saved(tmp_path: Path) -> None:
    """Three of them end a target's run; each input is in a file of its own."""
    for name, hangs in (("breaks", 0), ("hangs", 3)):
        said = _planted(name, tmp_path)
        assert said["hangs"] == hangs
        assert isinstance(said["crashes"], list) and len(said["crashes"]) == 3
        assert all(b"x" in Path(path).read_bytes() for path in said["crashes"])
