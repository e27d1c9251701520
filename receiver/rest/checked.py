"""What a caller asks for, held against the vendor's bounds before anything is sent."""

from typing import TypeVar
from urllib.parse import quote

import msgspec

from receiver.errors import VendorError, VendorNotFound

T = TypeVar("T", bound=msgspec.Struct)


def checked(vendor: str, options: T) -> T:
    """``options`` with every field within its type and bounds. Raises ``VendorError``, naming the field; nothing was
    sent."""
    try:
        return msgspec.convert(msgspec.to_builtins(options), type(options))
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        field = path.removesuffix("`") or "options"
        raise VendorError(f"{vendor}: {field}: {reason}; nothing was sent") from None


def within(vendor: str, field: str, value: int, least: int, most: int) -> int:
    """``value`` where it lies from ``least`` to ``most``. Raises ``VendorError``, naming the field."""
    if not least <= value <= most:
        raise VendorError(f"{vendor}: {field}: found {value}, allowed {least} to {most}; nothing was sent")
    return value


def segment(text: str) -> str:
    """``text`` as one segment of a path: whatever it holds, it leads to no other route.

    Raises ``VendorNotFound`` where it can be none; nothing was sent.
    """
    if text in ("", ".", ".."):
        raise VendorNotFound(f"{text!r} is no name or id that a vendor gives; nothing was sent")
    return quote(text, safe="")
