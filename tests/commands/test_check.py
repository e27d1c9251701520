"""``receiver check``: one line for each thing looked at; every class of failure, its line and its exit status."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from receiver.cli import main
from tests.support import running, until

Check = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Run ``check`` on a config below a folder of its own; exit status, good lines, lines of trouble."""

    def run(config: str | None = None, *arguments: str, port: int | None = 0) -> tuple[int, list[str], list[str]]:
        monkeypatch.chdir(tmp_path)
        options = list(arguments)
        if config is not None:
            head = f"[server]\nport = {port}\n" if port is not None and "[server]" not in config else ""
            (tmp_path / "receiver.toml").write_text(head + dedent(config))
            options += ["--config", "receiver.toml"]
        status = main(["check", *options])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return run


def test_all_is_well(check: Check, tmp_path: Path) -> None:
    """Exit status 0, a line for the config, each endpoint, the port, the disk and each sink; nothing is left behind."""
    config = """
        [endpoints.meetstream.default]
        token = "auto"
        [sinks.file]
        type = "file"
        path = "a/b/c-{date}.jsonl"
        [sinks.wav]
        type = "wav"
        """
    status, good, bad = check(config)
    assert (status, bad) == (0, [])
    assert good[:4] == [
        "ok   config: receiver.toml: 1 endpoint, 2 sinks",
        "ok   endpoints.meetstream.default: takes deliveries that show its token",
        "ok   readers: found none: only this machine reads what is live",
        "ok   server.port: 127.0.0.1:0 is free",
    ]
    assert good[4].startswith("ok   data_dir: receiver-data can be written, ")
    assert good[5:] == ["ok   sinks.file: can be reached", "ok   sinks.wav: can be reached"]
    assert [path.name for path in tmp_path.iterdir()] == ["receiver.toml"]


def test_it_leaves_what_was_there(check: Check, tmp_path: Path) -> None:
    """Folders that were there before stay, also empty ones; made ones go, for they might be root's."""
    (tmp_path / "receiver-data" / "audio").mkdir(parents=True)
    status, _, _ = check('[sinks.file]\ntype = "file"\n[sinks.wav]\ntype = "wav"\n')
    assert status == 0
    assert [path.name for path in (tmp_path / "receiver-data").iterdir()] == ["audio"]


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ("[server]\nprot = 1\n", "receiver: server.prot: found an unknown key"),
        (
            '[endpoints.zoom.a]\ntoken = "auto"\n',
            "receiver: endpoints.zoom.a: found vendor 'zoom', allowed daily, meemo, meetstream, ",
        ),
        (
            '[endpoints.meetstream.default]\ntoken_env = "RECEIVER_TEST_UNSET"\n',
            "receiver: endpoints.meetstream.default.token_env: found 'RECEIVER_TEST_UNSET', which is not set or empty",
        ),
        ('[sinks.a]\ntype = "a"\n', "receiver: sinks.a.type: found 'a', allowed file, "),
        ('[sinks.a]\ntype = "file"\npath = "../x.jsonl"\n', "receiver: sinks.a.path: found '../x.jsonl', allowed "),
        ("[server", "receiver: config: found receiver.toml, which is not TOML"),
    ],
)
def test_a_wrong_config_is_78(check: Check, config: str, line: str) -> None:
    """The same lines as at the start of `serve`; nothing is tried."""
    status, good, bad = check(config)
    assert (status, good) == (78, []) and bad[0].startswith(line)


def test_problems_of_several_sections_come_together(check: Check) -> None:
    """Vendors and all sinks in one run."""
    status, _, bad = check('[endpoints.zoom.a]\ntoken = "auto"\n[sinks.a]\ntype = "a"\n[sinks.b]\ntype = "b"\n')
    assert status == 78
    assert [line.removeprefix("receiver: ").split(":")[0] for line in bad] == [
        "endpoints.zoom.a", "sinks.a.type", "sinks.b.type",
    ]  # fmt: skip


