"""The layers, read from the imports: who may know whom. A breach fails here, with its file and line.

The checker itself is tested first, with planted breaches, so that it cannot pass by seeing nothing.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
BASE = (
    "receiver.bundle",
    "receiver.data",
    "receiver.errors",
    "receiver.events",
    "receiver.media_names",
    "receiver.record",
    "receiver.redaction",
)
#: plain counters: it imports nothing of ours, and only msgspec
BOOKS = "receiver.telemetry.ledger"
#: what is known of meetings: pure, but for the book, which logs, the tracker, which reads the journal, and the keeper,
#: which has a file
FOLDS = tuple(
    f"receiver.meetings.{name}"
    for name in (
        "bounds", "fetched", "formats", "roster", "show", "show_fetched", "snapshot", "state", "streams", "told",
        "transcript", "turn", "views",
    )
)  # fmt: skip
MEETINGS = (
    *BASE, "receiver.meetings", "receiver.journal.base", "receiver.journal.wholefile", "receiver.delivery.decoding",
    "receiver.delivery.pace",
)  # fmt: skip
#: what a pure module cannot do its mischief without
RIM = (
    "asyncio", "aiohttp", "websockets", "time", "os", "socket", "select", "selectors", "ssl", "threading", "subprocess",
    "multiprocessing", "pathlib", "io", "shutil", "tempfile", "http", "urllib.request", "sqlite3", "random",
)  # fmt: skip


class Rule(NamedTuple):
    """``layer``: a module or package. ``ours``: the only modules of ours that it may import; ``None``: any."""

    layer: str
    ours: tuple[str, ...] | None = None
    never: tuple[str, ...] = ()
    #: the only libraries beside the standard one; ``None``: any
    libraries: tuple[str, ...] | None = None


class Import(NamedTuple):
    """``name`` is dotted and full: for ``from a import b`` it is ``a.b``."""

    line: int
    name: str


RULES = (
    *(Rule(module, ours=BASE, libraries=("msgspec", "pybase64")) for module in (*BASE, BOOKS)),
    Rule("receiver.line", ours=(), libraries=("msgspec",)),
    Rule("receiver.audio", ours=(*BASE, "receiver.audio"), never=RIM, libraries=("msgspec", "numpy", "soxr")),
    Rule("receiver.vendors", ours=(*BASE, "receiver.vendors"), never=RIM),
    Rule("receiver.journal", ours=(*BASE, "receiver.journal"), never=("aiohttp", "websockets")),
    Rule(
        "receiver.delivery",
        ours=(*BASE, BOOKS, "receiver.delivery", "receiver.journal.base", "receiver.journal.dead",
              "receiver.journal.state", "receiver.line", "sinks.base"),
        never=("aiohttp", "websockets"),
    ),
    Rule("receiver.meetings", ours=MEETINGS, never=("aiohttp", "websockets")),
    *(
        Rule(module, ours=(*BASE, *FOLDS), never=RIM, libraries=("msgspec",))
        for module in FOLDS
    ),
    Rule("receiver.meetings.book", ours=(*BASE, *FOLDS), never=RIM, libraries=("msgspec", "structlog")),
    Rule(
        "receiver.fetching",
        ours=(*BASE, "receiver.fetching", "receiver.delivery.decoding", "receiver.delivery.pace",
              "receiver.delivery.retry", "receiver.journal.base", "receiver.journal.clock", "receiver.journal.state",
              "receiver.meetings", "receiver.rest", "receiver.settings", "receiver.telemetry.metrics",
              "receiver.vendors.replies"),
        never=("websockets",),
    ),
    *(
        Rule(
            module,
            ours=(*BASE, "receiver.fetching.jobs", "receiver.meetings", "receiver.vendors.replies"),
            never=RIM,
            libraries=("msgspec",),
        )
        for module in ("receiver.fetching.plan", "receiver.fetching.jobs", "receiver.fetching.known")
    ),
    *(
        Rule(f"receiver.fetching.{name}", never=("aiohttp", "receiver.rest.http"))
        for name in ("base", "fetcher", "orders")
    ),
    Rule("receiver.ingress", never=("receiver.live", "receiver.app")),
    Rule("receiver.live", never=("receiver.ingress", "receiver.app")),
    Rule(
        "receiver.simulator",
        never=("receiver.vendors", "receiver.record", "receiver.events", "receiver.journal", "receiver.delivery",
               "receiver.ingress", "receiver.live", "receiver.app", "receiver.rest", "sinks"),
    ),
    Rule(
        "receiver.rest",
        ours=("receiver.errors", "receiver.redaction", "receiver.rest", "receiver.settings"),
        never=("websockets",),
    ),
    Rule("sinks", ours=("receiver.audio", "receiver.errors", "receiver.events", "sinks")),
)  # fmt: skip
#: they make tasks that nobody waits for; a task group's ``create_task`` does not
BARE_TASKS = frozenset({"create_task", "ensure_future"})


def breaches(module: str, source: str, path: str = "<planted>") -> list[str]:
    """What ``source``, as the text of ``module``, does against the rules: a line for each."""
    is_package = path.endswith("__init__.py")
    tree = ast.parse(source, path)
    found = [
        f"{path}:{line}: {module} imports {name}; {allowed}"
        for line, name in imports(tree, module, is_package=is_package)
        for rule in RULES
        if within(module, (rule.layer,)) and (allowed := refusal(rule, name))
    ]
    return found + [f"{path}:{line}: a task outside a task group" for line in bare_tasks(tree)]


def refusal(rule: Rule, name: str) -> str:
    """Why ``rule`` forbids this import; empty where it does not."""
    top = name.partition(".")[0]
    if within(name, rule.never):
        return f"never from {rule.layer}"
    if top in ("receiver", "sinks"):
        if rule.ours is not None and not within(name, rule.ours):
            return f"{rule.layer} may import of ours: {', '.join(rule.ours)}"
    elif rule.libraries is not None and top not in rule.libraries and top not in sys.stdlib_module_names:
        return f"{rule.layer} may import of libraries: {', '.join(rule.libraries)}"
    return ""


def within(name: str, parents: tuple[str, ...]) -> bool:
    """Whether ``name`` is one of these modules or something in it."""
    return any(name == parent or name.startswith(parent + ".") for parent in parents)


def imports(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[Import]:
    """Every import of a module, wherever it stands, also below ``if TYPE_CHECKING`` and by ``import_module("…")``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*package, base] if base else package)
            for alias in node.names:
                yield Import(node.lineno, f"{base}.{alias.name}")
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Import(node.lineno, name.value)


