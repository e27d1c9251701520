"""Large messages of many sockets: what is not complete yet has a ceiling, and each is completed in its turn."""

import asyncio
import struct
from pathlib import Path
from typing import Any, cast

import pytest

from receiver.errors import ConfigError
from receiver.ingress.inflow import Flow, Inflow
from receiver.settings import from_dict
from tests.end_to_end.process import PATIENCE_S, read_events, serving
from tests.ingress.hostile import OPEN_ENDPOINT, Wire, latencies_s, rss_bytes, wires, with_peak
from tests.support import until

MIB = 1 << 20
KIB = 1 << 10
HANDSHAKE = (
    b"GET /meetstream/default/video/bot-1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Wirelike:
    """What is asked of a transport."""

    def __init__(self) -> None:
        self.reading, self.aborted = True, False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.aborted = True


def flows(inflow: Inflow, count: int) -> list[tuple[Flow, Wirelike]]:
    made = []
    for _ in range(count):
        wire = Wirelike()
        made.append((Flow(inflow, cast(Any, wire), lambda: False), wire))
    return made


def feed(flow: Flow, wire: Wirelike, to_bytes: int) -> None:
    """Bytes of one message, as long as the connection is read from."""
    flow.wait()
    while wire.reading and flow.bytes < to_bytes:
        flow.arrived(min(50 * KIB, to_bytes - flow.bytes))


async def test_small_messages_need_no_share() -> None:
    """Frames of audio: nothing is counted for all, nobody is held up."""
    inflow = Inflow(4 * MIB, MIB)
    for flow, wire in flows(inflow, 1000):
        feed(flow, wire, 64 * KIB)
        assert wire.reading
    assert inflow.held_bytes == 0


async def test_what_is_not_complete_has_a_ceiling_and_each_is_completed_in_turn() -> None:
    """Shares for some, one beyond them, the others wait at little more than 64 KiB; all come to their end."""
    inflow, size = Inflow(4 * MIB, MIB), MIB
    all_flows = flows(inflow, 40)
    for flow, wire in all_flows:
        feed(flow, wire, size)
    assert sum(flow.bytes for flow, _ in all_flows) < 4 * MIB + len(all_flows) * 128 * KIB
    left = dict(enumerate(all_flows))
    while left:
        before = sum(flow.bytes for flow, _ in left.values())
        for flow, wire in left.values():
            feed(flow, wire, size)
        assert inflow.held_bytes <= 3 * MIB
        whole = [index for index, (flow, _) in left.items() if flow.bytes == size]
        assert whole or sum(flow.bytes for flow, _ in left.values()) > before, "nobody can go on"
        for index in whole:
            left.pop(index)[0].taken()
    assert inflow.held_bytes == 0


async def test_whoever_goes_away_leaves_nothing_behind() -> None:
    """Neither a share nor a place in the queue nor the turn of one beyond."""
    inflow = Inflow(2 * MIB, MIB)
    all_flows = flows(inflow, 10)
    for flow, wire in all_flows:
        feed(flow, wire, MIB)
    for flow, _ in all_flows[:-1]:
        flow.gone()
    feed(*all_flows[-1], MIB)
    assert all_flows[-1][0].bytes == MIB
    all_flows[-1][0].taken()
    assert inflow.held_bytes == 0


async def test_who_stalls_beyond_the_shares_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one can go there, and while others wait for it nobody may sit there for ever."""
    monkeypatch.setattr("receiver.ingress.inflow._STALL_S", 0.02)
    inflow = Inflow(2 * MIB, MIB)
    (_, first), (_, second), (_, third) = made = flows(inflow, 3)
    for flow, wire in made:
        feed(flow, wire, 900 * KIB)
    await until(lambda: second.aborted)
    assert not first.aborted and not third.aborted


async def test_control_frames_within_a_message_do_not_hide_it() -> None:
    """A peer may ping between the fragments of a message; a quiet one that only pings holds nothing."""
    inflow = Inflow(2 * MIB, MIB)
    (flow, wire), (quiet, _) = flows(inflow, 2)
    flow.wait()
    for _ in range(10):
        flow.arrived(50 * KIB + 10)
        flow.passed(10)
    assert wire.reading and flow.share_bytes >= 500 * KIB
    quiet.wait()
    for _ in range(100_000):
        quiet.arrived(10)
        quiet.passed(10)
    assert quiet.bytes == 0


async def test_messages_that_are_taken_as_they_are_read_give_back_their_share() -> None:
    """And one that was held up for a share is read on."""
    inflow = Inflow(2 * MIB, MIB)
    made = flows(inflow, 3)
    for flow, wire in made:
        feed(flow, wire, 900 * KIB)
    assert [wire.reading for _, wire in made] == [True, True, False] and inflow.held_bytes > 0
    for flow, wire in made:
        flow.taken_at_once()
        assert flow.bytes == flow.share_bytes == 0 and wire.reading
    assert inflow.held_bytes == 0
    feed(*made[0], 900 * KIB)
    assert made[0][0].bytes == 900 * KIB


def test_the_ceiling_has_room_for_the_largest_message() -> None:
    """One that could never pass is a mistake in the config."""
    with pytest.raises(ConfigError, match=r"server\.max_inflight_message_bytes: found .* allowed at least twice"):
        from_dict({"server": {"max_message_bytes": 100 * MIB}}, {})


async def test_half_messages_of_many_sockets_have_a_ceiling(tmp_path: Path) -> None:
    """Forty sockets stop within a message of 4 MiB: memory stays at the ceiling, others are served, none is dropped;
    when they go on, each message arrives."""
    keys = "max_message_bytes = 4_194_304\nmax_inflight_message_bytes = 12_582_912"
    piece = b"\0\0\0\x10moof" + bytes(4_000_000)
    head = struct.pack("!BBQ4x", 0x82, 0xFF, len(piece))
    async with serving(tmp_path, OPEN_ENDPOINT, keys=keys) as server:
        before = rss_bytes(server.pid)
        async with wires(server.url, 40, HANDSHAKE) as sockets:
            for reader, writer in sockets:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(head + piece[:3_500_000])
            latencies, peak = await with_peak(server.pid, latencies_s(server.url, 40, 0.05))
            assert latencies[-1] < PATIENCE_S
            assert peak - before < 70 * MIB, f"{(peak - before) // MIB} MiB more"
            metrics = await server.metrics()
            assert metrics["receiver_sockets_open{endpoint=default,vendor=meetstream}"] == len(sockets)
            await asyncio.gather(*(_finish(one, piece[3_500_000:]) for one in sockets))
        metrics = await server.caught_up("file")
        assert metrics["receiver_message_bytes{}"] == 0
        types = [event["type"] for event in read_events(server.data_dir / "events")]
    assert types.count("video.chunk") == len(sockets)


async def _finish(wire: Wire, rest: bytes) -> None:
    """The rest of a message, and an orderly closing."""
    reader, writer = wire
    writer.write(rest + struct.pack("!BB4xH", 0x88, 0x82, 1000))
    async with asyncio.timeout(PATIENCE_S):
        assert (await reader.read()).endswith(struct.pack("!BBH", 0x88, 2, 1000))
