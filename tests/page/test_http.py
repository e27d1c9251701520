"""The page and ``/live/status`` over plain HTTP: what is served, with which headers, and to whom."""

import asyncio
import re
import tomllib
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from receiver.live.page import policy
from tests.live.readers import post
from tests.live.test_access import OPERATOR, READER, bearer, guarded
from tests.support import drained, running, until

ROOT = Path(__file__).parent.parent.parent
STATIC = ROOT / "receiver" / "live" / "static"
FILES = sorted(path.name for path in STATIC.iterdir())
SCRIPTS = [name for name in FILES if name.endswith(".js")]


async def ask(url: str, path: str, method: str = "GET", **options: Any) -> tuple[int, Any, bytes]:
    """Status, headers, body."""
    async with aiohttp.ClientSession() as client, client.request(method, url + path, **options) as reply:
        return reply.status, reply.headers, await reply.read()


async def status_of(url: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as client, client.get(f"{url}/live/status") as reply:
        assert reply.status == 200, await reply.text()
        found: dict[str, Any] = await reply.json()
        return found


@pytest.mark.parametrize("name", FILES)
async def test_each_part_comes_as_what_it_is(tmp_path: Path, name: str) -> None:
    """Its type, its bytes, the policy; asked for again with its tag it is not sent again."""
    kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    path = "/" if name == "index.html" else f"/page/{name}"
    async with running(tmp_path) as server:
        status, headers, body = await ask(server.url, path)
        assert (status, body) == (200, (STATIC / name).read_bytes())
        assert headers["Content-Type"] == f"{kinds[name.rpartition('.')[2]]}; charset=utf-8"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
        assert headers["Cache-Control"] == "no-cache"
        status, again, body = await ask(server.url, path, headers={"If-None-Match": headers["ETag"]})
        assert (status, body, again["ETag"]) == (304, b"", headers["ETag"])
        assert (await ask(server.url, path, headers={"If-None-Match": '"older"'}))[0] == 200


async def test_the_page_takes_nothing_from_vendors(tmp_path: Path) -> None:
    """Only GET is the page's: what is delivered to / or below /page is told that there is no such endpoint."""
    async with running(tmp_path) as server:
        for method, path in (("POST", "/"), ("POST", "/page/app.css"), ("GET", "/page/nothing.js"), ("PUT", "/")):
            status, _, body = await ask(server.url, path, method, data=b"{}" if method != "GET" else None)
            assert status in (404, 405) and b'"error"' in body, (method, path)
        for path in ("/page/..%2Fstatus.py", "/page/%2e%2e%2fpage.py", "/page/", "/page"):
            assert (await ask(server.url, path))[0] in (404, 405), path
        status, headers, body = await ask(server.url, "/", "HEAD")
        assert (status, body) == (200, b"") and int(headers["Content-Length"]) > 1000


@pytest.mark.parametrize(
    ("host", "sockets"),
    [
        ("127.0.0.1:8080", " ws://127.0.0.1:8080 wss://127.0.0.1:8080"),
        ("[::1]:8080", " ws://[::1]:8080 wss://[::1]:8080"),
        ("hooks.example.org", " ws://hooks.example.org wss://hooks.example.org"),
        ("x; script-src *", ""),
        ("x 'unsafe-inline'", ""),
        ("", ""),
    ],
)
def test_the_policy_names_the_host_and_nothing_else(host: str, sockets: str) -> None:
    """What a client calls the server can not loosen the policy."""
    assert f"connect-src 'self'{sockets}; media-src" in policy(host)
    assert policy(host).count("script-src") == 1 and "unsafe" not in policy(host)


def test_the_parts_fit_together() -> None:
    """Each part that one names is there; the page names all of them, and nothing of anybody else's."""
    texts = {name: (STATIC / name).read_text(encoding="utf-8") for name in FILES}
    named = {path for text in texts.values() for path in re.findall(r"/page/([\w.]+)", text)}
    named |= {path for name in SCRIPTS for path in re.findall(r'from "\./([\w.]+)"', texts[name])}
    assert named | {"index.html"} == set(FILES)
    for name, text in texts.items():
        foreign = [
            url for url in re.findall(r"[a-z]+://[^\s\"'`]*", text) if "www.w3.org" not in url and "${" not in url
        ]
        assert foreign == [], name


def test_vendor_text_can_become_no_markup() -> None:
    """Nothing here makes markup of text, and the page has neither script nor style of its own within it."""
    for name in SCRIPTS:
        text = (STATIC / name).read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(", text), name
        assert len(text.splitlines()) <= 250, name
    index = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", index)


def test_a_wheel_has_the_page() -> None:
    """The parts are package data."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "live/static/*" in project["tool"]["setuptools"]["package-data"]["receiver"]


async def test_the_page_is_public_and_the_status_is_not(tmp_path: Path) -> None:
    """401 without a token, 403 where it is not for this, and it tells who asks what he may."""
    async with guarded(tmp_path) as server:
        assert (await ask(server.url, "/"))[0] == 200
        answers = [await ask(server.url, "/live/status", headers=one) for one in ({}, bearer(OPERATOR), bearer(READER))]
        assert [status for status, _, _ in answers] == [401, 403, 200]
        assert answers[2][1]["Cache-Control"] == "no-store"
        assert b'"reader":"page","scopes":["events"]' in answers[2][2]


async def test_the_status_tells_what_came_in(tmp_path: Path) -> None:
    """The ledger's numbers, and a sink that has everything: up, without lag."""
    async with running(tmp_path) as server:
        await post(server, "a", "b", "b")
        await drained(server)
        status = await status_of(server.url)
    (endpoint,), (sink,) = status["endpoints"], status["sinks"]
    assert (endpoint["vendor"], endpoint["name"], endpoint["balanced"]) == ("meetstream", "default", True)
    assert (endpoint["received"], endpoint["journalled"], endpoint["duplicates"]) == (3, 2, 1)
    assert (sink["name"], sink["type"], sink["up"], sink["pending"]) == ("file", "file", True, 0)
    assert "lag_s" not in sink and "error" not in sink
    assert (status["journal"], status["shedding"], status["by"]) == ("ok", "ok", "machine")
    assert status["scopes"] == ["audio", "events", "meetings"]


async def test_the_lag_is_the_age_of_the_first_that_waits(tmp_path: Path) -> None:
    """A sink whose far side is not there: down, why, and since when deliveries wait, also after later ones."""
    sinks = {"far": {"type": "http", "url": "http://127.0.0.1:9/"}}
    async with running(tmp_path, sinks=sinks) as server:
        await post(server, "a")
        await until(lambda: server.ledger.sink("far").failures > 0, "the sink failed")
        before = (await status_of(server.url))["sinks"][0]
        await asyncio.sleep(0.01)  # milliseconds are told
        await post(server, "b")
        after = (await status_of(server.url))["sinks"][0]
    assert (before["up"], before["pending"], after["pending"]) == (False, 1, 2)
    assert before["error"] and before["failures"] >= 1
    assert 0 < before["lag_s"] < after["lag_s"] < 60


async def test_a_server_that_lets_go_of_its_journal_says_so(tmp_path: Path) -> None:
    """503, to be asked again; the page itself is served on."""
    async with running(tmp_path) as server:
        await server.live.stop((1001, "the server stops"), 1.0)
        status, headers, _ = await ask(server.url, "/live/status")
        assert status == 503 and "Retry-After" in headers
        assert (await ask(server.url, "/"))[0] == 200
