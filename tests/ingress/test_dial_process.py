"""Dialled sockets of a served process: a reload that adds one, a hand-over to another process, the end."""

import asyncio
import signal
from pathlib import Path

from tests.agent_server import TOKEN, AgentServer, said
from tests.commands.process import run_receiver, serving
from tests.ingress.dialling import ended, spoken
from tests.support import events_in, until

CONFIG = """\
data_dir = "{folder}/data"
[server]
port = 0
[endpoints.realtimekit.default]
[sinks.file]
type = "file"
fsync = false
"""
DIAL = """\
[dial.weekly]
token_env = "AGENT_TOKEN"
url = "{url}"
"""


async def test_reload_hand_over_and_stop(tmp_path: Path) -> None:
    """A section that is new is dialled by the same process. Where another process takes over, the old one hangs up
    (1001) before the new one dials: neither takes the other's place, and what happens goes on to be journalled."""
    path = tmp_path / "receiver.toml"
    path.write_text(CONFIG.format(folder=tmp_path))

    async def reload(*options: str) -> str:
        done = await asyncio.to_thread(run_receiver, "reload", "--config", str(path), *options, AGENT_TOKEN=TOKEN)
        assert done.returncode == 0, done.stderr
        return done.stdout

    async with AgentServer.serving() as agent:
        with serving(tmp_path, "--config", str(path), AGENT_TOKEN=TOKEN) as server:
            await asyncio.to_thread(server.wait_for, "server.ready")
            path.write_text(CONFIG.format(folder=tmp_path) + DIAL.format(url=agent.url))
            assert "dial.weekly" in await reload()
            await until(lambda: agent.attached)
            await agent.tell(said("first", second=1))
            await until(lambda: spoken(tmp_path / "data") == ["first"])
            await reload("--restart")
            await until(lambda: len(agent.upgrades) == 2 and agent.attached)
            await ended(agent, (1001, "server is shutting down"))
            await agent.tell(said("second", second=2))
            await until(lambda: spoken(tmp_path / "data") == ["first", "second"])
            status, _ = await asyncio.to_thread(server.stop, signal.SIGTERM)
            assert status == 0 and TOKEN not in server.text
        await ended(agent, *[(1001, "server is shutting down")] * 2)
        assert len(agent.upgrades) == 2
    kinds = [event["type"] for event in events_in(tmp_path / "data")]
    assert kinds.count("stream.opened") == kinds.count("stream.closed") == 2
