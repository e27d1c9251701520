"""The ``scheme`` table of an endpoint, whose keys are its vendor's own. Pure: adds a line for each problem."""

from collections.abc import Mapping
from typing import Any

from receiver.errors import NotFound
from receiver.sections import join, read_section, shown
from receiver.vendors import every_vendor, vendor_named
from receiver.vendors.base import Scheme, scheme_of


def read_scheme(vendor: str, raw: Mapping[str, Any], section: str, problems: list[str]) -> Scheme | None:
    """``raw``, the table ``section``, as the vendor's scheme; ``None`` where it is empty or wrong.

    An unknown vendor is somebody else's problem.
    """
    if not raw:
        return None
    try:
        kind = scheme_of(vendor_named(vendor))
    except NotFound:
        return None
    if kind is None:
        offering = ", ".join(one.NAME for one in every_vendor() if scheme_of(one) is not None)
        problems.append(
            f"{section}: found a scheme for {vendor}, whose deliveries have one form, allowed none; vendors with a"
            f" scheme: {offering}"
        )
        return None
    before = len(problems)
    scheme = read_section(raw, kind, section, problems)
    if scheme is None or len(problems) > before:
        return None
    faults = [
        f"{join(section, key)}: found {shown('', getattr(scheme, key))}, allowed {allowed}"
        for key, allowed in scheme.faults()
    ]
    problems += faults
    return None if faults else scheme
