"""The process that served so far, as the one that takes over sees it."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping

import msgspec
import structlog

from receiver.errors import ConfigError, ReceiverError
from receiver.handover.messages import Answer, Go, Message, Prepared, Problem, Serving, Take, decode
from receiver.ingress.intake import Outcome
from receiver.line import Line

log = structlog.get_logger()
#: holds an :class:`Inheritance` for a process that is to take over
VARIABLE = "RECEIVER_TAKE_OVER"
Relayed = Callable[[Take], Awaitable[Outcome]]


class Inheritance(msgspec.Struct, frozen=True):
    """Descriptors that a process was started with. ``activated``: systemd made the listening sockets."""

    line: int
    listening: list[int]
    leash: int
    activated: bool = False

    def text(self) -> str:
        """For the environment."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> "Inheritance | None":
        """What this process was left, once; ``None`` where it was started by a person or a supervisor."""
        text = environ.pop(VARIABLE, "")
        if not text:
            return None
        found = msgspec.json.decode(text, type=cls)
        for descriptor in (found.line, found.leash, *found.listening):
            os.set_inheritable(descriptor, False)
        return found


class Predecessor:
    """``prepared``, ``serving``, then ``relay`` until it hangs up; ``failed`` in place of any."""

    def __init__(self, inheritance: Inheritance) -> None:
        self._line: Line[Message] | None = None
        self._told = False
        self._end = socket.socket(fileno=inheritance.line)

    async def prepared(self) -> bool:
        """Say that nothing but the journal is missing, and wait for it; false where it will not come."""
        line = await self._open()
        line.say(Prepared())
        return isinstance(await line.hear(), Go)

    async def serving(self) -> None:
        """Say that connections are accepted here."""
        (await self._open()).say(Serving())

    async def failed(self, error: Exception) -> None:
        """Say why it will not be. Only the first time counts."""
        if self._told:
            return
        self._told = True
        line = await self._open()
        line.say(Problem(str(error) or type(error).__name__, isinstance(error, ConfigError)))
        await line.flush()
        line.close()

    async def relay(self, take: Relayed) -> None:
        """Take the deliveries that still come in there; returns when its last connection has ended."""
        line = await self._open()
        async with asyncio.TaskGroup() as tasks:
            while isinstance(message := await line.hear(), Take):
                tasks.create_task(_answer(line, message, take))
        line.close()

    def refuse(self) -> None:
        """Take no more from there; ``relay`` ends with what is under way."""
        if self._line is not None:
            self._line.deafen()

    async def _open(self) -> Line[Message]:
        if self._line is None:
            self._line = await Line.over(self._end, decode)
        return self._line


async def _answer(line: Line[Message], message: Take, take: Relayed) -> None:
    try:
        outcome = await take(message)
    except ReceiverError as error:
        line.say(Answer(number=message.number, failed=str(error)))
    except Exception:
        log.exception("relay.fault")
        line.say(Answer(number=message.number, failed="a fault of the receiver"))
    else:
        line.say(Answer(number=message.number, fate=outcome.fate, reason=outcome.reason))
