"""Who may read what is live: tokens, scopes, sessions, other origins. On a real server."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from receiver.app import Receiver
from receiver.live.access import COOKIE
from receiver.live.sessions import Credential, seal, with_session, with_token
from receiver.secretfiles import read_runtime
from receiver.settings import from_dict
from tests.commands.process import DEADLINE_S, run_receiver, serving
from tests.live.readers import post, reading, subjects, take
from tests.live.test_events import clients, socket_url, told
from tests.support import running, settings_dict, until

READER, SOUND, OPERATOR = "reader-token-4711", "sound-token-4712", "operator-token-4713"
ENVIRON = {"READER": READER, "SOUND": SOUND, "OPERATOR": OPERATOR}
READERS = {
    "page": {"token_env": "READER", "scopes": ["events"]},
    "sound": {"token_env": "SOUND", "scopes": ["events", "audio"]},
    "ops": {"token_env": "OPERATOR", "scopes": ["admin"]},
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def guarded(folder: Path, **sections: Any) -> AsyncIterator[Receiver]:
    """A server with readers."""
    async with running(folder, ENVIRON, readers=READERS, **sections) as server:
        yield server


async def status(url: str, headers: dict[str, str] | None = None, method: str = "GET", **options: Any) -> int:
    """Of an answer; its body may go on for ever."""
    async with aiohttp.ClientSession() as client, client.request(method, url, headers=headers, **options) as reply:
        return reply.status


@pytest.mark.parametrize(
    ("headers", "query", "answer"),
    [
        ({}, "", 401),
        (bearer("wrong"), "", 401),
        (bearer(READER + "x"), "", 401),
        (bearer(""), "", 401),
        (bearer("\u00fc"), "", 401),
        ({"Authorization": f"Basic {READER}"}, "", 401),
        ({"Cookie": f"{COOKIE}={READER}"}, "", 401),
        (bearer(READER), "", 200),
        ({"Authorization": f"bearer  {READER}"}, "", 200),
        (bearer(READER), "?types=audio.*", 403),
        (bearer(SOUND), "?types=audio.*", 200),
        (bearer(OPERATOR), "", 403),
        (bearer(READER), "?types=nonsense", 400),
        (bearer("wrong"), "?types=nonsense", 401),
    ],
)
async def test_a_token_opens_what_its_scopes_say(
    tmp_path: Path, headers: dict[str, str], query: str, answer: int
) -> None:
    """401 without a good one, 403 where it is not for this; and a stranger learns nothing about filters."""
    async with guarded(tmp_path) as server:
        assert await status(f"{server.url}/live/events{query}", headers) == answer


async def test_the_refusal_is_a_sentence(tmp_path: Path) -> None:
    """It says what is missing and how to show it, never a token."""
    async with guarded(tmp_path) as server, aiohttp.ClientSession() as client:
        async with client.get(f"{server.url}/live/events", headers=bearer("guess-4711")) as reply:
            text = (await reply.json())["error"]
            assert "Authorization: Bearer" in text and "guess" not in text
        async with client.get(f"{server.url}/live/events", headers=bearer(OPERATOR)) as reply:
            assert "scope events" in (await reply.json())["error"]
        with pytest.raises(InvalidStatus) as refused:
            async with connect(socket_url(server.url)):
                pass
        assert refused.value.response.status_code == 401


async def test_endpoint_tokens_open_nothing_here(tmp_path: Path) -> None:
    """Whoever delivers may not read, and whoever reads may not deliver."""
    endpoints = {"meetstream": {"default": {"token_env": "OPERATOR"}}}
    async with running(tmp_path, ENVIRON, readers={"page": READERS["page"]}, endpoints=endpoints) as server:
        assert await status(f"{server.url}/live/events", bearer(OPERATOR)) == 401
        assert await status(f"{server.url}/meetstream/default/{READER}", method="POST", json={}) == 401


async def test_guessing_is_limited(tmp_path: Path) -> None:
    """429 after too many wrong tokens, as at every other door; who shows a good one passes."""
    async with guarded(tmp_path, server={"max_bad_tokens_per_minute": 3}) as server:
        url = f"{server.url}/live/events"
        assert [await status(url, bearer(f"guess-{n}")) for n in range(5)] == [401, 401, 401, 429, 429]
        assert await status(f"{server.url}/login", method="POST", json={"token": "guess"}) == 429
        assert await status(url, bearer(READER)) == 200


async def test_commands_on_this_machine_may_read(tmp_path: Path) -> None:
    """The token of the runtime file opens everything."""
    async with guarded(tmp_path) as server:
        url = f"{server.url}/live/events?types=audio.*"
        assert await status(url, bearer(server.live.access._runtime_token)) == 200


async def test_a_reader_with_the_scope_may_give_orders(tmp_path: Path) -> None:
    """`admin` is what [admin] is; another reader's token is not."""
    async with guarded(tmp_path) as server:
        url = f"{server.url}/api/dead/drop"
        assert await status(url, bearer(OPERATOR), "POST", json={"numbers": [1]}) == 200
        assert await status(url, bearer(READER), "POST", json={"numbers": [1]}) == 401


