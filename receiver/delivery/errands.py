"""What a server and its helper tell each other: errands and how they go. No logic.

An errand: deliver for one sink what is in the journal behind a number, until it is told that this is enough.
"""

from typing import Any

import msgspec


class Hello(msgspec.Struct, tag=True):
    """Server to helper, first of all: where the journal is, how to log (``[log]``)."""

    data_dir: str
    log: dict[str, str]


class Begin(msgspec.Struct, tag=True):
    """Server to helper: ``[sinks.NAME]`` as the config has it, and the sink's cursor. The sink is closed over here."""

    sink: str
    keys: dict[str, Any]
    after: int


class See(msgspec.Struct, tag=True):
    """Server to helper: how far the journal can be read now. What it means is the journal's."""

    mark: bytes


class Enough(msgspec.Struct, tag=True):
    """Server to helper: end the errand after the write under way."""

    sink: str


class Ready(msgspec.Struct, tag=True):
    """Helper to server, first of all: errands can begin."""


class Alive(msgspec.Struct, tag=True):
    """Helper to server, once a second: it is not stuck, however long something takes."""


class Taken(msgspec.Struct, tag=True):
    """Helper to server: everything up to this number was read, and can be delivered without the journal."""

    sink: str
    upto: int


class Done(msgspec.Struct, tag=True):
    """Helper to server: the far side has everything up to ``upto``. Counts are of sequence numbers since the last one.

    ``received_ns``: arrival of the last record, 0 where there was none; ``delivered_ns``: of the last event delivered.
    """

    sink: str
    upto: int
    delivered: int
    filtered: int
    undecodable: int
    batches: int
    received_ns: int
    delivered_ns: int


class Ended(msgspec.Struct, tag=True):
    """Helper to server: the sink is closed over here. ``problem``: why, where nobody asked for it."""

    sink: str
    problem: str = ""


Order = Hello | Begin | See | Enough
Told = Ready | Alive | Taken | Done | Ended
decode_order = msgspec.msgpack.Decoder(Order).decode
decode_told = msgspec.msgpack.Decoder(Told).decode
