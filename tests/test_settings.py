"""Configuration: every kind of mistake is one line that says where, what was found and what is allowed."""

import fcntl
import math
import os
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import ConfigError
from receiver.plugins import check_vendors
from receiver.secretfiles import Runtime, read_runtime, with_auto_tokens, write_runtime
from receiver.settings import Settings, from_dict, is_loopback, load

SECRET = "kJ9-very-secret-4711"
LINE = re.compile(r"[^\s:]+: found .+, allowed .+\Z")


def problems(raw: dict[str, Any], environ: dict[str, str] | None = None, **options: Any) -> tuple[str, ...]:
    """The lines that a config is refused with; none where it is fine."""
    try:
        from_dict(raw, environ or {}, **options)
    except ConfigError as error:
        return error.problems
    return ()


def endpoint(**keys: Any) -> dict[str, Any]:
    return {"endpoints": {"meetstream": {"default": keys}}}


def dial(**keys: Any) -> dict[str, Any]:
    """A config with one dial, without problems unless ``keys`` bring some; its token is ``$T``."""
    return {"endpoints": {"realtimekit": {"default": {}}}, "dial": {"weekly": {"token_env": "T"} | keys}}


def test_the_defaults_need_no_file() -> None:
    """`receiver serve` without a config: loopback, port 8080, ./receiver-data, stdout and file."""
    settings = load(None, {})
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8080)
    assert settings.data_dir == Path("receiver-data") and list(settings.sinks) == ["stdout", "file"]
    assert [(one.vendor, one.name, one.tokens) for one in settings.endpoints] == [("meetstream", "default", ())]


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ({"foo": 1}, "foo: found an unknown key, allowed data_dir, server, journal, log, admin, live, meetings, "),
        ({"server": {"prot": 1}}, "server.prot: found an unknown key, allowed host, port, public_url, "),
        ({"server": {"port": 70_000}}, "server.port: found 70000, allowed a whole number from 0 to 65535"),
        ({"server": {"port": "80"}}, "server.port: found '80', allowed a whole number from 0 to 65535"),
        ({"server": {"port": True}}, "server.port: found true, allowed a whole number from 0 to 65535"),
        ({"server": {"drain_s": math.nan}}, "server.drain_s: found nan, allowed a number from 0 to 1_000_000_000"),
        ({"server": {"drain_s": math.inf}}, "server.drain_s: found inf, allowed a number from 0 to 1_000_000_000"),
        ({"server": {"drain_s": -1}}, "server.drain_s: found -1, allowed a number from 0 to 1_000_000_000"),
        ({"server": {"max_body_bytes": 10**30}}, "server.max_body_bytes: found a huge number, allowed a whole number"),
        ({"server": 5}, "server: found 5, allowed a table"),
        ({"server": {"host": "a" * 70}}, f"server.host: found '{'a' * 70}', allowed an IP address or a host name"),
        ({"server": {"tls_cert_file": "x"}}, "server.tls_key_file: found nothing beside server.tls_cert_file, allowed"),
        ({"server": {"tls_key_file": "x"}}, "server.tls_cert_file: found nothing beside server.tls_key_file, allowed"),
        ({"data_dir": "a\0b"}, "data_dir: found 'a\\x00b', allowed text"),
        ({"log": {"level": "loud"}}, 'log.level: found \'loud\', allowed "debug", "info", "warning" or "error"'),
        ({"log": {"format": None}}, 'log.format: found nothing, allowed "json", "text" or "auto"'),
        ({"journal": {"events": {"max_bytes": 0}}}, "journal.events.max_bytes: found 0, allowed a whole number from 1"),
        ({"journal": {"video": {}}}, "journal.video: found an unknown key, allowed events, media, quarantine, "),
        (
            {"journal": {"events": {"sync_every_ms": 5}}},
            "journal.events.sync_every_ms: found 5, allowed 0: a 2xx means that it is on disk",
        ),
        ({"admin": {"token_env": "A"}}, "admin.token_env: found 'A', which is not set or empty, allowed the name of a"),
        ({"admin": {"token_env": "A", "token_file": "b"}}, "admin.token_file: found beside admin.token_env, allowed"),
        ({"live": {"max_clients": 0}}, "live.max_clients: found 0, allowed a whole number from 1"),
        ({"live": {"cors_origins": ["app.example.org"]}}, "live.cors_origins[0]: found 'app.example.org', allowed"),
        ({"live": {"cors_origins": ["https://a.org/"]}}, "live.cors_origins[0]: found 'https://a.org/', allowed https"),
        ({"readers": {"r": {}}}, 'readers.r: found no token, allowed token = "auto", token_env or token_file'),
        ({"readers": {"r": {"token_env": "A"}}}, "readers.r.token_env: found 'A', which is not set or empty, allowed"),
        ({"readers": {"r": {"token": "auto", "scopes": []}}}, "readers.r.scopes: found an empty list, allowed one"),
        (
            {"readers": {"r": {"token": "auto", "scopes": ["video"]}}},
            'readers.r.scopes[0]: found \'video\', allowed "events", "audio", "meetings" or "admin"',
        ),
        ({"readers": {"R": {"token": "auto"}}}, "readers.R: found the name 'R', allowed lower-case letters, digits"),
        ({"endpoints": []}, "endpoints: found a list, allowed a table of table of table"),
        ({"endpoints": {"meetstream": 5}}, "endpoints.meetstream: found 5, allowed a table of table"),
        ({"endpoints": {"meetstream": {"A b": {}}}}, "endpoints.meetstream.'A b': found the name 'A b', allowed lower"),
        (endpoint(tokens="x"), "endpoints.meetstream.default.tokens: found an unknown key, allowed token, token_env, "),
        (endpoint(secret_env="S"), "endpoints.meetstream.default.secret_env: found a text (not shown), allowed a list"),
        (endpoint(secret_env=[5]), "endpoints.meetstream.default.secret_env[0]: found 5, allowed text"),
        ({"sinks": {"x": {}}}, "sinks.x.type: found nothing, allowed the name of a sink type"),
        ({"sinks": {"x": 5}}, "sinks.x: found 5, allowed a table"),
        ({"sinks": {"X": {"type": "stdout"}}}, "sinks.X: found the name 'X', allowed lower-case letters, digits"),
        ({"sinks": {"a\nb": {"type": 5}}}, "sinks.'a\\nb': found the name 'a\\nb', allowed lower-case letters"),
    ],
)
def test_a_mistake_is_one_line(raw: dict[str, Any], line: str) -> None:
    """`section.key: found …, allowed …`; what is allowed comes from the type itself, a Literal's values included."""
    first, *others = problems(raw)
    assert first.startswith(line)
    assert all(LINE.match(problem) for problem in (first, *others) if "'A b'" not in problem and "\\n" not in problem)


