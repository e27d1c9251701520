"""FastAPI on uvicorn with uvloop and httptools: parses the body, keeps it in memory, answers. Nothing is safe."""

import sys
from collections import deque
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

app = FastAPI()
deliveries: deque[Any] = deque(maxlen=10_000)


@app.post("/meetstream/default")
async def take(request: Request) -> dict[str, bool]:
    """One delivery."""
    deliveries.append(await request.json())
    return {"ok": True}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning")
