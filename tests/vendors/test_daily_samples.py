"""What holds for all samples of Daily's pushes, beside what holds for those of every vendor."""

from pathlib import Path

import pytest

from receiver.vendors import daily
from tests.vendors.daily_wire import NOW_S, SECRET
from tests.vendors.samples import folders_of, headers_of, is_reply

BODIES = [folder for folder in folders_of("daily") if (folder / "body.bin").exists() and not is_reply(folder)]


@pytest.mark.parametrize("folder", BODIES, ids=lambda folder: folder.name)
def test_a_sample_is_signed_as_its_kind_is(folder: Path) -> None:
    """Webhooks and pinless calls show a signature that fits; what a bridge sends, and a ping, show none."""
    shown = headers_of(folder)
    body = (folder / "body.bin").read_bytes()
    if not any(name.endswith("-signature") for name in shown):
        assert folder.name.startswith(("ping", "transcription-"))
        return
    assert daily.verify(shown, body, secrets=[SECRET], now_s=NOW_S) == "valid"


def test_the_fact_sheet_has_28_webhooks() -> None:
    """All of them are declared, and beside them only what is no webhook."""
    families = {
        "participant": 2, "waiting-participant": 2, "meeting": 2, "recording": 3, "transcript": 3, "streaming": 4,
        "batch-processor": 2, "dialin": 5, "dialout": 5, "pinless": 1, "transcription-message": 1,
    }  # fmt: skip
    declared = [name.partition(".")[0] for name in daily.EVENT_TYPES]
    assert {family: declared.count(family) for family in declared} == families
