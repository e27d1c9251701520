"""``receiver decode``: the events of captured bodies, messages or REST answers, without a server or config.

Reads files, asks the vendor module, prints. What a payload means is the vendor module's business.
"""

import argparse
import os
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from receiver.errors import ConfigError, Malformed, Unauthorized
from receiver.events import Event
from receiver.record import Record
from receiver.settings_scheme import read_scheme
from receiver.vendors import VENDORS, vendor_named
from receiver.vendors.base import Scheme, Session, Vendor
from receiver.vendors.replies import reply_record

EXIT_MALFORMED = 65
EXIT_NO_INPUT = 66
EXIT_BAD_SIGNATURE = 77
_CHANNELS = ("audio", "transcript", "control", "video")
_TEXT_SUFFIXES = (".json", ".jsonl", ".txt")
_STDIN = "-"
_EPILOG = """\
examples:
  receiver decode --vendor meetstream callback.json
        what one captured HTTP body means
  receiver decode --vendor meetstream bodies.jsonl
        a body a line, in order of arrival
  receiver decode --vendor meetstream --channel audio ready.json frame1.bin frame2.bin
        the messages of one socket in order: .json, .txt and each line of .jsonl are text, all else is binary
  receiver decode --vendor meetstream --header 'X-MeetStream-Signature: sha256=…' --secret whsec_… body.json
        checks the signature too (never its age: a captured body is old)
  receiver decode --vendor meetstream --call get_transcript --subject BOT_ID answer.json
        what a captured answer of the vendor's REST API means; the call goes by the last part of its path

exit status: 0 fine; 65 malformed input (events of what came before it are printed); 66 a file cannot be read;
77 a signature is wrong or missing (nothing is printed)
"""


