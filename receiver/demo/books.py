"""The books of a demonstration: what was sent, what came in, what each sink did, what its far side has."""

from pathlib import Path

import msgspec

from receiver.app import Receiver


class Line(msgspec.Struct, frozen=True):
    """One row of the books: what it is, what was expected, what was found; ``None``: nothing to compare with."""

    what: str
    found: int
    expected: int | None = None

    @property
    def holds(self) -> bool:
        """Whether it balances."""
        return self.expected is None or self.found == self.expected


class SinkRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a sink did, and what was found at its far side."""

    name: str
    delivered: int
    filtered: int
    dead: int
    pending: int
    found: Line | None

    @property
    def holds(self) -> bool:
        """Whether nothing is missing: nothing pending or dead, and the far side has it all."""
        return self.pending == 0 and self.dead == 0 and (self.found is None or self.found.holds)


class Report(msgspec.Struct):
    """What the demonstration found, and where its files are."""

    lines: list[Line]
    sinks: list[SinkRow]
    files: list[Path]
    took_s: float
    #: by vendor, where several were played
    blocks: dict[str, list[Line]] = msgspec.field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        """Whether every row holds."""
        lines = [*self.lines, *(line for block in self.blocks.values() for line in block)]
        return all(line.holds for line in lines) and all(row.holds for row in self.sinks)


def sink_rows(receiver: Receiver, found: dict[str, Line]) -> list[SinkRow]:
    """A row for each sink; ``found``: what its far side has."""
    rows = []
    for name in receiver.workers:
        book = receiver.ledger.sink(name)
        rows.append(
            SinkRow(
                name=name,
                delivered=book.delivered,
                filtered=book.filtered,
                dead=book.dead,
                pending=receiver.pending(name),
                found=found.get(name),
            )
        )
    return rows
