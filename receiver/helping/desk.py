"""What the helper does. Wiring only; see ``receiver.delivery.helper``."""

import asyncio
import os
import socket
from pathlib import Path

import msgspec

from receiver.delivery.courier import Courier
from receiver.delivery.errands import Alive, Begin, Ended, Enough, Hello, Order, Ready, See, decode_order
from receiver.delivery.pace import Pace
from receiver.errors import ConfigError
from receiver.journal.view import View
from receiver.line import Line
from receiver.loop import run_loop
from receiver.plugins import make_sink
from receiver.settings import LogSettings
from receiver.telemetry import log as logs
from receiver.vendors import decode_record

#: between two signs of life
_ALIVE_S = 1.0


def run(end: socket.socket) -> None:
    """Do errands until the server, at the other end, hangs up."""
    run_loop(_run(end))


async def _run(end: socket.socket) -> int:
    line = await Line.over(end, decode_order)
    hello = await line.hear()
    if not isinstance(hello, Hello):
        return 0
    logs.configure(msgspec.convert(hello.log, LogSettings))
    line.say(Ready())
    async with asyncio.TaskGroup() as group:
        group.create_task(_live(line))
        desk = _Desk(Path(hello.data_dir), line, group)
        while (order := await line.hear()) is not None:
            desk.heed(order)
        os._exit(0)  # whatever is under way


async def _live(line: Line[Order]) -> None:
    while True:
        line.say(Alive())
        await asyncio.sleep(_ALIVE_S)


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
        self._group.create_task(self._carry_out(order.sink, courier))

    async def _carry_out(self, sink: str, courier: Courier) -> None:
        await courier.run()
        del self._couriers[sink]  # before the server can have heard of its end, and begin another
