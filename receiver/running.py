"""A server from start to end: signals, reloads, and the hand-over to the process that goes on.

Everything that starts or stops parts of the server happens here, one thing after another, in one task.
"""

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import Callable, Sequence
from socket import socket

import msgspec
import structlog

from receiver.app import Receiver
from receiver.errors import ConfigError, Overloaded, ReceiverError
from receiver.handover.leash import Leash, become_stub
from receiver.handover.messages import Take
from receiver.handover.predecessor import Predecessor
from receiver.handover.successor import Successor
from receiver.ingress.intake import Outcome
from receiver.ingress.ops import Reloaded
from receiver.settings import Settings
from receiver.telemetry import log as logs

log = structlog.get_logger()
#: what a reload changes in the running process; anything else takes a new one
_IN_PLACE = ("endpoints.", "readers.", "sinks.", "accounts.", "dial.", "admin", "live", "log")
#: sections that changed as a whole or not at all
_WHOLE = ("data_dir", "server", "journal", "live", "log")


class _Order(msgspec.Struct, eq=False):
    """Somebody wants a reload; ``done`` is ``None`` for a signal."""

    restart: bool
    done: "asyncio.Future[Reloaded] | None" = None


class Running:
    """``await run()`` serves until a signal ends it, or another process has taken over."""

    def __init__(
        self,
        load: Callable[[], Settings],
        settings: Settings,
        listening: Sequence[socket],
        leash: Leash,
        *,
        activated: bool = False,
        predecessor: Predecessor | None = None,
    ) -> None:
        """``load`` reads the config again. ``settings``: what it gave the first time."""
        self._load = load
        self._settings = settings
        self._leash = leash
        self._activated = activated
        self._predecessor = predecessor
        self._orders: asyncio.Queue[_Order | None] = asyncio.Queue()
        self._reloading = False
        self._stopping = asyncio.Event()
        self._relay: asyncio.Task[None] | None = None
        self.receiver = Receiver(settings, listening)
        self.receiver.on_reload = self._ask

    async def run(self, ready: Callable[[Receiver], None], leaving: Callable[[float], None]) -> None:
        """Start, call ``ready``, serve. ``leaving`` is called when the end begins, with the seconds that it may take.

        Raises what ``Receiver.start`` raises.
        """
        predecessor = self._predecessor
        if predecessor is not None:
            await asyncio.to_thread(self.receiver.engine.look_ahead)
        if predecessor is not None and not await predecessor.prepared():
            log.warning("server.not_needed")
            return
        self._heed_signals()
        try:
            await self.receiver.start()
        except Exception as error:
            if predecessor is not None:
                await predecessor.failed(error)
            raise
        self._leash.tell("pid", os.getpid())
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch_leash())
            if predecessor is not None:
                await predecessor.serving()
                self._relay = tasks.create_task(predecessor.relay(self._take))
            ready(self.receiver)
            successor = await self._serve()
            if successor is not None:
                await self._follow(successor, tasks, leaving)
            else:
                leaving(self._settings.server.drain_s)
                if predecessor is not None and self._relay is not None:
                    predecessor.refuse()
                    await self._relay
                await self.receiver.stop()
                self._leash.tell("exit", 0)
            watch.cancel()

    async def _serve(self) -> Successor | None:
        """Carry out orders until there is an end: by a signal (``None``), or because another process serves."""
        while (order := await self._orders.get()) is not None:
            self._reloading = True
            try:
                reloaded, successor = await self._reload(order.restart)
            except (ReceiverError, OSError, sqlite3.Error) as error:
                log.error("server.reload.failed", error=str(error))
                if order.done is not None and not order.done.done():
                    order.done.set_exception(error if isinstance(error, ReceiverError) else ReceiverError(str(error)))
                self._reloading = False
                continue
            log.info("server.reloaded", how=reloaded.how, changed=reloaded.changed, serves=reloaded.pid)
            if order.done is not None and not order.done.done():
                order.done.set_result(reloaded)
            if successor is not None:
                return successor
            self._reloading = False
        return None

    # ---- orders

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._orders.put_nowait, _Order(restart=False))

    def _stop(self) -> None:
        self._stopping.set()
        self._orders.put_nowait(None)

    async def _watch_leash(self) -> None:
        await self._leash.broken()
        log.warning("server.orphaned")
        self._stop()

    async def _ask(self, restart: bool) -> Reloaded:
        """What an operator's request waits for."""
        if self._reloading or not self._orders.empty():
            raise Overloaded("another reload is under way")
        done: asyncio.Future[Reloaded] = asyncio.get_running_loop().create_future()
        self._orders.put_nowait(_Order(restart, done))
        return await done

    # ---- a reload

    async def _reload(self, restart: bool) -> tuple[Reloaded, Successor | None]:
        settings = self._load()
        changed = changes(self._settings, settings)
        if "data_dir" in changed:
            raise ConfigError("data_dir: found another folder than the one in use, allowed only by stop and start")
        if changed and not restart and all(one.startswith(_IN_PLACE) for one in changed):
            sinks, dials = (
                [name.partition(".")[2] for name in changed if name.startswith(section)]
                for section in ("sinks.", "dial.")
            )
            await self.receiver.use(settings, sinks, dials)
            if "log" in changed:
                logs.configure(settings.log)
            self._settings = settings
            return Reloaded("in place", changed, os.getpid()), None
        successor = await self._hand_over(settings)
        return Reloaded("restarted", changed, successor.pid), successor

    async def _hand_over(self, settings: Settings) -> Successor:
        """Have another process take over; raises where it does not, and then this one goes on."""
        same_port = _address(settings) == _address(self._settings)
        listening = self.receiver.listening() if same_port else []
        try:
            successor = await Successor.start(listening, self._leash.end, activated=self._activated)
            await successor.prepared()
        finally:
            for one in listening:
                one.close()
        log.info("server.handing_over", to=successor.pid)
        try:
            await self.receiver.let_go(successor)
            await successor.go()
        except Exception:
            await self._take_back()
            successor.give_back(self.receiver.intake)
            raise
        return successor

    async def _take_back(self) -> None:
        """Raises ``RuntimeError``, which ends the process, so that a supervisor starts it anew."""
        try:
            await self.receiver.take_back()
        except Exception as error:
            raise RuntimeError("the journal was given up and cannot be opened again") from error

    async def _follow(self, successor: Successor, tasks: asyncio.TaskGroup, leaving: Callable[[float], None]) -> None:
        """Serve the connections that are left, then be gone, or be the stub where a supervisor looks at this one."""
        attending = tasks.create_task(successor.attend())
        ending = tasks.create_task(self._pass_on_stop(successor.pid))
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _pass_on, successor.pid, signal.SIGHUP)
        drain_s = self._settings.server.drain_s
        if self._leash.held is None:
            leaving(3 * drain_s)
        await self.receiver.linger()
        if self._relay is not None:
            await asyncio.wait((self._relay,), timeout=drain_s)
            self._relay.cancel()
        successor.close()
        attending.cancel()
        ending.cancel()
        log.info("server.replaced", by=successor.pid)
        if self._leash.held is not None:
            become_stub(self._leash.held, successor.pid)

    async def _pass_on_stop(self, pid: int) -> None:
        await self._stopping.wait()
        _pass_on(pid, signal.SIGTERM)

    async def _take(self, message: Take) -> Outcome:
        return await self.receiver.take_relayed(message.record(), message.reason)


def changes(old: Settings, new: Settings) -> list[str]:
    """The sections in which two configs differ: ``sinks.kafka``, ``endpoints.meetstream.default``, ``journal`` …"""
    changed = [name for name in _WHOLE if getattr(old, name) != getattr(new, name)]
    if old.admin_token != new.admin_token:
        changed.append("admin")
    olds, news = ({f"{one.vendor}.{one.name}": one for one in settings.endpoints} for settings in (old, new))
    had, have = ({f"{one.vendor}.{one.name}": one for one in settings.accounts} for settings in (old, new))
    readers, others = ({one.name: one for one in settings.readers} for settings in (old, new))
    dials, redials = ({one.name: one for one in settings.dials} for settings in (old, new))
    sections = (
        ("endpoints", olds, news), ("readers", readers, others), ("sinks", old.sinks, new.sinks),
        ("accounts", had, have), ("dial", dials, redials),
    )  # fmt: skip
    for section, before, after in sections:
        names = sorted(set(before) | set(after))
        changed += [f"{section}.{name}" for name in names if before.get(name) != after.get(name)]
    return changed


def _pass_on(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _address(settings: Settings) -> tuple[str, int]:
    return settings.server.host, settings.server.port
