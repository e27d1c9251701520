"""The helper's own process: ``python -m receiver.helping LINE PARENT``. Wiring only; see ``receiver.delivery.helper``.

It ends with status 0 when the server hangs up. Once the server is gone nothing may be written here, for the next one
would write the same: so it ends at once then, whatever is under way.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

import msgspec
import structlog

from receiver.delivery.courier import Courier
from receiver.delivery.errands import Begin, Ended, Enough, Hello, Order, Ready, See, decode_order
from receiver.delivery.pace import Pace
from receiver.errors import ConfigError
from receiver.journal.view import View
from receiver.line import Line
from receiver.loop import run_loop
from receiver.plugins import make_sink
from receiver.settings import LogSettings
from receiver.telemetry import log as logs
from receiver.vendors import decode_record

log = structlog.get_logger()
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> NoReturn:
    """Do errands until the server hangs up."""
    line, parent = int(sys.argv[1]), int(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the server, which ends this process when it is time
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() == parent:
        run_loop(_run(socket.socket(fileno=line)))
    os._exit(0)


async def _run(end: socket.socket) -> int:
    line = await Line.over(end, decode_order)
    hello = await line.hear()
    if not isinstance(hello, Hello):
        return 0
    logs.configure(msgspec.convert(hello.log, LogSettings))
    line.say(Ready())
    async with asyncio.TaskGroup() as group:
        desk = _Desk(Path(hello.data_dir), line, group)
        while (order := await line.hear()) is not None:
            desk.heed(order)
        os._exit(0)  # whatever is under way


class _Desk:
    """The errands under way, each a task of ``group``."""

    def __init__(self, data_dir: Path, line: Line[Order], group: asyncio.TaskGroup) -> None:
        self._data_dir = data_dir
        self._line = line
        self._group = group
        self._journal = View(data_dir / "journal")
        self._pace = Pace(lambda: 0)  # nothing comes in here
        self._couriers: dict[str, Courier] = {}

    def heed(self, order: Order) -> None:
        """Do what the server says."""
        match order:
            case See(mark):
                self._journal.see(mark)
            case Begin():
                self._begin(order)
            case Enough(sink):
                if sink in self._couriers:  # or it has just ended
                    self._couriers[sink].enough()

    def _begin(self, order: Begin) -> None:
        try:
            sink, config = make_sink(order.sink, order.keys, self._data_dir)
        except ConfigError as error:
            self._line.say(Ended(order.sink, str(error)))
            return
        courier = self._couriers[order.sink] = Courier(
            order.sink,
            sink,
            config,
            journal=self._journal,
            after=order.after,
            say=self._line.say,
            decode=decode_record,
            pace=self._pace,
        )
        self._group.create_task(courier.run())


if __name__ == "__main__":
    main()
