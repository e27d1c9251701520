"""A meeting through ``receiver serve`` into Kafka: an independent consumer sees each id once, and sound as bytes.

``tests/sinks/test_kafka.py`` has the sink's own tests; this is the way from the vendor's bytes to a consumer.
"""

import base64
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from receiver.simulator import play
from tests.end_to_end.process import read_events, serving
from tests.kafka_broker import Broker
from tests.kafka_reader import read_all

#: the first test of a run may have to wait for the jars and for two Java programs
pytestmark = pytest.mark.timeout(600)
SINKS = """
[sinks.file]
type = "file"
fsync = false

[sinks.kafka]
type = "kafka"
brokers = "{brokers}"
topic = "{topic}"
"""


def text_of(record: Any, header: str) -> str:
    """A header of a Kafka record."""
    return str(dict(record.headers)[header], "utf-8")


async def test_a_consumer_sees_each_id_once(tmp_path: Path, broker: Broker) -> None:
    """Ids, keys, order within a subject and data are those of the file; sound is bytes, never base64."""
    topic = f"e2e-{uuid.uuid4().hex[:10]}"
    async with serving(tmp_path, SINKS.format(brokers=broker.address, topic=topic)) as server:
        tally = await play(f"{server.url}/meetstream/default", speed=0, faults=("duplicates", "reorder"))
        await server.caught_up("file", "kafka")
        assert await server.stop() == 0
    records = await read_all(broker.address, topic)
    events = read_events(server.data_dir / "events")
    by_id = {event["id"]: event for event in events}
    assert tally.ok and tally.duplicates_sent and len(events) == len(by_id) > 1_500
    assert sorted(text_of(record, "ce_id") for record in records) == sorted(by_id)
    for record in records:
        event = by_id[text_of(record, "ce_id")]
        assert (record.key or b"").decode() == event.get("subject", "")
        assert text_of(record, "ce_sequence") == event["sequence"]
        if "data_base64" in event:
            assert record.value == base64.b64decode(event["data_base64"])
            assert text_of(record, "content-type") == event["datacontenttype"]
        else:
            assert json.loads(record.value) == event["data"]
    for partition in {record.partition for record in records}:
        sequences = [text_of(record, "ce_sequence") for record in records if record.partition == partition]
        assert sequences == sorted(sequences)
    assert sum(event["type"] == "audio.chunk" for event in events) == tally.frames_sent
