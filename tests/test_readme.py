"""README.md tells the truth: its commands exist, its sink works, its files are there."""

import importlib.util
import inspect
import re
import tomllib
from pathlib import Path

import pytest

from receiver.cli import COMMANDS
from receiver.events import DATA_TYPES
from receiver.rest import APIS
from receiver.rest.base import VendorApi
from receiver.rest.realtimekit.sfu import SfuApi
from receiver.vendors import VENDORS, every_vendor
from receiver.vendors.base import Vendor
from sinks.base import Batch
from tests.sinks.factories import make_event

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Fenced code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def table_of(vendor: str) -> tuple[str, list[list[str]]]:
    """The summary above a vendor's table, and the table's cells, row by row."""
    found = re.search(rf"<details><summary>(<code>{vendor}</code>.*?)</summary>(.*?)</details>", README, re.DOTALL)
    assert found is not None, vendor
    rows = [line.strip("|").split("|") for line in found[2].splitlines() if line.startswith("|")]
    return found[1], [[cell.strip() for cell in row] for row in rows[2:]]


def names_in(cell: str) -> list[str]:
    """What stands there in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def events_in(rows: list[list[str]]) -> dict[str, str]:
    """Vendor event name -> event type: rows of which the second cell is nothing but a type."""
    types = {f"`{type_}`" for type_ in DATA_TYPES}
    return {name: row[1].strip("`") for row in rows if row[1] in types for name in names_in(row[0])}


def methods_in(rows: list[list[str]]) -> set[str]:
    """Names in the rows that are of neither events nor sockets."""
    calls = [row[0] for row in rows if not events_in([row]) and not row[0].startswith("sockets ")]
    return {name for cell in calls for name in names_in(cell)} - {"SfuApi"}


def methods_of(vendor: str) -> tuple[set[str], set[str]]:
    """A vendor's client: methods for its own calls, and which of those that all clients share it has."""
    shared = {name for name, _ in inspect.getmembers(VendorApi, inspect.isfunction)}
    api = APIS[vendor]()
    public = {name for name, _ in inspect.getmembers(api, inspect.isfunction) if not name.startswith("_")}
    own = public - shared
    if vendor == "realtimekit":
        own |= {name for name, _ in inspect.getmembers(SfuApi, inspect.isfunction) if not name.startswith("_")}
    return own, {name for name in public & shared if getattr(api, name) is not getattr(VendorApi, name)}


@pytest.mark.parametrize("vendor", every_vendor(), ids=lambda vendor: vendor.NAME)
def test_the_tables_have_every_event_with_its_type(vendor: Vendor) -> None:
    """What a vendor declares stands in its table, nothing else does, and the summary has counted it."""
    summary, rows = table_of(vendor.NAME)
    assert events_in(rows) == dict(vendor.EVENT_TYPES)
    assert f" {len(vendor.EVENT_TYPES)} events" in summary


@pytest.mark.parametrize("vendor", sorted(APIS))
def test_the_tables_have_every_call(vendor: str) -> None:
    """Each public method of a client stands in the table, the summary has counted those of its own."""
    summary, rows = table_of(vendor)
    own, shared = methods_of(vendor)
    assert methods_in(rows) == own | shared
    assert f" {len(own)} methods" in summary


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_row_says_how_it_was_tested_and_where_it_is_from(vendor: str) -> None:
    """Four cells, none of them empty; never live: nobody had an account."""
    for row in table_of(vendor)[1]:
        assert len(row) == 4 and all(row), row
        assert re.fullmatch(r"samples(, stand-in)?|stand-in(, samples|, also in Dyte's form)?", row[2]), row


def test_what_can_be_fetched_is_what_clients_fetch() -> None:
    """The table of vendors names every kind of each client."""
    for vendor, load in APIS.items():
        row = next(line for line in README.splitlines() if line.startswith(f"| `{vendor}`"))
        assert set(load().KINDS) <= set(names_in(row)), vendor


def test_the_commands_of_the_readme_exist() -> None:
    """Each `receiver X` that the README names is a command."""
    named = set(re.findall(r"`?receiver ([a-z]+)", "\n".join([*blocks("sh"), *re.findall(r"`[^`]+`", README)])))
    assert named and named <= set(COMMANDS), named - set(COMMANDS)


def test_the_files_that_the_readme_links_exist() -> None:
    """Relative links and paths of tests lead somewhere."""
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    tests = re.findall(r"tests/[\w/]+(?:\.py)?", README)
    for path in [*links, *tests]:
        assert (ROOT / path).exists(), path


def test_the_deploy_config_loads() -> None:
    """The config of the README passes the loader, sinks and all."""
    from receiver.plugins import make_sink
    from receiver.settings import from_dict

    config = next(block for block in blocks("toml") if "data_dir" in block)
    settings = from_dict(tomllib.loads(config), {})
    accounts = next(block for block in blocks("toml") if "[accounts" in block)
    (account,) = from_dict(tomllib.loads(accounts), {"MEETSTREAM_API_KEY": "key-4711"}).accounts
    assert set(account.fetch) <= set(APIS[account.vendor]().KINDS)
    for name, keys in settings.sinks.items():
        make_sink(name, keys, settings.data_dir)


async def test_the_sink_of_the_readme_works(tmp_path: Path) -> None:
    """The sink in 20 lines is a sink, word for word."""
    (source,) = blocks("python")
    path = tmp_path / "count_sink.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("count_sink", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sink = module.CountSink("mine", module.CountSink.Config(type="count"), tmp_path)
    await sink.open()
    await sink.write(Batch([make_event(), make_event()]))
    await sink.close()
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8").startswith("2 ")


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX"])
def test_nothing_is_promised_for_later(word: str) -> None:
    """The README tells what is, not what will be."""
    assert word not in README
