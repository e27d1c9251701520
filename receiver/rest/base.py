"""What a vendor's REST client offers to commands and to fetching, alike for all vendors.

A client has a method of its own for each call that the vendor documents; what is here is the part that all share.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import aiohttp
import msgspec

from receiver.errors import VendorCannot
from receiver.settings import Account

__all__ = ["Account", "Created", "Fetched", "Hints", "Options", "VendorApi", "Webhook", "Wiring"]


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """Where this receiver takes an endpoint's deliveries: URLs with their tokens, so they are secrets."""

    callback: str
    audio: str = ""
    video: str = ""
    transcript: str = ""
    control: str = ""

    def __repr__(self) -> str:
        return "Wiring(…)"


class Options(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a create call takes: one field for each of the vendor's, with its bounds. Wired fields may be given too:
    then they outweigh the wiring."""


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """What was created. ``facts``: what to show, by name. ``secrets``: what only who asked may see: join tokens."""

    what: Literal["bot", "meeting"]
    subject: str
    facts: Mapping[str, str] = {}
    secrets: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"Created({self.what} {self.subject}, {len(self.secrets)} secrets)"


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A registration at the vendor. ``secret``: told by some vendors when it is made, by some always."""

    id: str
    url: str
    events: tuple[str, ...] = ()
    state: str = ""
    facts: Mapping[str, str] = {}
    secret: str = ""

    def __repr__(self) -> str:
        return f"Webhook({self.id})"


class Hints(msgspec.Struct, frozen=True, kw_only=True):
    """What events have told of a subject, for calls that need more than its id. Times in seconds since the epoch."""

    session: str = ""
    #: the vendor's id of what was announced: of a recording or a transcript
    artifact: str = ""
    since_s: float | None = None
    until_s: float | None = None


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to be journalled as a delivery of its own; ``vendors.decode_reply`` tells what ``call`` means.

    ``subject``: bot or meeting; empty where the body itself tells it.
    """

    call: str
    body: bytes
    subject: str = ""
    content_type: str = "application/json"

    def __repr__(self) -> str:
        return f"Fetched({self.call}, {len(self.body)} bytes)"


class VendorApi:
    """One account at one vendor. A vendor overrides what it offers; the rest raises ``VendorCannot``.

    Everything raises ``VendorError`` and what derives from it.
    """

    VENDOR: ClassVar[str]
    #: where its API is when the account does not say otherwise
    BASE_URL: ClassVar[str]
    #: what ``create`` makes, and the options that it takes; ``OPENING``: the option that a command takes without a
    #: name (a meeting's link or title), empty: none
    CREATES: ClassVar[Literal["bot", "meeting", ""]] = ""
    OPTIONS: ClassVar[type[Options]] = Options
    OPENING: ClassVar[str] = ""
    #: what ``fetch`` gets, the first ones first
    KINDS: ClassVar[tuple[str, ...]] = ()
    #: vendor event name -> kinds that can be fetched from then on, beside what is announced as an artifact
    HINTS: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    #: whether there is a record of the vendor's own to compare with, of a bot or meeting or of the account
    RECONCILES: ClassVar[bool] = False

    def __init__(self, account: Account, client: aiohttp.ClientSession) -> None:
        """``client`` is the caller's, who closes it. Sends nothing."""
        self.account = account

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.account.vendor}/{self.account.name})"

    async def create(self, wiring: Wiring, options: Options) -> Created:
        """Create a bot or meeting that delivers to ``wiring``. ``options``: an ``OPTIONS``."""
        raise self.cannot("creates nothing over its API")

    async def remove(self, subject: str) -> str:
        """End the bot or meeting; the vendor's words."""
        raise self.cannot("ends nothing over its API")

    async def status(self, subject: str) -> dict[str, Any]:
        """What the vendor says of the bot or meeting, as it says it, without secrets."""
        raise self.cannot("tells no status")

    async def fetch(self, kind: str, subject: str, hints: Hints) -> list[Fetched]:
        """What there is of ``kind`` (of ``KINDS``); an empty list: the vendor has made none and will not.

        Raises ``VendorPending`` and ``VendorNotFound`` where it may come yet.
        """
        raise self.cannot(f"has nothing of the kind {kind!r}")

    async def own_record(self, subject: str, hints: Hints) -> list[Fetched]:
        """The vendor's own record of what happened, to find what was missed. Empty ``subject``: of the account."""
        raise self.cannot("keeps no record to compare with")

    async def register(self, wiring: Wiring, events: tuple[str, ...], extra: Mapping[str, Any]) -> list[Webhook]:
        """Have ``events`` (empty: all) delivered to ``wiring``."""
        raise self.cannot("registers webhooks nowhere but in its dashboard or with each bot")

    async def webhooks(self) -> list[Webhook]:
        """What is registered."""
        raise self.cannot("has no list of webhooks")

    async def unregister(self, id_: str) -> None:
        """Take a registration back."""
        raise self.cannot("has no webhooks to remove")

    @classmethod
    def cannot(cls, what: str) -> VendorCannot:
        """The error for what this vendor does not offer."""
        return VendorCannot(f"{cls.VENDOR} {what}")