@pytest.mark.parametrize(
    ("keys", "token", "line"),
    [
        ({"token_env": ""}, SECRET, "dial.weekly: found no token, allowed one of token_env and token_file"),
        ({"token_file": "f"}, SECRET, "dial.weekly: found both token_env and token_file, allowed one of token_env and"),
        ({}, "", "dial.weekly.token_env: found 'T', which is not set or empty, allowed the name of a variable"),
        ({}, f"{SECRET} {SECRET}", "dial.weekly: found a token with a space or worse in it, allowed printable ASCII"),
        ({"vendor": "zoom"}, SECRET, "dial.weekly.vendor: found 'zoom', allowed \"realtimekit\""),
        ({"endpoint": "x"}, SECRET, "dial.weekly.endpoint: found 'x', allowed the name of an endpoint of realtimekit;"),
        ({"url": "ws://example.org/a"}, SECRET, "dial.weekly.url: found 'ws://example.org/a', allowed a wss:// URL"),
        ({"url": "https://example.org"}, SECRET, "dial.weekly.url: found 'https://example.org', allowed a wss:// URL"),
        ({"url": "wss://"}, SECRET, "dial.weekly.url: found 'wss://', allowed a wss:// URL"),
        ({"url": "wss://a:x/"}, SECRET, "dial.weekly.url: found 'wss://a:x/', allowed a wss:// URL"),
        ({"give_up_s": 0}, SECRET, "dial.weekly.give_up_s: found 0, allowed more: nothing is dialled for ever"),
        ({"token": "x"}, SECRET, "dial.weekly.token: found an unknown key, allowed vendor, endpoint, token_env, "),
    ],
)
def test_a_mistake_in_a_dial_is_one_line(keys: dict[str, Any], token: str, line: str) -> None:
    """Also a token that would go to anybody in clear text; it is never shown."""
    found = problems(dial(**keys), {"T": token, "f": token})
    assert any(one.startswith(line) for one in found) and all(map(LINE.match, found)), found
    assert SECRET not in "".join(found)