# Without a reader


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({}, 200),
        ({"Host": "localhost:9"}, 200),
        ({"Host": "receiver.example.org"}, 401),
        ({"X-Forwarded-For": "192.0.2.7"}, 401),
        ({"Forwarded": "for=192.0.2.7"}, 401),
        ({"Authorization": "Bearer x"}, 401),
    ],
)
async def test_without_readers_only_this_machine_reads(tmp_path: Path, headers: dict[str, str], answer: int) -> None:
    """Not who comes through a proxy, and not a page whose site's name leads here."""
    async with running(tmp_path) as server:
        assert await status(f"{server.url}/live/events", headers) == answer


@pytest.mark.parametrize("keys", [{"host": "0.0.0.0"}, {"public_url": "https://receiver.example.org"}])
async def test_a_server_that_others_reach_wants_a_token(tmp_path: Path, keys: dict[str, str]) -> None:
    """Also where no reader is configured: then only commands on this machine read."""
    endpoints = {"meetstream": {"default": {"open": True}}}
    async with running(tmp_path, server=keys, endpoints=endpoints) as server:
        assert await status(f"{server.url}/live/events") == 401
        runtime = read_runtime(tmp_path)
        assert runtime is not None and await status(f"{server.url}/live/events", bearer(runtime.token)) == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_page_of_another_site_gets_no_socket(tmp_path: Path, origin: str) -> None:
    """Browsers let any page dial any WebSocket: its origin decides where no token has to be shown."""
    async with running(tmp_path) as server:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(socket_url(server.url), additional_headers={"Origin": origin}):
                pass
        assert refused.value.response.status_code == 403
        async with connect(socket_url(server.url), additional_headers={"Origin": server.url}):
            pass


# Sessions


async def login(server: Receiver, token: str = READER, **options: Any) -> tuple[int, Any]:
    """The status of the answer and the cookie's morsel."""
    send = options or {"json": {"token": token}}
    async with aiohttp.ClientSession() as client, client.post(f"{server.url}/login", **send) as reply:
        return reply.status, SimpleCookie(reply.headers.get("Set-Cookie", "")).get(COOKIE)


async def test_a_login_makes_a_cookie(tmp_path: Path) -> None:
    """A page's scripts cannot read it, other sites' pages do not send it, and it is not the token."""
    async with guarded(tmp_path) as server:
        code, cookie = await login(server)
        assert code == 200 and cookie["httponly"] and cookie["samesite"] == "Strict" and cookie["path"] == "/"
        assert READER not in cookie.value and cookie["max-age"] == "43200" and not cookie["secure"]
        headers = {"Cookie": f"{COOKIE}={cookie.value}"}
        await post(server, "a")
        async with reading(server, "?after=start", headers=headers) as events:
            assert subjects(await take(events, 1)) == ["a"]
        assert await status(f"{server.url}/live/events?types=audio.*", headers) == 403
        changed = cookie.value[:-1] + ("A" if cookie.value[-1] != "A" else "B")
        assert await status(f"{server.url}/live/events", {"Cookie": f"{COOKIE}={changed}"}) == 401


