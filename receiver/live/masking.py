"""What a reader is not to see: names of people, and what was said. Pure.

By the keys of the contract and of the answers about meetings, so that a key with that meaning is masked wherever it
stands. Free-form JSON (custom attributes, bodies of ``vendor.event``) may hold anything, and goes as a whole. So does
what a vendor has written about a meeting (summary, notes, a transcript in one text): it calls people by their names.
"""

import hmac
from base64 import b32encode
from typing import Any, NamedTuple, TypeVar

import msgspec

from receiver.events import Event

T = TypeVar("T")
HIDDEN = "[redacted]"
#: what tells who somebody is, beside the name
_ABOUT_PEOPLE = ("email", "user_id")
_TEXTS = frozenset({"text", "formatted_text", "new_text", "title", "message"})
_FREE = frozenset({"attributes", "body"})
#: written about a meeting, or a transcript in which speakers stand as text
_WRITTEN = frozenset({"text", "notes", "keywords"})


class Mask(NamedTuple):
    """``names``, ``text``: hide them. ``key``: of one reader, who can tell people apart and cannot look names up."""

    names: bool
    text: bool
    key: bytes

    def event(self, event: Event) -> Event:
        """The same event without what is hidden; sound and pictures stay."""
        return msgspec.structs.replace(event, data=self.apply(event.data), raw=b"", cached_json=b"")

    def apply(self, told: T) -> T:
        """The same data, or view of a meeting, without it."""
        return self._masked(told)  # type: ignore[no-any-return]

    def _masked(self, told: Any) -> Any:
        if isinstance(told, list):
            return [self._masked(one) for one in told]
        if not isinstance(told, msgspec.Struct):
            return told
        changes: dict[str, Any] = {}
        for name in told.__struct_fields__:
            value = getattr(told, name)
            if value is None or value == "":
                continue
            masked = self._field(told, name, value)
            if masked is not value:
                changes[name] = masked
        return msgspec.structs.replace(told, **changes) if changes else told

    def _field(self, told: msgspec.Struct, name: str, value: Any) -> Any:
        if name in _FREE:
            return {} if name == "body" else None
        if name in _WRITTEN and hasattr(told, "notes"):
            return None if name == "keywords" else HIDDEN
        if self.names:
            if name in _ABOUT_PEOPLE:
                return None
            if name in ("name", "to") or (name == "id" and _names_somebody(told, value)):
                return self._pseudonym(told, value)
        if self.text:
            if name == "words":
                return None
            if name in _TEXTS:
                return HIDDEN
        return self._masked(value)

    def _pseudonym(self, told: msgspec.Struct, name: str) -> str:
        """The same for the same person, as far as the vendor tells who that is."""
        who = getattr(told, "user_id", None) or getattr(told, "id", None) or name
        digest = hmac.digest(self.key, str(who).encode(errors="replace"), "sha256")
        return f"Person {b32encode(digest[:4]).decode()[:6]}"


def _names_somebody(told: msgspec.Struct, id_: str) -> bool:
    """Whether a vendor uses a name or an address as the id of somebody."""
    return hasattr(told, "name") and ("@" in id_ or id_ == getattr(told, "name", None))