def test_a_dial_has_its_token_and_its_limits(tmp_path: Path) -> None:
    """From a variable or a file; commands that only look for the server go without."""
    (tmp_path / "token").write_text(f" {SECRET}\n")
    raw = dial(token_env="", token_file="token", subject="m-1", url="ws://127.0.0.1:9/x", quiet_s=0)
    (one,) = from_dict(raw, {}, tmp_path).dials
    assert (one.name, one.vendor, one.endpoint, one.token) == ("weekly", "realtimekit", "default", SECRET)
    assert (one.subject, one.url, one.give_up_s, one.quiet_s) == ("m-1", "ws://127.0.0.1:9/x", 600.0, 0)
    assert SECRET not in repr(one)
    assert [one.token for one in from_dict(dial(), {}, need_secrets=False).dials] == [""]
    assert from_dict({}, {}).dials == ()


def test_every_mistake_is_told_at_once() -> None:
    """Nobody mends a config one start at a time."""
    raw = {
        "server": {"port": -1, "hots": "x"},
        "log": {"level": "loud"},
        "endpoints": {"meetstream": {"default": {"token_env": "GONE"}, "b": {"open": 1}}},
        "sinks": {"x": {"type": 5}, "y": 1},
    }
    assert sorted(problem.partition(":")[0] for problem in problems(raw)) == [
        "endpoints.meetstream.b.open", "endpoints.meetstream.default.token_env", "log.level", "server.hots",
        "server.port", "sinks.x.type", "sinks.y",
    ]  # fmt: skip


def test_a_lane_that_names_one_key_keeps_the_others() -> None:
    """[journal.media] max_age_s = 60: size, segments and syncing stay as they are for media."""
    journal = from_dict({"journal": {"media": {"max_age_s": 60}}}, {}).journal
    assert journal.media.max_age_s == 60.0 and journal.media.sync_every_ms == 1000
    assert journal.media.max_bytes == 16 << 30 and journal.events.max_age_s == 7 * 86400


# Secrets


def test_secrets_come_from_variables_and_files(tmp_path: Path) -> None:
    """They are named, not written; files are relative to the config; white space around them is not part of them."""
    (tmp_path / "token").write_text(f"  {SECRET}\n")
    keys = {"token_env": "T", "token_file": "token", "secret_env": ["S1", "S2"], "secret_file": ["token"]}
    (one,) = from_dict(endpoint(**keys), {"T": " t1 \n", "S1": "s1", "S2": "s2"}, base=tmp_path).endpoints
    assert one.tokens == ("t1", SECRET) and one.secrets == ("s1", "s2", SECRET)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"token_env": "GONE"}, "token_env: found 'GONE', which is not set or empty, allowed the name of a variable"),
        ({"token_env": "EMPTY"}, "token_env: found 'EMPTY', which is not set or empty, allowed the name of a variable"),
        ({"secret_env": ["GONE"]}, "secret_env: found 'GONE', which is not set or empty, allowed the name of a variab"),
        ({"token_file": "gone"}, "token_file: found 'gone', which cannot be read (No such file or directory), allowed"),
        ({"token_file": "empty"}, "token_file: found 'empty', which is empty, allowed a file that holds the token"),
        ({"secret_file": ["binary"]}, "secret_file: found 'binary', which cannot be read (not text), allowed a file"),
    ],
)
def test_a_secret_that_is_not_to_be_had_stops_the_start(tmp_path: Path, keys: dict[str, Any], line: str) -> None:
    """Better no server than one that takes anybody's deliveries because a variable was misspelt."""
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (problem,) = problems(endpoint(**keys), {"EMPTY": "  "}, base=tmp_path)
    assert problem.startswith(f"endpoints.meetstream.default.{line}")


def test_commands_that_only_look_for_the_server_need_no_secrets() -> None:
    """`receiver send` runs without the environment of the service."""
    raw = endpoint(token_env="GONE") | {"server": {"host": "0.0.0.0"}, "admin": {"token_env": "GONE"}}
    assert from_dict(raw, {}, need_secrets=False).admin_token == ""


def test_what_was_written_instead_of_named_is_not_shown() -> None:
    """A secret that stands where a name belongs does not end up in a log of the start."""
    raw = endpoint(token=SECRET, token_env=SECRET, secret_env=[SECRET], secret_file=SECRET)
    raw["server"] = {"port": f"https://user:{SECRET}@example.org"}
    assert problems(raw) and SECRET not in "\n".join(problems(raw))


