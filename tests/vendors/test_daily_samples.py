"""Every sample of Daily's pushes gives exactly the events beside it; every name of the fact sheet has a sample."""

import json
from pathlib import Path
from typing import Any

import pytest

from receiver.events import DATA_TYPES, Event
from receiver.vendors import daily
from tests.vendors.daily_wire import NOW_NS, NOW_S, SAMPLES, SECRET, decode, opening

FOLDERS = sorted(path for path in SAMPLES.iterdir() if path.is_dir())
BODIES = [folder for folder in FOLDERS if (folder / "body.bin").exists()]


def events_of(folder: Path) -> list[Event]:
    if folder in BODIES:
        return decode((folder / "body.bin").read_bytes()).events
    session = daily.session(opening(subject="standup"))
    messages = [path.read_text() for path in sorted(folder.glob("message*"))]
    return [event for message in messages for event in session.receive(message, NOW_NS).events]


def expected_of(folder: Path) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads((folder / "expected.json").read_text())
    return events


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_sample_gives_its_events(folder: Path) -> None:
    """The events of a body or of a bridge's messages are those beside it, ids included."""
    assert [json.loads(event.json()) for event in events_of(folder)] == expected_of(folder)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_sample_says_where_it_comes_from(folder: Path) -> None:
    """A sample is raw bytes with headers and a note of its origin."""
    assert (folder / "source.txt").read_text().startswith("origin: ")
    assert isinstance(json.loads((folder / "headers.json").read_text()), dict)


@pytest.mark.parametrize("folder", BODIES, ids=lambda folder: folder.name)
def test_a_sample_is_signed_as_its_kind_is(folder: Path) -> None:
    """Webhooks and pinless calls show a signature that fits; what a bridge sends, and a ping, show none."""
    shown = json.loads((folder / "headers.json").read_text())
    body = (folder / "body.bin").read_bytes()
    if not any(name.endswith("-signature") for name in shown):
        assert folder.name.startswith(("ping", "transcription-"))
        return
    assert daily.verify(shown, body, secrets=[SECRET], now_s=NOW_S) == "valid"


def test_every_declared_name_has_a_sample() -> None:
    """The declared table of names is what the samples show, type by type."""
    shown: dict[str, set[str]] = {}
    for folder in FOLDERS:
        for event in expected_of(folder):
            shown.setdefault(event.get("vendorevent", ""), set()).add(event["type"])
    for name, type_ in daily.EVENT_TYPES.items():
        assert type_ in shown.get(name, set()), name


def test_the_fact_sheet_has_28_webhooks() -> None:
    """All of them are declared, and beside them only what is no webhook."""
    families = {
        "participant": 2, "waiting-participant": 2, "meeting": 2, "recording": 3, "transcript": 3, "streaming": 4,
        "batch-processor": 2, "dialin": 5, "dialout": 5, "pinless": 1, "transcription-message": 1,
    }  # fmt: skip
    declared = [name.partition(".")[0] for name in daily.EVENT_TYPES]
    assert {family: declared.count(family) for family in declared} == families


def test_declared_types_are_types_of_the_contract() -> None:
    """No vendor invents a type."""
    assert set(daily.EVENT_TYPES.values()) <= set(DATA_TYPES)
