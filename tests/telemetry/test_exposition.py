"""The books and their Prometheus form: every number is there, and they balance."""

import time

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from receiver.telemetry.exposition import renderer
from receiver.telemetry.ledger import Intake, Ledger, SinkBook


def scraped(ledger: Ledger) -> dict[str, float]:
    """``name/labels`` -> value, of the receiver's own metrics."""
    render = renderer(ledger, lambda: [("receiver_extra", "Help.", {"a": "b"}, 1.5)])
    return {
        "/".join([sample.name, *(sample.labels[name] for name in sorted(sample.labels, reverse=True))]): sample.value
        for family in text_string_to_metric_families(render().decode())
        for sample in family.samples
        if sample.name.startswith("receiver_")
    }


def test_every_number_of_the_books_is_a_metric() -> None:
    """Nothing is counted in secret: each field of both books is scraped, under its own name and labels."""
    ledger = Ledger()
    intake, sink = ledger.endpoint("meetstream", "default"), ledger.sink("kafka")
    for book in (intake, sink):
        for number, name in enumerate(book.__struct_fields__, start=1):
            if isinstance(getattr(book, name), int) and name != "connected":
                setattr(book, name, number)
    found = scraped(ledger)
    for name in set(Intake.__struct_fields__) - {"sockets_open"}:
        metric = f"receiver_{name.removesuffix('_total')}_total/meetstream/default"
        assert found[metric] == getattr(intake, name)
    gauges = {"connected", "error", "backlog", "failures", "delivered_ns", "doing", "doing_since_s"}
    for name in set(SinkBook.__struct_fields__) - gauges:
        assert found[f"receiver_sink_{name}_total/kafka"] == getattr(sink, name)
    assert found["receiver_sink_failures/kafka"] == sink.failures
    assert found["receiver_sink_delivered_timestamp_seconds/kafka"] == sink.delivered_ns / 1e9
    assert found["receiver_extra/b"] == 1.5


def test_a_call_that_hangs_is_seen_growing() -> None:
    """`receiver_sink_failures` stays 0 while a far side hangs; this is what an alert looks at then."""
    ledger = Ledger()
    ledger.sink("idle")
    ledger.sink("hung").doing = "write"
    ledger.sink("hung").doing_since_s = time.monotonic() - 73
    found = scraped(ledger)
    assert found["receiver_sink_busy_seconds/idle"] == 0 and 73 <= found["receiver_sink_busy_seconds/hung"] < 173


def test_the_books_balance() -> None:
    """received = journalled + duplicates + refused + quarantined + failed; done = all ends that a number can have."""
    book = Intake(received=15, journalled=5, duplicates=4, refused=3, quarantined=2, failed=1)
    assert book.balanced and not msgspec.structs.replace(book, received=16).balanced
    assert SinkBook(delivered=1, filtered=2, dead=4, expired=8, undecodable=16, backlog=99, retries=99).done == 31


def test_two_servers_in_one_process_do_not_meet() -> None:
    """Each has a registry of its own."""
    one, other = Ledger(), Ledger()
    one.sink("a").delivered = 1
    assert "receiver_sink_delivered_total/a" in scraped(one)
    assert "receiver_sink_delivered_total/a" not in scraped(other)
