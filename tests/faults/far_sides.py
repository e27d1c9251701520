"""Far sides that can be broken and mended while a server writes to them. Each is one sink's."""

import asyncio
import base64
import json
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
from aiohttp import web

from tests.end_to_end.process import free_port, read_events
from tests.faults.guest import read_lines
from tests.faults.oracle import FarSide
from tests.kafka_broker import Broker
from tests.kafka_reader import read_all

_DISK_BYTES = 256 << 20
_TOPIC = "islands"


@dataclass(frozen=True)
class Fault:
    """What can befall the far side of ``sink``."""

    sink: str
    about: str
    begin: Callable[[], Awaitable[None]]
    end: Callable[[], Awaitable[None]]


class Targets:
    """An HTTP server with one path a sink. ``mood[path]``: ``ok``, ``500``, ``429`` or ``hang``."""

    def __init__(self, *paths: str) -> None:
        self.port = free_port()
        self.mood = dict.fromkeys(paths, "ok")
        self.far = {path: FarSide() for path in paths}
        self._changed = asyncio.Event()

    def set(self, path: str, mood: str) -> None:
        """From the next request on; those that hang are let go unanswered."""
        self.mood[path] = mood
        self._changed.set()
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen meanwhile."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/{path}", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            yield
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        events = orjson.loads(await request.read())
        while self.mood[path] == "hang":
            await self._changed.wait()
        if self.mood[path] != "ok":
            return web.Response(status=int(self.mood[path]), headers={"Retry-After": "1"})
        for event in events:
            self.far[path].take(event)
        return web.Response()

    def section(self, path: str) -> str:
        """Of the sink with this name."""
        url = f"http://127.0.0.1:{self.port}/{path}"
        return f'[sinks.{path}]\ntype = "http"\ntypes = ["bot.*"]\nurl = "{url}"\ntimeout_s = 2.0\n'

    def fault(self, path: str, mood: str, about: str) -> Fault:
        """Its answers go bad."""

        async def begin() -> None:
            self.set(path, mood)

        async def end() -> None:
            self.set(path, "ok")

        return Fault(path, about, begin, end)


class SmallDisk:
    """A file system of its own in memory, small enough to be filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    @staticmethod
    @asynccontextmanager
    async def mounted(folder: Path) -> AsyncIterator["SmallDisk | None"]:
        """``None`` where nothing may be mounted."""
        folder.mkdir()
        mount = ("mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(folder))
        if os.geteuid() != 0 or not await asyncio.to_thread(_succeeds, *mount):
            yield None
            return
        try:
            yield SmallDisk(folder)
        finally:
            await asyncio.to_thread(_succeeds, "umount", "-l", str(folder))

    def section(self) -> str:
        """Of the sink ``full``."""
        path = json.dumps(f"{self.folder}/full/{{date}}.jsonl")
        return f'[sinks.full]\ntype = "file"\ntypes = ["bot.*"]\npath = {path}\n'

    def fault(self) -> Fault:
        """Full to the last byte."""

        async def begin() -> None:
            with self._filler.open("wb", buffering=0) as file:
                try:
                    while file.write(bytes(1 << 16)):
                        pass
                except OSError:
                    return

        async def end() -> None:
            self._filler.unlink()

        return Fault("full", "a file sink's disk is full", begin, end)

    def far(self) -> FarSide:
        """What lies there."""
        return FarSide(read_events(self.folder / "full"))


class Guest:
    """A plug-in in the server's process, whose mood is a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._mood, self._marks = folder / f"{name}.mood", folder / f"{name}.jsonl"
        self._mood.write_text("ok")

    def section(self) -> str:
        """Of the sink with its name."""
        mood, marks = json.dumps(str(self._mood)), json.dumps(str(self._marks))
        return f'[sinks.{self.name}]\ntype = "guest"\nmood = {mood}\nmarks = {marks}\n'

    def fault(self, mood: str, about: str) -> Fault:
        """See ``guest``."""

        async def begin() -> None:
            self._mood.write_text(mood)

        async def end() -> None:
            self._mood.write_text("ok")

        return Fault(self.name, about, begin, end)

    def far(self) -> FarSide:
        """What it took."""
        return FarSide(read_lines(self._marks))


class Kafka:
    """A real broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def section(self) -> str:
        """Of the sink ``kafka``."""
        return (
            f'[sinks.kafka]\ntype = "kafka"\nbrokers = "{self._broker.address}"\ntopic = "{_TOPIC}"\n'
            "delivery_timeout_s = 3.0\n"
        )

    def faults(self) -> list[Fault]:
        """It accepts connections and answers nothing; it is killed, and started again."""

        async def freeze() -> None:
            self._broker.freeze()

        async def thaw() -> None:
            self._broker.thaw()

        async def kill() -> None:
            await asyncio.to_thread(self._broker.kill)

        async def start() -> None:
            await asyncio.to_thread(self._broker.start)

        return [
            Fault("kafka", "the broker is frozen", freeze, thaw),
            Fault("kafka", "the broker is killed", kill, start),
        ]

    async def far(self) -> FarSide:
        """What its topic holds, each partition in order."""
        far = FarSide()
        for record in await read_all(self._broker.address, _TOPIC):
            headers = {name: value.decode() for name, value in record.headers}
            event = {"id": headers["ce_id"], "subject": headers.get("ce_subject", "")}
            if headers["ce_type"].endswith(".chunk"):
                far.take(event | {"data_base64": base64.b64encode(record.value[:12]).decode()})
            else:
                far.take(event | {"data": orjson.loads(record.value)})
        return far


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
