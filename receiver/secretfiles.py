"""Secrets that the receiver makes itself: endpoint tokens (``token = "auto"``) and the runtime file of a live server.

Both lie in the data folder, readable by their owner only.
"""

import os
from pathlib import Path
from secrets import token_urlsafe

import msgspec

from receiver.settings import Settings

_TOKENS = "tokens.json"
_RUNTIME = "server.json"


class Runtime(msgspec.Struct):
    """How commands on this machine reach the live server."""

    pid: int
    url: str
    token: str


def with_auto_tokens(settings: Settings) -> Settings:
    """Settings in which each ``auto`` endpoint has its token, made now if it is the first time."""
    if not any(one.auto_token for one in settings.endpoints):
        return settings
    path = settings.data_dir / _TOKENS
    known: dict[str, str] = msgspec.json.decode(path.read_bytes(), type=dict[str, str]) if path.exists() else {}
    missing = [f"{one.vendor}/{one.name}" for one in settings.endpoints if one.auto_token]
    fresh = {name: token_urlsafe(24) for name in missing if name not in known}
    if fresh:
        known |= fresh
        write_private(path, msgspec.json.format(msgspec.json.encode(known), indent=2))
    endpoints = tuple(
        msgspec.structs.replace(one, tokens=(*one.tokens, known[f"{one.vendor}/{one.name}"])) if one.auto_token else one
        for one in settings.endpoints
    )
    return msgspec.structs.replace(settings, endpoints=endpoints)


def write_runtime(data_dir: Path, runtime: Runtime) -> None:
    """Say where the live server is."""
    write_private(data_dir / _RUNTIME, msgspec.json.encode(runtime))


def read_runtime(data_dir: Path) -> Runtime | None:
    """The live server of a data folder; ``None`` where none runs."""
    try:
        runtime = msgspec.json.decode((data_dir / _RUNTIME).read_bytes(), type=Runtime)
        os.kill(runtime.pid, 0)
    except (OSError, msgspec.DecodeError):
        return None
    return runtime


def remove_runtime(data_dir: Path) -> None:
    """The server has ended."""
    (data_dir / _RUNTIME).unlink(missing_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)
