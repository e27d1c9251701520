"""RealtimeKit on loopback: its REST API and Dyte's, webhooks, agents' sockets, and the SFU's adapters."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from aiohttp import web

from receiver.simulator import speech as recording
from receiver.simulator.cloud import Cloud
from receiver.simulator.realtimekit import agents, wire
from receiver.simulator.realtimekit.adapters import Accidents
from receiver.simulator.realtimekit.keys import SigningKey
from receiver.simulator.realtimekit.performance import Performance
from receiver.simulator.realtimekit.rest import RestApi
from receiver.simulator.realtimekit.sfu import Sfu
from receiver.simulator.realtimekit.store import Session, Store
from receiver.simulator.realtimekit.wire import HEADERS, Dialect

KEYS_PATH = "/.well-known/webhooks.json"
#: of one delivery: what was answered 5xx, or not at all, is sent again
_TRIES = 3


class RealtimeKitCloud(Cloud):
    """See :class:`receiver.simulator.cloud.Cloud`. ``credentials``: what clients have to show.

    A meeting begins when it is made, where ``autoplay``; with ``wait_for_agent`` as soon as an agent has dialled.
    ``private_key``: PEM to sign with; empty: one of its own. ``first_page``: the number of the first page of lists.
    ``accidents``: what befalls the sockets that adapters dial.
    """

    VENDOR: ClassVar[str] = "realtimekit"
    PREFIX: ClassVar[str] = "/client/v4"

    def __init__(
        self,
        *,
        speed: float = 1.0,
        seed: int = 0,
        faults: Iterable[str] = (),
        progress: Callable[[str, str], None] = lambda subject, what: None,
        autoplay: bool = True,
        wait_for_agent: bool = False,
        private_key: str = "",
        first_page: int = 1,
        accidents: Accidents | None = None,
    ) -> None:
        super().__init__(speed=speed, seed=seed, faults=faults, progress=progress)
        self.store = Store(self.rng)
        self.credentials = {
            "account": f"{self.rng.getrandbits(128):032x}", "app": self.store.id(), "token": self.store.secret(),
            "organization": self.store.id(), "key": self.store.secret(),
            "sfu_app": f"{self.rng.getrandbits(128):032x}", "sfu_secret": self.store.secret(),
        }  # fmt: skip
        self.keys = SigningKey(private_key)
        self.autoplay, self.wait_for_agent = autoplay, wait_for_agent
        self.performances: dict[str, Performance] = {}
        #: the form of a meeting's webhooks, where it is not that of each webhook
        self.forms: dict[str, Dialect] = {}
        self.agents = agents.Agents(
            holder=self.store.holder_of, session=self._session_for_agents, new_id=self.store.id, count=self.count
        )
        self.api = RestApi(
            self.store,
            self.credentials,
            origin=lambda: self.origin,
            pending=lambda: "pending" in self.faults,
            begin=self._begin,
            end=self._send_out,
            changed=self._changed,
            first_page=first_page,
        )
        self.sfu = Sfu(self, accidents or Accidents())

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return self.url.removesuffix(self.PREFIX)

    @property
    def dyte_url(self) -> str:
        """The base of Dyte's API."""
        return f"{self.origin}/v2"

    @property
    def sfu_url(self) -> str:
        """The base of the SFU's API."""
        return f"{self.origin}/v1"

    @property
    def agent_url(self) -> str:
        """What agents dial."""
        return self.origin.replace("http", "ws", 1) + agents.PATH

    @property
    def key_url(self) -> str:
        """Where the public key is."""
        return self.origin + KEYS_PATH

    def routes(self) -> Iterable[web.RouteDef]:
        """REST, agents, adapters and the published key."""
        yield from self.api.routes()
        yield from self.sfu.routes()
        yield web.get(agents.PATH, self.agents.handle)
        yield web.get(KEYS_PATH, self._published)

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator["RealtimeKitCloud"]:
        """See the base. The key is made before anybody can ask for it."""
        await asyncio.to_thread(self.keys.prepare)
        self.speech = await asyncio.to_thread(recording.load)
        async with super().serve(port):
            yield self

    def add_webhook(self, url: str, events: Iterable[str]) -> str:
        """Deliver ``events`` to ``url``, as if it had been asked for over the API; the webhook's id."""
        id_ = self.store.id()
        self.store.webhooks[id_] = {"id": id_, "name": "all", "url": url, "events": list(events), "enabled": True}
        self.store.dialects[id_] = "realtimekit"
        return id_

    def add_meeting(self, title: str, form: Dialect) -> str:
        """A meeting of which everything is made; its webhooks have this form, whoever takes them. Its id."""
        wanted = ("record_on_start", "live_stream_on_start", "transcribe_on_end", "summarize_on_end")
        meeting_id: str = self.store.add_meeting({"title": title, **dict.fromkeys(wanted, True)})["id"]
        self.forms[meeting_id] = form
        return meeting_id

    def hold(self, meeting_id: str, dialect: Dialect = "realtimekit") -> None:
        """Have a meeting held now."""
        self.play(self._hold(meeting_id, dialect))

    def link(self, path: str) -> str:
        """The whole URL of a link."""
        return self.origin + path

    async def deliver(self, session: Session, make: Callable[[Dialect], dict[str, Any]]) -> None:
        """Push a body to every webhook that wants it, signed, in the webhook's form.

        Each has an id of its own that no seed repeats: a receiver would take a second run for the first.
        """
        for id_, webhook in list(self.store.webhooks.items()):
            dialect = self.forms.get(session.occasion.meeting_id, self.store.dialects[id_])
            told = make(dialect)
            if not webhook["enabled"] or told["event"] not in webhook["events"]:
                continue
            body = wire.compact(told)
            signature, uuid_name, webhook_id = HEADERS[dialect]
            headers = {
                "Content-Type": "application/json", signature: self.keys.sign(body), uuid_name: str(uuid.uuid4()),
                webhook_id: id_,
            }  # fmt: skip
            await self._try(webhook["url"], body, headers)

    async def _try(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        for number in range(1, _TRIES + 1):
            failed_before = self.tally.failed
            status = await self.push(url, body, headers)
            unanswered = status == 0 and self.tally.failed > failed_before
            if number == _TRIES or not (status >= 500 or unanswered):
                return
            self.tally.repeated += 1
            await self.pause(0.1 * number)

    async def _hold(self, meeting_id: str, dialect: Dialect) -> None:
        if self.wait_for_agent:
            while not self.agents.of(meeting_id):
                self.agents.arrived.clear()
                await self.agents.arrived.wait()
        rng = random.Random(f"session {self.seed} {len(self.performances)}")  # noqa: S311 - a cast, not a secret
        performance = Performance(self, meeting_id, dialect, self.speech, rng)
        self.performances[performance.session.occasion.session_id] = performance
        await performance.run()

    def _begin(self, meeting_id: str, dialect: Dialect) -> None:
        if self.autoplay:
            self.hold(meeting_id, dialect)

    def _send_out(self, session: Session, reason: str) -> None:
        performance = self.performances[session.occasion.session_id]
        performance.reason = reason
        performance.over.set()

    async def _changed(self, session: Session, told: dict[str, Any]) -> None:
        await self.performances[session.occasion.session_id].recorded(told)

    def _session_for_agents(self, meeting_id: str) -> dict[str, Any] | None:
        session = self.store.live_session(meeting_id)
        return self.performances[session.occasion.session_id].told() if session else None

    def count(self, name: str) -> None:
        """Add one to a count of the tally."""
        setattr(self.tally, name, getattr(self.tally, name) + 1)

    async def _published(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"success": True, "data": {"publicKey": self.keys.public_pem}, "message": ""})
