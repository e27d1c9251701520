"""README.md tells the truth: its commands exist, its sink works, its files are there."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from receiver.cli import COMMANDS
from sinks.base import Batch
from tests.sinks.factories import make_event

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Fenced code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


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
