"""Every sample of RealtimeKit's pushes gives exactly the events beside it; every name of the sheet has a sample."""

import json
from pathlib import Path
from typing import Any

import pytest

from receiver.events import DATA_TYPES, Event
from receiver.vendors import realtimekit
from tests.vendors.realtimekit_wire import SAMPLES, decode, play, sample_messages, socket

FOLDERS = sorted(path for path in SAMPLES.iterdir() if path.is_dir())


def events_of(folder: Path) -> list[Event]:
    if (folder / "body.bin").exists():
        return decode((folder / "body.bin").read_bytes(), json.loads((folder / "headers.json").read_text())).events
    return play(socket((folder / "channel.txt").read_text().strip()), sample_messages(folder))


def expected_of(folder: Path) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads((folder / "expected.json").read_text())
    return events


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_sample_gives_its_events(folder: Path) -> None:
    """The events of a body or stream are those beside it, ids included: an id that changes is seen twice."""
    assert [json.loads(event.json()) for event in events_of(folder)] == expected_of(folder)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_sample_says_where_it_comes_from(folder: Path) -> None:
    """A sample is raw bytes with headers and a note of its origin."""
    assert (folder / "source.txt").read_text().startswith("origin: ")
    assert isinstance(json.loads((folder / "headers.json").read_text()), dict)


def test_every_declared_name_has_a_sample() -> None:
    """The declared table of names is what the samples show, type by type."""
    shown: dict[str, set[str]] = {}
    for folder in FOLDERS:
        for event in expected_of(folder):
            shown.setdefault(event.get("vendorevent", ""), set()).add(event["type"])
    for name, type_ in realtimekit.EVENT_TYPES.items():
        assert type_ in shown.get(name, set()), name


def test_declared_types_are_types_of_the_contract() -> None:
    """No vendor invents a type."""
    assert set(realtimekit.EVENT_TYPES.values()) <= set(DATA_TYPES)


def test_no_sample_shows_a_link_or_a_key_without_secrets() -> None:
    """What a sink without ``secrets`` gets has no link that needs no password, no ingest server and no stream key."""
    for folder in FOLDERS:
        plain = json.dumps(expected_of(folder))
        for secret in ("https://", "rtmps://", "3f1f3a9c0d7b"):
            assert secret not in plain, folder.name