async def test_a_form_logs_in_as_well(tmp_path: Path) -> None:
    """`token=…`; what is neither is 400, a wrong token 401, a page of another origin 403, a large body 413."""
    async with guarded(tmp_path) as server:
        assert (await login(server, data={"token": READER}))[0] == 200
        assert await login(server, data={"tokens": READER}) == (400, None)
        assert await login(server, json={"token": 5}) == (400, None)
        assert await login(server, data=b"{") == (400, None)
        assert await login(server, "wrong") == (401, None)
        assert await login(server, data=b"x" * 5000) == (413, None)
        evil: dict[str, Any] = {"json": {"token": READER}, "headers": {"Origin": "http://evil.example"}}
        assert await login(server, **evil) == (403, None)


async def test_the_cookie_is_for_https_where_the_server_is(tmp_path: Path) -> None:
    """TLS here or at the proxy in front: never in the clear."""
    async with guarded(tmp_path, server={"public_url": "https://receiver.example.org"}) as server:
        code, cookie = await login(server)
        assert code == 200 and cookie["secure"]


async def test_a_logout_ends_the_session(tmp_path: Path) -> None:
    """Also for somebody who has kept the cookie; a page of another origin cannot do it."""
    async with guarded(tmp_path) as server:
        _, cookie = await login(server)
        _, other = await login(server)
        headers = {"Cookie": f"{COOKIE}={cookie.value}"}
        evil = headers | {"Origin": "http://evil.example"}
        assert await status(f"{server.url}/logout", evil, "POST") == 403
        assert await status(f"{server.url}/live/events", headers) == 200
        assert await status(f"{server.url}/logout", headers | {"Origin": server.url}, "POST") == 200
        assert await status(f"{server.url}/live/events", headers) == 401
        assert await status(f"{server.url}/live/events", {"Cookie": f"{COOKIE}={other.value}"}) == 200


async def test_a_session_outlives_a_restart_and_not_its_token(tmp_path: Path) -> None:
    """Whoever looks at the page while the server is restarted stays logged in."""
    async with guarded(tmp_path) as server:
        _, cookie = await login(server)
        headers = {"Cookie": f"{COOKIE}={cookie.value}"}
    async with guarded(tmp_path) as server:
        assert await status(f"{server.url}/live/events", headers) == 200
    async with running(tmp_path, ENVIRON | {"READER": "another"}, readers=READERS) as server:
        assert await status(f"{server.url}/live/events", headers) == 401


async def test_a_logout_outlives_a_restart(tmp_path: Path) -> None:
    """Who has kept the cookie is not let in by the next process either; a damaged note of it stops no server."""
    async with guarded(tmp_path) as server:
        _, cookie = await login(server)
        headers = {"Cookie": f"{COOKIE}={cookie.value}"}
        assert await status(f"{server.url}/logout", headers | {"Origin": server.url}, "POST") == 200
    note = tmp_path / "sessions-ended.json"
    assert note.stat().st_mode & 0o077 == 0 and cookie.value not in note.read_text()
    async with guarded(tmp_path) as server:
        assert await status(f"{server.url}/live/events", headers) == 401
        assert await login(server) != (401, None)
    note.write_bytes(b"[1, 2")
    async with guarded(tmp_path) as server:
        assert (await login(server))[0] == 200


def test_a_session_is_over_in_its_time() -> None:
    """Whatever is changed in it, it is none; nobody but the holder of its token could have made it."""
    ours, other = Credential.of("page", ["events"], "t-1"), Credential.of("page", ["events"], "t-2")
    session = seal(ours, 1000, "nonce")
    assert with_session((other, ours), session, 999.0) == (ours, "nonce")
    assert with_session((ours,), session, 1000.0) is None and with_session((other,), session, 1.0) is None
    head, _, mac = session.rpartition(".")
    for wrong in (head, f".{mac}", session.replace("1000", "9000"), session.replace("page", "ops"), "", "...", "ü" * 9,
                  f"page.{'9' * 300}.n.{mac}", session + "a"):  # fmt: skip
        assert with_session((ours,), wrong, 1.0) is None, wrong
    assert with_token((ours, other), "t-2") == other and with_token((ours, other), "t-3") is None


# Other origins


