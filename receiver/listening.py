"""Listening sockets that somebody else has made: systemd's socket activation (sd_listen_fds(3)).

The port is then held by systemd: while the service restarts, new connections wait instead of being refused.
"""

import os
import socket
from collections.abc import MutableMapping, Sequence

from receiver.errors import ConfigError

_FIRST = 3


def activated(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """The sockets that systemd hands to this process, none where it was started otherwise. Takes the variables away, so
    that no other process takes them for its own. Raises ``ConfigError`` for sockets of another kind."""
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    sockets = [socket.socket(fileno=descriptor) for descriptor in range(_FIRST, _FIRST + int(count))]
    for one in sockets:
        os.set_inheritable(one.fileno(), False)
        listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if one.family not in (socket.AF_INET, socket.AF_INET6) or one.type != socket.SOCK_STREAM or not listens:
            raise ConfigError("LISTEN_FDS: found a socket of another kind, allowed ListenStream=ADDRESS:PORT")
    return sockets


def address_of(sockets: Sequence[socket.socket]) -> dict[str, str | int]:
    """``server.host`` and ``server.port`` that are true of these sockets: the address that most machines can reach."""
    names = [one.getsockname()[:2] for one in sockets]
    host, port = next((name for name in names if name[0] in ("0.0.0.0", "::")), names[0])  # noqa: S104 - compared
    return {"host": host, "port": port}
