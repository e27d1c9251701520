"""The short form of every scenario; the long one: ``python -m tests.faults --long``."""

from pathlib import Path

import pytest

from tests.faults import SCENARIOS
from tests.faults.base import Options, run


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_promises_hold(name: str, tmp_path: Path) -> None:
    """Every check of the scenario holds; what it measured is printed."""
    report = await run(name, Options(folder=tmp_path, say=print))
    print("\n".join(report.lines()))
    assert report.holds, "\n".join(report.lines())
