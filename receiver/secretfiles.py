"""Secrets that the receiver makes itself: tokens of endpoints and readers (``token = "auto"``), and the runtime file of
a live server.

Both lie in the data folder, readable by their owner only.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import TypeVar

import msgspec

from receiver.errors import ConfigError, Unauthorized
from receiver.settings import Endpoint, Reader, Settings

Held = TypeVar("Held", Endpoint, Reader)
_TOKENS = "tokens.json"
_RUNTIME = "server.json"
#: how long a server that takes over is waited for, and how often a command looks for it
_TAKE_OVER_S, _LOOK_S = 10.0, 0.02
#: held by a server for as long as it runs
LOCK = "lock"


class Runtime(msgspec.Struct):
    """How commands on this machine reach the live server. Without ``url``: it gives port and journal to another one."""

    pid: int
    url: str
    token: str

    def __repr__(self) -> str:
        return f"Runtime({self.pid}, {self.url})"


def with_auto_tokens(settings: Settings) -> Settings:
    """Settings in which each ``auto`` endpoint and reader has its token, made now if it is the first time.

    Raises ``ConfigError`` where the data folder cannot be used.
    """
    holders: list[Endpoint | Reader] = [*settings.endpoints, *settings.readers]
    names = [_key(one) for one in holders if one.auto_token]
    if not names:
        return settings
    path = settings.data_dir / _TOKENS
    try:
        with _alone(settings.data_dir):
            known: dict[str, str] = msgspec.json.decode(path.read_bytes(), type=dict[str, str]) if path.exists() else {}
            fresh = {name: token_urlsafe(24) for name in names if not known.get(name)}
            known |= fresh
            if fresh:
                write_private(path, msgspec.json.format(msgspec.json.encode(known), indent=2))
    except OSError as error:
        problem = f"data_dir: found {path}, which cannot be used ({error.strerror}), allowed a folder of this user"
        raise ConfigError(problem) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"data_dir: found {path} damaged ({error}), allowed the file as it was written") from error

    def held(one: Held) -> Held:
        return msgspec.structs.replace(one, tokens=(*one.tokens, known[_key(one)])) if one.auto_token else one

    return msgspec.structs.replace(
        settings,
        endpoints=tuple(held(one) for one in settings.endpoints),
        readers=tuple(held(one) for one in settings.readers),
    )


def write_runtime(data_dir: Path, runtime: Runtime) -> None:
    """Say where the live server is."""
    write_private(data_dir / _RUNTIME, msgspec.json.encode(runtime))


def read_runtime(data_dir: Path) -> Runtime | None:
    """The live server of a data folder; ``None`` where none runs. Waits for one that takes over, blocking.

    Raises ``Unauthorized`` where the server is another user's.
    """
    path = data_dir / _RUNTIME
    until_s = time.monotonic() + _TAKE_OVER_S
    seen: Runtime | None = None
    try:
        while time.monotonic() < until_s:
            runtime = msgspec.json.decode(path.read_bytes(), type=Runtime)
            there = is_there(runtime.pid)
            if there and runtime.url and _held(data_dir):
                return runtime
            # who lets go of port and journal has said so before: what still says the same is what a dead one left
            if runtime == seen and (runtime.url or not there):
                break
            seen = runtime
            time.sleep(_LOOK_S)
    except PermissionError:
        raise Unauthorized(f"{path} is for the server's own user: run this command as that user") from None
    except (OSError, msgspec.DecodeError, OverflowError):
        pass
    return None


def remove_runtime(data_dir: Path) -> None:
    """This process serves no more. What another one wrote, which has taken over, stays."""
    path = data_dir / _RUNTIME
    try:
        if msgspec.json.decode(path.read_bytes(), type=Runtime).pid != os.getpid():
            return
    except (OSError, msgspec.DecodeError):
        pass
    path.unlink(missing_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)


def is_there(pid: int) -> bool:
    """Whether there is such a process. Raises ``PermissionError`` where it is another user's, ``OverflowError``."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _key(one: Endpoint | Reader) -> str:
    """In the file of tokens. No vendor is called ``readers``."""
    return f"readers/{one.name}" if isinstance(one, Reader) else f"{one.vendor}/{one.name}"


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """One process at a time: two that make a token for the same endpoint would not agree on it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(data_dir / f"{_TOKENS}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _held(data_dir: Path) -> bool:
    """Whether a server holds the folder. Its process number alone may belong to somebody else by now."""
    try:
        descriptor = os.open(data_dir / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
