"""``receiver webhooks``: have a vendor deliver to this receiver; see what is registered, take it back."""

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec

from receiver.commands.bot_account import (
    Parser,
    account_of,
    add_account_options,
    add_wiring_options,
    ask,
    endpoint_of,
    wiring_of,
    without_tokens,
)
from receiver.commands.bot_options import pairs, plain
from receiver.rest.base import VendorApi, Webhook
from receiver.settings import Account, Endpoint, load

_EPILOG = """\
examples:
  receiver webhooks register --vendor realtimekit --public-url https://hooks.example.org
  receiver webhooks register --vendor daily --event meeting.ended --event recording.ready-to-download
  receiver webhooks register --vendor meemo --set organization_ids=7
  receiver webhooks list --vendor realtimekit
  receiver webhooks remove 0f6a --vendor realtimekit

It uses [accounts.VENDOR.NAME] of the config (--config) and registers the URL of the endpoint of the same name, with its
token. `register` prints the signing secret where the vendor gives one, since it may be told only once: keep it where
[endpoints.VENDOR.NAME] says (secret_env, secret_file) and `receiver reload`. `list` prints secrets and tokens with
--show-secrets only. Without --event: all events. The receiver must be running: some vendors try the URL at once.
exit status: 0 done, 1 the vendor said no (its words are printed) or was not reached, 2 a wrong option, 77 the vendor
does not take the key, 78 the config is wrong or has no account
"""


def register(subparsers: Any) -> None:
    """Add ``webhooks``."""
    parser = subparsers.add_parser(
        "webhooks",
        help="register this receiver's URL at a vendor, list and remove registrations",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=Parser)
    made: dict[str, argparse.ArgumentParser] = {}
    for action, help_ in (
        ("register", "have the vendor deliver here"),
        ("list", "what is registered"),
        ("remove", "take registrations back"),
    ):
        one = made[action] = actions.add_parser(
            action, help=help_, description=f"{help_}; see `receiver webhooks --help`"
        )
        add_account_options(one)
        if action != "remove":
            add_wiring_options(one)
        one.set_defaults(run=run, parser=one, action=action)
    made["remove"].add_argument("ids", nargs="+", metavar="ID", help="as `list` shows it")
    register_ = made["register"]
    register_.add_argument("--event", action="append", default=[], metavar="EVENT", help="one of the vendor's")
    register_.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="what else it takes")


def run(arguments: argparse.Namespace) -> int:
    """Register, list or remove."""
    settings = load(arguments.config, data_dir=arguments.data)
    account = account_of(arguments, settings)
    endpoint = endpoint_of(settings, account)
    if arguments.action == "register":
        problems: list[str] = []
        extra = {name: _plain(value) for name, value in pairs(arguments.set, problems).items()}
        if problems:
            arguments.parser.error("; ".join(problems))
        wiring = wiring_of(settings, account, arguments.public_url)
        made = ask(account, lambda api: api.register(wiring, tuple(arguments.event), extra))
        _show(made, account, endpoint, arguments, secrets=True)
    elif arguments.action == "list":
        there = ask(account, lambda api: api.webhooks())
        _show(there, account, endpoint, arguments, secrets=arguments.show_secrets)
    else:
        for id_ in arguments.ids:
            ask(account, partial(_remove, id_))
            sys.stdout.write(f"removed {id_}\n")
    return 0


async def _remove(id_: str, api: VendorApi) -> None:
    await api.unregister(id_)


def _show(
    webhooks: Iterable[Webhook], account: Account, endpoint: Endpoint, arguments: argparse.Namespace, *, secrets: bool
) -> None:
    """``secrets``: signing secrets too; tokens in URLs only where they were asked for."""
    for one in webhooks:
        url = one.url if arguments.show_secrets else without_tokens(one.url, endpoint)
        about: dict[str, Any] = {"id": one.id, "url": url, "events": list(one.events), "state": one.state}
        about |= {"facts": dict(one.facts), **({"secret": one.secret} if secrets and one.secret else {})}
        if arguments.json:
            sys.stdout.write(msgspec.json.encode(about).decode() + "\n")
            continue
        sys.stdout.write(f"{one.id}  {one.state or 'registered'}  {url}\n")
        sys.stdout.write(f"  events: {', '.join(one.events) or 'all'}\n")
        for name, value in one.facts.items():
            sys.stdout.write(f"  {name}: {' '.join(str(value).split())}\n")
        if one.secret and secrets:
            sys.stdout.write(
                f"  secret: {one.secret}\n  keep it where [endpoints.{account.vendor}.{account.name}] says"
                " (secret_env, secret_file), then `receiver reload`\n"
            )
        elif one.secret:
            sys.stdout.write("  secret: not shown (--show-secrets)\n")


def _plain(value: Any) -> Any:
    return plain(value) if isinstance(value, str) else value
