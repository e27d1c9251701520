"""Every sample of a vendor's pushes gives exactly the events beside it; every name of the fact sheets has a sample."""

import json
from pathlib import Path

import pytest

from receiver.events import DATA_TYPES
from receiver.vendors import VENDORS
from receiver.vendors.base import Vendor
from tests.vendors.samples import events_of, expected_of, folders_of, headers_of

FOLDERS = [folder for vendor in VENDORS for folder in folders_of(vendor.NAME)]


def named(one: Path | Vendor) -> str:
    """Of a test's parameter."""
    return f"{one.parent.name}-{one.name}" if isinstance(one, Path) else one.NAME


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_a_sample_gives_its_events(folder: Path) -> None:
    """The events of a body or socket are those beside it, ids included: an id that changes is seen twice."""
    assert [json.loads(event.json()) for event in events_of(folder)] == expected_of(folder)


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_a_sample_says_where_it_comes_from(folder: Path) -> None:
    """A sample is raw bytes with headers and a note of its origin."""
    assert (folder / "source.txt").read_text().startswith("origin: ")
    assert isinstance(headers_of(folder), dict)


@pytest.mark.parametrize("vendor", VENDORS, ids=named)
def test_every_declared_name_has_a_sample(vendor: Vendor) -> None:
    """The declared table of names is what the samples show, type by type."""
    shown: dict[str, set[str]] = {}
    for folder in folders_of(vendor.NAME):
        for event in expected_of(folder):
            shown.setdefault(event.get("vendorevent", ""), set()).add(event["type"])
    for name, type_ in vendor.EVENT_TYPES.items():
        assert type_ in shown.get(name, set()), name


@pytest.mark.parametrize("vendor", VENDORS, ids=named)
def test_declared_types_are_types_of_the_contract(vendor: Vendor) -> None:
    """No vendor invents a type."""
    assert set(vendor.EVENT_TYPES.values()) <= set(DATA_TYPES)
