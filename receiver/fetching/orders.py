"""An order to fetch now, as `receiver fetch` gives it: one try for each kind, and what became of it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Literal

import msgspec

from receiver.errors import Malformed, NotFound, VendorError, VendorPending
from receiver.rest.base import Fetched, Hints, VendorApi
from receiver.settings import Account

Text = Annotated[str, msgspec.Meta(max_length=1024)]


class FetchOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /api/fetch``. ``kinds`` empty: what the account fetches, else all that the vendor has. ``vendor`` and
    ``endpoint`` empty: the one account that fits. ``session``, ``artifact``: what some calls need beside the id."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    kinds: Annotated[list[Text], msgspec.Meta(max_length=32)] = []
    vendor: Text = ""
    endpoint: Text = ""
    session: Text = ""
    artifact: Text = ""


class Came(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one kind, or of one of its answers. ``accepted``, ``duplicate``, ``quarantined``: what the intake
    said of it; ``none``: the vendor has made none and will not; ``pending``: not yet; ``failed``: see ``error``."""

    kind: str
    outcome: Literal["accepted", "duplicate", "quarantined", "none", "pending", "failed"]
    call: str = ""
    bytes: int = 0
    error: str = ""


Tell = Callable[[Came], None]
Keep = Callable[[Fetched], Awaitable[Literal["accepted", "duplicate", "quarantined"]]]


def account_for(accounts: Iterable[Account], vendor: str, name: str) -> Account:
    """The account that is meant. Raises ``NotFound`` where none is, ``Malformed`` where several are."""
    there = list(accounts)
    found = [one for one in there if vendor in ("", one.vendor) and name in ("", one.name)]
    if len(found) == 1:
        return found[0]
    named = ", ".join(f"{one.vendor}/{one.name}" for one in (found or there))
    if found:
        raise Malformed(f"found several accounts that fit, allowed one: name the vendor and the endpoint of {named}")
    asked = "/".join(filter(None, (vendor, name)))
    raise NotFound(
        f"no account {asked or 'at all'} is configured; there are: {named}"
        if there
        else f"no account is configured: add [accounts.{vendor or 'VENDOR'}.{name or 'NAME'}] with key_env or key_file"
    )


def kinds_of(api: VendorApi, asked: Iterable[str]) -> list[str]:
    """The kinds to ask for. Raises ``Malformed`` for one that the vendor does not have."""
    kinds = list(dict.fromkeys(asked)) or [kind for kind in api.KINDS if kind in api.account.fetch] or list(api.KINDS)
    for kind in kinds:
        if kind not in api.KINDS:
            raise Malformed(f"found {kind!r}, allowed with {api.VENDOR}: {', '.join(api.KINDS) or 'nothing'}", "kinds")
    return kinds


async def carry_out(api: VendorApi, order: FetchOrder, keep: Keep, tell: Tell) -> None:
    """One try for each kind. Raises ``JournalUnavailable`` and ``Malformed``; what a vendor says is told."""
    hints = Hints(session=order.session, artifact=order.artifact)
    for kind in kinds_of(api, order.kinds):
        try:
            answers = await api.fetch(kind, order.subject, hints)
        except VendorError as error:
            outcome: Literal["pending", "failed"] = "pending" if isinstance(error, VendorPending) else "failed"
            tell(Came(kind=kind, outcome=outcome, error=str(error)))
            continue
        if not answers:
            tell(Came(kind=kind, outcome="none"))
        for one in answers:
            tell(Came(kind=kind, outcome=await keep(one), call=one.call, bytes=len(one.body)))
