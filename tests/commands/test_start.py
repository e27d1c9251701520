"""What a start loads: the modules of what the config names, and none of what it does not. That keeps it short."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from receiver.cli import COMMANDS
from receiver.rest import APIS
from receiver.vendors import VENDORS
from sinks import SINKS
from tests.commands.process import environment, serving

#: a line of Python's own report of what it imports (-v)
_IMPORTED = re.compile(r"^import '([\w.]+)' # ", re.MULTILINE)
#: what takes long to load, or much memory, and is for what a plain config does not have or nobody has asked for yet
LATER = {
    "confluent_kafka", "cryptography", "importlib.metadata", "numpy", "prometheus_client", "soxr", "websockets",
    "receiver.audio", "receiver.demo", "receiver.doctor", "receiver.ingress.dial_call", "receiver.simulator",
    "receiver.telemetry.exposition",
}  # fmt: skip
PLAIN = '[server]\nport = 0\n[sinks.file]\ntype = "file"\n'
OTHER = """
[server]
port = 0
[endpoints.realtimekit.default]
[endpoints.daily.default]
[sinks.sound]
type = "wav"
"""


def loaded_by_serve(folder: Path, config: str) -> set[str]:
    """Every module that was imported when the server listened."""
    (folder / "receiver.toml").write_text(config)
    with serving(folder, "--config", "receiver.toml", PYTHONVERBOSE="1") as server:
        server.wait_until(lambda: '"server.ready"' in server.text)
        return set(_IMPORTED.findall(server.text))


def of(package: str, loaded: set[str]) -> set[str]:
    """Names right below ``package``."""
    return {name.removeprefix(f"{package}.") for name in loaded if re.fullmatch(rf"{package}\.\w+", name)}


def sinks_of(loaded: set[str]) -> set[str]:
    """Types of the sinks whose module was loaded."""
    return {type_ for type_, where in SINKS if where.partition(":")[0] in loaded}


def test_a_plain_config_loads_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """One command, one vendor, one sink; no client of any vendor."""
    loaded = loaded_by_serve(tmp_path, PLAIN)
    assert loaded & LATER == set()
    assert of("receiver.commands", loaded) == {"serve"}
    assert of("receiver.vendors", loaded) & set(VENDORS) == {"meetstream"}
    assert of("receiver.rest", loaded) & set(APIS) == set()
    assert sinks_of(loaded) == {"file"}


def test_what_a_config_names_is_loaded_before_the_server_listens(tmp_path: Path) -> None:
    """No delivery waits for its vendor's module, and a sink that does not load stops the start."""
    loaded = loaded_by_serve(tmp_path, OTHER)
    assert of("receiver.vendors", loaded) & set(VENDORS) == {"realtimekit", "daily"}
    assert sinks_of(loaded) == {"wav"} and "numpy" in loaded
    assert not loaded & {"confluent_kafka", "prometheus_client", "receiver.simulator"}


@pytest.mark.parametrize("words", [["schema"], ["schema", "--help"], ["decode", "--help"]])
def test_a_command_loads_no_other(words: list[str]) -> None:
    """The command line looks at its first word before it imports; help of the whole imports all of them."""
    told = subprocess.run(
        [sys.executable, "-v", "-m", "receiver", *words],
        env=environment({}), capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert of("receiver.commands", set(_IMPORTED.findall(told.stderr))) & set(COMMANDS) == {words[0]}


def test_every_name_of_what_comes_later_is_a_module() -> None:
    """A name that is misspelt, or gone, would prove nothing."""
    shown = "import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, sys.argv[1:])))"
    told = subprocess.run([sys.executable, "-c", shown, *sorted(LATER)], env=environment({}), check=False)
    assert told.returncode == 0
