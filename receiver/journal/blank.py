"""A file of a lane before its first row: made by ourselves, since SQLite would sync five times for it."""

import os
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS record"
    "(seq INTEGER PRIMARY KEY, key BLOB NOT NULL, meta BLOB NOT NULL, payload BLOB NOT NULL)"
)
#: in the header of a database: what it takes to write and to read it; 2: a write-ahead log
_MODE, _LOGGED = slice(18, 20), bytes((2, 2))


def create(path: Path, page_bytes: int) -> None:
    """Put one there, in one step; the name is on disk once its folder is. Raises ``OSError``."""
    draft = path.with_name("next.draft")
    try:
        with open(draft, "wb") as file:
            file.write(blank(page_bytes))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


@cache
def blank(page_bytes: int) -> bytes:
    """Its bytes."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"PRAGMA page_size = {page_bytes}")
        db.execute(SCHEMA)
        content = bytearray(db.serialize())
    content[_MODE] = _LOGGED
    return bytes(content)
