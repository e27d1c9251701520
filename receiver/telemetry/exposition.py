"""The ledger in Prometheus' text form. Read when asked, so that counting stays plain integers."""

import time
from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from receiver.telemetry.ledger import Ledger
from receiver.telemetry.metrics import Gauges

_INTAKE = {
    "received": "Deliveries and socket messages that arrived.",
    "journalled": "Of these: made safe in the journal.",
    "duplicates": "Of these: repeats of one that is safe, merged.",
    "refused": "Of these: refused for want of a credential, or for their size.",
    "quarantined": "Of these: kept in quarantine because they could not be understood.",
    "failed": "Of these: told to come again, since the journal could not take them.",
    "events": "Events that the journalled ones mean.",
    "bytes": "Bytes of bodies and messages.",
    "sockets_total": "WebSockets accepted.",
}
_SINK = {
    "delivered": "Events that the far side has.",
    "filtered": "Sequence numbers that the sink does not want.",
    "dead": "Events that the far side refused for good (dead letters).",
    "expired": "Sequence numbers that retention trimmed before the sink took them.",
    "undecodable": "Sequence numbers in the journal that no decoder takes any more.",
    "repeated": "Events written on somebody's order (`receiver dead retry`, `receiver replay`).",
    "retries": "Attempts that failed and were repeated.",
    "batches": "Batches written.",
}
_SHED = "Of what failed: media frames, transcripts and callbacks (all else) that a full disk had no space for."
_FAILURES = "Attempts that failed in a row; 0 while all is well. What an alert on a stuck sink looks at."
_BUSY = "How long the call of the sink that is under way has taken so far; 0: none. Grows while a far side hangs."
_DELIVERED = "When the newest event that the far side has arrived here, seconds since the epoch; 0: none since start."


class LedgerCollector(Collector):
    """Turns the books into metric families. ``gauges`` gives what is read at that moment."""

    def __init__(self, ledger: Ledger, gauges: Gauges) -> None:
        self._ledger = ledger
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """Called by the registry at each scrape."""
        for key, text in _INTAKE.items():
            family = CounterMetricFamily(f"receiver_{key.removesuffix('_total')}", text, labels=["vendor", "endpoint"])
            for name, book in self._ledger.intake.items():
                family.add_metric(name.split("/", 1), getattr(book, key))
            yield family
        shed = CounterMetricFamily("receiver_shed", _SHED, labels=["kind"])
        for kind, count in self._ledger.shed.items():
            shed.add_metric([kind], count)
        yield shed
        for key, text in _SINK.items():
            family = CounterMetricFamily(f"receiver_sink_{key}", text, labels=["sink"])
            for name, sink in self._ledger.sinks.items():
                family.add_metric([name], getattr(sink, key))
            yield family
        yield from self._sinks_now()
        yield from self._read_gauges()

    def _sinks_now(self) -> Iterable[Metric]:
        failures = GaugeMetricFamily("receiver_sink_failures", _FAILURES, labels=["sink"])
        delivered = GaugeMetricFamily("receiver_sink_delivered_timestamp_seconds", _DELIVERED, labels=["sink"])
        busy = GaugeMetricFamily("receiver_sink_busy_seconds", _BUSY, labels=["sink"])
        now_s = time.monotonic()
        for name, sink in self._ledger.sinks.items():
            failures.add_metric([name], sink.failures)
            delivered.add_metric([name], sink.delivered_ns / 1e9)
            busy.add_metric([name], sink.busy_s(now_s))
        yield failures
        yield delivered
        yield busy

    def _read_gauges(self) -> Iterable[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for name, text, labels, value in self._gauges():
            family = families.get(name)
            if family is None:
                family = families[name] = GaugeMetricFamily(name, text, labels=list(labels))
            family.add_metric(list(labels.values()), value)
        yield from families.values()


def renderer(ledger: Ledger, gauges: Gauges) -> Callable[[], bytes]:
    """What gives the text of ``/metrics``, from a registry of its own. Nothing is read before it is called."""
    own = CollectorRegistry()
    own.register(LedgerCollector(ledger, gauges))
    ProcessCollector(registry=own)
    PlatformCollector(registry=own)
    GCCollector(registry=own)
    return partial(generate_latest, own)
