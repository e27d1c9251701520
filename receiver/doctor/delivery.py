"""A test delivery through the whole way: shown like a vendor's, journalled, given to every sink, seen in /metrics."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from receiver.app import Receiver
from receiver.data import VendorBody
from receiver.doctor.finding import Finding
from receiver.errors import Overloaded
from receiver.events import Event
from receiver.ingress.keys import Keys
from receiver.settings import Endpoint, Settings
from receiver.vendors import vendor_named

EVENT = "receiver.doctor"
_POLL_S = 0.05
_DONE = ("delivered", "filtered", "dead", "expired", "undecodable")
Numbers = dict[tuple[str, str], float]
#: what sinks are asked about: whether they want an event like this
SPECIMEN = Event(id="", source="", type="vendor.event", time_ns=0, received_ns=0, subject="doctor-",
                 data=VendorBody(body={}))  # fmt: skip


async def examine_live(url: str, settings: Settings, wanted: Mapping[str, bool], limit_s: float) -> list[Finding]:
    """Deliver to each endpoint of the live server at ``url``; ``wanted``: sink -> whether it takes such an event."""
    async with _client(limit_s) as client:
        return [await _examine(client, url, one, wanted, limit_s) for one in settings.endpoints]


async def examine_at_rest(settings: Settings, limit_s: float) -> list[Finding]:
    """Start the real server on a free port and an empty folder, with a file sink in place of the configured ones."""
    with tempfile.TemporaryDirectory(prefix="receiver-doctor-") as folder:
        server = msgspec.structs.replace(settings.server, host="127.0.0.1", port=0, drain_s=limit_s)
        sinks: dict[str, dict[str, Any]] = {"doctor": {"type": "file", "fsync": False}}
        receiver = Receiver(msgspec.structs.replace(settings, data_dir=Path(folder), server=server, sinks=sinks))
        await receiver.start()
        try:
            async with _client(limit_s) as client:
                found = [
                    await _examine(client, receiver.url, one, {"doctor": True}, limit_s)
                    for one in receiver.settings.endpoints
                ]
        finally:
            await receiver.stop()
        written = b"".join(path.read_bytes() for path in Path(folder, "events").glob("*.jsonl"))
    return [_as_written(one, written) for one in found]


def _as_written(finding: Finding, written: bytes) -> Finding:
    """No server ran: say what was used instead, and believe the file only."""
    if finding.verdict == "ok" and finding.facts["subject"].encode() not in written:
        return Finding("bad", finding.what, "was delivered and is not in the file", "this is a fault of the receiver")
    note = "no server runs: tried with one started for it and a file sink; the configured sinks were not written to"
    text = f"{finding.text} ({note})"
    return msgspec.structs.replace(finding, text=text)


async def _examine(
    client: aiohttp.ClientSession, url: str, one: Endpoint, wanted: Mapping[str, bool], limit_s: float
) -> Finding:
    what = f"delivery.{one.vendor}.{one.name}"
    if one.signed and not one.tokens and _signer(one) is None:
        return await _examine_key(what, one)
    subject = f"doctor-{secrets.token_hex(6)}"
    begun_s = time.monotonic()
    try:
        before = await _numbers(client, url)
        proof, status, answer = await _post(client, url, one, subject)
        answered_ms = round((time.monotonic() - begun_s) * 1e3, 1)
        facts: dict[str, Any] = {"subject": subject, "status": status, "proof": proof, "answered_ms": answered_ms}
        if status != 200 or answer.get("status") != "accepted":
            said = answer.get("error") or answer.get("status") or "nothing"
            return Finding("bad", what, f"shown with {proof}, answered {status}: {said}", _advice(status), facts)
        missing = await _undelivered(client, url, before, wanted, limit_s)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return Finding("bad", what, f"no answer ({error or type(error).__name__})", "look at the server's log")
    facts["delivered_ms"] = delivered_ms = round((time.monotonic() - begun_s) * 1e3, 1)
    if missing:
        text = f"accepted with {proof} and journalled; after {limit_s:.0f} s not at: {', '.join(missing)}"
        return Finding("bad", what, text, "look at that sink: its events wait in the journal", facts)
    sinks = ", ".join(name for name, takes in wanted.items() if takes) or "no sink wants it"
    text = f"accepted with {proof}, journalled in {answered_ms:.0f} ms, delivered in {delivered_ms:.0f} ms: {sinks}"
    return Finding("ok", what, text, "", facts)


async def _examine_key(what: str, one: Endpoint) -> Finding:
    """Of an endpoint that takes nothing but what the vendor's own key has signed."""
    if one.key_url:
        try:
            await Keys().of(one.key_url)
        except Overloaded:
            text = f"the vendor's public key cannot be had at {one.key_url}: deliveries are answered 503"
            return Finding("bad", what, text, "let this machine reach it, or pin the key (secret_file)")
    return Finding(
        "warn", what, "not tried: only the vendor can sign for it", 'a token = "auto" beside it makes a trial'
    )


