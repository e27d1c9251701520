"""``receiver urls``: what to give to the vendor, with tokens. The one place that prints them, and only when asked."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from receiver.errors import ConfigError
from receiver.plugins import check_vendors
from receiver.rest.base import Wiring
from receiver.rest.meetstream.wiring import BOT_NAME, wired_body
from receiver.secretfiles import with_auto_tokens
from receiver.settings import Endpoint, Reader, load

#: Webhooks and events, docs.meetstream.ai, 2026: only workspace endpoints sign
UNSIGNED_BOTS = "; MeetStream signs workspace webhooks only, what its bots send needs a token"
_EPILOG = """\
examples:
  receiver urls --public-url https://hooks.example.org
  receiver urls --public-url https://hooks.example.org --config receiver.toml --json

The public URL is what vendors can reach: your reverse proxy or tunnel in front of the receiver. The output holds
tokens: treat it like a password.
exit status: 0 printed, 78 the config or the URL is wrong
"""


def register(subparsers: Any) -> None:
    """Add ``urls``."""
    parser = subparsers.add_parser(
        "urls",
        help="print the endpoints and readers with tokens, and a create_bot body to paste",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--public-url", metavar="URL", help="https://… as vendors see it (default: server.public_url)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file of the server")
    parser.add_argument("--data", metavar="DIR", help="data folder, in place of data_dir")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print URLs of every endpoint, and what each reader needs."""
    settings = load(arguments.config, data_dir=arguments.data)
    check_vendors(settings)
    base = public_base(arguments.public_url or settings.server.public_url)
    settings = with_auto_tokens(settings)
    described = {f"{one.vendor}/{one.name}": _describe(one, base) for one in settings.endpoints}
    if arguments.json:
        readers = {f"readers/{one.name}": _describe_reader(one, base) for one in settings.readers}
        sys.stdout.write(json.dumps(described | readers, indent=2) + "\n")
    else:
        texts = [_text(one, described[f"{one.vendor}/{one.name}"]) for one in settings.endpoints]
        texts += [_reader_text(one, base) for one in settings.readers]
        sys.stdout.write("\n".join(texts))
    return 0


def _text(one: Endpoint, described: dict[str, Any]) -> str:
    """An endpoint for people."""
    lines = [f"{one.vendor}/{one.name}: deliveries must show {_proof(one)}"]
    lines += [f"  {what:<11}{url}" for what, url in described["urls"].items()]
    if "create_bot" in described:
        lines += ["", "  body for POST https://api.meetstream.ai/api/v1/bots/create_bot:", ""]
        lines.append(json.dumps(described["create_bot"], indent=2))
    return "\n".join(lines) + "\n"


def _proof(one: Endpoint) -> str:
    if one.tokens:
        return "the token in the URL, or a valid signature" if one.signed else "the token in the URL"
    if one.signed:
        return f"a valid signature{UNSIGNED_BOTS if one.vendor == 'meetstream' else ''}"
    return 'nothing, so anybody may deliver; token = "auto" makes a token'


def endpoint_urls(one: Endpoint, base: str) -> dict[str, str]:
    """URL by what it is for; sockets as ``ws(s)://``. ``base`` has no trailing slash."""
    path = f"/{one.vendor}/{one.name}" + (f"/{quote(one.tokens[0], safe='')}" if one.tokens else "")
    socket_base = "ws" + base.removeprefix("http")
    sockets = {channel: f"{socket_base}{path}/{channel}" for channel in ("audio", "video", "transcript", "control")}
    return {"callback": f"{base}{path}", **sockets}


def create_bot_body(urls: dict[str, str]) -> dict[str, Any]:
    """A MeetStream ``create_bot`` body with every URL filled in, to paste."""
    wired = wired_body(Wiring(**urls))
    opening = {"meeting_link": "https://meet.google.com/abc-defg-hij", "bot_name": BOT_NAME, "video_required": True}
    return {**opening, "callback_url": wired.pop("callback_url"), "custom_attributes": {}, **wired}


def _describe(one: Endpoint, base: str) -> dict[str, Any]:
    urls = endpoint_urls(one, base)
    described: dict[str, Any] = {"urls": urls}
    if one.vendor == "meetstream":
        described["create_bot"] = create_bot_body(urls)
    return described


def _describe_reader(one: Reader, base: str) -> dict[str, Any]:
    return {"urls": {"events": f"{base}/live/events"}, "tokens": list(one.tokens), "scopes": list(one.scopes)}


def _reader_text(one: Reader, base: str) -> str:
    lines = [f"reader {one.name}: may read {', '.join(one.scopes)}"]
    lines += [f"  {'events':<11}{base}/live/events", *(f"  {'token':<11}{token}" for token in one.tokens)]
    return "\n".join(lines) + "\n"


def public_base(url: str) -> str:
    """Scheme, host and path prefix. Raises ``ConfigError`` for what no vendor could call."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(
            f"server.public_url: found {url!r}, allowed https://host[:port][/prefix] (or give --public-url https://…)"
        )
    if parts.scheme == "http":
        sys.stderr.write("receiver: vendors call https only; this URL is http: good for tests on this machine\n")
    return url.rstrip("/")
