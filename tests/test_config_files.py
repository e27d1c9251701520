"""The config files that are shipped: complete, true to the code, and loadable. They are what an operator copies."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.plugins import make_sinks, sink_class
from receiver.settings import (
    AccountSettings,
    AdminSettings,
    DialSettings,
    EndpointSettings,
    JournalSettings,
    LiveSettings,
    LogSettings,
    ReaderSettings,
    ServerSettings,
    from_dict,
    load,
)
from receiver.vendors import meemo
from sinks import SINKS

CONFIG = Path(__file__).parent.parent / "config"
REFERENCE = (CONFIG / "receiver.toml").read_text()
EXAMPLES = sorted([*(CONFIG / "examples").glob("*.toml"), *(CONFIG / "deploy").glob("*.toml")])
ENVIRON = {
    "KAFKA_PASSWORD": "pass-4711",
    "PIPELINE_SECRET": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
    "MEETSTREAM_API_KEY": "key-4711",
    "MEEMO_CLIENT_SECRET": "key-4712",
    "MEEMO_WEBHOOK_SECRET": "whsec_4713",
    "REALTIMEKIT_API_TOKEN": "token-4711",
    "WEEKLY_AGENT_TOKEN": "token-4712",
}
#: a "#" without a space behind it: a line of a section that is off
OFF = re.compile(r"^#(?=[\[\w\"])", re.MULTILINE)
LANES = ("events", "media", "quarantine")
WRITTEN = tomllib.loads(OFF.sub("", REFERENCE))
SINK_KINDS = [name for name, _ in SINKS]


def defaults_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Key -> the default that the code has, as TOML writes it."""
    found = {}
    for field in msgspec.structs.fields(kind):
        has_factory = field.default_factory is not msgspec.NODEFAULT
        found[field.encode_name] = field.default_factory() if has_factory else field.default
    return found


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        (WRITTEN["server"], ServerSettings),
        (WRITTEN["log"], LogSettings),
        (WRITTEN["admin"], AdminSettings),
        (WRITTEN["live"], LiveSettings),
        (WRITTEN["readers"]["dashboard"], ReaderSettings),
        (WRITTEN["dial"]["weekly"], DialSettings),
        (WRITTEN["endpoints"]["meetstream"]["default"], EndpointSettings),
        (WRITTEN["endpoints"]["meemo"]["default"]["scheme"], meemo.Scheme),
        (WRITTEN["accounts"]["meetstream"]["default"], AccountSettings),
    ],
)
def test_each_section_has_every_key_with_its_real_default(written: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """config/receiver.toml: nothing is left out, nothing is out of date."""
    assert written == defaults_of(kind)


def test_the_journal_section_has_every_key_with_its_real_default() -> None:
    """The same for [journal] and its lanes, whose defaults differ from lane to lane."""
    assert WRITTEN["journal"] == msgspec.to_builtins(JournalSettings())


@pytest.mark.parametrize("kind", SINK_KINDS)
def test_each_sink_has_every_key_with_its_real_default(kind: str) -> None:
    """The same for the sinks, also for those that are off; a key without default has an example."""
    real = defaults_of(sink_class(kind, "").Config) | {"type": kind}
    assert WRITTEN["sinks"][kind] == {
        key: WRITTEN["sinks"][kind].get(key) if default is msgspec.NODEFAULT else default
        for key, default in real.items()
    }


def test_the_reference_changes_nothing() -> None:
    """`serve --config config/receiver.toml` is `serve` without a config."""
    given, plain = from_dict(tomllib.loads(REFERENCE), {}), from_dict({}, {})
    for key in ("data_dir", "server", "journal", "log", "endpoints", "admin_token", "live", "readers", "dials"):
        assert getattr(given, key) == getattr(plain, key), key
    made, usual = make_sinks(given), make_sinks(plain)
    assert {name: config for name, (_, config) in made.items()} == {name: config for name, (_, config) in usual.items()}


def test_what_is_off_works_when_switched_on() -> None:
    """Uncommented by the rule that the file states, everything loads and every sink can be made."""
    readers = {name: keys | {"token": "auto"} for name, keys in WRITTEN["readers"].items()}  # one has to be chosen
    account = WRITTEN["accounts"]["meetstream"]["default"] | {"key_env": "MEETSTREAM_API_KEY"}  # so has the key
    dial = {name: keys | {"token_env": "T"} for name, keys in WRITTEN["dial"].items()}  # here, too
    chosen = WRITTEN | {
        "readers": readers,
        "accounts": {"meetstream": {"default": account}},
        "dial": dial,
        "endpoints": WRITTEN["endpoints"] | {"realtimekit": {"default": {}}},
    }
    settings = from_dict(chosen, {"MEETSTREAM_API_KEY": "key-4711", "T": "token-4711"})
    assert sorted(make_sinks(settings)) == sorted(SINK_KINDS)


def test_every_key_of_the_reference_is_explained() -> None:
    """Each key has a comment above it, unless an earlier section of the file has explained the same key."""
    explained: set[str] = set()
    commented = False
    for line in REFERENCE.splitlines():
        key = re.match(r"#?([\w]+) = ", line)
        if line.startswith("# "):
            commented = True
        elif key is not None:
            assert commented or key[1] in explained | {"type", "tls_key_file"}, line
            explained.add(key[1])
            commented = False


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_each_example_loads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the environment variables that its comment names, an example is a config without problems."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    settings = load(path, ENVIRON)
    assert make_sinks(settings)
    assert all(one.auto_token for one in settings.endpoints), "what is deployed demands a token"


def test_the_minimal_example_is_ten_lines() -> None:
    """What a newcomer deploys fits on a hand's breadth."""
    lines = (CONFIG / "examples" / "minimal.toml").read_text().splitlines()
    assert len([line for line in lines if line and not line.startswith("#")]) <= 10


def test_a_stop_leaves_the_drain_its_time() -> None:
    """systemd and Docker wait longer for the end than the server takes at most."""
    unit = (CONFIG / "deploy" / "meeting-receiver.service").read_text()
    dockerfile = (CONFIG / "deploy" / "Dockerfile").read_text()
    limits = [*re.findall(r"TimeoutStopSec=(\d+)", unit), *re.findall(r"--stop-timeout (\d+)", dockerfile)]
    assert len(limits) == 2 and all(int(limit) > ServerSettings().drain_s + 10 for limit in limits)


def test_systemd_holds_the_port_that_the_proxies_ask() -> None:
    """The socket unit listens where the proxies' examples and the default config expect the receiver."""
    server = ServerSettings()
    unit = (CONFIG / "deploy" / "meeting-receiver.socket").read_text()
    assert f"ListenStream={server.host}:{server.port}" in unit
    assert "receiver reload --config" in (CONFIG / "deploy" / "meeting-receiver.service").read_text()


def test_proxies_take_bodies_as_large_as_the_receiver() -> None:
    """A proxy with a smaller limit would refuse for good what the receiver takes."""
    size = ServerSettings().max_body_bytes >> 20
    assert f"client_max_body_size {size}m;" in (CONFIG / "deploy" / "nginx.conf").read_text()
    assert f"max_size {size}MiB" in (CONFIG / "deploy" / "Caddyfile").read_text()