def test_a_sink_out_of_reach_is_1(check: Check) -> None:
    """Its far side's place is named; the other sinks are looked at all the same."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        status, good, bad = check(
            f'[sinks.a]\ntype = "http"\nurl = "http://127.0.0.1:{port}/x"\n[sinks.b]\ntype = "stdout"\n'
        )
    assert status == 1 and good[-1] == "ok   sinks.b: can be reached"
    assert [line for line in bad if line.startswith("bad  sinks.a: found cannot connect to ")] and "problem" in bad[-1]


def test_a_sink_that_cannot_make_its_folder_is_1(check: Check, tmp_path: Path) -> None:
    """A file stands where the folder belongs."""
    (tmp_path / "receiver-data").mkdir()
    (tmp_path / "receiver-data" / "events").write_text("")
    status, _, bad = check('[sinks.file]\ntype = "file"\n')
    assert status == 1 and any(line.startswith("bad  sinks.file: found ") for line in bad)


def test_a_setting_that_the_client_library_refuses_is_78(check: Check) -> None:
    """Waiting does not mend it: the config is wrong, and the key is named."""
    status, _, bad = check('[sinks.k]\ntype = "kafka"\n[sinks.k.config]\n"no.such.setting" = "1"\n')
    assert status == 78 and any(line.startswith("bad  sinks.k.config: found ") for line in bad), bad


def test_a_data_folder_that_cannot_be_written_is_1(check: Check) -> None:
    """Below something that is no folder, nothing can be written; the sinks are not tried then."""
    status, good, bad = check(None, "--data", "/dev/null/data")
    assert status == 1 and not any("sinks." in line for line in good)
    assert "bad  data_dir: found /dev/null/data, which cannot be written, allowed a writable folder" in bad


def test_a_full_disk_is_1(check: Check) -> None:
    """Less than journal.min_free_bytes."""
    status, _, bad = check(f"[journal]\nmin_free_bytes = {1 << 60}\n")
    assert status == 1 and any(line.endswith(f"allowed at least {1 << 60} (journal.min_free_bytes)") for line in bad)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_tls_files(check: Check, tmp_path: Path) -> None:
    """A pair that loads, found beside the config; one that does not is a mistake of the config."""
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=hooks.example.org", "-keyout", "key.pem", "-out", "cert.pem"]  # fmt: skip
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)
    server = '[server]\nport = 0\ntls_cert_file = "cert.pem"\ntls_key_file = "{}"\n'
    status, good, _ = check(server.format("key.pem"))
    assert status == 0 and "ok   server.tls_cert_file: certificate and key load" in good
    status, _, bad = check(server.format("cert.pem"))
    assert status == 78 and any(line.startswith("bad  server.tls_cert_file: found a pair") for line in bad)


def test_a_port_in_use_is_a_warning(check: Check) -> None:
    """The running server itself may be what holds it, so it changes no exit status."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, bad = check("[log]\n", port=port)
    assert status == 0
    assert f"warn server.port: found 127.0.0.1:{port} in use at this moment, allowed a free port" in bad


def test_an_address_of_another_machine_is_1(check: Check) -> None:
    """192.0.2.1 is nobody's."""
    config = '[server]\nport = 0\nhost = "192.0.2.1"\n[endpoints.meetstream.default]\ntoken = "auto"\n'
    status, _, bad = check(config)
    assert status == 1 and bad[1].startswith("bad  server.host: found 192.0.2.1:0, which cannot be had (")


async def test_beside_its_running_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The port is not tried, the sinks' folders stay."""
    async with running(tmp_path):
        await until((tmp_path / "events").is_dir, "its file sink is open")
        assert await asyncio.to_thread(main, ["check", "--data", str(tmp_path)]) == 0
        assert "ok   server.port: a receiver is running on this data folder" in capsys.readouterr().out
        assert (tmp_path / "events").is_dir()


def test_it_tells_who_reads(check: Check) -> None:
    """Each reader with its scopes; where others can reach the server and there is none, that is worth a look."""
    _, good, _ = check(
        '[readers.desk]\ntoken = "auto"\nscopes = ["events", "meetings"]\n[readers.asr]\ntoken = "auto"\n'
    )
    assert (
        "ok   readers: what is live is read with the token of desk (events, meetings); asr (events, audio, meetings)"
        in good
    )
    status, _, bad = check('[server]\nhost = "0.0.0.0"\n[endpoints.meetstream.default]\ntoken = "auto"\n')
    assert status == 0 and [
        line for line in bad if line.startswith("warn readers: found none, and server.host = 0.0.0.0")
    ]


