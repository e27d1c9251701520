"""Commands set up logs for their process; here several share one."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.commands.clients import Vendors, clients_for


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """No test sees another's logging."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def vendors(monkeypatch: pytest.MonkeyPatch) -> Vendors:
    """Clients of vendors that answer as a test tells them to."""
    return clients_for(monkeypatch)
