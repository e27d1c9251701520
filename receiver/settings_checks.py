"""What must hold between the keys of a config, beyond the type of each. Pure: adds a line for each problem."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from receiver.sections import join, shown
from receiver.settings_sections import JournalSettings, LiveSettings, ServerSettings

_BEARER_TOKEN = re.compile(r"[!-~]{1,8192}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_safe_url(url: str, secure: str, plain: str) -> bool:
    """Whether nobody on the way can read or change what is there: scheme ``secure``, or ``plain`` on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")
        known = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return known and bool(host) and (parts.scheme == secure or (parts.scheme == plain and is_loopback(host)))


def is_bearer_token(token: str) -> bool:
    """Whether it can stand in a header."""
    return bool(_BEARER_TOKEN.fullmatch(token))


def check_name(section: str, name: str, problems: list[str]) -> None:
    """Names of endpoints, readers and sinks: they stand in URLs, labels and cookies."""
    if not _NAME.match(name):
        problems.append(f"{section}: found the name {shown('', name)}, allowed lower-case letters, digits, - and _")


def check_server(server: ServerSettings, problems: list[str]) -> None:
    """Limits that go together, TLS files, the host."""
    try:
        server.host.encode("idna")
    except UnicodeError:
        problems.append(f"server.host: found {shown('', server.host)}, allowed an IP address or a host name")
    if server.max_inflight_message_bytes < 2 * server.max_message_bytes:
        problems.append(
            f"server.max_inflight_message_bytes: found {server.max_inflight_message_bytes}, allowed at least twice"
            f" server.max_message_bytes = {server.max_message_bytes}"
        )
    if server.max_inflight_bytes < 4 * server.max_body_bytes:
        problems.append(
            f"server.max_inflight_bytes: found {server.max_inflight_bytes}, allowed at least four times"
            f" server.max_body_bytes = {server.max_body_bytes}"
        )
    for given, missing in (("tls_cert_file", "tls_key_file"), ("tls_key_file", "tls_cert_file")):
        if getattr(server, given) and not getattr(server, missing):
            problems.append(f"server.{missing}: found nothing beside server.{given}, allowed both or none")


def check_journal(journal: JournalSettings, problems: list[str]) -> None:
    """A 2xx means: on disk. Only media, which nobody is answered for, may wait."""
    for lane in ("events", "quarantine"):
        if wait_ms := getattr(journal, lane).sync_every_ms:
            problems.append(f"journal.{lane}.sync_every_ms: found {wait_ms}, allowed 0: a 2xx means that it is on disk")
    if journal.min_free_transcript_bytes > journal.min_free_media_bytes:
        problems.append(
            f"journal.min_free_transcript_bytes: found {journal.min_free_transcript_bytes}, allowed at most"
            f" journal.min_free_media_bytes = {journal.min_free_media_bytes}: media go first"
        )


def check_sinks(sinks: Mapping[str, dict[str, Any]], problems: list[str]) -> None:
    """Names and types; the rest is each sink's own."""
    for name, keys in sinks.items():
        section = join("sinks", name)
        check_name(section, name, problems)
        if not isinstance(keys.get("type"), str):
            problems.append(f"{section}.type: found {shown('', keys.get('type'))}, allowed the name of a sink type")


def check_live(live: LiveSettings, problems: list[str]) -> None:
    """An origin is what a browser sends: scheme, host and port, nothing behind them."""
    for index, origin in enumerate(live.cors_origins):
        if origin == "*":
            continue
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}" or "@" in origin:
            problems.append(f"live.cors_origins[{index}]: found {shown('', origin)}, allowed https://host[:port] or *")
