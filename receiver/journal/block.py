"""Many rows of a file in one step of SQLite.

Python's module lets go of the interpreter for each row, and a thread that reads beside a busy event loop gets it back a
millisecond later. So the rows are joined by SQLite and cut apart here.
"""

import sqlite3
from collections.abc import Iterator
from itertools import pairwise

from receiver.journal.row import Row

_MOST_ROWS, _MOST_BYTES = 256, 256 << 10
_UPTO = """
SELECT max(seq) FROM (
    SELECT seq, sum(size) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS total
    FROM (SELECT seq, ifnull(length(payload), 0) AS size FROM record WHERE seq > ? ORDER BY seq LIMIT ?)
) WHERE total <= ?
"""
#: texts are joined byte for byte, whatever is in them
_BLOCK = """
SELECT min(typeof(key) = 'blob' AND typeof(meta) = 'blob' AND typeof(payload) = 'blob'),
    group_concat(seq || ' ' || length(key) || ' ' || length(meta) || ' ' || length(payload), ' '),
    CAST(group_concat(CAST(key AS TEXT), '') AS BLOB), CAST(group_concat(CAST(meta AS TEXT), '') AS BLOB),
    CAST(group_concat(CAST(payload AS TEXT), '') AS BLOB)
FROM (SELECT seq, key, meta, payload FROM record WHERE seq > ? AND seq <= ? ORDER BY seq)
"""


def next_block(db: sqlite3.Connection, after: int) -> list[Row]:
    """The next rows behind ``after``. None where the next one is large, or anything is odd: that is for who takes one
    row after the other. Raises ``sqlite3.Error``."""
    (upto,) = db.execute(_UPTO, (after, _MOST_ROWS, _MOST_BYTES)).fetchone()
    if upto is None:
        return []
    plain, heads, *columns = db.execute(_BLOCK, (after, upto)).fetchone()
    if not plain:
        return []
    rows = list(_cut(heads, *columns))
    numbers = [after, *(row[0] for row in rows)]
    return rows if all(one < other for one, other in pairwise(numbers)) else []  # a damaged tree leads anywhere


def _cut(heads: str, keys: bytes, metas: bytes, payloads: bytes) -> Iterator[Row]:
    """``heads``: of each row its number and three lengths."""
    numbers = iter(map(int, heads.split()))
    key = meta = payload = 0
    for seq, key_bytes, meta_bytes, payload_bytes in zip(numbers, numbers, numbers, numbers, strict=True):
        key_end, meta_end, payload_end = key + key_bytes, meta + meta_bytes, payload + payload_bytes
        yield seq, keys[key:key_end], metas[meta:meta_end], payloads[payload:payload_end]
        key, meta, payload = key_end, meta_end, payload_end
