"""``receiver meeting``: create a meeting at a platform, look at it, end it."""

import argparse
from typing import Any

from receiver.commands import bot_create

_EPILOG = """\
examples:
  receiver meeting create --vendor realtimekit "Weekly" --show-secrets
  receiver meeting create --vendor daily standup --set privacy=private --dry-run
  receiver meeting options --vendor meemo               every field for --set, and what it may be
  receiver meeting status MEETING                       what the vendor says of it, as JSON
  receiver meeting remove MEETING                       end it, or delete it, as far as the vendor can

It uses [accounts.VENDOR.NAME] of the config (--config); the meeting's deliveries come to the endpoint of the same name,
where the vendor's webhooks lead there (`receiver webhooks register`). --set takes text, numbers, true, false, or JSON;
field.key=value sets a key of a table. Wrong values are refused before anything is sent. Join tokens and links are
printed with --show-secrets only.
`receiver meeting create --help` shows all options of the command itself.
exit status: 0 done, 1 the vendor said no (its words are printed) or was not reached, 2 a wrong option, 77 the vendor
does not take the key, 78 the config is wrong or has no account
"""


def register(subparsers: Any) -> None:
    """Add ``meeting``."""
    parser = subparsers.add_parser(
        "meeting",
        help="create a meeting at a platform",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    create = bot_create.add_actions(parser, "meeting")
    create.add_argument("given", nargs="?", metavar="TITLE", help="its title or name")
    create.add_argument("--name", metavar="NAME", help="its name, where the vendor has such a field")
