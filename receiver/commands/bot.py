"""``receiver bot``: send a bot into a meeting, wired to this receiver; look at it, have it leave."""

import argparse
from typing import Any

from receiver.commands import bot_create

_EPILOG = """\
examples:
  receiver bot create --vendor meetstream https://meet.google.com/abc-defg-hij
  receiver bot create https://meet.google.com/abc-defg-hij --name Notetaker --set video_required=true
  receiver bot create https://meet.google.com/abc-defg-hij --set custom_attributes.case=4711 --dry-run
  receiver bot options --vendor meetstream              every field for --set, and what it may be
  receiver bot status BOT                               what the vendor says of it, as JSON
  receiver bot remove BOT                               have it leave

It uses [accounts.VENDOR.NAME] of the config (--config) and wires the bot to the endpoint of the same name: callback and
sockets, with the tokens filled in. --set takes text, numbers, true, false, or JSON; field.key=value sets a key of a
table; a wired field that is given outweighs the wiring. Wrong values are refused before anything is sent. Tokens and
join links are printed with --show-secrets only.
`receiver bot create --help` shows all options of the command itself.
exit status: 0 done, 1 the vendor said no (its words are printed) or was not reached, 2 a wrong option, 77 the vendor
does not take the key, 78 the config is wrong or has no account
"""


def register(subparsers: Any) -> None:
    """Add ``bot``."""
    parser = subparsers.add_parser(
        "bot",
        help="send a bot into a meeting, wired to this receiver",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    create = bot_create.add_actions(parser, "bot")
    create.add_argument("given", metavar="LINK", help="the meeting's link")
    create.add_argument("--name", metavar="NAME", help="what it is called in the meeting")