def test_no_secret_is_seen_in_repr(tmp_path: Path) -> None:
    """A debugger's or traceback's view of the settings shows none."""
    raw = endpoint(token_env="T", secret_env=["T"]) | {"admin": {"token_env": "T"}}
    raw["sinks"] = {"k": {"type": "kafka", "config": {"sasl.password": SECRET}}}
    settings = from_dict(raw, {"T": SECRET})
    assert SECRET in settings.endpoints[0].tokens and settings.admin_token == SECRET
    assert SECRET not in f"{settings!r} {settings.endpoints!r} {settings.endpoints[0]!s} {Runtime(1, 'u', SECRET)!r}"


def test_an_auto_token_is_made_once_and_kept(tmp_path: Path) -> None:
    """`token = "auto"`: made at the first start, the same ever after, readable by its owner only."""
    settings = from_dict(endpoint(token="auto") | {"data_dir": str(tmp_path / "data")}, {})
    assert settings.endpoints[0].tokens == ()
    (token,) = with_auto_tokens(settings).endpoints[0].tokens
    assert len(token) >= 32 and with_auto_tokens(settings).endpoints[0].tokens == (token,)
    assert (tmp_path / "data" / "tokens.json").stat().st_mode & 0o077 == 0


def test_an_auto_token_stands_beside_a_token_of_ones_own(tmp_path: Path) -> None:
    """Both are good; another endpoint gets another token, and the file keeps those that are there."""
    raw = {"endpoints": {"meetstream": {"a": {"token": "auto", "token_env": "T"}}}, "data_dir": str(tmp_path)}
    first = with_auto_tokens(from_dict(raw, {"T": "own"})).endpoints[0].tokens
    raw["endpoints"]["meetstream"]["b"] = {"token": "auto"}  # type: ignore[index]
    a, b = with_auto_tokens(from_dict(raw, {"T": "own"})).endpoints
    assert a.tokens == first and first[0] == "own" and len(first) == 2 and b.tokens[0] not in first


