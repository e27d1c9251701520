"""The sockets that we dial: those of the config, and those that somebody has ordered.

The config's are dialled at the start, and again when their section changes. An order's token is kept in memory and
nowhere else: an order ends with this process, also where another one takes over; only the config's are dialled there.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from secrets import token_hex
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog
from aiohttp import WSCloseCode

from receiver.errors import Malformed, NotFound, Overloaded, Refused
from receiver.ingress.inflow import Inflow
from receiver.ingress.stream import Rim
from receiver.settings import Dial, Endpoint, ServerSettings
from receiver.settings_checks import is_bearer_token, is_safe_url
from receiver.settings_sections import DialSettings
from receiver.telemetry.ledger import Ledger
from receiver.telemetry.metrics import Gauge

if TYPE_CHECKING:
    from receiver.ingress.dial_call import Call
    from receiver.ingress.dial_talk import Timing

log = structlog.get_logger()
_MOST_CALLS = 1000
#: longest time for a far end to answer a closing; at most a third of the drain limit, so that sinks get the rest
_CLOSE_WAIT_S = 5.0
#: ``None``: as they are by default
TIMING: "Timing | None" = None
#: where a section has changed, or somebody wants no more of it
_DONE = WSCloseCode.OK, "done"
#: how long an order waits for its first connection before it is answered
_ANSWER_S = 10.0
_SUBJECT = re.compile(r"[^\s/]{0,512}")


class DialOrder(msgspec.Struct, forbid_unknown_fields=True):
    """``token``: a participant's, which the vendor's REST API hands out. ``subject``: the meeting, until the socket
    itself tells it. ``url``: another place than the vendor's, for trials."""

    token: str
    vendor: Literal["realtimekit"] = "realtimekit"
    endpoint: str = "default"
    subject: str = ""
    url: str = ""

    def __repr__(self) -> str:
        return f"DialOrder({self.vendor}/{self.endpoint})"


class Dialled(msgspec.Struct, frozen=True):
    """What has become of an order. ``state``: ``open``; ``dialling`` where there is no connection yet and it goes on;
    ``over`` where the session has ended. ``problem`` says why it is not open."""

    dial: str
    state: str
    problem: str = ""


