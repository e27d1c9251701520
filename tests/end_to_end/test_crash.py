"""``kill -9`` of ``receiver serve`` in the middle of meetings; the scenario itself is ``tests.faults.crash``.

``RECEIVER_CRASH_ROUNDS`` (default 4) and ``RECEIVER_CRASH_SEED`` make a longer or another run.
"""

import os
from pathlib import Path

import pytest

from tests.faults.base import Options
from tests.faults.crash import run

ROUNDS = int(os.environ.get("RECEIVER_CRASH_ROUNDS", "4"))
SEED = int(os.environ.get("RECEIVER_CRASH_SEED", "1"))


@pytest.mark.timeout(180 + 20 * ROUNDS)
async def test_kill_9_loses_nothing_that_was_answered_2xx(tmp_path: Path) -> None:
    """Each delivery that got a 2xx is in the file once and at the other far sides; sound and stream facts are whole."""
    report = await run(Options(folder=tmp_path, rounds=ROUNDS, seed=SEED, say=print))
    print("\n".join(report.lines()))
    assert report.holds