def test_a_reader_has_a_token_of_its_own(tmp_path: Path) -> None:
    """Made like an endpoint's, of whatever name, and never the same one; a `repr` shows none."""
    readers = {"default": {"token": "auto"}, "ops": {"token_env": "T", "scopes": ["admin"]}}
    raw = endpoint(token="auto") | {"readers": readers, "data_dir": str(tmp_path)}
    settings = with_auto_tokens(from_dict(raw, {"T": SECRET}))
    default, ops = settings.readers
    assert default.scopes == ("events", "audio", "meetings") and ops.scopes == ("admin",) and ops.tokens == (SECRET,)
    assert len(default.tokens) == 1 and default.tokens != settings.endpoints[0].tokens
    assert with_auto_tokens(from_dict(raw, {"T": SECRET})).readers[0].tokens == default.tokens
    assert SECRET not in f"{settings.readers!r}" and default.tokens[0] not in f"{settings.readers!r}"


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff"])
def test_a_damaged_token_file_is_told(tmp_path: Path, content: bytes) -> None:
    """New tokens in its place would lock every vendor out."""
    (tmp_path / "tokens.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"data_dir: found .*tokens.json damaged"):
        with_auto_tokens(from_dict(endpoint(token="auto") | {"data_dir": str(tmp_path)}, {}))


def test_a_data_folder_that_is_none_is_told(tmp_path: Path) -> None:
    """A file in the way, or no permission: one line, no traceback."""
    (tmp_path / "data").write_text("")
    with pytest.raises(ConfigError, match=r"data_dir: found .*, which cannot be used"):
        with_auto_tokens(from_dict(endpoint(token="auto") | {"data_dir": str(tmp_path / "data")}, {}))


def test_a_runtime_file_without_its_server_means_that_none_runs(tmp_path: Path) -> None:
    """After `kill -9` the file stays, and its process number may be somebody else's: only a held folder counts."""
    write_runtime(tmp_path, Runtime(os.getpid(), "http://127.0.0.1:1", "t"))
    assert read_runtime(tmp_path) is None
    (tmp_path / "lock").touch()
    assert read_runtime(tmp_path) is None


def test_a_command_waits_for_a_server_that_takes_over(tmp_path: Path) -> None:
    """And not for one whose predecessor is gone as well, nor for ever."""
    ours = Runtime(os.getpid(), "http://127.0.0.1:1", "t")
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    write_runtime(tmp_path, Runtime(os.getpid(), "", ""))
    later = threading.Timer(0.1, write_runtime, (tmp_path, ours))
    later.start()
    found = read_runtime(tmp_path)
    later.join()
    os.close(lock)
    assert found == ours
    gone = subprocess.Popen(["true"])
    gone.wait()
    write_runtime(tmp_path, Runtime(gone.pid, "", ""))
    assert read_runtime(tmp_path) is None


def test_a_server_that_lets_go_while_it_is_looked_for_is_none_that_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file was read, then it gave the folder to another one: the command looks again, and waits for that."""
    server = Runtime(os.getpid(), "http://127.0.0.1:1", "t")
    held = iter((False, True))
    later = threading.Timer(0.1, write_runtime, (tmp_path, server))

    def lets_go(_: Path) -> bool:
        if not (answer := next(held)):
            write_runtime(tmp_path, Runtime(os.getpid(), "", ""))
            later.start()
        return answer

    monkeypatch.setattr("receiver.secretfiles._held", lets_go)
    write_runtime(tmp_path, server)
    assert read_runtime(tmp_path) == server
    later.join()


# Who may deliver


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "hooks.example.org"])
def test_who_is_reachable_from_elsewhere_demands_a_credential(host: str) -> None:
    """No token and no secret on an address that others reach: refused, unless the operator says `open = true`."""
    (problem,) = problems({"server": {"host": host}})
    assert problem.startswith("endpoints.meetstream.default: found no token and no secret while server.host = ")
    assert 'allowed token = "auto"' in problem
    for keys in ({"open": True}, {"token": "auto"}, {"token_env": "T"}, {"secret_env": ["T"]}):
        assert problems({"server": {"host": host}} | endpoint(**keys), {"T": "x"}) == ()
    assert len(problems({"server": {"host": host}} | endpoint(secret_env=[""]))) == 1


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("", False),
     ("127.0.0.1.example.org", False), ("10.0.0.1", False)],
)  # fmt: skip
def test_what_is_a_loopback_address(host: str, loopback: bool) -> None:
    """All of 127/8 and ::1 are this machine alone; a name that only looks like it is not."""
    assert is_loopback(host) is loopback


def test_an_unknown_vendor_is_told() -> None:
    """The known ones are named."""
    with pytest.raises(ConfigError) as error:
        check_vendors(from_dict({"endpoints": {"zoom": {"a": {}}}}, {}))
    assert error.value.problems == (
        "endpoints.zoom.a: found vendor 'zoom', allowed daily, meemo, meetstream, realtimekit, waterai",
    )


# Files


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "config: found no file "),
        (b"[server", "config: found "),
        (b"\xff\xfe", "config: found "),
        (b"a = " + b"[" * 20_000, "config: found "),
        (b"a = " + b"9" * 5_000, "config: found "),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, line: str) -> None:
    """One line with the file's name; for TOML mistakes with the place."""
    path = tmp_path / "receiver.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load(path, {})
    (problem,) = error.value.problems
    assert problem.startswith(line) and str(path) in problem and "\n" not in problem


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    """The operating system's words are passed on."""
    with pytest.raises(ConfigError, match="which cannot be read"):
        load(tmp_path, {})


def test_a_command_line_outweighs_the_file(tmp_path: Path) -> None:
    """--host, --port and --data; the rest of the file stays."""
    path = tmp_path / "receiver.toml"
    path.write_text('data_dir = "a"\n[server]\nport = 1\ndrain_s = 3\ntls_cert_file = "c.pem"\ntls_key_file = "/k.pem"')
    settings = load(path, {}, server={"port": 2}, data_dir="b")
    assert (settings.server.port, settings.server.drain_s, settings.data_dir) == (2, 3.0, Path("b"))
    assert (settings.server.tls_cert_file, settings.server.tls_key_file) == (str(tmp_path / "c.pem"), "/k.pem")


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)
_KEYS = [
    "data_dir", "server", "journal", "log", "admin", "endpoints", "sinks", "host", "port", "drain_s", "tls_cert_file",
    "events", "media", "max_bytes", "sync_every_ms", "level", "meetstream", "default", "token", "token_env",
    "token_file", "secret_env", "secret_file", "open", "type", "x",
]  # fmt: skip
_tables = st.recursive(
    _values, lambda inner: st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=3), inner, max_size=5)
)


@given(st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=3), _tables, max_size=5))
def test_anything_is_settings_or_told(raw: dict[str, Any]) -> None:
    """Whatever stands in a config: settings, or a ConfigError whose problems are lines of text. Nothing else."""
    try:
        assert isinstance(from_dict(raw, {"x": "y"}), Settings)
    except ConfigError as error:
        assert error.problems and all(isinstance(line, str) and line.isprintable() for line in error.problems)
