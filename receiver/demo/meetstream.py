"""The demonstration with MeetStream: simulated bots at the real server, callbacks, transcripts, sound and pictures."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from receiver.app import Receiver
from receiver.demo.books import Line, Report, sink_rows
from receiver.demo.far_sides import KafkaReader, caught_up, far_sides, http_target, mock_kafka, sinks_config
from receiver.settings import from_dict
from receiver.simulator import Tally, play


async def run_demo(
    data_dir: Path, *, meetings: int, speed: float, seed: int, say: Callable[[str], None], tally: Tally
) -> Report:
    """Play ``meetings`` at a fresh server below ``data_dir`` and balance the books. Raises what ``Receiver`` raises."""
    started_s = time.monotonic()
    async with http_target() as target, mock_kafka() as brokers:
        endpoints: dict[str, Any] = {"meetstream": {"default": {}}}
        sinks = sinks_config(target.url, brokers, verbose=meetings <= 3)
        config = {"data_dir": str(data_dir), "server": {"port": 0}, "endpoints": endpoints, "sinks": sinks}
        receiver = Receiver(from_dict(config))
        await receiver.start()
        reader = KafkaReader(brokers)
        try:
            endpoint = f"{receiver.url}/meetstream/default"
            say(f"server on {receiver.url}, playing {meetings} meeting{'s' * (meetings != 1)} at {endpoint}")
            await play(endpoint, meetings=meetings, speed=speed, seed=seed, tally=tally, on_progress=_progress(say))
            say("meetings are over, waiting for the sinks")
            await caught_up(receiver, say)
        finally:
            await receiver.stop()
        say("reading back what arrived in Kafka")
        kafka_ids = await asyncio.to_thread(reader.finish, receiver.ledger.sink("kafka").delivered)
        found = far_sides(receiver, tally.audio_s, target, kafka_ids)
    files = [receiver.settings.data_dir / name for name in ("events", "audio", "journal")]
    rows = sink_rows(receiver, found)
    return Report(_intake_lines(receiver, tally), rows, files, time.monotonic() - started_s)


def _progress(say: Callable[[str], None]) -> Callable[[str, str], None]:
    return lambda bot_id, what: say(f"{bot_id[:8]} {what}")


def _intake_lines(receiver: Receiver, tally: Tally) -> list[Line]:
    book = receiver.ledger.endpoint("meetstream", "default")
    sent = tally.posts_sent + tally.frames_sent + tally.text_messages_sent + tally.video_pieces_sent
    return [
        Line("sent: callbacks and other POSTs", tally.posts_sent),
        Line("sent: audio frames", tally.frames_sent),
        Line("sent: messages and video on sockets", tally.text_messages_sent + tally.video_pieces_sent),
        Line("answered 2xx", tally.posts_accepted, tally.posts_sent),
        Line("received", book.received, sent),
        Line("duplicates merged", book.duplicates, tally.duplicates_sent),
        Line("refused, quarantined or failed", book.refused + book.quarantined + book.failed, 0),
        Line("journalled", book.journalled, sent - tally.duplicates_sent),
    ]