def _signer(one: Endpoint) -> Callable[..., dict[str, str]] | None:
    """A vendor whose private key is its own has none."""
    return one.scheme.sign if one.scheme else getattr(vendor_named(one.vendor), "sign", None)


async def _post(
    client: aiohttp.ClientSession, url: str, one: Endpoint, subject: str
) -> tuple[str, int, dict[str, Any]]:
    """How it was shown, status and answer."""
    now_s = time.time()
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s))
    body = msgspec.json.encode({"event": EVENT, "bot_id": subject, "timestamp": moment, "message": "a test delivery"})
    headers = {"Content-Type": "application/json"}
    shown = []
    if one.tokens:
        headers["Authorization"] = f"Bearer {one.tokens[0]}"
        shown.append("token")
    sign = _signer(one)
    if one.secrets and sign is not None:
        headers |= sign(body, one.secrets, now_s)
        shown.append("signature")
    async with client.post(f"{url}/{one.vendor}/{one.name}", data=body, headers=headers) as reply:
        try:
            answer = msgspec.json.decode(await reply.read(), type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            answer = {}
        return " and ".join(shown) or "no credential", reply.status, answer


async def _undelivered(
    client: aiohttp.ClientSession, url: str, before: Numbers, wanted: Mapping[str, bool], limit_s: float
) -> list[str]:
    """Wait until each sink is through with all that was journalled up to now; which are not, and why."""
    after = await _numbers(client, url)
    there = [name for name in wanted if ("receiver_sink_pending", name) in after]
    goals = {name: _done(after, name) + after["receiver_sink_pending", name] for name in there}
    deadline_s = time.monotonic() + limit_s
    while any(_done(after, name) < goal for name, goal in goals.items()) and time.monotonic() < deadline_s:
        await asyncio.sleep(_POLL_S)
        after = await _numbers(client, url)
    missing = [f"{name} (still {goal - _done(after, name):,.0f} before it)" for name, goal in goals.items()
               if _done(after, name) < goal]  # fmt: skip
    missing += [f"{name} (the server does not have it: restart it)" for name in wanted if name not in there]
    for name in there:
        key = ("receiver_sink_delivered_total", name)
        if _done(after, name) >= goals[name] and wanted[name] and after.get(key, 0.0) <= before.get(key, 0.0):
            missing.append(f"{name} (refused it: see `receiver dead list`)")
    return missing


def _done(numbers: Numbers, sink: str) -> float:
    return sum(numbers.get((f"receiver_sink_{word}_total", sink), 0.0) for word in _DONE)


async def _numbers(client: aiohttp.ClientSession, url: str) -> Numbers:
    """``(metric, sink)`` -> value."""
    async with client.get(f"{url}/metrics") as reply:
        reply.raise_for_status()
        text = await reply.text()
    return {
        (sample.name, sample.labels["sink"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "sink" in sample.labels
    }


def _advice(status: int) -> str:
    if status in (401, 403):
        return "restart the server if its token or secret was changed since its start"
    if status == 404:
        return "restart the server: it does not know this endpoint yet"
    return "look at the server's log" if status == 503 else "this is a fault of the receiver or of the decoder"


@asynccontextmanager
async def _client(limit_s: float) -> AsyncIterator[aiohttp.ClientSession]:
    # this machine's own server: its certificate names the public host, not this one
    connector = aiohttp.TCPConnector(ssl=False)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=limit_s)) as client:
        yield client
