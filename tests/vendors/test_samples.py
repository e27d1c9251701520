"""Every sample of what a vendor pushes or answers gives exactly the events beside it; every name has a sample."""

import json
from pathlib import Path

import pytest

from receiver.events import DATA_TYPES
from receiver.vendors import VENDORS, every_vendor
from receiver.vendors.base import Vendor
from tests.vendors.samples import events_of, expected_of, folders_of, headers_of, is_reply

FOLDERS = [folder for vendor in VENDORS for folder in folders_of(vendor)]


def named(one: Path | Vendor) -> str:
    """Of a test's parameter."""
    return f"{one.parent.name}-{one.name}" if isinstance(one, Path) else one.NAME


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_a_sample_gives_its_events(folder: Path) -> None:
    """The events of a body, socket or answer are those beside it, ids included: an id that changes is seen twice."""
    assert [json.loads(event.json()) for event in events_of(folder)] == expected_of(folder)


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_a_sample_says_where_it_comes_from(folder: Path) -> None:
    """A sample is raw bytes with a note of its origin; what was pushed has headers, what was answered has a call."""
    assert (folder / "source.txt").read_text().startswith("origin: ")
    if is_reply(folder):
        assert (folder / "call.txt").read_text().strip()
    else:
        assert isinstance(headers_of(folder), dict)


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if is_reply(folder)], ids=named)
def test_what_was_missed_is_marked_and_nothing_else_is(folder: Path) -> None:
    """Only what is compared with ``seen.json`` is ``reconciled``; what was asked for by itself is an artifact."""
    compared = (folder / "seen.json").exists()
    for event in expected_of(folder):
        assert event["data"].get("reconciled", False) == compared
        assert (event["type"] == "artifact.fetched") != compared


@pytest.mark.parametrize("vendor", every_vendor(), ids=named)
def test_every_declared_name_has_a_sample(vendor: Vendor) -> None:
    """The declared table of names is what the samples show, type by type."""
    shown: dict[str, set[str]] = {}
    for folder in folders_of(vendor.NAME):
        for event in expected_of(folder):
            shown.setdefault(event.get("vendorevent", ""), set()).add(event["type"])
    for name, type_ in vendor.EVENT_TYPES.items():
        assert type_ in shown.get(name, set()), name


@pytest.mark.parametrize("vendor", every_vendor(), ids=named)
def test_declared_types_are_types_of_the_contract(vendor: Vendor) -> None:
    """No vendor invents a type."""
    assert set(vendor.EVENT_TYPES.values()) <= set(DATA_TYPES)
