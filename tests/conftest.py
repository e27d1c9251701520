"""What the whole suite shares."""

import pytest

from tests.kafka_broker import kafka_summary


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which Kafka the tests ran on: the real broker, or librdkafka's mock."""
    if line := kafka_summary(terminalreporter.stats):
        terminalreporter.write_line(line)
