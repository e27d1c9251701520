"""``receiver webhooks``: register, list, remove; secrets only where they are the point."""

import json
from pathlib import Path

import pytest

from receiver.cli import main
from receiver.errors import VendorCannot
from receiver.rest.base import Webhook
from tests.commands.clients import PUBLIC, Vendors, config

SECRET = "whsec-kept-by-us"
HOOK = Webhook(
    id="w-1", url=f"{PUBLIC}/meetstream/default/tok%2F4711", events=("meeting.ended",), state="active", secret=SECRET,
    facts={"organization": "7"},
)  # fmt: skip


def test_registering_prints_the_secret_and_where_it_belongs(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """The vendor may tell it only once. The token in the URL is no news and is not shown."""
    vendors.answers["register"] = [[HOOK]]
    words = ["webhooks", "register", "--event", "meeting.ended", "--event", "x", "--set", "organization_id=7"]
    assert main([*words, "--set", "name=Ada", "--config", config(tmp_path)]) == 0
    out = capsys.readouterr().out
    (api,) = vendors.made
    assert api.registered == (("meeting.ended", "x"), {"organization_id": 7, "name": "Ada"})
    assert api.wiring.callback == HOOK.url
    assert f"secret: {SECRET}" in out and "[endpoints.meetstream.default]" in out and "4711" not in out
    assert "w-1  active  https://hooks.example.org/meetstream/default/TOKEN" in out and "organization: 7" in out


def test_a_list_shows_secrets_on_demand_only(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """Signing secrets, and tokens in URLs; also as JSON, one object a line."""
    vendors.answers["webhooks"] = [[HOOK, HOOK]]
    words = ["webhooks", "list", "--config", config(tmp_path)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert SECRET not in out and "4711" not in out and out.count("secret: not shown (--show-secrets)") == 2
    assert main([*words, "--json"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first == second and "secret" not in first and first["events"] == ["meeting.ended"]
    assert main([*words, "--json", "--show-secrets"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (told["secret"], told["url"]) == (SECRET, HOOK.url)


def test_each_is_removed(tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order in which they are named; at least one has to be."""
    given = config(tmp_path)
    assert main(["webhooks", "remove", "--vendor", "meetstream", "w-1", "w-2", "--config", given]) == 0
    assert [api.calls for api in vendors.made] == [[("unregister", "w-1")], [("unregister", "w-2")]]
    assert capsys.readouterr().out == "removed w-1\nremoved w-2\n"
    with pytest.raises(SystemExit) as end:
        main(["webhooks", "remove", "--config", given])
    assert end.value.code == 2


def test_a_vendor_without_webhooks_says_so(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a sentence, with exit status 1."""
    vendors.answers["register"] = [VendorCannot("meetstream registers webhooks nowhere but in its dashboard")]
    assert main(["webhooks", "register", "--config", config(tmp_path)]) == 1
    assert "nowhere but in its dashboard" in capsys.readouterr().err
