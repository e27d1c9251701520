"""``receiver bot``, ``receiver meeting``: from words on a command line to a vendor's call, wired to this receiver."""

import json
from pathlib import Path

import pytest

from receiver.cli import main
from receiver.errors import VendorError, VendorNotFound, VendorUnreachable
from receiver.rest import APIS
from tests.commands.clients import JOIN, LINK, PUBLIC, Vendors, config
from tests.fetching.fakes import KEY, FakeOptions


def test_a_bot_is_created_wired_to_this_receiver(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the tokens of its endpoint; secrets are counted by name and not shown."""
    words = ["bot", "create", "--vendor", "meetstream", LINK, "--name", "Ada's ear", "--config", config(tmp_path)]
    assert main([*words, "--set", "video_required=true", "--set", "custom_attributes.case=4711"]) == 0
    out, err = capsys.readouterr()
    (api,) = vendors.made
    assert isinstance(api.options, FakeOptions)
    assert (api.options.meeting_link, api.options.bot_name) == (LINK, "Ada's ear")
    assert api.options.video_required is True and api.options.custom_attributes == {"case": 4711}
    assert api.wiring.callback == f"{PUBLIC}/meetstream/default/tok%2F4711"
    assert api.wiring.audio == "wss://hooks.example.org/meetstream/default/tok%2F4711/audio"
    assert out.splitlines() == [
        "bot bot-7 created; it delivers to meetstream/default", "  platform: meet",
        "  not shown: join_token (--show-secrets)",
    ]  # fmt: skip
    assert KEY not in out + err and "4711" not in out + err


def test_secrets_are_printed_where_they_are_asked_for(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """As text and as JSON."""
    words = ["bot", "create", LINK, "--config", config(tmp_path)]
    assert main([*words, "--show-secrets"]) == 0
    assert f"  join_token: {JOIN}" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "what": "bot", "subject": "bot-7", "source": "/meetstream/default", "facts": {"platform": "meet"},
        "not_shown": ["join_token"],
    }  # fmt: skip
    assert main([*words, "--json", "--show-secrets"]) == 0
    assert json.loads(capsys.readouterr().out)["secrets"] == {"join_token": JOIN}


def test_a_dry_run_shows_what_would_be_asked_for(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is sent; tokens are shown on demand only."""
    words = [
        "bot",
        "create",
        LINK,
        "--config",
        config(tmp_path),
        "--dry-run",
        "--public-url",
        "https://x.example.org/r",
    ]
    assert main(words) == 0
    out = capsys.readouterr().out
    plan = json.loads(out)
    assert plan["at"] == "https://api.example.org" and plan["options"] == {"meeting_link": LINK}
    assert plan["delivers_to"]["callback"] == "https://x.example.org/r/meetstream/default/TOKEN"
    assert "4711" not in out and vendors.made == []
    assert main([*words, "--show-secrets"]) == 0
    assert "tok%2F4711" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "video_required=perhaps"], "video_required: found 'perhaps', allowed true or false"),
        (["--set", "timeout_s=soon"], "timeout_s: found 'soon', allowed"),
        (["--set", "join_at=2026-06-10T09:00"], "allowed a time such as 2026-06-10T09:00:00Z"),
        (["--set", "colour=red"], "colour: found an unknown option, allowed meeting_link, bot_name, video_required"),
        (["--set", "custom_attributes=1"], "custom_attributes: found '1', allowed"),
        (["--set", "bot_name"], "--set: found 'bot_name', allowed field=value"),
        (["--set", "bot_name=A", "--name", "B"], "bot_name: found twice"),
        (["--set", "bot_name=A", "--set", "bot_name.b=c"], "bot_name.b: found a key of what has a value already"),
    ],
)
def test_wrong_options_are_refused_by_name_before_anything_is_sent(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    """All of them at once, with what is allowed and where all of them are listed."""
    with pytest.raises(SystemExit) as end:
        main(["bot", "create", LINK, "--config", config(tmp_path), *words])
    err = capsys.readouterr().err
    assert end.value.code == 2 and told in err and "receiver bot options --vendor meetstream" in err
    assert vendors.made == []


def test_options_are_listed_with_what_they_may_be(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read from the type that checks them."""
    assert main(["bot", "options", "--config", config(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "meeting_link: text; required; what stands without --set in `receiver bot create`" in out
    assert "video_required: true or false\n" in out


def test_json_and_text_are_taken_as_the_field_wants_them(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """A number for text stays text; a table may be written as JSON."""
    words = ["bot", "create", LINK, "--config", config(tmp_path), "--dry-run"]
    assert main([*words, "--set", "bot_name=42", "--set", 'custom_attributes={"a": [1]}', "--set", "timeout_s=9"]) == 0
    options = json.loads(capsys.readouterr().out)["options"]
    assert options == {"meeting_link": LINK, "bot_name": "42", "custom_attributes": {"a": [1]}, "timeout_s": 9}


def test_a_meeting_may_go_without_a_title(tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the vendor lets it; and the title may stand behind options."""
    given = config(tmp_path, "meetstream", "daily")
    assert main(["meeting", "create", "--dry-run", "--config", given]) == 0
    assert json.loads(capsys.readouterr().out)["options"] == {}
    assert main(["meeting", "create", "--vendor", "daily", "Weekly", "--dry-run", "--config", given]) == 0
    assert json.loads(capsys.readouterr().out)["options"] == {"title": "Weekly"}


def test_status_and_end(tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]) -> None:
    """What the vendor says, without secrets in it."""
    vendors.answers |= {"status": [{"status": "InMeeting", "api_key": "very-secret"}], "remove": ["Bot is leaving"]}
    given = config(tmp_path)
    assert main(["bot", "status", "bot-7", "--config", given]) == 0
    assert json.loads(capsys.readouterr().out) == {"status": "InMeeting", "api_key": "[redacted]"}
    assert main(["bot", "remove", "--vendor", "meetstream", "bot-7", "--config", given]) == 0
    assert capsys.readouterr().out == "bot bot-7 was told to end: Bot is leaving\n"
    assert [api.calls for api in vendors.made] == [[("status", "bot-7")], [("remove", "bot-7")]]


@pytest.mark.parametrize(
    ("error", "status", "advice"),
    [
        (VendorError("m: answered 401", vendor_status=401, words="bad token"), 77, "check key_env or key_file"),
        (VendorError("m: answered 400", vendor_status=400, words="bad link"), 1, "bad link"),
        (VendorUnreachable("m: answered 429", vendor_status=429, words="slow down"), 1, "try again later"),
        (VendorUnreachable("m: no answer"), 1, "it is not known whether it was done"),
        (VendorNotFound("m: answered 404", vendor_status=404, words="no bot"), 1, "check the id"),
    ],
)
def test_what_the_vendor_refuses_is_told_in_its_words_with_what_to_do(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str], error: VendorError, status: int, advice: str
) -> None:
    """On standard error, with the exit status that help names."""
    vendors.answers["create"] = [error]
    assert main(["bot", "create", LINK, "--config", config(tmp_path)]) == status
    out, err = capsys.readouterr()
    assert out == "" and advice in err and error.words in err and KEY not in err


