"""Sinks by name: ours, and those of other packages, which are found by their entry point."""

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from receiver.errors import ConfigError
from receiver.plugins import make_sink, make_sinks, sink_types
from receiver.settings import from_dict
from sinks.file import FileSink
from tests.plugin_site import offer
from tests.support import JOINING, drained, running

PACKAGE = """
from sinks.base import SinkConfig

class PrinterConfig(SinkConfig, kw_only=True):
    type: str = "printer"
    #: copies of each event
    copies: int = 1
    tray: str

class PrinterSink:
    Config = PrinterConfig

    def __init__(self, name, config, data_dir):
        if config.tray == "broken":
            raise RuntimeError("tray broken")
        self.path = data_dir / f"{config.tray}.txt"

    async def open(self):
        self.path.touch()

    async def write(self, batch):
        with self.path.open("ab") as file:
            file.write(batch.json_lines())

    async def close(self):
        pass

class NoSink:
    pass
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution on the path, as pip would: its module, and its dist-info with the entry points."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def put(distribution: str, source: str, **types: str) -> None:
        offer(site, distribution, **{name: f"{distribution}:{attribute}" for name, attribute in types.items()})
        (site / f"{distribution}.py").write_text(dedent(source))
        monkeypatch.delitem(sys.modules, distribution, raising=False)

    return put


def refusal(keys: dict[str, Any], data_dir: Path = Path()) -> tuple[str, ...]:
    """The problems of ``[sinks.x]`` with these keys."""
    with pytest.raises(ConfigError) as error:
        make_sink("x", keys, data_dir)
    return error.value.problems


async def test_a_sink_of_another_package_gets_events(tmp_path: Path, install: Install) -> None:
    """Installed beside the receiver, named in the config: it is found, configured, opened and written to."""
    import aiohttp

    install("acme_printer", PACKAGE, printer="PrinterSink")
    assert "printer" in sink_types()
    sinks = {"paper": {"type": "printer", "tray": "upper"}}
    async with running(tmp_path / "data", sinks=sinks) as server:
        async with aiohttp.ClientSession() as client:
            await client.post(server.url + "/meetstream/default", json=JOINING)
        await drained(server)
    assert b'"type":"bot.status"' in (tmp_path / "data" / "upper.txt").read_bytes()


def test_its_config_is_checked_like_ours(install: Install) -> None:
    """Unknown keys, wrong types and missing keys are told by section and key."""
    install("acme_printer", PACKAGE, printer="PrinterSink")
    assert refusal({"type": "printer", "copies": "x", "trays": 1}) == (
        "sinks.x.trays: found an unknown key, allowed type, types, subjects, raw, secrets, batch_events, copies, tray",
        "sinks.x.copies: found 'x', allowed a whole number",
        "sinks.x.tray: found nothing, allowed text: the key is required",
    )


def test_its_faults_are_told_as_such(install: Install) -> None:
    """A package that does not load, a class that is no sink, a constructor that fails: one line with the key."""
    install("acme_broken", "raise OSError('no driver')", broken="X")
    install("acme_printer", PACKAGE, nosink="NoSink", printer="PrinterSink", gone="Gone")
    (line,) = refusal({"type": "broken"})
    assert line.startswith("sinks.x.type: found 'broken', which fails to load from acme_broken:X (OSError: no driver)")
    (line,) = refusal({"type": "gone"})
    assert line.startswith("sinks.x.type: found 'gone', which fails to load from acme_printer:Gone (AttributeError")
    (line,) = refusal({"type": "nosink"})
    assert line.startswith("sinks.x.type: found 'nosink', whose acme_printer:NoSink is no sink, allowed a class with")
    assert refusal({"type": "printer", "tray": "broken"}) == (
        "sinks.x: found keys that its sink cannot be made of (RuntimeError: tray broken)",
    )


def test_a_type_that_two_packages_offer_is_refused(install: Install) -> None:
    """Which one an installation found first must not decide where events go."""
    install("acme_printer", PACKAGE, printer="PrinterSink")
    install("other_printer", PACKAGE, printer="PrinterSink")
    (line,) = refusal({"type": "printer", "tray": "a"})
    assert line.startswith("sinks.x.type: found 'printer' in acme_printer:PrinterSink and other_printer:PrinterSink")


def test_a_built_in_type_cannot_be_replaced(tmp_path: Path, install: Install) -> None:
    """Installing a package changes no sink that a config had before."""
    install("acme_printer", PACKAGE, file="PrinterSink")
    assert isinstance(make_sink("x", {"type": "file"}, tmp_path)[0], FileSink)


def test_an_unknown_type_names_the_known_ones() -> None:
    """A spelling mistake is told with what there is."""
    (line,) = refusal({"type": "kafak"})
    assert line.startswith("sinks.x.type: found 'kafak', allowed file, http, kafka")


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"types": ["bot.*", "transcipt.*"]}, "sinks.x.types: found 'transcipt.*', allowed event types and patterns"),
        ({"types": []}, "sinks.x.types: found an empty list, allowed one with something in it"),
        ({"subjects": []}, "sinks.x.subjects: found an empty list, allowed one with something in it"),
        ({"types": "bot.*"}, "sinks.x.types: found 'bot.*', allowed a list of text"),
        ({"batch_events": 0}, "sinks.x.batch_events: found 0, allowed 1 or more"),
        ({"format": "xml"}, 'sinks.x.format: found \'xml\', allowed "json" or "text"'),
    ],
)
def test_keys_that_would_silence_a_sink_are_refused(keys: dict[str, Any], line: str) -> None:
    """A pattern that fits no type, or no pattern at all, is a mistake: nobody configures a sink to get nothing."""
    (problem,) = refusal({"type": "stdout"} | keys)
    assert problem.startswith(line)


def test_the_problems_of_all_sinks_are_told_at_once() -> None:
    """One start, all lines."""
    sinks = {"a": {"type": "nope"}, "b": {"type": "stdout", "x": 1}, "c": {"type": "http"}}
    with pytest.raises(ConfigError) as error:
        make_sinks(from_dict({"sinks": sinks}, {}))
    assert [line.split(":")[0] for line in error.value.problems] == ["sinks.a.type", "sinks.b.x", "sinks.c.url"]
