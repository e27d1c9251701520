"""What the whole suite shares."""

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.kafka_broker import PROPERTY, Broker, kafka_summary, start_broker

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts what runs in the background so, and every program that a test interrupts would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# how long an example takes says how busy the machine is
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    """Let the programs that tests start keep their bytecode, where this process is told to write none beside the
    sources: each of them would compile the whole receiver anew."""
    cache: pytest.Cache | None = getattr(config, "cache", None)  # there is none with -p no:cacheprovider
    if sys.dont_write_bytecode and cache is not None:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(cache.mkdir("bytecode")))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many processes ``-n auto`` means: one more than cores. Half of their time tests wait, for programs that they
    have started and for clocks."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for all tests of a process; the first that wants it may have to wait for the jars."""
    broker = start_broker(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.stop()


@pytest.fixture
def broker(shared_broker: Broker, record_property: Any) -> Broker:
    """A running broker; the one before it may have been left dead by a test."""
    shared_broker.start()
    record_property(PROPERTY, shared_broker.title)
    return shared_broker


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which Kafka the tests ran on: the real broker, or librdkafka's mock."""
    if line := kafka_summary(terminalreporter.stats):
        terminalreporter.write_line(line)
