"""A bot's POSTs: callbacks, participant events and transcript updates. Each is tried once, as the vendor does."""

import asyncio
import hashlib
from datetime import UTC, datetime

import aiohttp

from receiver.simulator import wire
from receiver.simulator.part import Part
from receiver.simulator.script import Message
from receiver.simulator.tally import Delivery


class Posts:
    """Sends messages in their natural order, a few of them in flight at the same time. No answer makes it raise."""

    def __init__(self, part: Part, client: aiohttp.ClientSession, tasks: asyncio.TaskGroup) -> None:
        self._part, self._client, self._tasks = part, client, tasks
        self._in_flight: dict[str, asyncio.Task[None]] = {}

    async def send(self, message: Message) -> None:
        """Start to send ``message``: a callback once all before it are answered, others once their own kind is."""
        if not message.burst:
            for key in list(self._in_flight):
                if message.lane == "callback" or key.startswith(message.lane):
                    await self._in_flight.pop(key)
        self._in_flight[f"{message.lane} {message.name}"] = self._tasks.create_task(self._deliver(message))

    async def _deliver(self, message: Message) -> None:
        body = message.build()
        data = body.encode() if isinstance(body, str) else body
        if message.copies == "together":
            await asyncio.gather(self._post(message, data), self._post(message, data))
        else:
            await self._post(message, data)
        if message.copies == "after":
            await self._post(message, data)
        if message.copies:
            self._part.tally.add(duplicates_sent=1)
        self._part.tell(message)

    async def _post(self, message: Message, data: bytes) -> None:
        part = self._part
        status = await self._exchange(message, data)
        outcome = "accepted" if 200 <= status < 300 else "refused" if 300 <= status < 500 else "failed"
        if message.garbage:
            part.count_garbage(message)
            part.tally.add(**{f"garbage_{outcome}": 1})
        else:
            part.tally.add(**{"posts_sent": 1, f"posts_{outcome}": 1})
        if outcome == "accepted":
            digest, name = hashlib.sha256(data).hexdigest(), message.garbage or message.name
            part.tally.whole.accepted.append(Delivery(part.meeting.bot_id, name, digest, message.nature))

    async def _exchange(self, message: Message, data: bytes) -> int:
        """The status of the answer; 0 where there was none."""
        urls = self._part.urls
        url = {"participant": urls.participant, "transcript": urls.transcript}.get(message.lane, urls.callback)
        headers = {"Content-Type": "application/json", "User-Agent": "meetstream-simulator"}
        if self._part.options.secret and message.lane == "callback":
            headers["X-MeetStream-Signature"] = wire.signature(self._part.options.secret, data)
            headers["X-MeetStream-Timestamp"] = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            async with self._client.post(url, data=data, headers=headers, allow_redirects=False) as reply:
                await reply.read()
                return reply.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0
