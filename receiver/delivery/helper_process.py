"""The helper's process: how it is started, which processor time it gets, and how it ends."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

MODULE = "receiver.helping"
#: where it is not to starve, the server's loop has three quarters of a core that both want. In turns with 10, all sinks
#: were faster and callbacks were answered earlier
_NICE = 5
#: how often it is looked whether it starves
_LOOK_S = 1.0
#: it does when it waited for a core so long since the last look, and had less than a fifth of the time it wanted
_WAITED_NS, _TIMES = 500_000_000, 4
#: to go by itself
_END_S = 1.0


class HelperProcess:
    """Started by being built; raises ``OSError``. It finds its modules where this process does, and those of other
    packages' sinks."""

    def __init__(self, line: int, lock: int, *, yielding: bool) -> None:
        """``line``, ``lock``: descriptors for it. ``yielding``: it has a core only when nobody else wants it. At any
        other priority it keeps the core to the end of its slice, which whoever sends a callback then waits for."""
        places = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", MODULE, str(line), str(os.getpid())],
            env={**os.environ, "PYTHONPATH": places},
            pass_fds=(line, lock),
        )
        self.pid = self._process.pid
        self._yields = False
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, _NICE)
            if yielding and sys.platform == "linux":
                os.sched_setscheduler(self.pid, os.SCHED_IDLE, os.sched_param(0))
                self._yields = True
        self._looked_s = time.monotonic()
        self._ran_ns = self._waited_ns = 0

    def starves(self) -> bool:
        """Whether it yields, and others leave it next to nothing, or the system does not tell. Looked for once a
        second: it never gets back what it gave away, for that takes a privilege (sched(7))."""
        now_s = time.monotonic()
        if not self._yields or now_s < self._looked_s + _LOOK_S:
            return False
        self._looked_s = now_s
        before_ran_ns, before_waited_ns = self._ran_ns, self._waited_ns
        self._ran_ns, self._waited_ns = _times_ns(self.pid)
        if self._ran_ns == self._waited_ns == 0:
            return True
        waited_ns = self._waited_ns - before_waited_ns
        return waited_ns > _WAITED_NS and waited_ns > _TIMES * (self._ran_ns - before_ran_ns)

    def kill(self, wait_s: float = 0.0) -> None:
        """Whatever it does; wait for its end no longer than that."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(wait_s)

    def end(self, patience_s: float = _END_S) -> int:
        """Wait for the end, and see to it when that takes too long. The status."""
        try:
            return self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _times_ns(pid: int) -> tuple[int, int]:
    """Of the threads that it has: on a core, and waiting for one, since they began (proc(5), ``schedstat``)."""
    ran_ns = waited_ns = 0
    with contextlib.suppress(OSError):  # it is gone, or this system does not tell
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            ran, waited, _ = path.read_text().split()
            ran_ns += int(ran)
            waited_ns += int(waited)
    return ran_ns, waited_ns