def bare_tasks(tree: ast.AST) -> Iterator[int]:
    """Lines that start a task with asyncio itself or on a loop, under whatever name asyncio goes there."""
    modules, functions = {"asyncio", "asyncio.tasks"}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name for alias in node.names if within(alias.name, ("asyncio",))}
        elif isinstance(node, ast.ImportFrom) and within(node.module or "", ("asyncio",)):
            functions |= {alias.asname or alias.name for alias in node.names if alias.name in BARE_TASKS}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in functions:
            yield node.lineno
        elif isinstance(node.func, ast.Attribute) and node.func.attr in BARE_TASKS:
            owner = ast.unparse(node.func.value).removesuffix("()")
            if owner in modules or owner.endswith("loop"):
                yield node.lineno


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    return ast.unparse(node.func).rpartition(".")[2]


def sources() -> dict[str, Path]:
    """Module name -> file of everything that is shipped."""
    paths = sorted(path for folder in ("receiver", "sinks") for path in (ROOT / folder).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


# The checker


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("receiver.events", "import orjson"),
        ("receiver.events", "from receiver.settings import load"),
        ("receiver.record", "from receiver import vendors"),
        ("receiver.errors", "import receiver"),
        ("receiver.redaction", "def f():\n    import receiver.telemetry.log"),
        ("receiver.audio.mix", "import time"),
        ("receiver.audio.mix", "import scipy"),
        ("receiver.audio.mix", "from sinks.resample import Resampler"),
        ("receiver.vendors.meetstream", "import time"),
        ("receiver.vendors.meetstream", "from asyncio import sleep"),
        ("receiver.vendors.meetstream.wire", "import os.path as p"),
        ("receiver.vendors.zoom", "if True:\n    from urllib.request import urlopen"),
        ("receiver.vendors.zoom", "from .. import journal"),
        ("receiver.vendors.zoom", "from ..journal.base import Journal"),
        ("receiver.vendors.zoom", "from importlib import import_module\nimport_module('aiohttp')"),
        ("receiver.journal.sqlite", "from receiver.vendors import meetstream"),
        ("receiver.journal.sqlite", "from aiohttp import web"),
        ("receiver.journal.sqlite", "from sinks.base import Batch"),
        ("receiver.delivery.worker", "from receiver.journal.sqlite import SqliteJournal"),
        ("receiver.delivery.worker", "from receiver.journal import sqlite"),
        ("receiver.delivery.worker", "import sinks.kafka"),
        ("receiver.delivery.worker", "from receiver.vendors import decode_record"),
        ("sinks.file", "from receiver.record import Record"),
        ("sinks.file", "import typing\nif typing.TYPE_CHECKING:\n    from receiver.settings import Settings"),
        ("sinks", "from receiver.app import Receiver"),
        ("receiver.ingress.http", "from receiver.live import page"),
        ("receiver.live.events", "import receiver.ingress.http"),
        ("receiver.meetings.roster", "import asyncio"),
        ("receiver.meetings.transcript", "import structlog"),
        ("receiver.meetings.state", "from receiver.journal.base import Journal"),
        ("receiver.meetings.book", "from receiver.meetings.tracker import MeetingTracker"),
        ("receiver.meetings.tracker", "from receiver.vendors import decode_record"),
        ("receiver.meetings.tracker", "from receiver.journal.sqlite import SqliteJournal"),
        ("receiver.fetching.desk", "from receiver.vendors import decode_record"),
        ("receiver.fetching.desk", "from receiver.ingress.intake import Intake"),
        ("receiver.fetching.desk", "from receiver.rest.meemo import MeemoApi\nfrom receiver.journal.sqlite import X"),
        ("receiver.fetching.fetcher", "import aiohttp"),
        ("receiver.fetching.plan", "import time"),
        ("receiver.simulator.wire", "from receiver.vendors.meetstream import frames"),
        ("receiver.simulator.wire", "from receiver.events import Event"),
        ("receiver.app", "import asyncio\nasyncio.create_task(f())"),
        ("receiver.app", "import asyncio as aio\naio.ensure_future(f())"),
        ("receiver.app", "from asyncio import create_task as go\ngo(f())"),
        ("receiver.app", "import asyncio\nasyncio.get_running_loop().create_task(f())"),
        ("sinks.kafka", "self._loop.create_task(f())"),
    ],
)
def test_checker_sees_a_planted_breach(module: str, source: str) -> None:
    """Each kind of import and of bare task is found, once."""
    assert len(breaches(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("receiver.events", "import base64, msgspec\nfrom receiver.redaction import redact"),
        ("receiver.vendors.meetstream.wire", "import hmac\nfrom receiver import events\nfrom ..base import Session"),
        ("receiver.vendors.timely", "from receiver.vendors import timely\nimport timeit, osmium"),
        ("receiver.journal.sqlite", "import asyncio, sqlite3, os\nfrom receiver.journal.base import Journal"),
        ("receiver.delivery.worker", "from sinks.base import Sink\nfrom receiver.journal.base import Journal"),
        ("receiver.audio.mix", "import numpy\nfrom receiver.audio.pcm import Samples"),
        ("sinks.relay", "import websockets\nfrom receiver.audio.mix import Mixer"),
        ("sinks.file", "import os, numpy\nfrom receiver.events import Event\nfrom sinks.base import Batch"),
        ("sinks.kafka", "from . import kafka_message"),
        ("receiver.ingress.http", "from receiver.vendors import vendor_named\nfrom aiohttp import web"),
        ("receiver.meetings.state", "import msgspec\nfrom receiver.meetings.roster import Roster"),
        ("receiver.meetings.book", "import structlog\nfrom receiver.meetings.show import summary"),
        ("receiver.meetings.tracker", "import asyncio, time\nfrom receiver.delivery.pace import Pace"),
        ("receiver.fetching.desk", "import aiohttp\nfrom receiver.rest import api_of"),
        ("receiver.fetching.fetcher", "import asyncio, time\nfrom receiver.rest.base import VendorApi"),
        ("receiver.fetching.plan", "import heapq\nfrom receiver.vendors.replies import REST"),
        ("receiver.simulator.wire", "import aiohttp, websockets\nfrom receiver.simulator import tally"),
        ("receiver.app", "async def f(tg):\n    tg.create_task(g())\n    self._tasks.create_task(g())"),
        ("receiver.eventsource", "import orjson"),
    ],
)
def test_checker_lets_pass_what_is_allowed(module: str, source: str) -> None:
    """A rule that forbids everything would prove as little as one that sees nothing."""
    assert breaches(module, source) == []


