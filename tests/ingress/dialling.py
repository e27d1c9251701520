"""What the tests of dialled sockets share: a server that dials an agent server, in times that a test can wait for."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from receiver.app import Receiver
from receiver.delivery.retry import Backoff
from receiver.ingress import dial
from receiver.ingress.dial_talk import Timing
from receiver.secretfiles import read_runtime
from receiver.telemetry.ledger import Intake
from tests.agent_server import TOKEN, AgentServer
from tests.support import until

ENVIRON = {"AGENT_TOKEN": TOKEN, "OTHER_TOKEN": "other-token-4711"}
ENDPOINTS: dict[str, Any] = {"realtimekit": {"default": {}}}
#: pauses as short as possible; what a busy machine may exceed is long
QUICK = Timing(ping_every_s=60.0, resume_s=60.0, open_s=60.0, backoff=Backoff(first_s=0.01, most_s=0.02))


def sections(agent: AgentServer, **keys: Any) -> dict[str, Any]:
    """A config with one dial, called ``weekly``."""
    return {"endpoints": ENDPOINTS, "dial": {"weekly": {"token_env": "AGENT_TOKEN", "url": agent.url} | keys}}


def hasten(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    """Dial with these times in place of the real ones."""
    given = {name: getattr(QUICK, name) for name in QUICK.__struct_fields__} | seconds
    monkeypatch.setattr(dial, "TIMING", Timing(**given))


def book_of(server: Receiver) -> Intake:
    return server.ledger.endpoint("realtimekit", "default")


async def attached(agent: AgentServer, upgrades: int = 1) -> None:
    """Wait until the server has dialled so often, is connected, and knows the connection's id."""
    await until(lambda: len(agent.upgrades) >= upgrades and agent.attached, f"attached after {upgrades} upgrades")


async def ended(agent: AgentServer, *endings: tuple[int, str]) -> None:
    """Wait until the far end knows, too, how each of its sockets has ended."""
    await until(lambda: len(agent.endings) >= len(endings), "the far end knows of it")
    assert agent.endings == list(endings)


async def taken(server: Receiver, texts: int) -> None:
    """Wait until so many messages have come in and are safe, results included; more may be on their way."""
    book = book_of(server)
    await until(
        lambda: book.journalled + book.duplicates + book.quarantined + book.failed >= texts, f"{texts} messages taken"
    )


async def post(server: Receiver, path: str, body: Any, token: str | None = None) -> tuple[int, dict[str, Any]]:
    """An order, with the admin token that commands on this machine use unless another is given."""
    runtime = read_runtime(server.settings.data_dir)
    assert runtime is not None
    headers = {"Authorization": f"Bearer {runtime.token if token is None else token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(runtime.url + path, data=json.dumps(body)) as reply,
    ):
        return reply.status, await reply.json()


def spoken(data_dir: Path) -> list[str]:
    """What was said, in the order of the journal, as far as the file sink has it; it may be writing its next line."""
    written = b"".join(path.read_bytes() for path in sorted((data_dir / "events").glob("*.jsonl")))
    events = [json.loads(line) for line in written.splitlines(keepends=True) if line.endswith(b"\n")]
    return [event["data"]["text"] for event in events if event["type"].startswith("transcript.")]


def everything_in(folder: Path) -> bytes:
    """All bytes of all files."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