class _Input(msgspec.Struct):
    """One body or message, and how to name it to a person."""

    place: str
    content: bytes
    is_text: bool


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "decode",
        help="print the events of captured bodies, messages or REST answers",
        description="Print the events of captured bodies, messages or REST answers, one JSON object a line.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--vendor", required=True, choices=VENDORS, help="who sent it")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--channel", choices=_CHANNELS, help="the files are this socket's messages, not HTTP bodies")
    kinds.add_argument(
        "--call", type=_call, metavar="NAME", help="the files are answers of the vendor's REST API to this call"
    )
    parser.add_argument(
        "--subject", default="", metavar="ID", help="with --call: the bot or meeting that was asked about"
    )
    parser.add_argument(
        "--header", action="append", default=[], type=_header, metavar="'NAME: VALUE'",
        help="a header of the HTTP bodies; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--secret", action="append", default=[], type=_secret, metavar="TEXT|@PATH",
        help="check the bodies' signatures; as the vendor shows it, or a PEM file; repeatable, any may fit",
    )  # fmt: skip
    parser.add_argument(
        "--scheme", action="append", default=[], type=_scheme, metavar="KEY=VALUE|FILE",
        help="how the bodies are signed and named, as in an endpoint's scheme table, or a TOML file of it; repeatable",
    )  # fmt: skip
    parser.add_argument("files", nargs="+", metavar="FILE", help="a captured body or message; - is standard input")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Decode the files and print. Returns the exit status."""
    try:
        inputs = [item for name in args.files for item in _read(name)]
    except OSError as error:
        return _complain(f"{_shown(str(error.filename))}: {error.strerror}", EXIT_NO_INPUT)
    vendor = vendor_named(args.vendor)
    problems: list[str] = []
    scheme = read_scheme(args.vendor, {key: value for table in args.scheme for key, value in table.items()},
                         "--scheme", problems)  # fmt: skip
    if problems:
        raise ConfigError(*problems)
    try:
        if args.secret and not (args.channel or args.call):
            headers = _headers(args.header)
            for item in inputs:
                _verify(scheme or vendor, item, headers, args.secret)
        named = scheme.named(tuple(args.header)) if scheme else ()
        if args.call:
            decode = _answers(vendor, args.call, args.subject)
        elif args.channel:
            decode = _messages(vendor, args.channel)
        else:
            decode = _bodies(vendor, [*named, *args.header])
        _print(event for item in inputs for event in _decoded(decode, item))
    except Malformed as error:
        return _complain(str(error), EXIT_MALFORMED)
    except Unauthorized as error:
        return _complain(str(error), EXIT_BAD_SIGNATURE)
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not fail at flushing the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _bodies(vendor: Vendor, headers: list[tuple[str, str]]) -> Callable[[_Input], list[Event]]:
    def decode(item: _Input) -> list[Event]:
        record = _record(vendor, item.content)
        record.headers = tuple(headers)
        return vendor.decode(record).events

    return decode


def _answers(vendor: Vendor, call: str, subject: str) -> Callable[[_Input], list[Event]]:
    def decode(item: _Input) -> list[Event]:
        record = reply_record(
            vendor.NAME, "default", call, item.content,
            subject=subject, content_type="application/json", now_ns=time.time_ns(),
        )  # fmt: skip
        return vendor.decode_reply(record).events

    return decode


def _messages(vendor: Vendor, channel: str) -> Callable[[_Input], list[Event]]:
    opening = _record(vendor, b"")
    opening.kind, opening.channel = "opened", channel
    session: Session = vendor.session(opening)

    def decode(item: _Input) -> list[Event]:
        return session.receive(_text(item.content) if item.is_text else item.content, time.time_ns()).events

    return decode


def _decoded(decode: Callable[[_Input], list[Event]], item: _Input) -> list[Event]:
    try:
        return decode(item)
    except Malformed as error:
        raise Malformed(f"{item.place}: {error}") from None


def _verify(vendor: Vendor | Scheme, item: _Input, headers: dict[str, str], secrets: list[str]) -> None:
    try:
        vendor.verify(headers, item.content, secrets=secrets, now_s=None)
    except Unauthorized as error:
        raise Unauthorized(f"{item.place}: {error}") from None


def _print(events: Iterable[Event]) -> None:
    """One JSON object a line, numbered from 1; what was printed before an error stays printed before it."""
    out = sys.stdout.buffer
    try:
        for sequence, event in enumerate(events, start=1):
            event.sequence = sequence
            out.write(event.json() + b"\n")
    finally:
        out.flush()


def _record(vendor: Vendor, payload: bytes) -> Record:
    return Record(vendor=vendor.NAME, endpoint="default", kind="body", payload=payload, received_ns=time.time_ns())


def _read(name: str) -> Iterator[_Input]:
    """The bodies or messages of one file. Blank lines of a ``.jsonl`` are none. Raises ``OSError``."""
    content = sys.stdin.buffer.read() if name == _STDIN else Path(name).read_bytes()
    suffix = Path(name).suffix.lower()
    if suffix != ".jsonl":
        yield _Input(_shown(name), content, suffix in _TEXT_SUFFIXES)
        return
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield _Input(f"{_shown(name)} line {number}", line.removesuffix(b"\r"), True)


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Malformed("a text message has to be UTF-8", f"byte {error.start}") from None


def _call(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("the name of the call is empty")
    return text.strip()


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError("expected 'Name: value'")
    return name.strip().lower(), value.strip()


def _headers(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Headers by lower-case name; one that is given twice has both values, with a comma, as servers join them."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _secret(text: str) -> str:
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8").replace("\\n", "\n").strip()
        except (OSError, UnicodeDecodeError):
            raise argparse.ArgumentTypeError("the file after @ cannot be read as text") from None
    if not text:
        raise argparse.ArgumentTypeError("the secret is empty")
    return text


def _scheme(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if equals and not Path(text).exists():
        return {key.strip(): value}
    try:
        return tomllib.loads(Path(text).read_text(encoding="utf-8"))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE or a TOML file ({error.strerror})") from None
    except ValueError:
        raise argparse.ArgumentTypeError("the file is not TOML") from None


def _shown(name: str) -> str:
    """A file's name on one line, whatever is in it."""
    return name if name.isprintable() else repr(name)


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"receiver decode: {text}\n")
    return status
