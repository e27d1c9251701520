"""Work of a thread that nobody waits for, done where others leave the processor."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")
#: what is live has nine tenths of a core that both want. A smaller share would be too small on a machine that is busy:
#: where such a thread has the interpreter, everybody waits for it
NICE = 10


def aside(work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Do ``work``; only as the whole of a thread, which does not get its priority back. Linux; elsewhere threads have
    none of their own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            me = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, me, max(NICE, os.getpriority(os.PRIO_PROCESS, me)))
    work(*args, **kwargs)
