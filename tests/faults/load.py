"""Load whose every delivery can be recognised at the far side: paced callbacks, and frames on sockets that redial.

``Callbacks.accepted`` and ``Audio.sent`` are obligations, see ``oracle``. A refused or unanswered POST is counted and
not sent again, as vendors do.
"""

import asyncio
import contextlib
import itertools
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

import aiohttp
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.faults.oracle import marked_pcm
from tests.vendors.meetstream_wire import frame

_POST_TIMEOUT_S = 30.0
_REDIAL_S = 0.05
#: a server that is slow is not gone: how long opening and closing a socket may take
_PATIENCE_S = 120.0


def body(bot: str, serial: int) -> bytes:
    """A callback of ``bot`` that no other is a repeat of."""
    at_ms = 1_780_000_000_000 + serial
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000)) + f".{at_ms % 1000:03d}Z"
    return orjson.dumps(
        {
            "event": "bot.recording", "bot_id": bot, "bot_status": "Recording", "message": "recording",
            "status_code": 200, "timestamp": stamp, "custom_attributes": {"serial": str(serial)},
        }
    )  # fmt: skip


def transcript(bot: str, serial: int) -> bytes:
    """A turn of ``bot``'s live transcript, likewise."""
    fields = orjson.loads(body(bot, serial))
    told = {"event": "transcript", "transcript": f"turn {serial}", "speakerName": "A", "is_final": True}
    return orjson.dumps(told | {key: fields[key] for key in ("bot_id", "timestamp", "custom_attributes")})


def quantile_ms(seconds: Sequence[float], share: float) -> float:
    """The value below which ``share`` of ``seconds`` lies, in milliseconds; 0 where there is none."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


def ratio(with_fault: Sequence[float], without: Sequence[float]) -> float:
    """The median over rounds of one against the other, round by round; 0 where there is nothing to compare with."""
    pairs = zip(with_fault, without, strict=True)
    return statistics.median([one / other for one, other in pairs if other] or [0.0])


class Callbacks:
    """``rate`` POSTs a second over kept-alive connections, or each over one of its own. One bot's go one after the
    other, so that they have an order.

    ``run`` until it is stopped; ``latencies_s`` are of accepted ones and may be cleared between two measurements.
    """

    def __init__(self, url: str, *, rate: float, bots: int = 8, prefix: str = "bot", keep_alive: bool = True) -> None:
        self.accepted: dict[str, list[int]] = defaultdict(list)
        self.failures: Counter[str] = Counter()
        self.latencies_s: list[float] = []
        self._url = url
        self._rate = rate
        self._keep_alive = keep_alive
        #: the body of a bot's delivery with a serial number; may be set before ``run``
        self.make = body
        self._names = [f"{prefix}-{number}" for number in range(bots)]
        self._serial = itertools.count(1)
        self._stopping = asyncio.Event()

    @property
    def count(self) -> int:
        """Accepted ones."""
        return sum(map(len, self.accepted.values()))

    def stop(self) -> None:
        """Send no more; ``run`` ends when everything is answered."""
        self._stopping.set()

    async def run(self, seconds: float = float("inf")) -> None:
        """Send for ``seconds``, or until stopped."""
        timeout = aiohttp.ClientTimeout(total=_POST_TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=0, force_close=not self._keep_alive)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for index, name in enumerate(self._names):
                tasks.create_task(self._bot(client, name, index, seconds))

    async def _bot(self, client: aiohttp.ClientSession, name: str, index: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        begin_s, step_s = loop.time(), len(self._names) / self._rate
        due_s = begin_s + step_s * index / len(self._names)
        while due_s < begin_s + seconds:
            try:
                async with asyncio.timeout_at(due_s):
                    await self._stopping.wait()
                return
            except TimeoutError:
                await self._post(client, name, next(self._serial))
            due_s = max(due_s + step_s, loop.time() - 1.0)  # one that was held up is not made good by a burst

    async def _post(self, client: aiohttp.ClientSession, name: str, serial: int) -> None:
        start_s = time.perf_counter()
        try:
            async with client.post(self._url, data=self.make(name, serial)) as reply:
                await reply.read()
                status = reply.status
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failures[type(error).__name__] += 1
            return
        if 200 <= status < 300:
            self.latencies_s.append(time.perf_counter() - start_s)
            self.accepted[name].append(serial)
        else:
            self.failures[str(status)] += 1


class Audio:
    """``sockets`` bots that send frames of 20 ms, ``rate`` a second each (0: as fast as the server reads), and redial.

    ``sent`` are the frames whose connection was closed cleanly: the server has read all of them. Those of one that
    broke, or that was told to come back later (1013), are ``unsure``. ``closings`` counts close codes, ``refusals``
    failed attempts to connect.
    """

    def __init__(self, url: str, *, sockets: int, rate: float = 50.0, prefix: str = "sound") -> None:
        self.sent: dict[str, list[int]] = defaultdict(list)
        self.unsure: Counter[str] = Counter()
        self.closings: Counter[int] = Counter()
        self.refusals: Counter[str] = Counter()
        #: frames that were sent, read or not
        self.begun = 0
        self._url = url.replace("http", "ws", 1)
        self._rate = rate
        self._names = [f"{prefix}-{number}" for number in range(sockets)]
        self._serial = itertools.count(1)
        self._stopping = asyncio.Event()

    @property
    def count(self) -> int:
        """Frames that the server has read for sure."""
        return sum(map(len, self.sent.values()))

    def stop(self) -> None:
        """Close every socket; ``run`` ends when the server has agreed."""
        self._stopping.set()

    async def run(self) -> None:
        """Send until stopped."""
        async with asyncio.TaskGroup() as tasks:
            for name in self._names:
                tasks.create_task(self._bot(name))

    async def _bot(self, name: str) -> None:
        while not self._stopping.is_set():
            try:
                async with connect(
                    f"{self._url}/audio/{name}", compression=None, ping_interval=None, open_timeout=_PATIENCE_S,
                    close_timeout=_PATIENCE_S,
                ) as socket:  # fmt: skip
                    own: list[int] = []
                    with contextlib.suppress(ConnectionClosed):
                        await self._talk(socket, own)
                    await socket.close()
                code = socket.close_code or 1006
                self.closings[code] += 1
                if code in (1006, 1013):
                    self.unsure[name] += len(own)
                else:
                    self.sent[name] += own
            except (OSError, InvalidHandshake, TimeoutError) as error:
                self.refusals[type(error).__name__] += 1
            if not self._stopping.is_set():
                await asyncio.sleep(_REDIAL_S)

    async def _talk(self, socket: ClientConnection, own: list[int]) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while not self._stopping.is_set():
            serial = next(self._serial)
            await socket.send(frame(pcm=marked_pcm(serial)))
            own.append(serial)
            self.begun += 1
            if self._rate:
                due_s = max(due_s + 1 / self._rate, loop.time() - 1.0)
                await asyncio.sleep(max(0.0, due_s - loop.time()))
            else:
                await asyncio.sleep(0)
