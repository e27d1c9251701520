"""``receiver serve`` and one POST of each documented body: the events of the contract, in the file.

The bodies are the samples that were written from the vendor's documents. Each goes to an endpoint of its own, since
many of them are one another's repeats by the vendor's key.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from tests.end_to_end.process import read_events, serving
from tests.vendors.samples import is_reply

SAMPLES = Path(__file__).parent.parent / "samples" / "meetstream"
BODIES = sorted(path.parent for path in SAMPLES.glob("*/body.bin") if not is_reply(path.parent))
ENDPOINTS = {f"s{number:03d}": folder for number, folder in enumerate(BODIES)}
FILE_SINK = '[sinks.file]\ntype = "file"\n'
#: what ``curl --data-binary @body.json`` says it is
CURL_HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "curl/8.0"}


def comparable(event: dict[str, Any]) -> dict[str, Any]:
    """An event without what differs from run to run: its place, its arrival, and a time that is only the arrival's."""
    kept = {key: value for key, value in event.items() if key not in ("source", "sequence", "receivedtime")}
    if event["time"] == event["receivedtime"]:
        kept["time"] = "its arrival"
    return kept


async def post_all(url: str) -> dict[str, tuple[int, str]]:
    """POST each body at its endpoint; the answers."""
    answers = {}
    async with aiohttp.ClientSession() as client:
        for name, folder in ENDPOINTS.items():
            body = (folder / "body.bin").read_bytes()
            async with client.post(f"{url}/meetstream/{name}", data=body, headers=CURL_HEADERS) as reply:
                answers[folder.name] = reply.status, (await reply.json())["status"]
    return answers


async def test_each_documented_body_gives_its_events(tmp_path: Path) -> None:
    """POST the body, read the file: its events, in order, with the ids that the samples say; each answered 200."""
    endpoints = "".join(f"[endpoints.meetstream.{name}]\n" for name in ENDPOINTS)
    async with serving(tmp_path, endpoints + FILE_SINK) as server:
        answers = await post_all(server.url)
        await server.caught_up("file")
        assert await server.stop() == 0
    assert len(answers) > 70 and set(answers.values()) == {(200, "accepted")}
    found: dict[str, list[dict[str, Any]]] = {folder.name: [] for folder in BODIES}
    for event in read_events(server.data_dir / "events"):
        endpoint = event["source"].removeprefix("/meetstream/")
        found[ENDPOINTS[endpoint].name].append(comparable(event))
    expected = {folder.name: json.loads((folder / "expected.json").read_text()) for folder in BODIES}
    assert found == {name: [comparable(event) for event in events] for name, events in expected.items()}


async def test_a_repeated_body_is_one_event(tmp_path: Path) -> None:
    """The vendor's retry, also one that overtakes its original's answer, is answered 2xx and told once."""
    body = (SAMPLES / "bot.done__generation3" / "body.bin").read_bytes()
    async with serving(tmp_path, FILE_SINK) as server, aiohttp.ClientSession() as client:

        async def post() -> str:
            async with client.post(f"{server.url}/meetstream/default", data=body) as reply:
                return str((await reply.json())["status"])

        fates = [*await asyncio.gather(post(), post(), post()), await post()]
        await server.caught_up("file")
        assert await server.stop() == 0
    assert sorted(fates) == ["accepted", "duplicate", "duplicate", "duplicate"]
    assert [event["type"] for event in read_events(server.data_dir / "events")] == ["bot.status"]
