"""Signatures over real HTTP, alike for all vendors that sign: one table.

What is sent is signed by the vendors' stand-ins, which share no code with what checks it.
"""

import asyncio
import base64
import http.client
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from receiver.simulator import wire
from receiver.simulator.daily.hooks import Hook
from receiver.simulator.meemo import Scheme
from receiver.simulator.realtimekit.keys import SigningKey
from receiver.vendors import VENDORS
from tests.realtimekit_service import private_key
from tests.support import drained, events_in, running

SAMPLES = Path(__file__).parents[1] / "samples"
Headers = list[tuple[str, str | bytes]]
KEYS = SigningKey(private_key(0)), SigningKey(private_key(1))
UNSIGNED = {"waterai"}


@dataclass(frozen=True)
class Signer:
    """How a vendor signs. ``secrets``: two that the endpoint may have; ``sign(body, at_s, number)`` uses one of them.

    ``stamp``: the header that has a time; empty: none does.
    """

    vendor: str
    sample: str
    secrets: tuple[str, str]
    sign: Callable[[bytes, float, int], dict[str, str]]
    header: str
    stamp: str = ""

    @property
    def body(self) -> bytes:
        return (SAMPLES / self.vendor / self.sample / "body.bin").read_bytes()


MEETSTREAM = ("the first secret", "the second secret")
DAILY = (base64.b64encode(b"a" * 32).decode(), base64.b64encode(b"b" * 32).decode())
MEEMO = ("whsec_" + base64.b64encode(b"c" * 24).decode(), "whsec_" + base64.b64encode(b"d" * 24).decode())


def _meetstream(body: bytes, at_s: float, number: int) -> dict[str, str]:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
    return {"X-MeetStream-Signature": wire.signature(MEETSTREAM[number], body), "X-MeetStream-Timestamp": stamp}


def _daily(body: bytes, at_s: float, number: int) -> dict[str, str]:
    hook = Hook(uuid="u", url="http://127.0.0.1/", eventTypes=[], hmac=DAILY[number])
    return hook.headers(body, at_s)


def _meemo(body: bytes, at_s: float, number: int) -> dict[str, str]:
    return Scheme().headers(body, MEEMO[number], "meeting.created", f"evt_{at_s}")


SIGNERS = [
    Signer("meetstream", "bot.joining__generation3", MEETSTREAM, _meetstream, "X-MeetStream-Signature",
           "X-MeetStream-Timestamp"),
    Signer("realtimekit", "meeting.started__no_uuid", (KEYS[0].public_pem, KEYS[1].public_pem),
           lambda body, at_s, number: {"rtk-signature": KEYS[number].sign(body)}, "rtk-signature"),
    Signer("daily", "meeting.started__first_comes", DAILY, _daily, "X-Webhook-Signature", "X-Webhook-Timestamp"),
    Signer("meemo", "meeting.created__event_type", MEEMO, _meemo, Scheme().signature_header),
]  # fmt: skip
STAMPED = [one for one in SIGNERS if one.stamp]
each = pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.vendor)
each_stamped = pytest.mark.parametrize("signer", STAMPED, ids=lambda signer: signer.vendor)


class Posted:
    """A server with one endpoint that has ``secrets``, and what it answers."""

    def __init__(self, tmp_path: Path, signer: Signer, count: int = 1) -> None:
        self.tmp_path, self.signer = tmp_path, signer
        self.environ = {f"SECRET_{number}": secret for number, secret in enumerate(signer.secrets[:count])}

    async def statuses(self, deliveries: Iterable[tuple[Headers, bytes]]) -> list[int]:
        """The answers, in order. None of a refused delivery tells what would have fitted, and the books agree."""
        vendor = self.signer.vendor
        endpoints = {vendor: {"default": {"secret_env": list(self.environ)}}}
        sections: dict[str, Any] = {"endpoints": endpoints}
        async with running(self.tmp_path, self.environ, **sections) as server:
            host, port = server.url.removeprefix("http://").split(":")
            answers = [
                await asyncio.to_thread(_post, host, int(port), f"/{vendor}/default", headers, body)
                for headers, body in deliveries
            ]
            book = server.ledger.endpoint(vendor, "default")
            good = sum(200 <= status < 300 for status, _ in answers)
            assert book.journalled + book.duplicates == good and book.refused + book.quarantined == len(answers) - good
            await drained(server)
        right = list(self.signer.sign(self.signer.body, time.time(), 0).values())
        assert not any(value.encode() in told for _, told in answers for value in right if len(value) > 40)
        assert bool(events_in(self.tmp_path)) is bool(good)
        return [status for status, _ in answers]


