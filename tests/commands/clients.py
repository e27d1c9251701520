"""Vendors' clients for the tests of commands, and a config with accounts."""

from pathlib import Path
from typing import Any

import pytest

from receiver.rest import APIS
from receiver.rest.base import Created
from tests.fetching.fakes import KEY, FakeApi, FakeOptions

LINK = "https://meet.google.com/abc-defg-hij"
PUBLIC = "https://hooks.example.org"
TOKEN = "tok/4711"
JOIN = "join-token-0815"
CREATED = Created(what="bot", subject="bot-7", facts={"platform": "meet"}, secrets={"join_token": JOIN})


class Vendors:
    """The clients that commands make."""

    def __init__(self) -> None:
        self.made: list[FakeApi] = []
        self.answers: dict[str, list[Any]] = {"create": [CREATED]}


def clients_for(monkeypatch: pytest.MonkeyPatch) -> Vendors:
    """MeetStream makes bots, Daily meetings, Water AI nothing."""
    told = Vendors()

    class Bots(FakeApi):
        def __init__(self, account: Any, client: Any) -> None:
            super().__init__(account, client)
            self.answers = told.answers
            told.made.append(self)

    class MeetingOptions(FakeOptions, kw_only=True):
        meeting_link: str = ""
        title: str = ""

    class Meetings(Bots):
        VENDOR = "daily"
        CREATES = "meeting"
        OPTIONS = MeetingOptions
        OPENING = "title"

    class Nothing(Bots):
        VENDOR = "waterai"
        CREATES = ""

    monkeypatch.setitem(APIS, "meetstream", lambda: Bots)
    monkeypatch.setitem(APIS, "daily", lambda: Meetings)
    monkeypatch.setitem(APIS, "waterai", lambda: Nothing)
    monkeypatch.setenv("KEY", KEY)
    monkeypatch.setenv("T", TOKEN)
    return told


def config(tmp_path: Path, *vendors: str) -> str:
    """A config with an account at each of these vendors."""
    text = f'data_dir = "{tmp_path / "data"}"\n[server]\npublic_url = "{PUBLIC}"\n'
    for name in vendors or ("meetstream",):
        text += f'[endpoints.{name}.default]\ntoken_env = "T"\n[accounts.{name}.default]\nkey_env = "KEY"\n'
    path = tmp_path / "receiver.toml"
    path.write_text(text)
    return str(path)
