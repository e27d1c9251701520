"""The budgets of clients, and bodies inflated within them: without a server."""

import asyncio
import gzip
import zlib

import pytest

from receiver.errors import Malformed, Overloaded, TooLarge
from receiver.ingress.body import inflate
from receiver.ingress.limits import Attempts, Budget

KIB = 1024
TEXT = b'{"event":"bot.joining","bot_id":"b"}' * 50


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKED = [("gzip", gzip.compress(TEXT, mtime=0)), ("deflate", zlib.compress(TEXT)), ("deflate", raw_deflate(TEXT))]
KINDS = ["gzip", "zlib", "bare-deflate"]


async def inflated(body: bytes, encoding: str, limit_bytes: int = 1 << 20) -> bytes:
    with Budget(64 << 20, 0.05).hold() as hold:
        return await inflate(body, encoding, hold, limit_bytes)


async def test_what_is_held_is_given_back() -> None:
    """The share of a request ends with it, also when the request fails."""
    budget = Budget(1000 * KIB, 0.05)
    with pytest.raises(ZeroDivisionError), budget.hold() as hold:
        await hold.grow(100)
        await hold.grow(300)
        await hold.grow(200)
        assert budget.held_bytes == 300
        raise ZeroDivisionError
    assert budget.held_bytes == 0


async def test_beyond_the_ceiling_a_request_waits_and_then_is_told_to_come_again() -> None:
    """Never more than the ceiling; the wait is bounded."""
    budget = Budget(1000 * KIB, 0.02)
    with budget.hold() as first, budget.hold() as second:
        await first.grow(700 * KIB)
        with pytest.raises(Overloaded):
            await second.grow(100 * KIB)
        assert budget.held_bytes == 700 * KIB


async def test_who_waits_is_served_when_room_is_given_back() -> None:
    """A waiting request goes on as soon as there is room."""
    budget = Budget(1000 * KIB, 5.0)
    with budget.hold() as second:
        with budget.hold() as first:
            await first.grow(700 * KIB)
            task = asyncio.create_task(second.grow(600 * KIB))
            await asyncio.sleep(0)
            assert not task.done()
        await task
        assert budget.held_bytes == 600 * KIB


async def test_small_bodies_pass_large_ones() -> None:
    """A quarter is for bodies of up to 64 KiB: large ones cannot keep callbacks out."""
    budget = Budget(1000 * KIB, 0.02)
    with budget.hold() as large, budget.hold() as small:
        await large.grow(750 * KIB)
        await small.grow(64 * KIB)
        with pytest.raises(Overloaded):
            await small.grow(65 * KIB)


async def test_the_queue_for_memory_is_bounded() -> None:
    """Requests that wait cost memory too: beyond a number of them the answer comes at once."""
    budget = Budget(100 * KIB, 5.0)
    with budget.hold() as full:
        await full.grow(75 * KIB)
        holds = [budget.hold() for _ in range(65)]
        tasks = [asyncio.create_task(hold.__enter__().grow(70 * KIB)) for hold in holds]
        done, waiting = await asyncio.wait(tasks, timeout=0.05)
        assert len(done) == 1 and isinstance(done.pop().exception(), Overloaded)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert budget.held_bytes == 0 and not budget._waiting


def test_failures_are_counted_by_address_and_forgiven_with_time() -> None:
    """Sixty a minute: the sixty-first at once is too many; a second later there is one more; others are not touched."""
    now_s = 0.0
    attempts = Attempts(60, lambda: now_s)
    assert [attempts.failed("192.0.2.1") for _ in range(61)] == [False] * 60 + [True]
    assert not attempts.failed("192.0.2.2")
    now_s = 1.0
    assert [attempts.failed("192.0.2.1") for _ in range(2)] == [False, True]


def test_a_network_of_ipv6_is_one_address() -> None:
    """Whoever has a /64 has all of its addresses; a mapped IPv4 address is that address."""
    attempts = Attempts(1, lambda: 0.0)
    assert not attempts.failed("2001:db8::1") and attempts.failed("2001:db8::ffff")
    assert not attempts.failed("2001:db8:0:1::1")
    assert not attempts.failed("::ffff:192.0.2.1") and attempts.failed("192.0.2.1")
    assert not attempts.failed("fe80::1%eth0") and not attempts.failed(None)


def test_the_table_of_addresses_is_bounded() -> None:
    """A flood of addresses costs no more memory than the table."""
    attempts = Attempts(1, lambda: 0.0)
    for number in range(20_000):
        attempts.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(attempts) == 10_000


def test_zero_is_no_limit() -> None:
    """``max_bad_tokens_per_minute`` = 0."""
    attempts = Attempts(0)
    assert not any(attempts.failed("192.0.2.1") for _ in range(1000)) and not len(attempts)


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("", TEXT), ("identity", TEXT), ("x-gzip", PACKED[0][1]), *PACKED],
    ids=["none", "identity", "x-gzip", *KINDS],
)
async def test_encodings(encoding: str, packed: bytes) -> None:
    """gzip, zlib's deflate and the bare deflate that some clients send."""
    assert await inflated(packed, encoding) == TEXT


@pytest.mark.parametrize(("encoding", "packed"), PACKED, ids=KINDS)
async def test_broken_streams_are_malformed(encoding: str, packed: bytes) -> None:
    """Every shorter prefix, bytes behind the end, and damage: never half a body, never another error."""
    for end in range(len(packed)):
        with pytest.raises(Malformed):
            await inflated(packed[:end], encoding)
    for behind in (b"\0", packed, bytes(200_000)):
        with pytest.raises(Malformed):
            await inflated(packed + behind, encoding)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "\udcff"], ids=ascii)
async def test_other_encodings_are_malformed(encoding: str) -> None:
    """What is not understood is not guessed; stacked encodings are how bombs are built."""
    with pytest.raises(Malformed):
        await inflated(PACKED[0][1], encoding)


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 131_072, 1 << 20])
async def test_the_limit_counts_inflated_bytes(size: int) -> None:
    """Exactly the limit passes, one more does not; a bomb is held in memory only up to the limit."""
    body = zlib.compress(bytes(size))
    assert len(await inflated(body, "deflate", size)) == size
    with pytest.raises(TooLarge):
        await inflated(body, "deflate", size - 1)
    budget = Budget(64 << 20, 0.05)
    with budget.hold() as hold:
        with pytest.raises(TooLarge):
            await inflate(zlib.compress(bytes(50 << 20)), "deflate", hold, size)
        assert hold.bytes <= size + (64 << 10)