@pytest.mark.parametrize(
    ("vendors_there", "words", "status", "told"),
    [
        (["daily"], ["bot", "create", LINK], 1, "daily creates no bots over its API: use `receiver meeting create`"),
        (["waterai"], ["bot", "create", LINK], 1, "waterai creates no bots over its API: it has no such call"),
        (["meetstream"], ["bot", "status", "x", "--vendor", "daily"], 78, "no account daily is configured"),
        (["realtimekit"], ["meeting", "options"], 78, "found a vendor without REST client, allowed"),
    ],
)
def test_the_wrong_account_is_said(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    vendors_there: list[str], words: list[str], status: int, told: str,
) -> None:  # fmt: skip
    """And what to use instead."""
    monkeypatch.delitem(APIS, "realtimekit", raising=False)
    assert main([*words, "--config", config(tmp_path, *vendors_there)]) == status
    assert told in capsys.readouterr().err


def test_the_account_that_fits_need_not_be_named(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several vendors the one that makes bots; where several fit, one has to be named."""
    given = config(tmp_path, "meetstream", "daily")
    assert main(["bot", "create", LINK, "--config", given]) == 0
    assert vendors.made[0].VENDOR == "meetstream"
    with pytest.raises(SystemExit) as end:
        main(["webhooks", "list", "--config", given])
    assert end.value.code == 2 and "meetstream/default, daily/default" in capsys.readouterr().err


def test_without_an_account_it_says_what_to_add(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """The section by its name."""
    path = tmp_path / "receiver.toml"
    path.write_text(f'data_dir = "{tmp_path / "data"}"\n')
    assert main(["bot", "create", LINK, "--config", str(path)]) == 78
    assert "add [accounts.VENDOR.NAME] with key_env or key_file" in capsys.readouterr().err


def test_without_a_public_url_nothing_is_created(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bot that delivers nowhere is of no use."""
    given = Path(config(tmp_path))
    given.write_text(given.read_text().replace(f'public_url = "{PUBLIC}"', ""))
    assert main(["bot", "create", LINK, "--config", str(given)]) == 78
    assert "server.public_url" in capsys.readouterr().err and vendors.made == []