def test_endpoints_that_need_a_second_look_are_warned_of(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that anybody may use, one whose bots' own pushes would be refused, and a server without sinks."""
    monkeypatch.setenv("S", "secret")
    status, _, bad = check('[endpoints.meetstream.a]\n[endpoints.meetstream.b]\nsecret_env = ["S"]\n[sinks]\n')
    assert status == 0
    assert bad[0].startswith("warn endpoints.meetstream.a: takes anybody's deliveries: set token")
    assert bad[1].startswith("warn endpoints.meetstream.b: takes deliveries that show its signature; MeetStream signs")
    assert bad[2].startswith("warn sinks: found none")


def test_a_scheme_is_told_and_checked(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the signature is looked for; without a secret there is none to look for. A wrong key is a wrong config."""
    monkeypatch.setenv("S", "whsec_secret")
    scheme = '[endpoints.meemo.{}.scheme]\nsignature_header = "X-Hook-Digest"\n'
    _, good, bad = check(
        '[endpoints.meemo.a]\nsecret_env = ["S"]\n' + scheme.format("a")
        + '[endpoints.meemo.b]\ntoken = "auto"\nsecret_env = ["S"]\n' + scheme.format("b")
        + '[endpoints.meemo.c]\ntoken = "auto"\n' + scheme.format("c")
    )  # fmt: skip
    assert good[1:4] == [
        "ok   endpoints.meemo.a: takes deliveries that show its signature in x-hook-digest",
        "ok   endpoints.meemo.b: takes deliveries that show its token or signature in x-hook-digest",
        "ok   endpoints.meemo.c: takes deliveries that show its token",
    ] and not [line for line in bad if "meemo" in line]
    status, _, bad = check("[endpoints.meemo.a.scheme]\nencoding = 5\n[endpoints.daily.a.scheme]\nprefix = ''\n")
    assert status == 78 and len(bad) == 2 and "endpoints.daily.a.scheme: found a scheme for daily" in bad[1]


def test_a_secret_that_its_scheme_cannot_use_is_78(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every delivery signed with it would be refused; the secret itself is not shown."""
    monkeypatch.setenv("GOOD", "whsec_c2VjcmV0")
    monkeypatch.setenv("BAD", "no/base64!")
    status, _, bad = check(
        '[endpoints.meemo.a]\nsecret_env = ["GOOD", "BAD"]\n[endpoints.meemo.a.scheme]\nkey = "base64"\n'
    )
    assert status == 78 and bad[0].startswith("bad  endpoints.meemo.a.secret_env: found 1 secret that its scheme can")
    assert "no/base64" not in bad[0]


ACCOUNT = """
[endpoints.meetstream.default]
token = "auto"
[accounts.meetstream.default]
key_env = "MEETSTREAM_API_KEY"
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("", "ok   accounts.meetstream.default: for commands only: nothing is fetched by itself"),
        (
            'fetch = ["transcript", "chat"]\nreconcile = true\n',
            "ok   accounts.meetstream.default: fetches transcript, chat and compares with the vendor's record",
        ),
    ],
)
def test_it_tells_what_is_fetched(check: Check, monkeypatch: pytest.MonkeyPatch, keys: str, line: str) -> None:
    """Without asking the vendor anything."""
    monkeypatch.setenv("MEETSTREAM_API_KEY", "key-4711")
    status, good, bad = check(ACCOUNT + keys)
    assert status == 0 and line in good and "key-4711" not in "".join(good + bad)


def test_a_kind_that_the_vendor_does_not_have_is_78(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would never come."""
    monkeypatch.setenv("MEETSTREAM_API_KEY", "key-4711")
    account = ACCOUNT.replace("meetstream", "waterai") + 'fetch = ["transcript", "recording"]\n'
    status, _, bad = check(account)
    assert status == 78
    assert "bad  accounts.waterai.default.fetch: found recording, allowed for waterai transcript, detail" in bad
