"""FastAPI on uvicorn: each delivery is committed to SQLite with ``synchronous=FULL`` before it is answered."""

import sqlite3
import sys
import threading
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool

app = FastAPI()
lock = threading.Lock()
connection = sqlite3.connect(Path(sys.argv[2]) / "deliveries.db", check_same_thread=False)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("PRAGMA synchronous = FULL")
connection.execute("CREATE TABLE deliveries (id INTEGER PRIMARY KEY, body BLOB)")


@app.post("/meetstream/default")
async def take(request: Request) -> dict[str, bool]:
    """One delivery."""
    await request.json()
    await run_in_threadpool(commit, await request.body())
    return {"ok": True}


def commit(body: bytes) -> None:
    """On disk when it returns."""
    with lock, connection:
        connection.execute("INSERT INTO deliveries (body) VALUES (?)", (body,))


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning")
