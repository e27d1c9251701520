"""``receiver urls``: what goes to the vendor, tokens included, and a body to paste."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from receiver.cli import main
from receiver.ingress.guard import Guard
from receiver.settings import from_dict
from tests.support import JOINING, drained, events_in, running

TOKEN = "tok/4711 ü"
PUBLIC = "https://hooks.example.org"


def config(tmp_path: Path, text: str = '[endpoints.meetstream.default]\ntoken_env = "T"\n') -> str:
    path = tmp_path / "receiver.toml"
    path.write_text(f'data_dir = "{tmp_path / "data"}"\n{text}')
    return str(path)


def pasted(out: str) -> dict[str, Any]:
    """The JSON body in the text, as a person would cut it out."""
    found: dict[str, Any] = json.loads(out[out.index("\n{") : out.rindex("\n}") + 2])
    return found


def urls_in(value: Any) -> set[str]:
    """Every URL in a JSON value."""
    return set(re.findall(r'(?:https?|wss?)://[^"\s]+', json.dumps(value)))


def test_tokens_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The one place that prints them: each URL, aligned, made for its use, made once and then the same."""
    given = config(tmp_path, '[endpoints.meetstream.default]\ntoken = "auto"\n')
    assert main(["urls", "--public-url", PUBLIC + "/", "--config", given]) == 0
    out, err = capsys.readouterr()
    token = json.loads((tmp_path / "data" / "tokens.json").read_text())["meetstream/default"]
    base = f"hooks.example.org/meetstream/default/{token}"
    assert out.splitlines()[:6] == [
        "meetstream/default: deliveries must show the token in the URL",
        f"  callback   https://{base}",
        f"  audio      wss://{base}/audio",
        f"  video      wss://{base}/video",
        f"  transcript wss://{base}/transcript",
        f"  control    wss://{base}/control",
    ]
    assert err == ""
    assert main(["urls", "--public-url", PUBLIC, "--config", given]) == 0
    assert capsys.readouterr().out == out


def test_the_body_holds_every_url(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ready to paste: JSON, with callback, audio, video and control filled in. Transcripts come by the webhook: the
    vendor's reference has no socket for them any more."""
    monkeypatch.setenv("T", TOKEN)
    assert main(["urls", "--public-url", PUBLIC, "--config", config(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert main(["urls", "--public-url", PUBLIC, "--config", config(tmp_path), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)["meetstream/default"]
    assert pasted(text) == described["create_bot"]
    wanted = set(described["urls"].values()) - {described["urls"]["transcript"]}
    assert urls_in(described["create_bot"]) - {described["create_bot"]["meeting_link"]} == wanted


def test_the_server_takes_the_urls_that_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a token of characters that a URL has to encode, and behind a path prefix that the proxy takes off."""
    monkeypatch.setenv("T", TOKEN)
    assert main(["urls", "--public-url", PUBLIC + "/in", "--config", config(tmp_path), "--json"]) == 0
    urls = json.loads(capsys.readouterr().out)["meetstream/default"]["urls"]
    settings = from_dict({"endpoints": {"meetstream": {"default": {"token_env": "T"}}}}, {"T": TOKEN})
    for channel, url in urls.items():
        path = url.partition("hooks.example.org/in")[2]
        target = Guard(settings.endpoints).target(path, {}, None)
        assert target.authorized and target.channel == ("" if channel == "callback" else channel)


async def test_a_pasted_url_delivers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the server's own address as public URL, the callback URL is one that works."""
    given = config(tmp_path, '[endpoints.meetstream.default]\ntoken = "auto"\n')
    async with running(tmp_path / "data", endpoints={"meetstream": {"default": {"token": "auto"}}}) as server:
        assert await asyncio.to_thread(main, ["urls", "--public-url", server.url, "--config", given, "--json"]) == 0
        url = json.loads(capsys.readouterr().out)["meetstream/default"]["urls"]["callback"]
        async with aiohttp.ClientSession() as client, client.post(url, json=JOINING) as reply:
            assert reply.status == 200
        await drained(server)
    assert len(events_in(tmp_path / "data")) == 1


def test_an_http_url_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Vendors call https only; for tests on one machine it is good enough."""
    assert main(["urls", "--public-url", "http://127.0.0.1:8080", "--data", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "ws://127.0.0.1:8080/meetstream/default/audio" in out
    assert err == "receiver: vendors call https only; this URL is http: good for tests on this machine\n"


@pytest.mark.parametrize("url", ["", "hooks.example.org", "ftp://x", "https://", "https://x/?a=b", "https://x/#a"])
def test_what_no_vendor_could_call_is_refused(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 78; also where no URL is given at all."""
    assert main(["urls", "--data", str(tmp_path), *(["--public-url", url] if url else [])]) == 78
    assert capsys.readouterr().err.startswith(f"receiver: server.public_url: found {url!r}, allowed https://host")


def test_server_public_url_is_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command line outweighs it."""
    given = config(tmp_path, '[server]\npublic_url = "https://a.example.org"\n')
    assert main(["urls", "--config", given]) == 0
    assert "https://a.example.org/meetstream/default\n" in capsys.readouterr().out
    assert main(["urls", "--config", given, "--public-url", "https://b.example.org"]) == 0
    assert "https://b.example.org/meetstream/default\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("keys", "proof"),
    [
        ("", 'deliveries must show nothing, so anybody may deliver; token = "auto" makes a token'),
        ('token_env = "T"', "deliveries must show the token in the URL"),
        ('token_env = "T"\nsecret_env = ["T"]', "deliveries must show the token in the URL, or a valid signature"),
        ('secret_env = ["T"]', "deliveries must show a valid signature; MeetStream signs workspace webhooks only"),
    ],
)
def test_it_says_who_may_deliver(
    tmp_path: Path, keys: str, proof: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the URLs, in words."""
    monkeypatch.setenv("T", "t")
    given = config(tmp_path, f"[endpoints.meetstream.a]\n{keys}\n[endpoints.meetstream.b]\n")
    assert main(["urls", "--public-url", PUBLIC, "--config", given]) == 0
    out = capsys.readouterr().out
    assert f"meetstream/a: {proof}" in out and "meetstream/b: " in out


def test_readers_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where to read and with which token; what it opens."""
    given = config(tmp_path, '[readers.page]\ntoken = "auto"\nscopes = ["events"]\n')
    assert main(["urls", "--public-url", PUBLIC, "--config", given]) == 0
    out = capsys.readouterr().out
    token = json.loads((tmp_path / "data" / "tokens.json").read_text())["readers/page"]
    assert out.splitlines()[-3:] == [
        "reader page: may read events",
        f"  events     {PUBLIC}/live/events",
        f"  token      {token}",
    ]
    assert main(["urls", "--public-url", PUBLIC, "--config", given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["readers/page"] == {
        "urls": {"events": f"{PUBLIC}/live/events"}, "tokens": [token], "scopes": ["events"],
    }  # fmt: skip
