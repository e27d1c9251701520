"""Reads back what is in Kafka, with aiokafka, which shares no code with librdkafka."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer

WAIT_S = 60.0


async def read_all(address: str, *topics: str) -> list[Any]:
    """Every record of ``topics``, each partition in order, read by a library that is not the producer's."""
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        records: list[Any] = []
        ends = await consumer.end_offsets(list(consumer.assignment()))
        async with asyncio.timeout(WAIT_S):
            for partition, end in ends.items():
                while await consumer.position(partition) < end:
                    records.append(await consumer.getone(partition))
        return records
    finally:
        await consumer.stop()
