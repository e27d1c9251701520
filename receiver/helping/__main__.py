"""``python -m receiver.helping LINE PARENT``: descriptor of the line to the server, and the server's process id.

It ends with status 0 when the server hangs up. Once the server is gone nothing may be written here, for the next one
would write the same: so it ends at once then, whatever is under way. While it is there the data folder is locked; so
that is seen to before anything that takes long.
"""

import ctypes
import os
import signal
import socket
import sys

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
#: ioprio_set(2), which the C library has no name for: of this process, best effort, in the middle
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_THIS_PROCESS, _BEST_EFFORT = (1, 0), 2 << 13 | 4


def main() -> None:
    """Do errands until the server hangs up."""
    line, parent = int(sys.argv[1]), int(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the server, which ends this process when it is time
    if sys.platform == "linux":
        system = ctypes.CDLL(None)
        system.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if (call := _IOPRIO_SET.get(os.uname().machine)) is not None:
            # who yields the processor would yield the disk as well, and nobody sees it starve there
            system.syscall(call, *_THIS_PROCESS, _BEST_EFFORT)
    if os.getppid() != parent:
        os._exit(0)

    from receiver.helping.desk import run

    run(socket.socket(fileno=line))


main()
