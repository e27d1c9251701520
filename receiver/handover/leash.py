"""Servers that follow one another, tied to the process that was started first.

A supervisor (systemd, a container, a shell) knows that one only. It stays, as ``stub``, for as long as any of them
serves: passes signals on, and ends with the status that the last server tells. Where it is killed, the server drains.
"""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

_STUB = Path(__file__).with_name("stub.py")
#: what the stub passes on
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Leash:
    """``end`` is the servers' end. ``held``: the other end, in the process that was started first."""

    def __init__(self, end: socket.socket, held: socket.socket | None) -> None:
        self.end = end
        self.held = held

    @classmethod
    def fresh(cls) -> "Leash":
        """For a process that was started by a person or a supervisor."""
        held, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return cls(end, held)

    @classmethod
    def inherited(cls, descriptor: int) -> "Leash":
        """For a process that takes over."""
        return cls(socket.socket(fileno=descriptor), None)

    def tell(self, word: str, number: int) -> None:
        """Let the stub know which process serves (``pid``), or the status with which the last one ends (``exit``)."""
        try:
            self.end.send(f"{word} {number}\n".encode(), socket.MSG_NOSIGNAL)
        except OSError:
            return  # the first process is gone: nobody wants to know

    async def broken(self) -> None:
        """Return when the first process is gone; never in that process itself."""
        if self.held is not None:
            await asyncio.Event().wait()
        self.end.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_recv(self.end, 1)
        except ConnectionError:
            return


def become_stub(held: socket.socket, pid: int) -> NoReturn:
    """Replace this process by the stub; ``pid`` is the one that serves. Signals that come meanwhile are not lost."""
    sys.stdout.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    held.setblocking(True)
    held.set_inheritable(True)
    os.execv(sys.executable, [sys.executable, "-I", "-S", str(_STUB), str(held.fileno()), str(pid)])  # noqa: S606
