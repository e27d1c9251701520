"""Every sample of Water AI's callback gives exactly the events beside it; every declared name has a sample."""

import json
from pathlib import Path
from typing import Any

import pytest

from receiver.events import DATA_TYPES, Event
from receiver.record import Record
from receiver.vendors import waterai
from tests.vendors.waterai_wire import NOW_NS, SAMPLES, decode

FOLDERS = sorted(path for path in SAMPLES.iterdir() if path.is_dir())


def events_of(folder: Path) -> list[Event]:
    if (folder / "body.bin").exists():
        headers = json.loads((folder / "headers.json").read_text())
        return decode((folder / "body.bin").read_bytes(), headers).events
    session = waterai.session(
        Record(
            vendor="waterai", endpoint="default", kind="opened", payload=b"", received_ns=NOW_NS, connection="c1",
            channel=(folder / "channel.txt").read_text().strip(),
        )
    )  # fmt: skip
    texts = [path.read_text() for path in sorted(folder.glob("message*.json"))]
    return [event for text in texts for event in session.receive(text, NOW_NS).events]


def expected_of(folder: Path) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads((folder / "expected.json").read_text())
    return events


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_sample_gives_its_events(folder: Path) -> None:
    """The events of a body or socket are those beside it, ids included: an id that changes is seen twice."""
    assert [json.loads(event.json()) for event in events_of(folder)] == expected_of(folder)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_sample_says_where_it_comes_from(folder: Path) -> None:
    """A sample is raw bytes with headers and a note of its origin."""
    assert (folder / "source.txt").read_text().startswith("origin: ")
    assert isinstance(json.loads((folder / "headers.json").read_text()), dict)


def test_every_declared_name_has_a_sample() -> None:
    """The declared table of names is what the samples show, type by type."""
    shown = {(event.get("vendorevent"), event["type"]) for folder in FOLDERS for event in expected_of(folder)}
    assert set(waterai.EVENT_TYPES.items()) <= shown


def test_declared_types_are_types_of_the_contract() -> None:
    """No vendor invents a type."""
    assert set(waterai.EVENT_TYPES.values()) <= set(DATA_TYPES)
