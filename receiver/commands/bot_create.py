"""What `receiver bot` and `receiver meeting` do: create, look, end. Both are the same calls of a client."""

import argparse
import sys
from typing import Any

import msgspec

from receiver.commands.bot_account import (
    Parser,
    account_of,
    add_account_options,
    add_wiring_options,
    api_class,
    ask,
    wiring_of,
)
from receiver.commands.bot_options import described, options_from
from receiver.errors import VendorCannot
from receiver.redaction import redact
from receiver.rest.base import Created
from receiver.settings import Account, Settings, load


def add_actions(parser: argparse.ArgumentParser, what: str) -> argparse.ArgumentParser:
    """Add ``create``, which is returned to be given more, ``options``, ``status`` and ``remove``."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=Parser)
    made: dict[str, argparse.ArgumentParser] = {}
    for action, help_ in (
        ("create", f"create a {what}"),
        ("options", f"what --set takes when a {what} is created"),
        ("status", f"what the vendor says of a {what}"),
        ("remove", f"end a {what}"),
    ):
        one = made[action] = actions.add_parser(
            action, help=help_, description=f"{help_}; see `receiver {what} --help`"
        )
        add_account_options(one)
        if action in ("status", "remove"):
            one.add_argument("given", metavar="ID", help=f"of the {what}")
        if action == "status":
            one.add_argument("--show-secrets", action="store_true", help="print tokens and links too")
        one.set_defaults(run=lambda arguments: run(arguments, what), parser=one, action=action)
    create = made["create"]
    create.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="an option of the vendor's")
    create.add_argument("--dry-run", action="store_true", help="show what would be asked for, send nothing")
    add_wiring_options(create)
    return create


def run(arguments: argparse.Namespace, what: str) -> int:
    """One of ``create``, ``options``, ``status``, ``remove``, for a ``what``: ``bot`` or ``meeting``."""
    settings = load(arguments.config, data_dir=arguments.data)
    account = account_of(arguments, settings, what)
    if arguments.action == "options":
        return _options(account, what)
    if arguments.action == "create":
        return _create(arguments, settings, account, what)
    subject: str = arguments.given
    if arguments.action == "status":
        told = ask(account, lambda api: api.status(subject))
        sys.stdout.write(_json(told if arguments.show_secrets else redact(told)))
    else:
        words = ask(account, lambda api: api.remove(subject))
        sys.stdout.write(f"{what} {subject} was told to end: {' '.join(words.split()) or 'done'}\n")
    return 0


def _options(account: Account, what: str) -> int:
    api = api_class(account)
    _require(api.CREATES, account, what)
    for name, text in described(api):
        opening = f"; what stands without --set in `receiver {what} create`" if name == api.OPENING else ""
        sys.stdout.write(f"{name}: {text}{opening}\n")
    return 0


def _create(arguments: argparse.Namespace, settings: Settings, account: Account, what: str) -> int:
    api = api_class(account)
    _require(api.CREATES, account, what)
    parser: argparse.ArgumentParser = arguments.parser
    options, problems = options_from(api, arguments.set, arguments.given, arguments.name)
    if options is None:
        hint = f"`receiver {what} options --vendor {account.vendor}` shows them all"
        parser.error("; ".join(problems) + f" ({hint})")
    if arguments.dry_run:
        shown = wiring_of(settings, account, arguments.public_url, hidden=not arguments.show_secrets)
        given = msgspec.to_builtins(options)
        plan = {
            "vendor": account.vendor,
            "endpoint": account.name,
            "at": account.base_url or api.BASE_URL,
            "options": given if arguments.show_secrets else redact(given),
            "delivers_to": msgspec.to_builtins(shown),
        }
        sys.stdout.write(_json(plan))
        return 0
    wiring = wiring_of(settings, account, arguments.public_url)
    created = ask(account, lambda client: client.create(wiring, options))
    sys.stdout.write(_told(created, account, arguments.show_secrets, as_json=arguments.json))
    return 0


def _require(creates: str, account: Account, what: str) -> None:
    if creates == what:
        return
    instead = f"use `receiver {creates} create`" if creates else "it has no such call"
    raise VendorCannot(f"{account.vendor} creates no {what}s over its API: {instead}")


def _told(created: Created, account: Account, show_secrets: bool, *, as_json: bool) -> str:
    if as_json:
        told: dict[str, Any] = {
            "what": created.what,
            "subject": created.subject,
            "source": f"/{account.vendor}/{account.name}",
            "facts": dict(created.facts),
        }
        told |= {"secrets": dict(created.secrets)} if show_secrets else {"not_shown": sorted(created.secrets)}
        return _json(told)
    lines = [f"{created.what} {created.subject} created; it delivers to {account.vendor}/{account.name}"]
    lines += [f"  {name}: {' '.join(str(value).split())}" for name, value in created.facts.items()]
    if show_secrets:
        lines += [f"  {name}: {value}" for name, value in created.secrets.items()]
    elif created.secrets:
        lines.append(f"  not shown: {', '.join(sorted(created.secrets))} (--show-secrets)")
    return "\n".join(lines) + "\n"


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