async def test_pages_of_listed_origins_may_read(tmp_path: Path) -> None:
    """They are told so, errors included, and may send a token; no other page is, and no cookie is theirs."""
    async with guarded(tmp_path, live={"cors_origins": ["https://app.example.org"]}) as server:
        url = f"{server.url}/live/events"
        asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
        async with aiohttp.ClientSession() as client:
            async with client.options(url, headers={"Origin": "https://app.example.org"} | asks) as reply:
                assert reply.status == 204
                assert reply.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
                assert "Authorization" in reply.headers["Access-Control-Allow-Headers"]
            async with client.options(url, headers={"Origin": "https://evil.example"} | asks) as reply:
                assert reply.status == 403 and "Access-Control-Allow-Origin" not in reply.headers
            for token, code in ((READER, 200), ("wrong", 401)):
                headers = {"Origin": "https://app.example.org"} | bearer(token)
                async with client.get(url, headers=headers) as reply:
                    assert reply.status == code and reply.headers["Vary"] == "Origin"
                    assert reply.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
                    assert "Access-Control-Allow-Credentials" not in reply.headers
            async with client.get(url, headers={"Origin": "https://evil.example"} | bearer(READER)) as reply:
                assert "Access-Control-Allow-Origin" not in reply.headers


# Reload


async def test_a_reload_takes_tokens_and_ends_readers_without_one(tmp_path: Path) -> None:
    """A new token counts at once; whoever reads with one that is gone is told why and has to go, the others stay."""
    async with guarded(tmp_path) as server:
        async with (
            connect(socket_url(server.url), additional_headers=bearer(READER)) as going,
            connect(socket_url(server.url), additional_headers=bearer(SOUND)) as staying,
        ):
            await until(lambda: clients(server) == 2)
            config = settings_dict(tmp_path, readers={"sound": READERS["sound"], "new": {"token_env": "NEW"}})
            await server.use(from_dict(config, ENVIRON | {"NEW": "new-token-1"}), [])
            with pytest.raises(ConnectionClosed):
                await told(going)
            assert going.close_code == 1008 and "no longer in force" in (going.close_reason or "")
            await post(server, "a")
            assert (await told(staying))["subject"] == "a"
        assert await status(f"{server.url}/live/events", bearer(READER)) == 401
        assert await status(f"{server.url}/live/events", bearer("new-token-1")) == 200


def test_readers_change_in_place_and_go_on_at_a_hand_over(tmp_path: Path) -> None:
    """`receiver reload`: tokens in the same process; where another process takes over, 1012, and a reader who dials
    again with his last number goes on there."""
    from urllib.request import Request, urlopen

    from websockets.sync.client import connect as dial

    path = tmp_path / "receiver.toml"
    text = '[server]\nport = 0\ndrain_s = 60\n[sinks.f]\ntype = "file"\n[readers.page]\ntoken_file = "t"\n'
    path.write_text(f'data_dir = "{tmp_path}/data"\n{text}')
    (tmp_path / "t").write_text("first-1")

    def deliver(url: str, bot: str) -> None:
        body = msgspec.json.encode({"event": "bot.joining", "bot_id": bot, "bot_status": "Joining"})
        assert urlopen(Request(f"{url}/meetstream/default", body)).status == 200

    with serving(tmp_path, "--config", str(path)) as server:
        assert server.url
        (tmp_path / "t").write_text("second-2")
        done = run_receiver("reload", "--config", str(path))
        assert done.returncode == 0 and "readers.page" in done.stdout, done.stderr
        with pytest.raises(Exception, match="401"), dial(socket_url(server.url), additional_headers=bearer("first-1")):
            pass
        with dial(socket_url(server.url), additional_headers=bearer("second-2")) as socket:
            assert msgspec.json.decode(socket.recv(DEADLINE_S))["type"] == "receiver.position"
            deliver(server.url, "a")
            seen = msgspec.json.decode(socket.recv(DEADLINE_S))
            assert run_receiver("reload", "--config", str(path), "--restart").returncode == 0
            with pytest.raises(ConnectionClosed):
                socket.recv(DEADLINE_S)
            assert socket.protocol.close_code == 1012
        runtime = read_runtime(tmp_path / "data")
        assert runtime is not None
        deliver(runtime.url, "b")
        query = f"?after={seen['sequence']}"
        with dial(socket_url(runtime.url, query), additional_headers=bearer("second-2")) as socket:
            assert msgspec.json.decode(socket.recv(DEADLINE_S))["subject"] == "b"
        assert "second-2" not in server.text and "first-1" not in server.text
        assert server.stop(signal.SIGTERM)[0] == 0  # long before the drain would end