class Dialler:
    """``start``, then ``stop``; it can be started again, and goes on with what was not over."""

    def __init__(
        self, ledger: Ledger, inflow: Inflow, server: ServerSettings, endpoints: Callable[[], Iterable[Endpoint]]
    ) -> None:
        """``endpoints``: those that there are now."""
        #: of what is dialled from now on
        self.timing = TIMING
        self._ledger = ledger
        self._inflow = inflow
        self._max_message_bytes = server.max_message_bytes
        self._close_wait_s = min(_CLOSE_WAIT_S, server.drain_s / 3)
        self._endpoints = endpoints
        #: by name; one that is over is no longer there
        self.calls: dict[str, Call] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._rim: Rim | None = None

    def have(self, dials: Iterable[Dial]) -> None:
        """Take the config's; they are dialled once it is started."""
        for dial in dials:
            self._add(dial)

    def start(self, rim: Rim, tasks: asyncio.TaskGroup) -> None:
        """Dial what there is, in ``tasks``."""
        self._rim, self._tasks = rim, tasks
        for name in self.calls:
            self._run(name)

    async def stop(self, parting: tuple[int, str], wait_s: float | None = None) -> None:
        """Close what is open with this code and reason, and dial no more. What is not closed within ``wait_s``
        (default: a third of the drain limit) is cut off."""
        self._rim = None
        await self._end(list(self._running), parting, wait_s)

    async def use(self, dials: Iterable[Dial], changed: Iterable[str]) -> None:
        """Have the config's ``dials`` from now on; ``changed`` names those that are gone, new or different. The others
        go on untouched, orders as well."""
        wanted, names = {one.name: one for one in dials}, set(changed)
        await self._end(names, _DONE)
        for name in sorted(names):
            self.calls.pop(name, None)
            if name in wanted:
                self._add(wanted[name])

    async def order(self, order: DialOrder) -> Dialled:
        """Dial what somebody has ordered; answered at its first connection, or a while later without.

        Raises ``NotFound`` for an endpoint that there is not, ``Malformed``, ``Overloaded``; ``Refused`` where the
        vendor does not let it in.
        """
        _check(order, self._endpoints())
        if self._rim is None:
            raise Overloaded("the server is stopping")
        if len(self.calls) >= _MOST_CALLS:
            raise Overloaded(f"{_MOST_CALLS} sockets are dialled already: that is the most")
        name = f"order-{token_hex(6)}"
        limits = DialSettings()
        call = self._add(
            Dial(
                name=name, vendor=order.vendor, endpoint=order.endpoint, token=order.token, url=order.url,
                subject=order.subject, give_up_s=limits.give_up_s, quiet_s=limits.quiet_s,
            )
        )  # fmt: skip
        try:
            async with asyncio.timeout(_ANSWER_S):
                await call.settled.wait()
        except TimeoutError:
            return Dialled(name, call.state, call.problem)
        if call.state == "over" and call.failed:
            raise Refused(f"{order.vendor}: {call.problem}")
        return Dialled(name, call.state, call.problem)

    async def hang_up(self, name: str) -> None:
        """End one for good. Raises ``NotFound``."""
        if name not in self.calls:
            raise NotFound(f"nothing is dialled under the name {name!r}; there are: {', '.join(self.calls) or 'none'}")
        await self._end([name], _DONE)
        self.calls.pop(name, None)

    def gauges(self) -> Iterable[Gauge]:
        """What ``/metrics`` shows."""
        open_ = sum(call.state == "open" for call in self.calls.values())
        yield "receiver_dials", "Sockets that are kept dialled.", {}, len(self.calls)
        yield "receiver_dials_open", "Of these: open now.", {}, open_

    # ---- parts

    def _add(self, dial: Dial) -> "Call":
        from receiver.ingress.dial_call import Call  # loads websockets: most servers dial nothing
        from receiver.ingress.dial_talk import Timing

        book = self._ledger.endpoint(dial.vendor, dial.endpoint)
        timing = self.timing or Timing()
        call = self.calls[dial.name] = Call(dial, book, self._inflow, self._max_message_bytes, timing)
        self._run(dial.name)
        return call

    def _run(self, name: str) -> None:
        if self._rim is not None:
            call = self.calls[name]
            self._running[name] = task = self._tasks.create_task(call.run(self._rim), name=f"dial {name}")
            task.add_done_callback(lambda ended: self._ran(name, call, ended))

    def _ran(self, name: str, call: "Call", task: "asyncio.Task[None]") -> None:
        if self._running.get(name) is task:
            del self._running[name]
        if call.state == "over" and self.calls.get(name) is call:
            del self.calls[name]

    async def _end(self, names: Iterable[str], parting: tuple[int, str], wait_s: float | None = None) -> None:
        running = [name for name in names if name in self._running]
        if not running:
            return
        wait_s = wait_s or self._close_wait_s
        ending = [self._running[name] for name in running]
        for name in running:
            self.calls[name].hang_up(*parting, wait_s)
        _, late = await asyncio.wait(ending, timeout=wait_s * 1.2)
        if late:
            log.warning("dial.hang_up.incomplete", dials=len(late))
            for task in late:
                task.cancel()
            await asyncio.wait(late)
        for name in running:
            log.info("dial.ended", dial=name, reason=parting[1])


def _check(order: DialOrder, endpoints: Iterable[Endpoint]) -> None:
    names = [one.name for one in endpoints if one.vendor == order.vendor]
    if order.endpoint not in names:
        raise NotFound(f"no endpoint {order.vendor}/{order.endpoint[:64]}; there are: {', '.join(names) or 'none'}")
    if not is_bearer_token(order.token):
        raise Malformed("expected 1 to 8192 printable ASCII characters without a space", "$.token")
    if order.url and not is_safe_url(order.url, "wss", "ws"):
        raise Malformed("expected a wss:// URL, or ws:// of this machine", "$.url")
    if not _SUBJECT.fullmatch(order.subject):
        raise Malformed("expected a meeting's id of at most 512 characters", "$.subject")
