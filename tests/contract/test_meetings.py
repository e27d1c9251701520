"""Whole meetings of every vendor's stand-in through a real server, with everything that can go wrong on the way."""

import base64
from pathlib import Path
from typing import Any

import pytest

from receiver.simulator import CLOUD_FAULTS, STAND_INS, CloudTally
from receiver.simulator.realtimekit.keys import SigningKey
from tests.realtimekit_service import private_key
from tests.support import drained, events_in, running

TOKEN = "a-token-of-the-url"
MEETINGS = 2
DAILY = base64.b64encode(b"a" * 32).decode()
#: what the stand-in signs with, and the endpoint's secret
SECRETS: dict[str, tuple[str, str]] = {
    "meetstream": ("a secret", "a secret"),
    "realtimekit": (private_key(0), SigningKey(private_key(0)).public_pem),
    "daily": (DAILY, DAILY),
    "meemo": ("whsec_x", "whsec_x"),
    "waterai": ("", ""),
}
#: faults of pushes; the others are of REST, and of answers that are no success
PUSHES = ("duplicates", "reorder", "retries")


async def played(tmp_path: Path, vendor: str, faults: frozenset[str]) -> tuple[CloudTally, Any]:
    """Meetings at a server; what was pushed, and the book of what came in. All sinks have it all by then."""
    signs, checks = SECRETS[vendor]
    endpoint: dict[str, Any] = {"token_env": "TOKEN"} | ({"secret_env": ["SECRET"]} if checks else {})
    environ = {"TOKEN": TOKEN, "SECRET": checks}
    async with running(tmp_path, environ, endpoints={vendor: {"default": endpoint}}) as server:
        tally = await STAND_INS[vendor].play_meetings(
            f"{server.url}/{vendor}/default/{TOKEN}",
            meetings=MEETINGS,
            speed=0.0,
            seed=1,
            faults=faults,
            secret=signs,
            progress=lambda subject, what: None,
        )
        await drained(server)
        book = server.ledger.endpoint(vendor, "default")
    return tally, book


@pytest.mark.parametrize("vendor", list(STAND_INS))
@pytest.mark.parametrize("fault", ["", *CLOUD_FAULTS])
async def test_nothing_is_refused_and_nothing_lost(tmp_path: Path, vendor: str, fault: str) -> None:
    """Each push is answered 2xx; what is journalled is what was sent, repeats once; each event reaches the sink."""
    tally, book = await played(tmp_path, vendor, frozenset(filter(None, [fault])))
    assert tally.pushed > 0 and tally.accepted == tally.pushed and tally.held_back == 0
    assert (book.refused, book.quarantined, book.failed) == (0, 0, 0) and book.balanced
    sent = tally.pushed + tally.frames + tally.messages
    assert book.received == sent
    assert book.duplicates == tally.repeated
    if fault in ("duplicates", "retries") and tally.pushed > 20:
        assert tally.repeated > 0
    ids = [event["id"] for event in events_in(tmp_path)]
    assert len(set(ids)) == len(ids) >= MEETINGS


@pytest.mark.parametrize("vendor", list(STAND_INS))
async def test_faults_change_nothing_of_what_is_told(tmp_path: Path, vendor: str) -> None:
    """With repeats and another order the same kinds of events come as often as without."""
    plain, wild = tmp_path / "plain", tmp_path / "wild"
    await played(plain, vendor, frozenset())
    await played(wild, vendor, frozenset(PUSHES))
    told = [sorted((event["type"], event.get("vendorevent", "")) for event in events_in(one)) for one in (plain, wild)]
    media = {
        "audio.chunk",
        "video.chunk",
        "stream.opened",
        "stream.closed",
    }  # sockets are cut where something goes wrong
    first, second = ([one for one in kinds if one[0] not in media] for kinds in told)
    assert first == second
