"""What the commands that ask a vendor have in common: which account, where this receiver is, errors with advice."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from receiver.commands.urls import endpoint_urls, public_base
from receiver.errors import ConfigError, Forbidden, Malformed, NotFound, VendorError, VendorUnreachable
from receiver.fetching.orders import account_for
from receiver.rest import APIS, api_of
from receiver.rest.base import VendorApi, Wiring
from receiver.secretfiles import with_auto_tokens
from receiver.settings import Account, Endpoint, LogSettings, Settings
from receiver.telemetry import log as logs

T = TypeVar("T")
_HIDDEN = "TOKEN"


class Parser(argparse.ArgumentParser):
    """Takes what stands without a name behind options too, also where it may be left out."""

    _within = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """In two rounds: options first."""
        if self._within:
            return super().parse_known_args(args, namespace)
        self._within = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._within = False


def add_account_options(parser: argparse.ArgumentParser) -> None:
    """``--vendor``, ``--endpoint``, ``--config``, ``--data``."""
    parser.add_argument(
        "--vendor", default="", metavar="VENDOR", help="whose account (default: the only one that fits)"
    )
    parser.add_argument("--endpoint", default="", metavar="NAME", help="of the account and the endpoint it belongs to")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file of the server, with [accounts]")
    parser.add_argument("--data", metavar="DIR", help="data folder of the server, in place of data_dir")


def add_wiring_options(parser: argparse.ArgumentParser) -> None:
    """``--public-url``, ``--show-secrets``, ``--json``."""
    parser.add_argument("--public-url", metavar="URL", help="https://… as vendors see it (default: server.public_url)")
    parser.add_argument("--show-secrets", action="store_true", help="print tokens and join links too")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def account_of(arguments: argparse.Namespace, settings: Settings, creates: str = "") -> Account:
    """The account that is meant; ``creates``: among those that can create that, unless a vendor is named.

    Raises ``ConfigError`` where there is none; ends the command (2) where several fit."""
    accounts = settings.accounts
    if creates and not arguments.vendor:
        able = tuple(one for one in accounts if one.vendor in APIS and creates == APIS[one.vendor]().CREATES)
        accounts = able or accounts
    parser: argparse.ArgumentParser = arguments.parser
    try:
        return account_for(accounts, arguments.vendor, arguments.endpoint)
    except NotFound as error:
        raise ConfigError(f"accounts: {error}") from None
    except Malformed as error:
        parser.error(f"--vendor, --endpoint: {error}")


def api_class(account: Account) -> type[VendorApi]:
    """The client's class. Raises ``ConfigError`` for a vendor without one."""
    load = APIS.get(account.vendor)
    if load is None:
        known = ", ".join(sorted(APIS)) or "none"
        raise ConfigError(
            f"accounts.{account.vendor}.{account.name}: found a vendor without REST client, allowed {known}"
        )
    return load()


def wiring_of(settings: Settings, account: Account, public_url: str | None, *, hidden: bool = False) -> Wiring:
    """Where the vendor is to deliver; ``hidden``: to be shown, with a word in place of the token.

    Raises ``ConfigError`` where no public URL is known."""
    base = public_base(public_url or settings.server.public_url)
    endpoint = endpoint_of(settings, account)
    if hidden and endpoint.tokens:
        endpoint = msgspec.structs.replace(endpoint, tokens=(_HIDDEN,))
    return Wiring(**endpoint_urls(endpoint, base))


def endpoint_of(settings: Settings, account: Account) -> Endpoint:
    """The endpoint that an account belongs to, with its token."""
    settings = with_auto_tokens(settings)
    return next(one for one in settings.endpoints if (one.vendor, one.name) == (account.vendor, account.name))


def without_tokens(url: str, endpoint: Endpoint) -> str:
    """A URL as it may be shown."""
    for token in endpoint.tokens:
        url = url.replace(quote(token, safe=""), _HIDDEN).replace(token, _HIDDEN)
    return url


def ask(account: Account, work: Callable[[VendorApi], Awaitable[T]]) -> T:
    """``work`` with the account's client. Raises ``VendorError`` and ``Forbidden`` that say what to do next."""

    async def call() -> T:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
            return await work(api_of(account, client))

    logs.configure(LogSettings(level="warning"))
    try:
        return asyncio.run(call())
    except VendorError as error:
        advice = _advice(error, account)
        if error.vendor_status in (401, 403):
            raise Forbidden(f"{error}\n{advice}") from None
        raise VendorError(f"{error}\n{advice}" if advice else str(error), vendor_status=error.vendor_status) from None


def _advice(error: VendorError, account: Account) -> str:
    section = f"[accounts.{account.vendor}.{account.name}]"
    if error.vendor_status in (401, 403):
        return f"the vendor does not take the key of {section}: check key_env or key_file, id and base_url there"
    if error.vendor_status == 429:
        return "the vendor's limit is reached: try again later"
    if isinstance(error, VendorUnreachable):
        return (
            f"it is not known whether it was done: look at the vendor's before you try again (base_url of {section}"
            " says where it was asked)"
        )
    if error.vendor_status == 404:
        return f"check the id, and whether it belongs to {section}; what was made a moment ago may take a while"
    return ""