def test_checker_resolves_relative_imports() -> None:
    """From a module and from a package's ``__init__``."""
    tree = ast.parse("from . import b\nfrom .b import c\nfrom .. import d\nfrom ..d import e")
    expected = ["p.q.b", "p.q.b.c", "p.d", "p.d.e"]
    assert [found.name for found in imports(tree, "p.q.a", is_package=False)] == expected
    assert [found.name for found in imports(tree, "p.q", is_package=True)] == expected


def test_every_module_of_meetings_has_its_rule() -> None:
    """A new fold cannot escape: what is neither the book nor the tracker nor the keeper is pure."""
    there = {module for module in sources() if module.startswith("receiver.meetings.")}
    assert there == {*FOLDS, *(f"receiver.meetings.{name}" for name in ("book", "keeper", "tracker"))}


def test_checker_reads_the_shipped_files() -> None:
    """All modules of both packages are read, and every rule whose layer is there reads at least one of them."""
    modules = sources()
    assert {"receiver", "receiver.events", "receiver.vendors.meetstream", "sinks.base"} <= set(modules)
    assert modules["receiver.vendors.meetstream"].name == "__init__.py"
    for rule in RULES:
        place = ROOT / rule.layer.replace(".", "/")
        there = place.is_dir() or place.with_suffix(".py").exists()
        assert there == any(within(module, (rule.layer,)) for module in modules), rule.layer


# The rules


@pytest.mark.parametrize("module", sources())
def test_no_module_breaks_its_layer(module: str) -> None:
    """Layers as ``RULES`` states them, and tasks only in task groups."""
    path = sources()[module]
    assert breaches(module, path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))) == []
