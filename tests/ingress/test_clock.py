"""A wall clock that is set, back or forward, while the server runs: spans of time are those that really passed."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.ingress.sockets import book_of, dialled, of_type, ready
from tests.ingress.test_http import ENVIRON, SIGNED_ENDPOINT, call, in_quarantine, signature
from tests.support import JOINING, drained, events_in, running, until

DAY_NS = 86_400 * 10**9
UNTIMED = json.dumps({key: value for key, value in JOINING.items() if key != "timestamp"}).encode()
JUMPS_NS = [-3650 * DAY_NS, -DAY_NS, 3 * DAY_NS, 3650 * DAY_NS]


class Clock:
    """The wall clock of this process, ``shift_ns`` beside the true one; and time that has passed for both clocks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shift_ns = self._passed_ns = 0
        real_ns, real_s, steady_ns = time.time_ns, time.time, time.monotonic_ns
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + self._passed_ns + self.shift_ns)
        monkeypatch.setattr(time, "time", lambda: real_s() + (self._passed_ns + self.shift_ns) / 1e9)
        monkeypatch.setattr(time, "monotonic_ns", lambda: steady_ns() + self._passed_ns)

    def wait(self, seconds: int) -> None:
        """Let them pass at once; the event loop has a clock of its own."""
        self._passed_ns += seconds * 10**9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("jump_ns", JUMPS_NS)
async def test_repeats_are_told_by_the_time_that_passed(tmp_path: Path, clock: Clock, jump_ns: int) -> None:
    """A repeat stays one, whatever the clock says. An honest delivery with the words of an earlier one is none: a clock
    that was set back by a year must not swallow a year of them."""
    timed = json.dumps(JOINING).encode()
    async with running(tmp_path, journal={"dedup_untimed_window_s": 60.0, "min_free_bytes": 0}) as server:
        assert (await call(server, body=timed))[1] == {"status": "accepted"}
        assert (await call(server, body=UNTIMED))[1] == {"status": "accepted"}
        clock.shift_ns = jump_ns
        assert (await call(server, body=timed))[1] == {"status": "duplicate"}
        assert (await call(server, body=UNTIMED))[1] == {"status": "duplicate"}
        clock.wait(61)
        assert (await call(server, body=UNTIMED))[1] == {"status": "accepted"}
    assert len({event["id"] for event in events_in(tmp_path)}) == 3


async def test_a_clock_set_back_between_two_runs_swallows_nothing(tmp_path: Path, clock: Clock) -> None:
    """Keys that bear a time of the future count as seen at the start."""
    journal = {"dedup_untimed_window_s": 60.0, "min_free_bytes": 0}
    clock.shift_ns = 3650 * DAY_NS
    async with running(tmp_path, journal=journal) as server:
        await call(server, body=UNTIMED)
        await call(server)
    clock.shift_ns = 0
    async with running(tmp_path, journal=journal) as server:
        assert (await call(server))[1] == {"status": "duplicate"}
        clock.wait(61)
        assert (await call(server, body=UNTIMED))[1] == {"status": "accepted"}


@pytest.mark.parametrize("jump_ns", JUMPS_NS)
async def test_a_stream_lasts_as_long_as_it_lasted(tmp_path: Path, clock: Clock, jump_ns: int) -> None:
    """``duration_s`` is no difference of two readings of the wall clock; a stream that redials still continues."""
    async with running(tmp_path) as server:
        for _ in range(2):
            async with dialled(server, "/meetstream/default/audio") as socket:
                await socket.send(ready("b"))
                await socket.recv()
                clock.shift_ns += jump_ns
            await until(lambda: book_of(server).sockets_open == 0)
        await drained(server)
    closed, opened = of_type(tmp_path, "stream.closed"), of_type(tmp_path, "stream.opened")
    assert len(closed) == 2 and all(0 <= event["data"]["duration_s"] < 60 for event in closed)
    opened.sort(key=lambda event: str(event["sequence"]))  # they lie in files of different days
    assert opened[1]["data"]["resumes"] == opened[0]["data"]["connection"]


async def test_a_signature_of_another_time_is_refused_and_kept(tmp_path: Path, clock: Clock) -> None:
    """Whoever holds the secret sent it, and it may be our clock that is wrong: 401, and `receiver quarantine retry`."""
    stamp = datetime.now(UTC).isoformat()
    body = json.dumps(JOINING).encode()
    async with running(tmp_path, ENVIRON, endpoints=SIGNED_ENDPOINT) as server:
        headers = {"X-MeetStream-Signature": signature(body), "X-MeetStream-Timestamp": stamp}
        clock.shift_ns = DAY_NS
        assert (await call(server, body=body, headers=headers))[0] == 401
        forged = {**headers, "X-MeetStream-Signature": signature(body, "no")}
        assert (await call(server, body=body, headers=forged))[0] == 401
        (kept,) = in_quarantine(tmp_path)
        assert "s away from now" in kept.reason
        assert (await server.retry_quarantined(kept.seq)).startswith("accepted")
        clock.shift_ns = 0
        assert (await call(server, body=body, headers=headers))[1] == {"status": "duplicate"}
        book = server.ledger.endpoint("meetstream", "default")
        assert book.balanced and (book.refused, book.quarantined) == (1, 1)
    assert len(events_in(tmp_path)) == 1