def _post(host: str, port: int, path: str, headers: Headers, body: bytes) -> tuple[int, bytes]:
    """Headers as they are given, twice and in any bytes."""
    connection = http.client.HTTPConnection(host, port, timeout=20)
    try:
        connection.putrequest("POST", path)
        for name, value in [("Content-Type", "application/json"), *headers, ("Content-Length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def signed(signer: Signer, *, at_s: float | None = None, number: int = 0) -> Headers:
    """Headers of the sample's body."""
    made = signer.sign(signer.body, time.time() if at_s is None else at_s, number)
    return [(name, value) for name, value in made.items() if name != "Content-Type"]


def replaced(signer: Signer, change: Callable[[str], str | bytes]) -> Headers:
    """The headers with another text as signature."""
    return [
        (name, change(value) if name == signer.header and isinstance(value, str) else value)
        for name, value in signed(signer)
    ]


def test_every_vendor_that_signs_is_in_the_table() -> None:
    """A vendor that is added is either signed, or known not to be."""
    assert {one.vendor for one in SIGNERS} | UNSIGNED == set(VENDORS)


@each
async def test_a_signature_that_fits_is_let_in(tmp_path: Path, signer: Signer) -> None:
    """2xx."""
    assert await Posted(tmp_path, signer).statuses([(signed(signer), signer.body)]) == [200]


@each
async def test_while_secrets_rotate_both_are_good(tmp_path: Path, signer: Signer) -> None:
    """Two secrets: what either of them signed is let in; the second is the same delivery again."""
    both = [(signed(signer, number=number), signer.body) for number in (0, 1)]
    assert await Posted(tmp_path, signer, count=2).statuses(both) == [200, 200]


@each
async def test_what_does_not_fit_is_refused(tmp_path: Path, signer: Signer) -> None:
    """A body with one byte more, or another letter; another's secret; a signature given twice, cut, empty, in letters
    beyond ASCII, in no base64 or hex."""
    body = signer.body
    twice = [*signed(signer), *((name, value) for name, value in signed(signer) if name == signer.header)]
    refused: list[tuple[Headers, bytes]] = [
        (signed(signer), body + b" "),
        (signed(signer), body.replace(b"e", b"f", 1)),
        (signed(signer, number=1), body),
        (twice, body),
        (replaced(signer, lambda text: text[:-4]), body),
        (replaced(signer, lambda text: ""), body),
        (replaced(signer, lambda text: text[:-1].encode() + b"\xc3\xa9"), body),
        (replaced(signer, lambda text: text[:-1].encode() + b"\xe9"), body),
        (replaced(signer, lambda text: "!" + text[1:]), body),
        (replaced(signer, lambda text: text[:-2] + "!?"), body),
    ]
    assert await Posted(tmp_path, signer).statuses(refused) == [401] * len(refused)


@each
async def test_without_a_signature(tmp_path: Path, signer: Signer) -> None:
    """Refused where the URL has no token either, also of MeetStream, which does not sign all that it pushes."""
    headers = [(name, value) for name, value in signed(signer) if name not in (signer.header, signer.stamp)]
    assert await Posted(tmp_path, signer).statuses([(headers, signer.body)]) == [401]


@each_stamped
async def test_an_old_one_and_one_of_the_future_are_refused(tmp_path: Path, signer: Signer) -> None:
    """Hours before and one after now. Each fits its body, so it is kept in quarantine: the clock may be wrong."""
    now_s = time.time()
    stale = [(signed(signer, at_s=now_s + ahead_s), signer.body) for ahead_s in (-3600 * 5, 3600)]
    assert await Posted(tmp_path, signer).statuses(stale) == [401, 401]


@each_stamped
async def test_a_time_that_is_none_is_refused(tmp_path: Path, signer: Signer) -> None:
    """Text, beyond ASCII, given twice."""
    others = [(name, value) for name, value in signed(signer) if name != signer.stamp]
    bad: list[tuple[Headers, bytes]] = [
        ([*others, (signer.stamp, value)], signer.body) for value in ("yesterday", b"2026\xc3\xa9", "NaN", "-1e400")
    ]
    bad.append(
        ([*signed(signer), *((name, value) for name, value in signed(signer) if name == signer.stamp)], signer.body)
    )
    assert await Posted(tmp_path, signer).statuses(bad) == [401] * len(bad)
