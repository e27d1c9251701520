"""How the agent's socket is dialled: where, with what, and what its endings mean. Pure: nothing is dialled here.

The vendor keeps what happens for a connection that is lost, for a few seconds, and hands it to whoever asks for that
connection by its id. Source: RealtimeKit, agent WebSocket, get started and events (beta, 2026).
"""

import re
from typing import Literal
from urllib.parse import urlencode, urlsplit

import msgspec

URL = "wss://api.realtime.cloudflare.com/agent-ws/v1"
SUBPROTOCOL = "realtimekit.v1"
SUBSCRIPTIONS = "transcript,participant,broadcast"
#: a ping is due so often; without its result within the second time the connection is lost
PING_EVERY_S, PING_WAIT_S = 20.0, 10.0
#: a lost connection can be asked for by its id for so long
RESUME_S = 5.0

#: ``done``: it is over. ``stop``: it makes no sense to dial again, and somebody should know. ``resume``: dial with the
#: connection's id. ``fresh``: dial without.
Act = Literal["done", "stop", "resume", "fresh"]
#: ``now``: at once. ``soon``: at once after a connection that lasted. ``later``: after a pause that grows.
Pace = Literal["now", "soon", "later"]
#: told of a closing, or of a refusal, which may hold anything
_CODE = re.compile(r"[A-Za-z][A-Za-z_]{0,63}")
_OVERLOADED = 1013
_BY_REASON: dict[str, tuple[Act, Pace]] = {
    "queue_overflow": ("fresh", "soon"),
    "upstream_lost": ("resume", "soon"),
    "upstream_unavailable": ("resume", "later"),
}
#: closings after which the same would happen again
_FINAL = {4403: "the vendor has rejected the agent", 4409: "another connection has taken the agent's place"}
#: refusals of an upgrade that pass
_PASSING = frozenset({408, 425, 429})


class Next(msgspec.Struct, frozen=True):
    """What follows an ending, and why, in words for a log."""

    act: Act
    pace: Pace
    reason: str


class _Problem(msgspec.Struct):
    code: str | None = None
    retryable: bool | None = None


class _Refusal(msgspec.Struct):
    error: _Problem = msgspec.field(default_factory=_Problem)


def address(url: str, connection_id: str) -> str:
    """The URL to dial, below ``url``; ``connection_id`` empty: a new connection."""
    asked = {"subscriptions": SUBSCRIPTIONS} | ({"connection_id": connection_id} if connection_id else {})
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(asked, safe=',')}"


def headers(token: str) -> dict[str, str]:
    """What the upgrade shows; ``token`` is a participant's, and a secret."""
    return {"Authorization": f"Bearer {token}"}


def after_close(code: int, reason: str, *, over: bool) -> Next:
    """What follows a connection that ended with ``code`` (1006: without a word). ``over``: it has told the session's
    end."""
    told = reason if _CODE.fullmatch(reason) else ""
    if over or (code == 1000 and told == "session_ended"):
        return Next("done", "now", "the session has ended")
    if code in _FINAL:
        return Next("stop", "now", f"closed with {code} {told}: {_FINAL[code]}")
    if code == _OVERLOADED and told in _BY_REASON:
        act, pace = _BY_REASON[told]
        return Next(act, pace, f"closed with {code} {told}")
    if code == 1006:
        return Next("resume", "soon", "the connection was lost")
    return Next("resume", "later", f"closed with {code} {told}".rstrip())


def after_refusal(status: int, body: bytes, *, resumed: bool) -> Next:
    """What follows an upgrade that was answered with an HTTP ``status``. ``resumed``: it was for a connection that was
    lost."""
    try:
        problem = msgspec.json.decode(body, type=_Refusal).error
    except (msgspec.DecodeError, ValueError, RecursionError):
        problem = _Problem()
    code = problem.code if problem.code and _CODE.fullmatch(problem.code) else ""
    reason = f"the upgrade was answered {status} {code}".rstrip()
    if status == 404 and resumed:
        return Next("fresh", "now", reason)
    if status == 401:
        return Next("stop", "now", f"{reason}: the token is wrong or has expired")
    if status >= 500 or status in _PASSING or (problem.retryable and status != 400):
        return Next("resume", "later", reason)
    return Next("stop", "now", reason)
