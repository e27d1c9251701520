"""The ``receiver`` command: finds the subcommand, runs it, turns errors into exit statuses."""

import argparse
import gc
import sys
from collections.abc import Sequence
from importlib import import_module

from receiver import __version__
from receiver.errors import ConfigError, Forbidden, Malformed, ReceiverError, Unauthorized

#: in the order in which a newcomer meets them; each is a module below ``receiver/commands``
COMMANDS = (
    "demo", "serve", "reload", "check", "doctor", "urls", "bot", "meeting", "webhooks", "fetch", "decode", "schema",
    "simulate", "tail", "pcm", "send", "quarantine", "dead", "replay",
)  # fmt: skip
_EPILOG = """\
examples:
  receiver demo                                   watch a meeting pass through the real server; needs nothing
  receiver serve                                  listen on 127.0.0.1:8080, events to ./receiver-data and the terminal
  receiver serve --config receiver.toml           what you deploy
  receiver check --config receiver.toml           what is wrong with a config, before it matters
  receiver reload --config receiver.toml          put an edited config in force, with no gap
  receiver doctor --config receiver.toml          journal, disk, clock, sinks, and a test delivery
  receiver urls --public-url https://example.org  the URLs for your vendor, and a create_bot body to paste
  receiver bot create https://meet.google.com/…   send a bot, wired to this receiver ([accounts] in the config)
  receiver fetch BOT --kind transcript            ask the vendor for what its pushes left out
  receiver tail --follow                          events as they happen, on the terminal
  receiver decode --vendor meetstream body.json   what a captured delivery means

exit status:
  0   it worked, and what was asked for holds
  1   it ran, and what was asked for does not hold (counts do not balance, a check failed, nobody answered)
  2   the command line is wrong
  65  input is malformed: one line on standard error names the field or byte
  66  an input file cannot be read
  77  a signature or a permission is missing or wrong
  78  the configuration is wrong: one line for each problem
  130 ended by Ctrl-C
"""


def build_parser(commands: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The command line with these of its commands; the module of each is imported."""
    parser = argparse.ArgumentParser(
        prog="receiver",
        description="The endpoint for meeting bots and meeting platforms: takes their pushes, makes each one safe"
        " before it answers, fans them out.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"receiver {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in commands:
        import_module(f"receiver.commands.{name}").register(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit status. The modules of the others are not imported."""
    words = sys.argv[1:] if argv is None else argv
    arguments = _parser_for(words).parse_args(words)
    try:
        status: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return 130
    except ReceiverError as error:
        sys.stderr.write("".join(f"receiver: {line}\n" for line in str(error).splitlines()))
        return _status(error)
    return status


def _parser_for(words: Sequence[str]) -> argparse.ArgumentParser:
    gc.disable()  # importing makes no garbage, and takes a tenth longer while it is looked for
    try:
        return build_parser([words[0]] if words and words[0] in COMMANDS else COMMANDS)
    finally:
        gc.enable()


def _status(error: ReceiverError) -> int:
    if isinstance(error, ConfigError):
        return 78
    if isinstance(error, Unauthorized | Forbidden):
        return 77
    return 65 if isinstance(error, Malformed) else 1


if __name__ == "__main__":
    sys.exit(main())
