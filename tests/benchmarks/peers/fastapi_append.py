"""FastAPI on uvicorn: each delivery is appended to a file and synced by itself before it is answered."""

import os
import sys
import threading
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool

app = FastAPI()
lock = threading.Lock()
file = (Path(sys.argv[2]) / "deliveries.jsonl").open("ab", buffering=0)


@app.post("/meetstream/default")
async def take(request: Request) -> dict[str, bool]:
    """One delivery."""
    await request.json()
    await run_in_threadpool(append, await request.body())
    return {"ok": True}


def append(body: bytes) -> None:
    """On disk when it returns."""
    with lock:
        file.write(body + b"\n")
        os.fdatasync(file.fileno())


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning")
