"""What ``/metrics`` answers. Prometheus' client is imported when somebody first asks, not before."""

import asyncio
from collections.abc import Callable, Iterable

from receiver.telemetry.ledger import Ledger

#: name, help, labels, value
Gauge = tuple[str, str, dict[str, str], float]
Gauges = Callable[[], Iterable[Gauge]]


class Metrics:
    """A server's own, so that two servers in one process do not meet. ``gauges`` gives what is read at that moment."""

    def __init__(self, ledger: Ledger, gauges: Gauges) -> None:
        self._ledger = ledger
        self._gauges = gauges
        self._render: Callable[[], bytes] | None = None

    async def text(self) -> bytes:
        """The text of ``/metrics``."""
        if self._render is None:  # in a thread: deliveries do not wait for the import
            self._render = await asyncio.to_thread(_renderer, self._ledger, self._gauges)
        return self._render()


def _renderer(ledger: Ledger, gauges: Gauges) -> Callable[[], bytes]:
    from receiver.telemetry.exposition import renderer

    return renderer(ledger, gauges)
