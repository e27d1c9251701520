"""The registry of vendors: names that are there, and modules that offer what a vendor module has to."""

import pytest

from receiver.errors import NotFound
from receiver.vendors import VENDORS, daily, every_vendor, meemo, meetstream, realtimekit, vendor_named, waterai
from receiver.vendors.base import Vendor

#: each of these is checked against ``Vendor`` by its type
MODULES: tuple[Vendor, ...] = (meetstream, realtimekit, daily, waterai, meemo)


def test_every_name_leads_to_the_module_that_has_it() -> None:
    """In the order of the registry; a module is the same one whenever it is asked for."""
    assert tuple(one.NAME for one in MODULES) == VENDORS
    assert all(vendor_named(one.NAME) is one for one in MODULES)
    assert every_vendor() == list(MODULES)


@pytest.mark.parametrize("name", ["base", "signing", "daily.body", "", "MeetStream", "..errors"])
def test_no_other_module_is_a_vendor(name: str) -> None:
    """A name comes from a config or a record: it is looked up, not imported. The error names those that there are."""
    with pytest.raises(NotFound, match="known: daily, meemo, meetstream, realtimekit, waterai"):
        vendor_named(name)
